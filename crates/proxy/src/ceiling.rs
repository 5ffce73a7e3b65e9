//! How many connections the process takes at most, whatever the limits say: what its descriptors and its memory can carry.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a connection may cost: its task, its socket in the kernel, and buffers while bytes are in flight.
const BYTES: u64 = 16 * 1024;

/// What the system allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Means {
    /// Descriptors that may be open; none: any number.
    pub(crate) descriptors: Option<u64>,
    /// Descriptors that are open already.
    pub(crate) in_use: u64,
    /// Bytes of memory; none: unknown.
    pub(crate) memory: Option<u64>,
}

/// A ceiling and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ceiling {
    pub(crate) value: u64,
    pub(crate) derivation: String,
}

impl Means {
    /// Of this process, now. Its limit of descriptors is first raised as far as it may be without a privilege: the low one that processes
    /// start with is there for programs that use `select`.
    pub(crate) fn look() -> Self {
        let limit = getrlimit(Resource::Nofile);
        // If it cannot be raised, it stands.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        let descriptors = getrlimit(Resource::Nofile).current;
        let in_use = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let total = read("/proc/meminfo").and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:").map(str::to_owned))?;
            line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
        });
        let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse::<u64>().ok());
        let memory = [total, group].into_iter().flatten().min();
        Self { descriptors, in_use, memory }
    }
}

/// The ceiling of a process with these means, or the one that was asked for.
///
/// Of the descriptors that are left, 45 of 100 are for clients: each may need one to a backend as well, and metrics, readiness, the API and
/// pods in the same process must go on when all are taken. Of the memory, half.
pub(crate) fn derive(means: Means, asked: Option<u64>) -> Ceiling {
    if let Some(value) = asked {
        return Ceiling { value, derivation: "as configured".to_owned() };
    }
    let by_descriptors = means.descriptors.map(|most| (most.saturating_sub(means.in_use) * 45 / 100).max(1));
    let by_memory = means.memory.map(|bytes| (bytes / 2 / BYTES).max(1));
    let descriptors = |value: u64| {
        let most = means.descriptors.unwrap_or_default();
        format!("{value}: 45% of the {} file descriptors that are left of {most} (`ulimit -n`)", most.saturating_sub(means.in_use))
    };
    let memory =
        |value: u64| format!("{value}: half of {} MiB of memory at {} KiB each", means.memory.unwrap_or_default() >> 20, BYTES >> 10);
    match (by_descriptors, by_memory) {
        (Some(few), Some(many)) if few <= many => Ceiling { value: few, derivation: format!("{}; memory allows {many}", descriptors(few)) },
        (Some(many), Some(few)) => Ceiling { value: few, derivation: format!("{}; descriptors allow {many}", memory(few)) },
        (Some(value), None) => Ceiling { value, derivation: descriptors(value) },
        (None, Some(value)) => Ceiling { value, derivation: memory(value) },
        (None, None) => Ceiling { value: u64::MAX, derivation: "neither descriptors nor memory are limited".to_owned() },
    }
}

/// At most one line about it within this time.
pub(crate) const QUIET: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcer_means_decide() {
        let means = Means { descriptors: Some(1024), in_use: 24, memory: Some(1 << 30) };
        let ceiling = derive(means, None);
        assert_eq!(ceiling.value, 450);
        assert!(ceiling.derivation.contains("45% of the 1000 file descriptors that are left of 1024"), "{}", ceiling.derivation);
        assert_eq!(derive(Means { memory: Some(8 << 20), ..means }, None).value, 256);
        assert_eq!(derive(Means { descriptors: None, memory: None, ..means }, None).value, u64::MAX);
        assert_eq!(derive(Means { in_use: 2000, ..means }, None).value, 1, "a process that can hardly live still serves");
        assert_eq!(derive(means, Some(7)), Ceiling { value: 7, derivation: "as configured".to_owned() });
    }

    #[test]
    fn this_process_has_means() {
        let means = Means::look();
        assert!(means.in_use > 0 && means.memory.is_some_and(|bytes| bytes > 1 << 20), "{means:?}");
    }
}
