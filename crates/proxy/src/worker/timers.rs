//! Deadlines of connections, coarse and cheap: a deadline is a store into a dense array that is looked through at every tick.
//!
//! Ten thousand deadlines are 40 KB, read in a few microseconds ten times a second; a timer of the runtime for each connection would cost
//! an entry and a wake-up for each request instead.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::task::Waker;

/// No deadline.
pub(crate) const NEVER: u32 = u32::MAX;

/// What a connection was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Signals {
    /// Its deadline has passed.
    pub(crate) expired: bool,
    /// It must end when its exchange does; at once if it has none.
    pub(crate) drain: bool,
    /// It must end now.
    pub(crate) kill: bool,
}

/// The deadlines and wakers of a worker's connections.
#[derive(Default)]
pub(crate) struct Timers {
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    deadlines: Vec<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Entry {
    waker: Option<Waker>,
    socket: u64,
    signals: Signals,
    /// Since which tick it is idle, after a request.
    idle: Option<NonZeroU32>,
}

impl Timers {
    /// A place for a connection that came in by socket `socket`.
    pub(crate) fn add(&self, socket: u64) -> u32 {
        let inner = &mut *self.inner.borrow_mut();
        let entry = Entry { socket, ..Entry::default() };
        match inner.free.pop() {
            Some(id) => {
                if let Some(place) = inner.entries.get_mut(id as usize) {
                    *place = entry;
                }
                id
            }
            None => {
                inner.deadlines.push(NEVER);
                inner.entries.push(entry);
                inner.entries.len() as u32 - 1
            }
        }
    }

    /// Gives the place back.
    pub(crate) fn remove(&self, id: u32) {
        let inner = &mut *self.inner.borrow_mut();
        if let (Some(deadline), Some(entry)) = (inner.deadlines.get_mut(id as usize), inner.entries.get_mut(id as usize)) {
            *deadline = NEVER;
            *entry = Entry::default();
            inner.free.push(id);
        }
    }

    /// Whom to wake; a connection's task keeps its waker for life.
    pub(crate) fn set_waker(&self, id: u32, waker: Waker) {
        if let Some(entry) = self.inner.borrow_mut().entries.get_mut(id as usize) {
            entry.waker = Some(waker);
        }
    }

    /// Sets the deadline, a tick of the worker's clock, and forgets that an earlier one has passed.
    #[inline]
    pub(crate) fn set(&self, id: u32, deadline: u32) {
        let inner = &mut *self.inner.borrow_mut();
        if let (Some(place), Some(entry)) = (inner.deadlines.get_mut(id as usize), inner.entries.get_mut(id as usize)) {
            *place = deadline;
            entry.signals.expired = false;
        }
    }

    /// The connection is idle since tick `since`, or is not.
    #[inline]
    pub(crate) fn set_idle(&self, id: u32, since: Option<u32>) {
        if let Some(entry) = self.inner.borrow_mut().entries.get_mut(id as usize) {
            entry.idle = since.and_then(|tick| NonZeroU32::new(tick.max(1)));
        }
    }

    /// Ends the connection that has been idle longest, of those that were so before tick `before` and whose socket `is_meant`.
    pub(crate) fn end_oldest_idle(&self, before: u32, is_meant: impl Fn(u64) -> bool) {
        let mut inner = self.inner.borrow_mut();
        let idle =
            |entry: &&mut Entry| entry.idle.is_some_and(|since| since.get() < before) && !entry.signals.kill && is_meant(entry.socket);
        if let Some(entry) = inner.entries.iter_mut().filter(idle).min_by_key(|entry| entry.idle) {
            entry.signals.kill = true;
            if let Some(waker) = &entry.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// What the connection was told.
    #[inline]
    pub(crate) fn signals(&self, id: u32) -> Signals {
        self.inner.borrow().entries.get(id as usize).map(|entry| entry.signals).unwrap_or_default()
    }

    /// Wakes the connections whose deadlines have passed.
    pub(crate) fn tick(&self, now: u32) {
        let inner = &mut *self.inner.borrow_mut();
        for (deadline, entry) in inner.deadlines.iter_mut().zip(&mut inner.entries) {
            if *deadline <= now {
                *deadline = NEVER;
                entry.signals.expired = true;
                if let Some(waker) = &entry.waker {
                    waker.wake_by_ref();
                }
            }
        }
    }

    /// Tells all connections of a socket to end: after their exchange, or now.
    pub(crate) fn end(&self, socket: u64, now: bool) {
        for entry in &mut self.inner.borrow_mut().entries {
            if entry.socket == socket {
                entry.signals.drain = true;
                entry.signals.kill |= now;
                if let Some(waker) = &entry.waker {
                    waker.wake_by_ref();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn deadlines_wake_once_and_places_are_reused() {
        let (timers, bell) = (Timers::default(), Arc::new(Bell::default()));
        let (a, b) = (timers.add(1), timers.add(2));
        timers.set_waker(a, bell.clone().into());
        timers.set(a, 5);
        timers.tick(4);
        assert!(!timers.signals(a).expired);
        timers.tick(5);
        timers.tick(6);
        assert!(timers.signals(a).expired && !timers.signals(b).expired);
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
        timers.set(a, 9);
        assert!(!timers.signals(a).expired);
        timers.end(1, false);
        assert!(timers.signals(a).drain && !timers.signals(a).kill);
        timers.set_idle(b, Some(7));
        timers.end_oldest_idle(7, |_| true);
        timers.end_oldest_idle(8, |socket| socket != 2);
        assert!(!timers.signals(b).kill, "not idle for long, or not meant");
        timers.end_oldest_idle(8, |_| true);
        assert!(timers.signals(b).kill && !timers.signals(a).kill);
        timers.remove(a);
        assert_eq!(timers.add(3), a);
        assert_eq!(timers.signals(a), Signals::default());
    }
}
