//! Kubernetes Events about limits, coalesced: the same thing happening again to the same object raises a count instead of adding an
//! object, and an object is written at most once a second however often it happens.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

/// What `kubectl describe` shows below `From`.
const COMPONENT: &str = "envoy-gateway";
/// Between two writes of one Event.
const SPACING: Duration = Duration::from_secs(1);
/// How long an unwritable Event waits for the next attempt.
const RETRY: Duration = Duration::from_secs(5);
/// More series than this are not kept: the one that has been quiet longest is forgotten (its next Event starts a new object).
const MOST: usize = 1024;
/// An object's name may be 253 bytes long; `.` and 16 digits are added to it.
const LONGEST_NAME: usize = 253 - 17;

/// The object that an Event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Involved {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Without it `kubectl describe` would not show the Event.
    pub(crate) uid: String,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reason {
    /// Connections were refused.
    LimitReached,
    /// There is room again.
    LimitCleared,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::LimitReached => "LimitReached",
            Self::LimitCleared => "LimitCleared",
        }
    }

    fn severity(self) -> &'static str {
        match self {
            Self::LimitReached => "Warning",
            Self::LimitCleared => "Normal",
        }
    }
}

/// One series: the same object, reason and subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) involved: Involved,
    pub(crate) reason: Reason,
    /// What tells two series of one object and reason apart: the limit's name.
    pub(crate) subject: String,
}

/// A request to make.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// POST this Event.
    Create(Value),
    /// PATCH (merge) the Event of this name.
    Update(String, Value),
}

/// What became of a [`Write`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is stored.
    Written,
    /// The Event is not there any more (the API server forgets Events), so it is created anew.
    Gone,
    /// It failed.
    Failed,
}

#[derive(Debug)]
struct Series {
    name: String,
    first: Timestamp,
    last: Timestamp,
    count: u64,
    message: String,
    exists: bool,
    dirty: bool,
    busy: bool,
    not_before: Option<Instant>,
}

/// Keeps the series and says when to write what.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    series: BTreeMap<Key, Series>,
}

impl Recorder {
    /// It happened, once more or for the first time.
    pub(crate) fn note(&mut self, key: Key, message: String, wall: Timestamp) {
        if let Some(series) = self.series.get_mut(&key) {
            series.last = wall;
            series.count += 1;
            series.message = message;
            series.dirty = true;
            return;
        }
        if self.series.len() >= MOST {
            self.forget_quietest();
        }
        let name = name(&key, wall);
        let series = Series { name, first: wall, last: wall, count: 1, message, exists: false, dirty: true, busy: false, not_before: None };
        self.series.insert(key, series);
    }

    /// What to write now, at most `slots` Events. Each must be answered with [`Self::done`].
    pub(crate) fn due(&mut self, now: Instant, slots: usize) -> Vec<(Key, Write)> {
        let mut writes = Vec::new();
        for (key, series) in &mut self.series {
            if writes.len() >= slots {
                break;
            }
            if series.ready_at(now).is_some_and(|at| at <= now) {
                series.busy = true;
                series.dirty = false;
                writes.push((key.clone(), series.write(key)));
            }
        }
        writes
    }

    /// What became of a write.
    pub(crate) fn done(&mut self, key: &Key, outcome: Outcome, now: Instant) {
        let Some(series) = self.series.get_mut(key) else { return };
        series.busy = false;
        series.exists = outcome == Outcome::Written || (series.exists && outcome != Outcome::Gone);
        series.dirty |= outcome != Outcome::Written;
        series.not_before = Some(now + if outcome == Outcome::Failed { RETRY } else { SPACING });
    }

    /// When there is something to write; none: not until something happens.
    pub(crate) fn wake(&self, now: Instant) -> Option<Instant> {
        self.series.values().filter_map(|it| it.ready_at(now)).min()
    }

    fn forget_quietest(&mut self) {
        let quietest = self.series.iter().filter(|(_, it)| !it.busy).min_by_key(|(_, it)| it.last).map(|(key, _)| key.clone());
        if let Some(key) = quietest {
            self.series.remove(&key);
        }
    }
}

impl Series {
    fn ready_at(&self, now: Instant) -> Option<Instant> {
        (self.dirty && !self.busy).then(|| self.not_before.unwrap_or(now))
    }

    fn write(&self, key: &Key) -> Write {
        let Key { involved, reason, .. } = key;
        if self.exists {
            let change = json!({ "count": self.count, "lastTimestamp": seconds(self.last), "message": self.message });
            return Write::Update(self.name.clone(), change);
        }
        Write::Create(json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "name": self.name, "namespace": involved.namespace },
            "involvedObject": {
                "apiVersion": involved.api_version,
                "kind": involved.kind,
                "namespace": involved.namespace,
                "name": involved.name,
                "uid": involved.uid,
            },
            "type": reason.severity(),
            "reason": reason.as_str(),
            "message": self.message,
            "count": self.count,
            "firstTimestamp": seconds(self.first),
            "lastTimestamp": seconds(self.last),
            "source": { "component": COMPONENT },
            "reportingComponent": COMPONENT,
            "reportingInstance": "",
        }))
    }
}

/// A time as `metav1.Time` has it: whole seconds.
pub(crate) fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// `<object>.<hex>`, different for each series and each start.
fn name(key: &Key, wall: Timestamp) -> String {
    let mut hasher = DefaultHasher::new();
    (key, wall.as_nanosecond()).hash(&mut hasher);
    let mut object = key.involved.name.clone();
    object.truncate(LONGEST_NAME);
    format!("{object}.{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests;
