//! What is to be written into objects' `.status`.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use weir_model::SharedMap;

use crate::Kind;

/// Names one object of the API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its group; empty for the core group.
    pub group: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace; empty for objects of the whole cluster.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectRef {
    /// Names an object of `kind`.
    pub fn new(kind: Kind, namespace: Arc<str>, name: Arc<str>) -> Self {
        Self { group: kind.group(), kind: kind.as_str(), namespace, name }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{}/{}", self.kind, self.name),
            namespace => write!(f, "{}/{namespace}/{}", self.kind, self.name),
        }
    }
}

/// A status as JSON text: of thousands that are kept, trees of values would take ten times the memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Status(Arc<str>);

impl Status {
    /// What it says.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).expect("written from a value, which statuses are not too deep for")
    }
}

impl From<&Value> for Status {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

/// Keeps equal statuses once: most routes that one Gateway has say the same.
#[derive(Debug)]
pub struct Kept {
    known: HashSet<Status>,
    sweep_at: usize,
}

/// Statuses that nobody has any more are looked for when there are this many, and then when there are twice as many as were left.
const SWEEP: usize = 256;

impl Default for Kept {
    fn default() -> Self {
        Self { known: HashSet::new(), sweep_at: SWEEP }
    }
}

impl Kept {
    /// The same status, the one that others have too.
    pub fn one(&mut self, status: Status) -> Status {
        if let Some(known) = self.known.get(&status) {
            return known.clone();
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|known| Arc::strong_count(&known.0) > 1);
            self.sweep_at = SWEEP.max(2 * self.known.len());
        }
        self.known.insert(status.clone());
        status
    }
}

/// The status that one object should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The desired `.status`, or the part of it that is ours. Conditions have no `lastTransitionTime`.
    pub status: Status,
    /// What is ours in it.
    pub merge: Merge,
}

/// Which part of an object's `.status` a [`StatusUpdate`] replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// The top-level fields that the update has, conditions included: one that it does not have any more is gone. Conditions whose type is
    /// qualified with a domain are never ours.
    Whole,
    /// The entries of `parents` with our `controllerName`; an empty list takes ours away.
    Parents,
    /// The entries of `ancestors` with our `controllerName`; an empty list takes ours away.
    Ancestors,
}

/// All statuses.
pub type Statuses = SharedMap<ObjectRef, StatusUpdate>;

/// Brings statuses up to date, keeping those that are as they were.
#[derive(Debug, Default)]
pub(crate) struct StatusWriter {
    statuses: Statuses,
    /// The objects that were written: those that are not written again have no status any more.
    written: BTreeSet<ObjectRef>,
    before: BTreeSet<ObjectRef>,
}

impl StatusWriter {
    /// From here on all is written anew that is not kept by [`Self::keep`].
    pub(crate) fn begin(&mut self) {
        self.before = std::mem::take(&mut self.written);
    }

    /// Writes the status of one object.
    pub(crate) fn write(&mut self, object: ObjectRef, merge: Merge, status: Value) {
        self.set(object, StatusUpdate { status: Status::from(&status), merge });
    }

    /// The same, of a status that is made already.
    pub(crate) fn set(&mut self, object: ObjectRef, update: StatusUpdate) {
        if self.statuses.get(&object) != Some(&update) {
            self.statuses.insert(object.clone(), update);
        }
        self.before.remove(&object);
        self.written.insert(object);
    }

    /// Sets a status that stays until it is set again; none takes it away.
    pub(crate) fn keep(&mut self, object: ObjectRef, update: Option<StatusUpdate>) {
        self.before.remove(&object);
        match update {
            Some(update) => drop(self.statuses.insert(object, update)),
            None => drop(self.statuses.remove(&object)),
        }
    }

    /// All of them, now that everything is written.
    pub(crate) fn finish(&mut self) -> Statuses {
        for object in std::mem::take(&mut self.before) {
            self.statuses.remove(&object);
        }
        self.statuses.clone()
    }
}

/// Turns what we made ourselves into JSON.
pub(crate) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("statuses have text keys and no numbers beyond 64 bits")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_statuses_are_kept_once_and_unused_ones_forgotten() {
        let mut kept = Kept::default();
        let status = |n: usize| Status::from(&json!({ "n": n }));
        let (one, same) = (kept.one(status(1)), kept.one(status(1)));
        assert!(Arc::ptr_eq(&one.0, &same.0));
        (0..10 * SWEEP).for_each(|n| drop(kept.one(status(n))));
        assert!(kept.known.len() <= SWEEP && kept.known.contains(&one), "{}", kept.known.len());
    }
}
