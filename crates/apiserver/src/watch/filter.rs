//! What a change looks like through a selector.

use std::sync::Arc;

use crate::store::{Event, Stored};

/// Kinds of watch events that carry an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Added,
    Modified,
    Deleted,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// An event as one watch sees it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    pub(super) object: Arc<Stored>,
}

/// An object that comes into the selection is ADDED; one that leaves it is DELETED, in the state in which it was still inside.
pub(super) fn seen(event: &Event, inside: impl Fn(&Stored) -> bool) -> Option<Seen> {
    let before = event.previous.as_ref().filter(|p| inside(p));
    let now = !event.deleted && inside(&event.object);
    let own = || Arc::clone(&event.object);
    match (before, now) {
        (None, false) => None,
        (None, true) => Some(Seen { kind: Kind::Added, object: own() }),
        (Some(_), true) => Some(Seen { kind: Kind::Modified, object: own() }),
        (Some(_), false) if event.deleted => Some(Seen { kind: Kind::Deleted, object: own() }),
        (Some(before), false) => Some(Seen { kind: Kind::Deleted, object: Arc::clone(before) }),
    }
}
