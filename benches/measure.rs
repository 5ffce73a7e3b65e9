//! What an operation costs, in multiples of a fixed piece of work, and how often it allocates.

#[path = "allocator.rs"]
mod allocator;

use std::hash::{DefaultHasher, Hasher};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long one batch takes; long enough that the clock's resolution does not matter.
const BATCH: Duration = Duration::from_millis(5);

/// Of so many batches the fastest counts: whatever else runs on the machine only makes batches slower.
const BATCHES: usize = 40;

/// Operations over which allocations are counted.
const COUNTED: u64 = 1000;

/// Measures `operation` and prints `bench NAME COST ALLOCATIONS`. The cost is in hashes of 64 bytes (SipHash-1-3, some 20 ns).
pub(crate) fn operation<T>(name: &str, mut operation: impl FnMut() -> T) {
    let mut reference = || {
        let mut hasher = DefaultHasher::new();
        hasher.write(black_box(&[7; 64]));
        hasher.finish()
    };
    let (size, reference_size) = (batch_size(&mut operation), batch_size(&mut reference));
    let (mut best, mut best_reference) = (f64::MAX, f64::MAX);
    for _ in 0..BATCHES {
        best = best.min(batch(&mut operation, size));
        best_reference = best_reference.min(batch(&mut reference, reference_size));
    }
    let allocations = || allocator::allocations(allocator::this_thread());
    let before = allocations();
    for _ in 0..COUNTED {
        black_box(operation());
    }
    let allocations = (allocations() - before) as f64 / COUNTED as f64;
    println!("bench {name} {:.3} {allocations}", best / best_reference);
}

fn batch_size<T>(operation: &mut impl FnMut() -> T) -> u32 {
    let mut size = 1;
    while batch(operation, size) * f64::from(size) < BATCH.as_nanos() as f64 {
        size *= 2;
    }
    size
}

/// Nanoseconds for one of `size` operations.
fn batch<T>(operation: &mut impl FnMut() -> T, size: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..size {
        black_box(operation());
    }
    start.elapsed().as_nanos() as f64 / f64::from(size)
}
