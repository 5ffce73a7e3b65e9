//! How many pods the node runs at most: what its addresses and the process's descriptors can carry.

use rustix::process::{Resource, getrlimit};

use crate::address::Addresses;

/// The claim of its address, a log and its index, and a socket to listen at.
const DESCRIPTORS_PER_POD: u64 = 4;
/// Pods may have this part of the descriptors: the rest is for traffic.
const PART: u64 = 4;

/// The capacity of this process, by the limit that it has now.
pub(crate) fn of_this_process() -> usize {
    derive(getrlimit(Resource::Nofile).current)
}

/// The capacity with so many descriptors; none: any number of them.
fn derive(descriptors: Option<u64>) -> usize {
    let by_descriptors = descriptors.map_or(u64::MAX, |most| most / PART / DESCRIPTORS_PER_POD);
    usize::try_from(by_descriptors).unwrap_or(usize::MAX).clamp(1, Addresses::PODS)
}

/// Why a pod is not started, as the scheduler says it, and how to have more.
pub(crate) fn too_many(capacity: usize) -> String {
    format!(
        "0/1 nodes are available: 1 Too many pods. This node runs {capacity}: 1/{PART} of its file descriptors (`ulimit -n`) at \
         {DESCRIPTORS_PER_POD} each, and {} at most",
        Addresses::PODS
    )
}

#[cfg(test)]
mod tests {
    use super::derive;

    #[test]
    fn descriptors_and_addresses_bound_it() {
        let cases = [(Some(0), 1), (Some(1024), 64), (Some(524_288), 32_512), (Some(400_000), 25_000), (None, 32_512)];
        for (descriptors, pods) in cases {
            assert_eq!(derive(descriptors), pods, "{descriptors:?}");
        }
    }
}
