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
    /// A worker refused a client. Not on the request path; never waits.
    pub(crate) fn note(&self, limit: &Arc<str>, refusee: Refusee) {
        if let Some(mut last) = self.last.try_lock() {
            match last.get_mut(limit) {
                Some(place) => *place = refusee,
                None => drop(last.insert(limit.clone(), refusee)),
            }
        }
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
    cleared: u64,
    at: Option<Instant>,
}

/// What is to be said about a limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It has refused this many since it was last said.
    Refused(u64),
    /// It has room again.
    Cleared,
}

impl Told {
    /// What there is to say about `state` at `now`; [`Self::said`] when it has been said.
    pub(crate) fn news(&self, state: &LimitState, now: Instant) -> Option<News> {
        let fresh = Saying::default();
        let told = self.limits.get(&state.name).unwrap_or(&fresh);
        if state.refused > told.refused {
            let due = told.at.is_none_or(|at| now >= at + PERIOD);
            return due.then(|| News::Refused(state.refused - told.refused));
        }
        (state.cleared > told.cleared && !state.refusing).then_some(News::Cleared)
    }

    /// It has been said.
    pub(crate) fn said(&mut self, state: &LimitState, news: &News, now: Instant) {
        let told = self.limits.entry(state.name.clone()).or_default();
        match news {
            News::Refused(_) => (told.refused, told.at) = (state.refused, Some(now)),
            News::Cleared => told.cleared = state.cleared,
        }
    }

    /// Whether something may have to be said soon.
    pub(crate) fn is_open(&self, state: &LimitState) -> bool {
        let told = self.limits.get(&state.name);
        state.refusing || state.refused > told.map_or(0, |told| told.refused) || state.cleared > told.map_or(0, |told| told.cleared)
    }

    /// Forgets limits that are not in force any more.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.limits.retain(|limit, _| keep(limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_summed_and_the_end_is_told_once() {
        let (mut told, start) = (Told::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let mut state = LimitState { name: "l".into(), value: 1, current: 1, refused: 1, refusing: true, cleared: 0 };
        assert_eq!(told.news(&state, start), Some(News::Refused(1)));
        told.said(&state, &News::Refused(1), start);
        state.refused = 5;
        assert_eq!(told.news(&state, at(900)), None);
        assert!(told.is_open(&state));
        assert_eq!(told.news(&state, at(1000)), Some(News::Refused(4)));
        told.said(&state, &News::Refused(4), at(1000));
        (state.current, state.refusing, state.cleared) = (0, false, 1);
        assert_eq!(told.news(&state, at(1100)), Some(News::Cleared));
        told.said(&state, &News::Cleared, at(1100));
        assert_eq!(told.news(&state, at(9000)), None);
        assert!(!told.is_open(&state));
    }
}
