//! When to act on a burst of events: after a moment of quiet, but never later than a bound.

use std::time::Duration;

use tokio::time::Instant;

/// Nothing new for this long: the burst is over.
const QUIET: Duration = Duration::from_millis(5);
/// A storm that never pauses is still acted on this long after it began.
const LATEST: Duration = Duration::from_millis(50);

/// Turns bursts of events into single actions.
#[derive(Debug, Default)]
pub(crate) struct Debounce {
    burst: Option<(Instant, Instant)>,
}

impl Debounce {
    /// An event at `now`.
    pub(crate) fn note(&mut self, now: Instant) {
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst = Some((first, now));
    }

    /// When to act; none: nothing has happened.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.burst.map(|(first, last)| (last + QUIET).min(first + LATEST))
    }

    /// Whether it is time to act; if so the burst is taken as acted on.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|at| at <= now);
        if due {
            self.burst = None;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_after_quiet_and_at_the_latest_after_the_bound() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut debounce = Debounce::default();
        assert!(debounce.due().is_none() && !debounce.take(start));
        debounce.note(start);
        debounce.note(at(4));
        assert!(!debounce.take(at(8)));
        assert_eq!(debounce.due(), Some(at(9)));
        assert!(debounce.take(at(9)));
        assert!(debounce.due().is_none(), "a burst is acted on once");
        for ms in 100..160 {
            debounce.note(at(ms));
        }
        assert_eq!(debounce.due(), Some(at(150)));
    }
}
