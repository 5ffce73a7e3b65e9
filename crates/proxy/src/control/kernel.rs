//! About how many connections the kernel refused while no socket listened.
//!
//! Nobody counts a refused SYN by the port that it was for. What there is is `OutRsts` of /proc/net/snmp: all resets that were sent in this
//! network namespace, by whomever. So what is counted is its growth while the kernel refuses, without the resets that this process sent
//! itself meanwhile. Others' resets in the same namespace are in it: an estimate, too high rather than too low.

use std::fs;

/// The resets that this network namespace has sent so far; none where /proc does not say.
pub(crate) fn resets() -> Option<u64> {
    parse(&fs::read_to_string("/proc/net/snmp").ok()?)
}

/// The value of `OutRsts`: a line of names and one of values, in the same order, both after `Tcp:`.
fn parse(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let (_, value) = names.split_ascii_whitespace().zip(values.split_ascii_whitespace()).find(|(name, _)| *name == "OutRsts")?;
    value.parse().ok()
}

/// Counts in a span that begins when the kernel starts to refuse.
#[derive(Debug, Default)]
pub(crate) struct Estimate {
    /// The resets of the namespace, and those of our own, when it was counted last.
    last: Option<(u64, u64)>,
}

impl Estimate {
    /// From now on the kernel refuses.
    pub(crate) fn begin(&mut self, resets: Option<u64>, own: u64) {
        self.last = resets.map(|resets| (resets, own));
    }

    /// How many more the kernel has refused by now.
    pub(crate) fn count(&mut self, resets: Option<u64>, own: u64) -> u64 {
        let (Some((before, own_before)), Some(resets)) = (self.last, resets) else { return 0 };
        self.last = Some((resets, own));
        resets.saturating_sub(before).saturating_sub(own.saturating_sub(own_before))
    }

    /// It does no more.
    pub(crate) fn end(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_are_found_by_their_name() {
        let text = "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: RtoAlgorithm MaxConn OutRsts InCsumErrors\nTcp: 1 -1 4711 0\nUdp: OutRsts\n";
        assert_eq!(parse(text), Some(4711));
        assert_eq!(parse("Tcp: InSegs\nTcp: 1\n"), None);
        assert_eq!(parse(""), None);
        assert!(resets().is_some(), "this kernel says so");
    }

    #[test]
    fn our_own_resets_are_not_the_kernels() {
        let mut estimate = Estimate::default();
        assert_eq!(estimate.count(Some(1000), 5), 0, "nothing has begun");
        estimate.begin(Some(1000), 5);
        assert_eq!(estimate.count(Some(1500), 25), 480);
        assert_eq!(estimate.count(Some(1500), 25), 0);
        assert_eq!(estimate.count(Some(1510), 45), 0, "never less than none");
        assert_eq!(estimate.count(None, 45), 0);
        estimate.end();
        assert_eq!(estimate.count(Some(2000), 45), 0);
    }
}
