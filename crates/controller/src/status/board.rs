//! Which statuses to write, without writing them: wanted and known statuses side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use weir_translate::{Kept, Status, Statuses};

use super::merge::{Ownership, has_ours, merge};
use crate::backoff::Backoff;
use crate::kinds::Key;
use crate::version::is_older;

/// Between two writes of one object's status: what happens in between goes into the second.
const SPACING: Duration = Duration::from_millis(50);
/// After a failed write.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// The longest wait between failed writes.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// What is known of an object that has a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) status: Status,
}

/// One write to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) key: Key,
    pub(crate) known: Known,
    pub(crate) desired: Status,
    pub(crate) ownership: Ownership,
    pub(crate) controller: String,
}

/// What became of a [`Job`].
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The object has the status now (or had it already); this is what the server stores.
    Stored(Known),
    /// The object is gone.
    Gone,
    /// It failed.
    Failed(String),
}

#[derive(Debug)]
struct Object {
    known: Known,
    /// The desired status that was written last and what the server made of it, as digests. A server may change what it is given
    /// (defaults, unknown fields); writing again would not help.
    settled: Option<(u64, u64)>,
    not_before: Option<Instant>,
    backoff: Backoff,
    busy: bool,
}

/// All objects with a status.
#[derive(Debug, Default)]
pub(crate) struct Board {
    controller: String,
    objects: BTreeMap<Key, Object>,
    wanted: Statuses,
    kept: Kept,
    dirty: BTreeSet<Key>,
}

impl Board {
    /// An object was seen. One that is older than what a write of ours returned is ignored.
    pub(crate) fn observe(&mut self, key: Key, mut known: Known) {
        known.status = self.kept.one(known.status);
        match self.objects.get_mut(&key) {
            Some(object) if object.known.uid == known.uid && is_older(&known.resource_version, &object.known.resource_version) => return,
            Some(object) if object.known.uid == known.uid => object.known = known,
            _ => {
                let backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
                let busy = self.objects.get(&key).is_some_and(|it| it.busy);
                self.objects.insert(key.clone(), Object { known, settled: None, not_before: None, backoff, busy });
            }
        }
        self.dirty.insert(key);
    }

    /// An object is gone.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.objects.remove(key);
        self.dirty.remove(key);
    }

    /// What is known of an object.
    pub(crate) fn known(&self, key: &Key) -> Option<&Known> {
        self.objects.get(key).map(|it| &it.known)
    }

    /// These are the wanted statuses now, of a controller of this name. Objects that are not among them keep what others say of them and
    /// lose what we say.
    pub(crate) fn want(&mut self, controller: &str, wanted: Statuses) {
        if self.controller != controller {
            controller.clone_into(&mut self.controller);
            self.dirty.extend(self.objects.keys().cloned());
        }
        self.dirty.extend(self.wanted.changes(&wanted).filter_map(|(object, ..)| Key::of_object(object)));
        self.wanted = wanted;
    }

    /// At most `slots` writes to make now; `time` is for conditions that change. Each must be answered with [`Self::done`].
    pub(crate) fn due(&mut self, now: Instant, time: &str, slots: usize) -> Vec<Job> {
        let mut jobs = Vec::new();
        loop {
            // A few at a time: after a start thousands are dirty, and this is asked after every single write.
            let ready =
                self.dirty.iter().filter(|key| self.objects.get(*key).is_none_or(|it| it.ready_at(now).is_some_and(|at| at <= now)));
            let keys: Vec<_> = ready.take(slots.saturating_sub(jobs.len())).cloned().collect();
            if keys.is_empty() {
                return jobs;
            }
            for key in keys {
                self.dirty.remove(&key);
                let Some(job) = self.objects.get(&key).and_then(|object| self.job(&key, object, time)) else { continue };
                if let Some(object) = self.objects.get_mut(&key) {
                    object.busy = true;
                }
                jobs.push(job);
            }
        }
    }

    /// What became of a write.
    pub(crate) fn done(&mut self, job: &Job, outcome: Outcome, now: Instant) {
        let Some(object) = self.objects.get_mut(&job.key) else { return };
        object.busy = false;
        match outcome {
            Outcome::Stored(mut known) => {
                known.status = self.kept.one(known.status);
                object.backoff.reset();
                object.not_before = Some(now + SPACING);
                object.settled = Some((digest(&job.desired), digest(&known.status)));
                if object.known.uid == known.uid && !is_older(&known.resource_version, &object.known.resource_version) {
                    object.known = known;
                }
            }
            // The watch says the same in a moment, or brings a new object of that name.
            Outcome::Gone => object.not_before = Some(now + FIRST_RETRY),
            Outcome::Failed(_) => object.not_before = Some(now + object.backoff.next()),
        }
        self.dirty.insert(job.key.clone());
    }

    /// How often in a row writing this object's status has failed.
    pub(crate) fn failures(&self, key: &Key) -> u32 {
        self.objects.get(key).map_or(0, |it| it.backoff.failures())
    }

    /// When there may be something to write; none: not until something changes.
    pub(crate) fn wake(&self, now: Instant) -> Option<Instant> {
        let mut first: Option<Instant> = None;
        for at in self.dirty.iter().filter_map(|key| self.objects.get(key)?.ready_at(now)) {
            if at <= now {
                return Some(at);
            }
            first = Some(first.map_or(at, |first| first.min(at)));
        }
        first
    }

    fn job(&self, key: &Key, object: &Object, time: &str) -> Option<Job> {
        let (desired, ownership) = match (self.wanted.get(&key.object()), key.kind.ownership()?) {
            (Some(update), _) => (update.status.clone(), update.merge.into()),
            (None, ownership @ Ownership::Entries { list, .. }) if has_ours(&object.known.status.value(), list, &self.controller) => {
                (Status::from(&json!({ list: [] })), ownership)
            }
            (None, _) => return None,
        };
        let job = Job { key: key.clone(), known: object.known.clone(), desired, ownership, controller: self.controller.clone() };
        let settled = object.settled == Some((digest(&job.desired), digest(&job.known.status)));
        (!settled && job.merged(time) != job.known.status.value()).then_some(job)
    }
}

impl Object {
    /// When it may be written; none while a write is under way.
    fn ready_at(&self, now: Instant) -> Option<Instant> {
        (!self.busy).then(|| self.not_before.unwrap_or(now))
    }
}

impl Job {
    /// The status that the object should get.
    pub(crate) fn merged(&self, time: &str) -> Value {
        merge(&self.known.status.value(), &self.desired.value(), self.ownership, &self.controller, time)
    }
}

fn digest(status: &Status) -> u64 {
    let mut hasher = DefaultHasher::new();
    status.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
