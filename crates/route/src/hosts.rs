//! Values by host: an exact name wins over the longest wildcard, that over any host.

use std::collections::HashMap;
use std::sync::Arc;

use weir_model::HostPattern;

/// No DNS name is longer (RFC 1035, section 2.3.4): what is, can only meet [`HostPattern::Any`], so that a long `Host` costs nothing.
const MAX_NAME: usize = 254;

/// One value for each host pattern.
///
/// The maps hash with random keys, so that tenants cannot choose hostnames that collide.
#[derive(Debug)]
pub(crate) struct HostMap<T> {
    exact: HashMap<Arc<str>, T>,
    suffix: HashMap<Arc<str>, T>,
    any: Option<T>,
    /// The most labels that a key of `suffix` has.
    labels: usize,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), suffix: HashMap::new(), any: None, labels: 0 }
    }
}

impl<T> HostMap<T> {
    /// The value of `pattern`, made by `new` if it has none.
    pub(crate) fn entry(&mut self, pattern: &HostPattern, new: impl FnOnce() -> T) -> &mut T {
        match pattern {
            HostPattern::Any => self.any.get_or_insert_with(new),
            HostPattern::Exact(name) => self.exact.entry(name.clone()).or_insert_with(new),
            HostPattern::Suffix(domain) => {
                self.labels = self.labels.max(1 + dots(domain));
                self.suffix.entry(domain.clone()).or_insert_with(new)
            }
        }
    }

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

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.exact.values_mut().chain(self.suffix.values_mut()).chain(&mut self.any)
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
