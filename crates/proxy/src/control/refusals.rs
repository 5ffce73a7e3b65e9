//! What workers say about connections that a limit refused, and when that is passed on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use weir_limits::LimitState;

/// At most one message for each limit within this time.
const PERIOD: Duration = Duration::from_secs(1);

/// The last client that each limit refused. The counts are the ledger's.
#[derive(Default)]
pub(crate) struct Refusals {
    last: Mutex<BTreeMap<Arc<str>, Refusee>>,
    noted: AtomicBool,
    wake: Notify,
}

/// A client that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusee {
    pub(crate) client: SocketAddr,
    pub(crate) local: SocketAddr,
    /// How many connections there were then.
    pub(crate) current: u64,
}

impl Refusals {
    /// A worker refused a client. Not on the request path. Waits for others that note or look something up, which takes as long as the
    /// ledger's own lock: a refusal about whose client nothing is known could not be told.
    pub(crate) fn note(&self, limit: &Arc<str>, refusee: Refusee) {
        let mut last = self.last.lock();
        match last.get_mut(limit) {
            Some(place) => *place = refusee,
            None => drop(last.insert(limit.clone(), refusee)),
        }
        drop(last);
        if !self.noted.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Waits for the first refusal since [`Self::look`].
    pub(crate) async fn noticed(&self) {
        self.wake.notified().await;
    }

    /// From now on the next refusal wakes again.
    pub(crate) fn look(&self) {
        self.noted.store(false, Ordering::Release);
    }

    /// Who was refused last by `limit`.
    pub(crate) fn last(&self, limit: &str) -> Option<Refusee> {
        self.last.lock().get(limit).copied()
    }

    /// Forgets limits that are not in force any more.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.last.lock().retain(|limit, _| keep(limit));
    }
}

/// What was said about each limit.
#[derive(Default)]
pub(crate) struct Told {
    limits: BTreeMap<Arc<str>, Saying>,
}

#[derive(Default)]
struct Saying {
    refused: u64,
    /// Of these, how many no controller has heard of: there was none.
    owed: u64,
    cleared: u64,
    at: Option<Instant>,
}

/// What is to be said about a limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It has refused this many since it was last said, and `owed` before that, when there was nobody to tell.
    Refused { fresh: u64, owed: u64 },
    /// It has room again.
    Cleared,
}

impl Told {
    /// What there is to say about `state` at `now`; [`Self::said`] when it has been said. `heard`: a controller listens.
    pub(crate) fn news(&self, state: &LimitState, now: Instant, heard: bool) -> Option<News> {
        let fresh = Saying::default();
        let told = self.limits.get(&state.name).unwrap_or(&fresh);
        let (fresh, owed) = (state.refused.saturating_sub(told.refused), if heard { told.owed } else { 0 });
        if fresh + owed > 0 {
            let due = told.at.is_none_or(|at| now >= at + PERIOD);
            return due.then_some(News::Refused { fresh, owed });
        }
        (state.cleared > told.cleared && !state.refusing).then_some(News::Cleared)
    }

    /// It has been said; a controller has `heard` it, or there is none.
    pub(crate) fn said(&mut self, state: &LimitState, news: &News, now: Instant, heard: bool) {
        let told = self.limits.entry(state.name.clone()).or_default();
        match news {
            News::Refused { fresh, .. } => {
                told.owed = if heard { 0 } else { told.owed + fresh };
                (told.refused, told.at) = (state.refused, Some(now));
            }
            News::Cleared => told.cleared = state.cleared,
        }
    }

    /// Whether something may have to be said soon.
    pub(crate) fn is_open(&self, state: &LimitState, heard: bool) -> bool {
        let fresh = Saying::default();
        let told = self.limits.get(&state.name).unwrap_or(&fresh);
        state.refusing || state.refused > told.refused || state.cleared > told.cleared || (heard && told.owed > 0)
    }

    /// Forgets limits that are not in force any more.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.limits.retain(|limit, _| keep(limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(fresh: u64, owed: u64) -> Option<News> {
        Some(News::Refused { fresh, owed })
    }

    #[test]
    fn refusals_are_summed_and_the_end_is_told_once() {
        let (mut told, start) = (Told::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let mut state = LimitState { name: "l".into(), value: 1, current: 1, refused: 1, refusing: true, cleared: 0 };
        assert_eq!(told.news(&state, start, true), refused(1, 0));
        told.said(&state, &News::Refused { fresh: 1, owed: 0 }, start, true);
        state.refused = 5;
        assert_eq!(told.news(&state, at(900), true), None);
        assert!(told.is_open(&state, true));
        assert_eq!(told.news(&state, at(1000), true), refused(4, 0));
        told.said(&state, &News::Refused { fresh: 4, owed: 0 }, at(1000), true);
        (state.current, state.refusing, state.cleared) = (0, false, 1);
        assert_eq!(told.news(&state, at(1100), true), Some(News::Cleared));
        told.said(&state, &News::Cleared, at(1100), true);
        assert_eq!(told.news(&state, at(9000), true), None);
        assert!(!told.is_open(&state, true));
    }

    #[test]
    fn a_controller_hears_of_what_was_refused_while_there_was_none() {
        let (mut told, start) = (Told::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let mut state = LimitState { name: "l".into(), value: 1, current: 0, refused: 2, refusing: false, cleared: 0 };
        for (now, count) in [(start, 2), (at(1000), 3)] {
            assert_eq!(told.news(&state, now, false), refused(count, 0));
            told.said(&state, &News::Refused { fresh: count, owed: 0 }, now, false);
            state.refused = 5;
        }
        assert!(!told.is_open(&state, false) && told.is_open(&state, true));
        assert_eq!((told.news(&state, at(2000), false), told.news(&state, at(2000), true)), (None, refused(0, 5)));
        told.said(&state, &News::Refused { fresh: 0, owed: 5 }, at(2000), true);
        assert_eq!(told.news(&state, at(9000), true), None);
    }
}
