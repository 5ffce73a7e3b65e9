//! What is to be written into objects' `.status`.

use std::collections::BTreeSet;
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

/// The status that one object should have. Unchanged ones share `status` with the Translator's previous output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The desired `.status`, or the part of it that is ours. Conditions have no `lastTransitionTime`.
    pub status: Arc<Value>,
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
        let same = self.statuses.get(&object).is_some_and(|old| old.merge == merge && *old.status == status);
        if !same {
            self.statuses.insert(object.clone(), StatusUpdate { status: Arc::new(status), merge });
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
