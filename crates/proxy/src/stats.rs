//! Counters: one set for each worker, written by it alone, summed when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that one thread writes and others may read. Not a shared counter: two writers would lose counts.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        // A load and a store instead of one atomic addition: no locked instruction, since nobody else writes.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn sub(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(amount), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of the buckets in microseconds; Envoy's defaults, which run from half a millisecond to an hour.
pub(crate) const BOUNDS: [u64; 19] = [
    500,
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
];

/// A histogram of durations.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Count; BOUNDS.len() + 1],
    sum_micros: Count,
}

impl Histogram {
    pub(crate) fn record(&self, time: Duration) {
        let micros = time.as_micros() as u64;
        let place = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(place) {
            bucket.add(1);
        }
        self.sum_micros.add(micros);
    }

    /// The buckets' counts (not cumulative) and the sum in milliseconds, added to what is there.
    pub(crate) fn add_to(&self, counts: &mut [u64; BOUNDS.len() + 1], sum_ms: &mut f64) {
        for (sum, bucket) in counts.iter_mut().zip(&self.buckets) {
            *sum += bucket.read();
        }
        *sum_ms += self.sum_micros.read() as f64 / 1000.0;
    }
}

/// Answers by class: 1xx to 5xx.
#[derive(Debug, Default)]
pub(crate) struct Classes([Count; 5]);

impl Classes {
    #[inline]
    pub(crate) fn count(&self, status: u16) {
        if let Some(class) = self.0.get(usize::from(status / 100).wrapping_sub(1)) {
            class.add(1);
        }
    }

    pub(crate) fn read(&self) -> [u64; 5] {
        self.0.each_ref().map(Count::read)
    }
}

/// A port's numbers. Aligned so that no two workers share a cache line (two lines, since processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct HttpStats {
    pub(crate) requests: Count,
    pub(crate) requests_active: Count,
    pub(crate) connections: Count,
    pub(crate) connections_active: Count,
    pub(crate) received: Count,
    pub(crate) sent: Count,
    pub(crate) classes: Classes,
    pub(crate) time: Histogram,
}

/// A cluster's numbers.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct ClusterStats {
    pub(crate) requests: Count,
    pub(crate) connections: Count,
    pub(crate) connections_active: Count,
    pub(crate) connect_fail: Count,
    pub(crate) received: Count,
    pub(crate) sent: Count,
    pub(crate) classes: Classes,
    pub(crate) time: Histogram,
}

/// A socket's numbers.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct ListenerStats {
    pub(crate) connections: Count,
    pub(crate) connections_active: Count,
    pub(crate) tls: TlsStats,
}

/// What became of connections to a socket that speaks TLS. Each connection counts in one of them, but for `pre_active` and those that a
/// limit refused.
#[derive(Debug, Default)]
pub(crate) struct TlsStats {
    /// Whose hello is not complete, now.
    pub(crate) pre_active: Count,
    /// Gone before their hello was complete.
    pub(crate) gone: Count,
    /// Whose hello was not complete in time.
    pub(crate) pre_timeout: Count,
    /// That do not speak TLS.
    pub(crate) not_tls: Count,
    /// That wanted a host which no listener has.
    pub(crate) no_match: Count,
    /// Reset since too many handshakes were waiting.
    pub(crate) crowded: Count,
    /// Handshakes that did not end in time.
    pub(crate) timeout: Count,
    /// Clients without a certificate that had to have one.
    pub(crate) no_certificate: Count,
    /// Clients whose certificate was not accepted.
    pub(crate) wrong_certificate: Count,
    /// Handshakes that failed otherwise.
    pub(crate) failed: Count,
    /// Handshakes that succeeded.
    pub(crate) handshakes: Count,
}

/// One set for each of `workers`.
pub(crate) fn per_worker<T: Default>(workers: usize) -> Vec<T> {
    (0..workers).map(|_| T::default()).collect()
}
