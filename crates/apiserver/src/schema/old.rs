//! Finding what a value was before an update.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    node::{ListType, Node},
    text,
};

/// The old value of the field `name`, where fields of this node are comparable at all.
pub(super) fn field<'v>(node: &Node, old: Option<&'v Value>, name: &str) -> Option<&'v Value> {
    if node.atomic_map {
        return None;
    }
    old?.get(name)
}

/// The old items of a list by their keys; empty for lists whose items have none.
pub(super) struct Items<'n, 'v> {
    keys: &'n [String],
    by_key: HashMap<Vec<String>, &'v Value>,
}

impl<'n, 'v> Items<'n, 'v> {
    pub(super) fn new(node: &'n Node, old: Option<&'v Value>) -> Self {
        let ListType::Map(keys) = &node.list else { return Self { keys: &[], by_key: HashMap::new() } };
        let items = old.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Self { keys, by_key: items.iter().map(|item| (key_of(keys, item), item)).collect() }
    }

    /// The old value of `item`.
    pub(super) fn get(&self, item: &Value) -> Option<&'v Value> {
        if self.by_key.is_empty() {
            return None;
        }
        self.by_key.get(&key_of(self.keys, item)).copied()
    }
}

fn key_of(keys: &[String], item: &Value) -> Vec<String> {
    keys.iter().map(|key| item.get(key).map_or_else(String::new, text::json)).collect()
}
