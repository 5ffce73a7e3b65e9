//! Values by host: an exact name wins over the longest wildcard, that over any host.

use weir_model::HostPattern;

use crate::shards::Shards;

/// No DNS name is longer (RFC 1035, section 2.3.4): what is, can only meet [`HostPattern::Any`], so that a long `Host` costs nothing.
const MAX_NAME: usize = 254;

/// One value for each host pattern. A copy shares most of it.
#[derive(Debug, Clone)]
pub(crate) struct HostMap<T> {
    exact: Shards<T>,
    suffix: Shards<T>,
    any: Option<T>,
    /// The most labels that a key of `suffix` ever had.
    labels: usize,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { exact: Shards::default(), suffix: Shards::default(), any: None, labels: 0 }
    }
}

impl<T: Clone> HostMap<T> {
    /// The value of `pattern`, to be changed; made by `new` if it has none.
    pub(crate) fn entry(&mut self, pattern: &HostPattern, new: impl FnOnce() -> T) -> &mut T {
        match pattern {
            HostPattern::Any => self.any.get_or_insert_with(new),
            HostPattern::Exact(name) => self.exact.entry(name, new),
            HostPattern::Suffix(domain) => {
                self.labels = self.labels.max(1 + dots(domain));
                self.suffix.entry(domain, new)
            }
        }
    }

    /// The value of `pattern`, to be changed.
    pub(crate) fn get_mut(&mut self, pattern: &HostPattern) -> Option<&mut T> {
        match pattern {
            HostPattern::Any => self.any.as_mut(),
            HostPattern::Exact(name) => self.exact.get_mut(name),
            HostPattern::Suffix(domain) => self.suffix.get_mut(domain),
        }
    }

    /// Takes the value of `pattern` away.
    pub(crate) fn remove(&mut self, pattern: &HostPattern) {
        match pattern {
            HostPattern::Any => self.any = None,
            HostPattern::Exact(name) => self.exact.remove(name),
            HostPattern::Suffix(domain) => self.suffix.remove(domain),
        }
    }
}

impl<T> HostMap<T> {
    /// The value of the most specific pattern that `host` meets.
    pub(crate) fn find(&self, host: &str) -> Option<&T> {
        if host.len() <= MAX_NAME {
            if let Some(value) = self.exact.get(host) {
                return Some(value);
            }
            if let Some(value) = self.find_suffix(host) {
                return Some(value);
            }
        }
        self.any.as_ref()
    }

    /// Asks for one domain after the other, the longest first; only those with as many labels as some key has.
    fn find_suffix(&self, host: &str) -> Option<&T> {
        if self.suffix.is_empty() {
            return None;
        }
        let too_long = dots(host).saturating_sub(self.labels);
        let ends = memchr::memchr_iter(b'.', host.as_bytes()).skip(too_long);
        ends.filter(|&dot| dot > 0).filter_map(|dot| host.get(dot + 1..)).find_map(|domain| self.suffix.get(domain))
    }
}

fn dots(name: &str) -> usize {
    memchr::memchr_iter(b'.', name.as_bytes()).count()
}
