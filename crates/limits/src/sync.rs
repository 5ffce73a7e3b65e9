//! What guards the book: `parking_lot` in use, loom's model of a mutex under `cfg(loom)`, since loom does not see `parking_lot`.

/// What the handles of one ledger share.
#[cfg(not(loom))]
pub(crate) type Shared<T> = std::sync::Arc<parking_lot::Mutex<T>>;

/// What the handles of one ledger share.
#[cfg(loom)]
pub(crate) type Shared<T> = loom::sync::Arc<Mutex<T>>;

/// Loom's mutex with `parking_lot`'s face.
#[cfg(loom)]
#[derive(Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> Mutex<T> {
    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("nobody panics while holding it")
    }
}
