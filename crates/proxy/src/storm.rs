//! When to let the kernel refuse.
//!
//! An accepted and refused connection costs 25 µs, nearly all of it the kernel's handshake; a SYN to a port that nobody listens on is
//! answered for nothing (measured 2026-08). So while refusals come fast and nobody could come in anyway, the sockets stop listening.
//!
//! ```text
//!              full, and fast for 100 ms (for 10 ms within a second of the last time)
//!  Listening ──────────────────────────────► Unlistening
//!      ▲                                          │
//!      └──────── not full any more, or 50 ms ─────┘
//! ```
//!
//! One of these for each group of sockets behind the same limits. No clock of its own: it is told the time.

use std::time::{Duration, Instant};

/// How long they must go on.
const SPAN: Duration = Duration::from_millis(100);
/// How long they must go on where there was a storm just now.
const PROBE: Duration = Duration::from_millis(10);
/// How long at most nothing is accepted: then it is looked whether the storm goes on, and clients are counted and told why again.
const CALM: Duration = Duration::from_millis(50);
/// How long a storm is over before the next one is another.
const OVER: Duration = Duration::from_secs(1);

/// The state of a group of sockets.
#[derive(Debug)]
pub(crate) struct Storm {
    /// How many refusals a second are a storm.
    fast: u64,
    state: State,
    /// Since when there is a storm, and when the sockets were last not listening.
    episode: Option<(Instant, Instant)>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Since when it is measured, and the count of refusals then.
    Listening {
        since: Instant,
        refused: u64,
    },
    Unlistening {
        since: Instant,
    },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Stay,
    /// Stop listening, on all sockets of the group at once.
    Unlisten,
    /// Listen again.
    Listen,
    /// Nothing; but there is no storm any more, after this time.
    Over(Duration),
}

impl Storm {
    pub(crate) fn new(now: Instant, refused: u64, fast: u64) -> Self {
        Self { fast, state: State::Listening { since: now, refused }, episode: None }
    }

    pub(crate) fn is_listening(&self) -> bool {
        matches!(self.state, State::Listening { .. })
    }

    /// Whether there is a storm, though the sockets may listen at the moment.
    pub(crate) fn is_on(&self) -> bool {
        self.episode.is_some()
    }

    /// To be asked every few milliseconds while anything is refused. `full`: nobody can come in. `refused`: how many connections have been
    /// refused so far, ever.
    pub(crate) fn step(&mut self, now: Instant, full: bool, refused: u64) -> Step {
        match self.state {
            State::Unlistening { since } if full && now.saturating_duration_since(since) < CALM => Step::Stay,
            State::Unlistening { .. } => {
                self.state = State::Listening { since: now, refused };
                self.episode = self.episode.map(|(since, _)| (since, now));
                Step::Listen
            }
            State::Listening { since, refused: before } => {
                if let Some((began, last)) = self.episode
                    && now.saturating_duration_since(last) >= OVER
                {
                    self.episode = None;
                    return Step::Over(last.saturating_duration_since(began));
                }
                if !full {
                    self.state = State::Listening { since: now, refused };
                    return Step::Stay;
                }
                self.measure(now, since, refused, refused.saturating_sub(before))
            }
        }
    }

    /// Full for the time from `since` to `now`, with `count` refusals.
    fn measure(&mut self, now: Instant, since: Instant, refused: u64, count: u64) -> Step {
        let span = now.saturating_duration_since(since);
        if span < if self.is_on() { PROBE } else { SPAN } {
            return Step::Stay;
        }
        if u128::from(count) * 1000 >= u128::from(self.fast) * span.as_millis() {
            self.state = State::Unlistening { since: now };
            self.episode = Some((self.episode.map_or(now, |(began, _)| began), now));
            return Step::Unlisten;
        }
        self.state = State::Listening { since: now, refused };
        Step::Stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that is set by hand.
    struct Hand(Instant);

    impl Hand {
        fn at(&self, millis: u64) -> Instant {
            self.0 + Duration::from_millis(millis)
        }
    }

    #[test]
    fn a_fast_storm_at_a_full_limit_is_left_to_the_kernel() {
        let clock = Hand(Instant::now());
        let mut storm = Storm::new(clock.at(0), 0, 2000);
        assert_eq!(storm.step(clock.at(50), true, 500), Step::Stay, "not long enough");
        assert_eq!(storm.step(clock.at(100), true, 500), Step::Unlisten);
        assert!(!storm.is_listening());
        assert_eq!(storm.step(clock.at(149), true, 500), Step::Stay);
        assert_eq!(storm.step(clock.at(150), true, 500), Step::Listen, "to see whether it goes on");
        assert!(storm.is_listening());
        assert_eq!(storm.step(clock.at(155), true, 700), Step::Stay);
        assert_eq!(storm.step(clock.at(160), true, 700), Step::Unlisten, "it does, as is soon seen");
        assert_eq!(storm.step(clock.at(163), false, 700), Step::Listen, "a slot is free");
        assert_eq!(storm.step(clock.at(170), true, 710), Step::Stay);
        assert_eq!(storm.step(clock.at(180), true, 710), Step::Stay, "not as fast");
        assert!(storm.is_on(), "it may begin again");
        assert_eq!(storm.step(clock.at(1163), true, 710), Step::Over(Duration::from_millis(63)));
        assert!(!storm.is_on());
        assert_eq!(storm.step(clock.at(1170), true, 10_000), Step::Unlisten, "the next one, measured since the last look");
    }

    #[test]
    fn a_storm_ends_where_the_kernel_may_not_refuse_any_more() {
        let clock = Hand(Instant::now());
        let mut storm = Storm::new(clock.at(0), 0, 2000);
        assert_eq!(storm.step(clock.at(100), true, 500), Step::Unlisten);
        assert_eq!(storm.step(clock.at(101), false, 500), Step::Listen);
        assert_eq!(storm.step(clock.at(600), false, 9000), Step::Stay);
        assert_eq!(storm.step(clock.at(1101), false, 9000), Step::Over(Duration::from_millis(1)));
    }

    #[test]
    fn slow_refusals_are_given_and_counted_one_by_one() {
        let clock = Hand(Instant::now());
        let mut storm = Storm::new(clock.at(0), 7, 2000);
        for millis in 1..10_000u64 {
            assert_eq!(storm.step(clock.at(millis), true, 7 + millis), Step::Stay, "1,000 a second");
        }
    }

    #[test]
    fn while_there_is_room_nothing_is_a_storm() {
        let clock = Hand(Instant::now());
        let mut storm = Storm::new(clock.at(0), 0, 2000);
        for millis in 0..1000u64 {
            assert_eq!(storm.step(clock.at(millis), millis % 90 != 0, millis * 100), Step::Stay, "each slot that is free starts it anew");
        }
    }
}
