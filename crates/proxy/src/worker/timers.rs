//! Deadlines of connections, coarse and cheap: a deadline is a store into a dense array that is looked through at every tick.
//!
//! Ten thousand deadlines are 40 KB, read in a few microseconds ten times a second; a timer of the runtime for each connection would cost
//! an entry and a wake-up for each request instead.

use std::cell::RefCell;
use std::task::Waker;

use crate::process::Shed;

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
    /// It must end now to make room, unless a request comes just then.
    pub(crate) shed: bool,
}

/// What a connection does, as far as making room for others goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// A request is served, or a policy says how long it may take: it is left alone.
    #[default]
    Busy,
    /// There has been no request yet.
    Silent,
    /// It waits for the next request.
    Idle,
    /// In an exchange the client is waited for.
    Slow,
}

/// What is too long while room must be made, in ticks, and what is too little.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) idle: u32,
    pub(crate) silent: u32,
    pub(crate) slow: u32,
    /// Bytes that a client must move in each `slow`.
    pub(crate) least: u32,
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
    /// Who looks again at the next tick.
    again: Vec<u32>,
}

#[derive(Default)]
struct Entry {
    waker: Option<Waker>,
    socket: u64,
    /// Where it counts, by the cell's number.
    cell: u32,
    signals: Signals,
    phase: Phase,
    /// Since which tick it is in its phase; of a slow one, since when its bytes are counted.
    since: u32,
    /// The bytes that a slow one has moved, and those it had moved at `since`. Their low halves: the difference is what matters.
    bytes: u32,
    bytes_since: u32,
}

