//! What a reconciliation decides: writes to make in order, notes to record once they are made, and when to look again.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use serde_json::Value;

use crate::meta::ObjectName;

/// The kinds this node writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Deployment,
    ReplicaSet,
    Job,
    Pod,
    Service,
    Slice,
}

/// One request to the API.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub(crate) kind: Kind,
    pub(crate) name: ObjectName,
    pub(crate) verb: Verb,
}

/// What the request does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verb {
    Create(Value),
    /// JSON merge patch of the object.
    Patch(Value),
    /// JSON merge patch of the object's status.
    PatchStatus(Value),
    /// Deletes the object with this uid only, so that a successor of the same name is safe.
    Delete {
        uid: String,
        grace_seconds: Option<i64>,
    },
    /// Assigns a pod to a node.
    Bind(String),
}

/// An Event to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Note {
    pub(crate) about: ObjectReference,
    pub(crate) component: &'static str,
    pub(crate) warning: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// The result of a reconciliation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) writes: Vec<Write>,
    pub(crate) notes: Vec<Note>,
    pub(crate) again_after: Option<Duration>,
}

impl Plan {
    pub(crate) fn write(&mut self, kind: Kind, name: ObjectName, verb: Verb) {
        self.writes.push(Write { kind, name, verb });
    }

    /// Asks to be looked at again after `delay`; the shortest wish counts.
    pub(crate) fn again(&mut self, delay: Duration) {
        self.again_after = Some(self.again_after.map_or(delay, |d| d.min(delay)));
    }
}
