//! The system's allocator, counting by thread. For benchmarks and for tests of what must not allocate.

#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

/// Threads that are counted each by itself; later ones are not counted.
const THREADS: usize = 512;

/// What one thread has allocated so far.
struct Count {
    /// The kernel's number for it; 0: nobody yet.
    thread: AtomicI32,
    allocations: AtomicU64,
}

struct Counting;

static COUNTS: [Count; THREADS] = [const { Count { thread: AtomicI32::new(0), allocations: AtomicU64::new(0) } }; THREADS];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's place in [`COUNTS`]. Needs neither memory nor a destructor, so that an allocator may use it.
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing and does not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(count) = COUNTS.get(place()) {
            count.allocations.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// This thread's place, taken at its first allocation.
fn place() -> usize {
    PLACE
        .try_with(|place| {
            if place.get() == usize::MAX {
                place.set(NEXT.fetch_add(1, Ordering::Relaxed));
                if let Some(count) = COUNTS.get(place.get()) {
                    count.thread.store(this_thread(), Ordering::Relaxed);
                }
            }
            place.get()
        })
        .unwrap_or(usize::MAX)
}

/// The kernel's number for this thread, as it stands in `/proc/self/task`.
pub(crate) fn this_thread() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// How often a thread has allocated so far; a block that grows counts as another one.
///
/// # Panics
/// When the thread is not counted.
pub(crate) fn allocations(thread: i32) -> u64 {
    let count = COUNTS.iter().find(|count| count.thread.load(Ordering::Relaxed) == thread);
    count.expect("a thread that has allocated, among the first").allocations.load(Ordering::Relaxed)
}