impl Entry {
    /// Why it should be ended to make room, if it should. A slow one that has moved enough is measured anew from here.
    fn overdue(&mut self, now: u32, bounds: &Bounds) -> Option<Shed> {
        let time = now.saturating_sub(self.since);
        match self.phase {
            _ if self.signals.kill || self.signals.shed => None,
            Phase::Busy => None,
            Phase::Silent => (time >= bounds.silent).then_some(Shed::Silent),
            Phase::Idle => (time >= bounds.idle).then_some(Shed::Idle),
            Phase::Slow if time < bounds.slow => None,
            Phase::Slow if self.bytes.wrapping_sub(self.bytes_since) < bounds.least => Some(Shed::Slow),
            Phase::Slow => {
                (self.since, self.bytes_since) = (now, self.bytes);
                None
            }
        }
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

impl Timers {
    /// A place for a connection that came in by socket `socket` at tick `now` and counts in `cell`.
    pub(crate) fn add(&self, socket: u64, cell: usize, now: u32) -> u32 {
        let inner = &mut *self.inner.borrow_mut();
        let entry = Entry { socket, cell: number(cell), phase: Phase::Silent, since: now, ..Entry::default() };
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

    /// The connection counts in `cell` from tick `now` on, and is as good as new there.
    pub(crate) fn set_cell(&self, id: u32, cell: usize, now: u32) {
        if let Some(entry) = self.inner.borrow_mut().entries.get_mut(id as usize) {
            (entry.cell, entry.phase, entry.since) = (number(cell), Phase::Silent, now);
        }
    }

    /// The connection is in this phase since tick `now`.
    #[inline]
    pub(crate) fn set_phase(&self, id: u32, phase: Phase, now: u32) {
        if let Some(entry) = self.inner.borrow_mut().entries.get_mut(id as usize) {
            (entry.phase, entry.since) = (phase, now);
        }
    }

    /// No room is made of the connection, not even if it was about to be: a request that has come must not be sent on and then cut short.
    #[inline]
    pub(crate) fn set_busy(&self, id: u32) {
        if let Some(entry) = self.inner.borrow_mut().entries.get_mut(id as usize) {
            (entry.phase, entry.signals.shed) = (Phase::Busy, false);
        }
    }

    /// The connection's client is waited for at tick `now`, and has moved so many bytes.
    pub(crate) fn set_slow(&self, id: u32, bytes: u64, now: u32) {
        if let Some(entry) = self.inner.borrow_mut().entries.get_mut(id as usize) {
            entry.bytes = bytes as u32;
            if entry.phase != Phase::Slow {
                (entry.phase, entry.since, entry.bytes_since) = (Phase::Slow, now, entry.bytes);
            }
        }
    }

    /// Ends at most `most` of the connections in `cell` that are overdue: idle ones first, then silent, then slow ones, those that have been
    /// so longest first. Gives how many of each.
    pub(crate) fn shed(&self, cell: usize, most: usize, now: u32, bounds: &Bounds) -> [(Shed, u64); 3] {
        let mut inner = self.inner.borrow_mut();
        let of_cell = inner.entries.iter_mut().enumerate().filter(|(_, entry)| entry.cell == number(cell) && entry.waker.is_some());
        let mut overdue: Vec<_> = of_cell.filter_map(|(at, entry)| Some((entry.overdue(now, bounds)?, entry.since, at))).collect();
        overdue.sort_unstable();
        overdue.truncate(most);
        for (_, _, at) in &overdue {
            if let Some(entry) = inner.entries.get_mut(*at) {
                entry.signals.shed = true;
                entry.wake();
            }
        }
        Shed::ALL.map(|why| (why, overdue.iter().filter(|(it, ..)| *it == why).count() as u64))
    }

    /// What the connection was told.
    #[inline]
    pub(crate) fn signals(&self, id: u32) -> Signals {
        self.inner.borrow().entries.get(id as usize).map(|entry| entry.signals).unwrap_or_default()
    }

    /// Wakes this connection at the next tick, whatever its deadline.
    pub(crate) fn look_again(&self, id: u32) {
        self.inner.borrow_mut().again.push(id);
    }

    /// Wakes the connections whose deadlines have passed, and those that are to look again.
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
        // A place may have another connection by now, which is then woken for nothing.
        for id in inner.again.drain(..) {
            if let Some(Entry { waker: Some(waker), .. }) = inner.entries.get(id as usize) {
                waker.wake_by_ref();
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

/// Of cells there are never more than fit.
fn number(cell: usize) -> u32 {
    u32::try_from(cell).unwrap_or(u32::MAX)
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
        let (a, b) = (timers.add(1, 0, 0), timers.add(2, 7, 0));
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
        timers.remove(a);
        assert_eq!(timers.add(3, 0, 0), a);
        assert_eq!(timers.signals(a), Signals::default());
    }

    #[test]
    fn a_request_that_comes_just_then_is_served() {
        let (timers, bell) = (Timers::default(), Arc::new(Bell::default()));
        let id = timers.add(1, 7, 0);
        timers.set_waker(id, bell.clone().into());
        timers.set_phase(id, Phase::Idle, 0);
        let bounds = Bounds { idle: 1, silent: 1, slow: 1, least: 1 };
        assert_eq!(timers.shed(7, 9, 5, &bounds), [(Shed::Idle, 1), (Shed::Silent, 0), (Shed::Slow, 0)]);
        assert_eq!(timers.shed(7, 9, 5, &bounds).map(|(_, count)| count), [0; 3], "once");
        timers.set_busy(id);
        assert_eq!(timers.signals(id), Signals::default());
        timers.end(1, true);
        timers.set_busy(id);
        assert!(timers.signals(id).kill, "that was not to make room");
    }

    #[test]
    fn room_is_made_of_idle_ones_first_and_never_of_busy_ones() {
        let (timers, bell) = (Timers::default(), Arc::new(Bell::default()));
        let add = |cell, phase| {
            let id = timers.add(1, cell, 0);
            timers.set_waker(id, bell.clone().into());
            timers.set_phase(id, phase, 0);
            id
        };
        let busy = add(7, Phase::Busy);
        let (slow, quick) = (add(7, Phase::Busy), add(7, Phase::Busy));
        timers.set_slow(slow, 100, 0);
        timers.set_slow(quick, 100, 0);
        let silent = add(7, Phase::Silent);
        let (old, young, elsewhere) = (add(7, Phase::Idle), add(7, Phase::Idle), add(8, Phase::Idle));
        timers.set_phase(young, Phase::Idle, 5);
        let bounds = Bounds { idle: 100, silent: 50, slow: 100, least: 1000 };
        let is_shed = |id| timers.signals(id).shed;
        assert_eq!(timers.shed(7, 9, 49, &bounds).map(|(_, count)| count), [0; 3], "nobody is overdue");
        timers.set_slow(slow, 1000, 60);
        timers.set_slow(quick, 1200, 60);
        assert_eq!(timers.shed(7, 1, 110, &bounds), [(Shed::Idle, 1), (Shed::Silent, 0), (Shed::Slow, 0)]);
        assert!(is_shed(old) && !is_shed(young), "the one that has been idle longest");
        assert_eq!(timers.shed(7, 2, 110, &bounds).map(|(_, count)| count), [1, 1, 0]);
        assert!(is_shed(young) && is_shed(silent) && !is_shed(slow));
        assert_eq!(timers.shed(7, 9, 110, &bounds).map(|(_, count)| count), [0, 0, 1]);
        assert!(is_shed(slow) && !is_shed(quick) && !is_shed(busy) && !is_shed(elsewhere));
        assert_eq!(bell.0.load(Ordering::Relaxed), 4);
        // The one that was quick enough is measured anew.
        assert_eq!(timers.shed(7, 9, 209, &bounds).map(|(_, count)| count), [0; 3]);
        assert_eq!(timers.shed(7, 9, 210, &bounds).map(|(_, count)| count), [0, 0, 1]);
        assert!(is_shed(quick));
    }
}
