//! Refused connections that are held for a while before they are closed, so that clients which come again at once cost less.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::sockopt;

use crate::config::Port;

/// How many a port may hold whatever its limit is.
const AT_LEAST: u64 = 16;

/// The refused connections that a worker holds, by the tick at which they are closed.
#[derive(Default)]
pub(crate) struct Refused {
    held: RefCell<VecDeque<(u32, Held)>>,
}

struct Held {
    descriptor: OwnedFd,
    port: Arc<Port>,
}

impl Drop for Held {
    fn drop(&mut self) {
        reset(&self.descriptor);
        self.port.held.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Refused {
    /// Holds a connection until tick `until`, unless a tenth of the `limit` that refused it are held already: attackers must not be able to
    /// pile up descriptors.
    pub(crate) fn hold(&self, descriptor: OwnedFd, port: &Arc<Port>, limit: u64, until: u32) {
        if !enter(&port.held, AT_LEAST.max(limit / 10)) {
            return reset(&descriptor);
        }
        let mut held = self.held.borrow_mut();
        // Delays are the same for all of a port, so this is nearly always the end.
        let place = held.iter().rposition(|(tick, _)| *tick <= until).map_or(0, |place| place + 1);
        held.insert(place, (until, Held { descriptor, port: port.clone() }));
    }

    /// Closes those whose time has come.
    pub(crate) fn tick(&self, now: u32) {
        let mut held = self.held.borrow_mut();
        while held.front().is_some_and(|(until, _)| *until <= now) {
            held.pop_front();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.borrow().is_empty()
    }
}

fn enter(count: &AtomicU64, most: u64) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| (held < most).then_some(held + 1)).is_ok()
}

/// Makes the close that follows a reset: no TIME_WAIT on our side, nothing to drain, and the client knows at once.
pub(crate) fn reset(descriptor: &impl AsFd) {
    // If it cannot be set, the client sees an ordinary end.
    let _ = sockopt::set_socket_linger(descriptor, Some(Duration::ZERO));
}
