//! What is to be written into objects' `.status`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

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
pub type Statuses = BTreeMap<ObjectRef, StatusUpdate>;

/// Collects statuses, sharing those that are as they were.
pub(crate) struct StatusWriter<'a> {
    pub(crate) statuses: Statuses,
    previous: &'a Statuses,
}

impl<'a> StatusWriter<'a> {
    pub(crate) fn new(previous: &'a Statuses) -> Self {
        Self { statuses: Statuses::new(), previous }
    }

    /// Writes the status of one object.
    pub(crate) fn write(&mut self, object: ObjectRef, merge: Merge, status: Value) {
        let update = match self.previous.get(&object) {
            Some(old) if old.merge == merge && *old.status == status => old.clone(),
            _ => StatusUpdate { status: Arc::new(status), merge },
        };
        self.statuses.insert(object, update);
    }

    /// Writes a status that is known to be shared already.
    pub(crate) fn share(&mut self, object: ObjectRef, update: StatusUpdate) {
        self.statuses.insert(object, update);
    }
}

/// Turns what we made ourselves into JSON.
pub(crate) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("statuses have text keys and no numbers beyond 64 bits")
}
