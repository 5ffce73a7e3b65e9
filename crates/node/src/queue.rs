//! The work queue: keys that are due, keys that are due later, keys that are being written.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::meta::ObjectName;

/// One thing to reconcile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    Deployment(ObjectName),
    ReplicaSet(ObjectName),
    Job(ObjectName),
    Pod(ObjectName),
    Service(ObjectName),
}

const FIRST_RETRY: Duration = Duration::from_millis(10);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// A key is handed out once however often it was added, never while it is busy, and comes back at the end if it was added meanwhile.
#[derive(Default)]
pub(crate) struct Queue {
    ready: VecDeque<Key>,
    waiting: HashSet<Key>,
    later: BTreeSet<(Instant, Key)>,
    /// When each key of `later` comes: the earliest of the times asked for, so that it holds no key twice.
    times: HashMap<Key, Instant>,
    busy: HashMap<Key, bool>,
    failures: HashMap<Key, u32>,
}

impl Queue {
    pub(crate) fn add(&mut self, key: Key) {
        if let Some(again) = self.busy.get_mut(&key) {
            *again = true;
        } else if self.waiting.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    pub(crate) fn add_after(&mut self, key: Key, delay: Duration, now: Instant) {
        let at = now + delay;
        if self.times.get(&key).is_some_and(|earlier| *earlier <= at) {
            return;
        }
        if let Some(later) = self.times.insert(key.clone(), at) {
            self.later.remove(&(later, key.clone()));
        }
        self.later.insert((at, key));
    }

    /// The next key to reconcile. It is busy until [`Queue::done`].
    pub(crate) fn next(&mut self, now: Instant) -> Option<Key> {
        while let Some((at, _)) = self.later.first() {
            if *at > now {
                break;
            }
            if let Some((_, key)) = self.later.pop_first() {
                self.times.remove(&key);
                self.add(key);
            }
        }
        let key = self.ready.pop_front()?;
        self.waiting.remove(&key);
        self.busy.insert(key.clone(), false);
        Some(key)
    }

    /// Hands these keys out before all others that are ready now.
    pub(crate) fn prefer(&mut self, first: impl Fn(&Key) -> bool) {
        self.ready.make_contiguous().sort_by_key(|key| !first(key));
    }

    /// Whether a key can be handed out now.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the next key becomes due by itself.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// A key's writes are through.
    pub(crate) fn done(&mut self, key: Key) {
        self.failures.remove(&key);
        if self.busy.remove(&key) == Some(true) {
            self.add(key);
        }
    }

    /// A key's writes failed: it comes back after a while that doubles. Returns that while.
    pub(crate) fn failed(&mut self, key: Key, now: Instant) -> Duration {
        let count = self.failures.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        let delay = FIRST_RETRY.saturating_mul(1_u32 << (*count - 1).min(16)).min(LONGEST_RETRY);
        self.busy.remove(&key);
        self.add_after(key, delay, now);
        delay
    }

    /// Nothing to do and nothing being done; what is due later does not count.
    pub(crate) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.busy.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::Pod(ObjectName::new("ns", name))
    }

    #[test]
    fn a_busy_key_waits_for_its_writes() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(key("a"));
        queue.add(key("a"));
        assert_eq!(queue.next(now), Some(key("a")));
        assert_eq!(queue.next(now), None);
        queue.add(key("a"));
        assert_eq!(queue.next(now), None);
        queue.done(key("a"));
        assert_eq!(queue.next(now), Some(key("a")));
        queue.done(key("a"));
        assert!(queue.is_idle());
    }

    #[test]
    fn a_key_waits_once_for_the_earliest_time_asked_for() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for seconds in [600, 5, 60] {
            queue.add_after(key("a"), Duration::from_secs(seconds), now);
        }
        assert_eq!((queue.later.len(), queue.due()), (1, Some(now + Duration::from_secs(5))));
        let then = now + Duration::from_secs(5);
        assert_eq!(queue.next(then), Some(key("a")));
        queue.add_after(key("a"), Duration::from_secs(60), then);
        assert_eq!(queue.due(), Some(then + Duration::from_secs(60)));
    }

    #[test]
    fn failures_back_off_and_success_forgets_them() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(key("a"));
        queue.next(now);
        assert_eq!(queue.failed(key("a"), now), Duration::from_millis(10));
        assert_eq!(queue.next(now), None);
        assert_eq!(queue.next(now + Duration::from_millis(10)), Some(key("a")));
        assert_eq!(queue.failed(key("a"), now), Duration::from_millis(20));
        queue.next(now + Duration::from_secs(1));
        queue.done(key("a"));
        queue.add(key("a"));
        queue.next(now);
        assert_eq!(queue.failed(key("a"), now), Duration::from_millis(10));
    }
}
