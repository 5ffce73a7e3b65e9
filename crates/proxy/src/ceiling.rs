//! How many connections the process takes at most, whatever the limits say: what its descriptors and its memory can carry.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a connection may cost: its task, its socket in the kernel, and buffers while bytes are in flight.
const BYTES: u64 = 16 * 1024;
/// How many descriptors are kept for metrics, readiness, the API and files: a tenth of those that are left, within these bounds.
const RESERVE: std::ops::RangeInclusive<u64> = 16..=1024;
/// At most one line in the log about a shortage within this time.
pub(crate) const QUIET: Duration = Duration::from_secs(10);

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
    /// The first descriptor of the reserve, by its number.
    pub(crate) reserved_from: u64,
}

/// What a connection needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backends {
    /// Its own descriptor and one to its backend.
    Elsewhere,
    /// The backend's end as well, since backends may run in this process.
    Here,
}

impl Backends {
    fn descriptors(self) -> (u64, &'static str) {
        match self {
            Self::Elsewhere => (2, "its own and one to its backend"),
            Self::Here => (3, "its own, one to its backend, and one of the backend, which may run in this process"),
        }
    }
}

impl Means {
    /// Of this process, now. Its limit of descriptors is first raised as far as it may be without a privilege: the low one that processes
    /// start with is there for programs that use `select`.
    pub(crate) fn look() -> Self {
        let limit = getrlimit(Resource::Nofile);
        // If it cannot be raised, it stands.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        let descriptors = getrlimit(Resource::Nofile).current;
        let in_use = open();
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

/// How many descriptors of this process are open.
fn open() -> u64 {
    // Since Linux 6.2 the folder's size is their number; counting them costs much where there are many.
    match std::fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len()) {
        0 => std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
        count => count,
    }
}

/// The ceiling of a process with these means, which are what it has while no client is connected, or the one that was asked for.
///
/// Of the descriptors that are left, a tenth is in reserve, and each connection may need several of the others. Of the memory, half.
pub(crate) fn derive(means: Means, backends: Backends, asked: Option<u64>) -> Ceiling {
    let left = means.descriptors.map(|most| (most, most.saturating_sub(means.in_use)));
    let reserve = |left: u64| (left / 10).clamp(*RESERVE.start(), *RESERVE.end());
    let reserved_from = left.map_or(u64::MAX, |(most, left)| most.saturating_sub(reserve(left)));
    if let Some(value) = asked {
        return Ceiling { value, derivation: "as configured".to_owned(), reserved_from };
    }
    let (each, what) = backends.descriptors();
    let by_descriptors = left.map(|(_, left)| (left.saturating_sub(reserve(left)) / each).max(1));
    let by_memory = means.memory.map(|bytes| (bytes / 2 / BYTES).max(1));
    let descriptors = |value: u64| {
        let (most, left) = left.unwrap_or_default();
        let kept = reserve(left);
        format!(
            "{value}: of {most} file descriptors (`ulimit -n`) {left} are left, {kept} of them in reserve; a connection needs {each}: {what}"
        )
    };
    let memory =
        |value: u64| format!("{value}: half of {} MiB of memory at {} KiB each", means.memory.unwrap_or_default() >> 20, BYTES >> 10);
    let (value, derivation) = match (by_descriptors, by_memory) {
        (Some(few), Some(many)) if few <= many => (few, format!("{}; memory allows {many}", descriptors(few))),
        (Some(many), Some(few)) => (few, format!("{}; descriptors allow {many}", memory(few))),
        (Some(value), None) => (value, descriptors(value)),
        (None, Some(value)) => (value, memory(value)),
        (None, None) => (u64::MAX, "neither descriptors nor memory are limited".to_owned()),
    };
    Ceiling { value, derivation, reserved_from }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcer_means_decide() {
        use Backends::{Elsewhere, Here};
        let means = Means { descriptors: Some(1024), in_use: 24, memory: Some(1 << 30) };
        let ceiling = derive(means, Elsewhere, None);
        assert_eq!((ceiling.value, ceiling.reserved_from), (450, 924));
        let why = "450: of 1024 file descriptors (`ulimit -n`) 1000 are left, 100 of them in reserve; a connection needs 2: ";
        assert!(ceiling.derivation.starts_with(why), "{}", ceiling.derivation);
        assert_eq!(derive(means, Here, None).value, 300);
        assert_eq!(derive(Means { memory: Some(8 << 20), ..means }, Elsewhere, None).value, 256);
        assert_eq!(derive(Means { descriptors: None, memory: None, ..means }, Elsewhere, None).value, u64::MAX);
        assert_eq!(derive(Means { in_use: 2000, ..means }, Elsewhere, None).value, 1, "a process that can hardly live still serves");
        let asked = derive(means, Elsewhere, Some(7));
        assert_eq!((asked.value, &*asked.derivation, asked.reserved_from), (7, "as configured", 924), "the reserve is kept all the same");
        let few = derive(Means { descriptors: Some(256), in_use: 132, ..means }, Here, None);
        assert_eq!((few.value, few.reserved_from), (36, 240));
    }

    #[test]
    fn this_process_has_means() {
        let means = Means::look();
        assert!(means.in_use > 0 && means.memory.is_some_and(|bytes| bytes > 1 << 20), "{means:?}");
        let more: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").expect("a file")).collect();
        assert!(open() >= means.in_use + 40, "others may close some at the same time");
        drop(more);
    }
}
