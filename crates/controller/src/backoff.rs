//! How long to wait after a failure.

use std::time::Duration;

/// Delays that double with each failure in a row, up to a ceiling, each shortened by a random part so that clients that failed together
/// do not come back together.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    ceiling: Duration,
    failures: u32,
}

impl Backoff {
    /// The first delay is about `first`, none is longer than `ceiling`.
    pub(crate) const fn new(first: Duration, ceiling: Duration) -> Self {
        Self { first, ceiling, failures: 0 }
    }

    /// The delay after one more failure: between half of the full delay and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let full = self.first.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.ceiling);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(0.5 + rand::random::<f64>() / 2.0)
    }

    /// It worked: the next failure starts over.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How many failures there were since it last worked.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_ceiling_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for full in [100, 200, 350, 350] {
            let delay = backoff.next();
            assert!(delay <= Duration::from_millis(full) && delay >= Duration::from_millis(full / 2), "{delay:?} for {full}");
        }
        for _ in 0..100 {
            assert!(backoff.next() <= Duration::from_millis(350), "never overflows");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
        assert_eq!(backoff.failures(), 1);
    }
}
