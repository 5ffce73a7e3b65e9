//! Finding what a value was before an update.

use serde_json::Value;

use super::node::{ListType, Node};

/// The old value of the field `name`, where fields of this node are comparable at all.
pub(super) fn field<'v>(node: &Node, old: Option<&'v Value>, name: &str) -> Option<&'v Value> {
    if node.atomic_map {
        return None;
    }
    old?.get(name)
}

/// The old value of a list item: by its keys in a map list, none in other lists.
pub(super) fn item<'v>(node: &Node, old: Option<&'v Value>, item: &Value) -> Option<&'v Value> {
    let ListType::Map(keys) = &node.list else { return None };
    let same = |other: &&Value| keys.iter().all(|key| other.get(key) == item.get(key));
    old?.as_array()?.iter().find(same)
}
