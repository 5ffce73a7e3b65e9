//! When to let the kernel refuse.
//!
//! An accepted and refused connection costs 25 µs, nearly all of it the kernel's handshake; a SYN to a port that nobody listens on is
//! answered for nothing (measured 2026-08). So while refusals come fast and nobody could come in anyway, the sockets stop listening.
//!
//! ```text
//!              full, and fast for 100 ms
//!  Listening ──────────────────────────────► Unlistening
//!      ▲                                          │
//!      └──────── not full any more, or 50 ms ─────┘
//! ```
//!
//! One of these for each group of sockets behind the same limits. No clock of its own: it is told the time.

use std::time::{Duration, Instant};

/// How many refusals a second are a storm.
const FAST: u64 = 2000;
/// How long they must go on.
const SPAN: Duration = Duration::from_millis(100);
/// How long at most nothing is accepted: then it is looked whether the storm goes on, and clients are counted and told why again.
const CALM: Duration = Duration::from_millis(50);

/// The state of a group of sockets.
#[derive(Debug)]
pub(crate) struct Storm {
    state: State,
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
}

impl Storm {
    pub(crate) fn new(now: Instant, refused: u64) -> Self {
        Self { state: State::Listening { since: now, refused } }
    }

    pub(crate) fn is_listening(&self) -> bool {
        matches!(self.state, State::Listening { .. })
    }

    /// To be asked every few milliseconds while anything is refused. `full`: nobody can come in. `refused`: how many connections have been
    /// refused so far, ever.
    pub(crate) fn step(&mut self, now: Instant, full: bool, refused: u64) -> Step {
        match self.state {
            State::Listening { .. } if !full => {
                self.state = State::Listening { since: now, refused };
                Step::Stay
            }
            State::Listening { since, refused: before } => {
                let span = now.saturating_duration_since(since);
                if span < SPAN {
                    return Step::Stay;
                }
                let count = refused.saturating_sub(before);
                if u128::from(count) * 1000 >= u128::from(FAST) * span.as_millis() {
                    self.state = State::Unlistening { since: now };
                    return Step::Unlisten;
                }
                self.state = State::Listening { since: now, refused };
                Step::Stay
            }
            State::Unlistening { since } if full && now.saturating_duration_since(since) < CALM => Step::Stay,
            State::Unlistening { .. } => {
                self.state = State::Listening { since: now, refused };
                Step::Listen
            }
        }
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
        let mut storm = Storm::new(clock.at(0), 0);
        assert_eq!(storm.step(clock.at(50), true, 500), Step::Stay, "not long enough");
        assert_eq!(storm.step(clock.at(100), true, 500), Step::Unlisten);
        assert!(!storm.is_listening());
        assert_eq!(storm.step(clock.at(149), true, 500), Step::Stay);
        assert_eq!(storm.step(clock.at(150), true, 500), Step::Listen, "to see whether it goes on");
        assert!(storm.is_listening());
        assert_eq!(storm.step(clock.at(200), true, 900), Step::Stay);
        assert_eq!(storm.step(clock.at(250), true, 900), Step::Unlisten, "it does");
        assert_eq!(storm.step(clock.at(253), false, 900), Step::Listen, "a slot is free");
    }

    #[test]
    fn slow_refusals_are_given_and_counted_one_by_one() {
        let clock = Hand(Instant::now());
        let mut storm = Storm::new(clock.at(0), 7);
        for millis in 1..10_000u64 {
            assert_eq!(storm.step(clock.at(millis), true, 7 + millis), Step::Stay, "1,000 a second");
        }
    }

    #[test]
    fn while_there_is_room_nothing_is_a_storm() {
        let clock = Hand(Instant::now());
        let mut storm = Storm::new(clock.at(0), 0);
        for millis in 0..1000u64 {
            assert_eq!(storm.step(clock.at(millis), millis % 90 != 0, millis * 100), Step::Stay, "each slot that is free starts it anew");
        }
    }
}
