//! The store: every object in memory, every acknowledged change on disk before it is answered or seen.
//!
//! ```text
//!  handlers ──commit(Change)──► writer thread ──one transaction per batch, fsync──► redb
//!     ▲                              │ then
//!     └── get, list, events ◄── memory (objects, a window of events per shelf)
//! ```
//!
//! Writers are optimistic: a [`Change`] names the version it was computed from. The one writer thread checks that, numbers the
//! change and commits whatever has queued up meanwhile in one transaction, so that the cost of an fsync is shared.

mod disk;
mod memory;
mod place;
mod quiet;
mod stored;
mod writer;

use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot, watch};

pub(crate) use disk::OpenError;
use memory::Memory;
pub(crate) use memory::{Event, Listing, Page};
use stored::Interner;
pub(crate) use stored::{Parsed, Stored, Unkept, lead};

use crate::apply::Managed;

/// Queued writes beyond this make writers wait.
const QUEUE: usize = 1024;
/// Bytes of an object as JSON: what etcd takes in one request, so that what is kept here can go to a cluster.
const MAX_OBJECT: usize = 3 << 19;
/// Bytes that marking an object for deletion adds at most: a time, a grace period, a finalizer, a longer generation.
const DELETION_MARK: usize = 256;

/// Where an object is kept: the shelf is `group/plural`, whatever version it was written in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) shelf: Arc<str>,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl Key {
    pub(crate) fn new(shelf: &Arc<str>, namespace: &str, name: &str) -> Self {
        Self { shelf: Arc::clone(shelf), namespace: namespace.into(), name: name.into() }
    }
}

/// What must be true of the object for a change to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    Absent,
    Version(u64),
}

/// One write: `object: None` deletes.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) expect: Expect,
    pub(crate) object: Option<Value>,
    /// Who owns its fields.
    pub(crate) managed: Managed,
    /// Another object that must still be at this version (the namespace that something is created in).
    pub(crate) guard: Option<(Key, u64)>,
}

/// Why a change was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    #[error("the object or its guard has changed")]
    Stale,
    #[error("etcdserver: request is too large")]
    TooLarge,
    #[error(transparent)]
    Unkept(#[from] Unkept),
    #[error("the database cannot be written: {0}")]
    Disk(String),
    #[error("the server is shutting down")]
    Closed,
}

/// The version that a reader asked to continue from is no longer in the window.
#[derive(Debug)]
pub(crate) struct Expired {
    /// The oldest version from which changes can still be told.
    pub(crate) floor: u64,
}

struct Shared {
    memory: RwLock<Memory>,
    /// Something may have to be collected.
    garbage: Notify,
}

/// A change whose object is in the form in which it is kept.
struct Job {
    key: Key,
    expect: Expect,
    object: Option<Stored>,
    managed: Managed,
    guard: Option<(Key, u64)>,
    answer: oneshot::Sender<Result<Arc<Stored>, CommitError>>,
}

/// A cheap handle to the one store of a server.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
}

impl Store {
    /// Opens or creates the database and loads everything. Blocks. The thread ends when the last handle is dropped.
    pub(crate) fn open(path: &Path) -> Result<(Self, std::thread::JoinHandle<()>), OpenError> {
        let mut interner = Interner::default();
        let (disk, loaded) = disk::Disk::open(path, &mut interner)?;
        let shared = Arc::new(Shared { memory: RwLock::new(Memory::load(loaded)), garbage: Notify::new() });
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = writer::Writer::new(Arc::clone(&shared), disk, interner);
        let thread = std::thread::Builder::new()
            .name("weir-api-store".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|e| OpenError::Io(path.to_owned(), e))?;
        Ok((Self { shared, jobs }, thread))
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.shared.memory.read().get(key)
    }

    /// An object that another one is to be made of.
    pub(crate) fn parsed(&self, key: &Key) -> Option<Parsed> {
        self.get(key).map(Parsed::from)
    }

