//! What befalls the process as a whole rather than one gateway: descriptors that run out, connections that are closed to make room, and
//! what the kernel refuses in a storm.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ceiling::QUIET;

/// Why a connection is closed while a limit is nearly full. In the order in which room is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shed {
    /// It waits for another request.
    Idle,
    /// It has not asked for anything yet.
    Silent,
    /// Its client sends or takes too little of a request that has begun.
    Slow,
}

impl Shed {
    pub(crate) const ALL: [Self; 3] = [Self::Idle, Self::Silent, Self::Slow];

    /// The `reason` of the metric.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Silent => "silent",
            Self::Slow => "slow",
        }
    }
}

/// Numbers and states of the whole process; any thread may write.
pub(crate) struct Process {
    /// Descriptors from this number on are for everything but clients: metrics, readiness, the API, files.
    reserved_from: AtomicU64,
    /// A client was refused for want of a descriptor, and no connection has ended since.
    scarce: AtomicBool,
    no_descriptor: AtomicU64,
    by_kernel: AtomicU64,
    shed: [AtomicU64; 3],
    storm: AtomicBool,
    freed: Notify,
    /// When it was said last that accepting pauses.
    paused: Mutex<Option<Instant>>,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            reserved_from: AtomicU64::new(u64::MAX),
            scarce: AtomicBool::default(),
            no_descriptor: AtomicU64::default(),
            by_kernel: AtomicU64::default(),
            shed: Default::default(),
            storm: AtomicBool::default(),
            freed: Notify::new(),
            paused: Mutex::new(None),
        }
    }
}

impl Process {
    /// Descriptors from `number` on are in reserve.
    pub(crate) fn reserve_from(&self, number: u64) {
        self.reserved_from.store(number, Ordering::Relaxed);
    }

    /// Whether a descriptor is one of the reserve. The kernel gives the lowest number that is free, so one of the reserve says that all
    /// others are taken.
    #[inline]
    pub(crate) fn is_reserved(&self, descriptor: &impl AsFd) -> bool {
        descriptor.as_fd().as_raw_fd() as u64 >= self.reserved_from.load(Ordering::Relaxed)
    }

    /// A client was refused since only the reserve is left.
    pub(crate) fn refuse(&self) {
        self.no_descriptor.fetch_add(1, Ordering::Relaxed);
        self.scarce.store(true, Ordering::Relaxed);
    }

    /// Whether the next client would be refused for want of a descriptor.
    pub(crate) fn is_scarce(&self) -> bool {
        self.scarce.load(Ordering::Relaxed)
    }

    /// How many clients were refused for want of a descriptor.
    pub(crate) fn no_descriptor(&self) -> u64 {
        self.no_descriptor.load(Ordering::Relaxed)
    }

    /// Accepting pauses: whether that is worth a line in the log.
    pub(crate) fn may_say_paused(&self, now: Instant) -> bool {
        let mut paused = self.paused.lock();
        let silent = paused.is_some_and(|at| now < at + QUIET);
        if !silent {
            *paused = Some(now);
        }
        !silent
    }

    /// A connection has ended, its slot is given back and its descriptor closed.
    #[inline]
    pub(crate) fn ended(&self) {
        if self.is_scarce() {
            self.scarce.store(false, Ordering::Relaxed);
        }
        // A look that comes too late is made up for by the next one a few milliseconds later.
        if self.storm.load(Ordering::Relaxed) {
            self.freed.notify_one();
        }
    }

    /// The kernel refuses clients at a port, or at none any more.
    pub(crate) fn set_storm(&self, is: bool) {
        self.storm.store(is, Ordering::Relaxed);
    }

    /// Waits until a connection ends while the kernel refuses others.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// The kernel has refused about this many more.
    pub(crate) fn refused_by_kernel(&self, count: u64) {
        self.by_kernel.fetch_add(count, Ordering::Relaxed);
    }

    /// About how many connections the kernel refused.
    pub(crate) fn by_kernel(&self) -> u64 {
        self.by_kernel.load(Ordering::Relaxed)
    }

    /// Connections are closed to make room.
    pub(crate) fn shed(&self, why: Shed, count: u64) {
        if let Some(place) = self.shed.get(why as usize) {
            place.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// How many were.
    pub(crate) fn shed_for(&self, why: Shed) -> u64 {
        self.shed.get(why as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_high_number_is_of_the_reserve() {
        let (process, file) = (Process::default(), std::fs::File::open("/dev/null").expect("a file"));
        assert!(!process.is_reserved(&file), "as long as nobody knows");
        process.reserve_from(file.as_raw_fd() as u64 + 1);
        assert!(!process.is_reserved(&file));
        process.reserve_from(file.as_raw_fd() as u64);
        assert!(process.is_reserved(&file));
        process.refuse();
        assert!(process.is_scarce());
        process.ended();
        assert!(!process.is_scarce() && process.no_descriptor() == 1);
    }

    #[test]
    fn a_pause_is_told_once_in_a_while() {
        let (process, now) = (Process::default(), Instant::now());
        assert!(process.may_say_paused(now));
        assert!(!process.may_say_paused(now + QUIET / 2));
        assert!(process.may_say_paused(now + QUIET));
    }
}