    /// Everything on a shelf (in one namespace), ordered by namespace and name, and the version that this is true for.
    pub(crate) fn list(&self, shelf: &str, namespace: Option<&str>) -> (Vec<Arc<Stored>>, u64) {
        let memory = self.shared.memory.read();
        (memory.list(shelf, namespace), memory.version())
    }

    /// Part of a list, at an earlier version if asked for, as long as the window reaches back to it.
    pub(crate) fn page(&self, wanted: &Listing<'_>) -> Result<Page, Expired> {
        self.shared.memory.read().page(wanted)
    }

    /// Keys of every object in a namespace, on whatever shelf.
    pub(crate) fn keys_in(&self, namespace: &str) -> Vec<Key> {
        self.shared.memory.read().keys_in(namespace)
    }

    pub(crate) fn version(&self) -> u64 {
        self.shared.memory.read().version()
    }

    /// Applies a change: what this answers is on disk, and only that is ever seen. A change that is refused because the disk could not be
    /// written is not seen either, but may be there after a crash: what the failed write left is put right by the next one that succeeds.
    pub(crate) async fn commit(&self, change: Change) -> Result<Arc<Stored>, CommitError> {
        let Change { key, expect, object, mut managed, guard } = change;
        // Written as text here, where there are many to do it: all changes go through the one writer.
        let object = object.map(|value| Stored::new(value, Managed::default(), 0)).transpose()?;
        let size = object.as_ref().map_or(0, Stored::json_size);
        if object.as_ref().is_some_and(|object| is_too_large(object, self.get(&key).as_deref())) {
            return Err(CommitError::TooLarge);
        }
        // Rather than refuse an object for the sake of who owns what in it, a cluster forgets that.
        if size + managed.size() > MAX_OBJECT {
            managed = Managed::default();
        }
        let (answer, result) = oneshot::channel();
        self.jobs.send(Job { key, expect, object, managed, guard, answer }).await.map_err(|_| CommitError::Closed)?;
        result.await.map_err(|_| CommitError::Closed)?
    }

    /// Told of every change on a shelf.
    pub(crate) fn subscribe(&self, shelf: &Arc<str>) -> watch::Receiver<u64> {
        self.shared.memory.write().subscribe(shelf)
    }

    /// Up to `max` events on a shelf after `position`, and the position to continue from.
    pub(crate) fn events_after(&self, shelf: &str, position: u64, max: usize) -> Result<(Vec<Arc<Event>>, u64), Expired> {
        self.shared.memory.read().events_after(shelf, position, max)
    }

    /// Takes the keys whose owners or finalizers may need the garbage collector; waits while there are none.
    pub(crate) async fn garbage(&self) -> Vec<Key> {
        loop {
            let keys = self.shared.memory.write().take_suspects();
            if !keys.is_empty() {
                return keys;
            }
            self.shared.garbage.notified().await;
        }
    }

    /// Looks at a key again later.
    pub(crate) fn suspect(&self, key: Key) {
        self.shared.memory.write().suspect(key);
        self.shared.garbage.notify_one();
    }

    /// Where the object with this uid is.
    pub(crate) fn by_uid(&self, uid: &str) -> Option<Key> {
        self.shared.memory.read().by_uid(uid)
    }

    /// Objects that name this uid as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.shared.memory.read().dependents(uid)
    }
}

/// Whether an object may not become so large. What is larger already, from before there was a limit, may stay so, shrink and go.
fn is_too_large(new: &Stored, old: Option<&Stored>) -> bool {
    let size = |stored: &Stored| stored.json_size() - stored.managed.size();
    let mark = |old: &Stored| if new.is_deleting() && !old.is_deleting() { DELETION_MARK } else { 0 };
    size(new) > MAX_OBJECT.max(old.map_or(0, |old| size(old) + mark(old)))
}

#[cfg(test)]
mod tests;
