//! Uniqueness in lists of type map and set.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Additional, FieldError, Node, node::ListType, path::Path, text};

/// The duplicates in all lists of an object.
pub(super) fn check(root: &Node, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(root, object, &mut Path::root(), &mut errors);
    errors
}

fn walk(node: &Node, value: &Value, path: &mut Path, errors: &mut Vec<FieldError>) {
    if !node.deep.unique {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let Some(child) = node.properties.get(name.as_str()) {
                    path.child(name, |path| walk(child, field, path, errors));
                } else if let Additional::Schema(child) = &node.additional {
                    path.key(name, |path| walk(child, field, path, errors));
                }
            }
        }
        Value::Array(items) => {
            check_unique(node, items, path, errors);
            if let Some(child) = &node.items {
                for (index, item) in items.iter().enumerate() {
                    path.index(index, |path| walk(child, item, path, errors));
                }
            }
        }
        _ => {}
    }
}

fn check_unique(node: &Node, items: &[Value], path: &mut Path, errors: &mut Vec<FieldError>) {
    let shown = match &node.list {
        ListType::Atomic => return,
        ListType::Set => items.to_vec(),
        ListType::Map(keys) => {
            for (index, item) in items.iter().enumerate() {
                if !item.is_object() && !item.is_null() {
                    let detail = "must be an object for an array of list-type map";
                    errors.push(path.index(index, |path| FieldError::invalid(path.as_str(), item, detail)));
                    return;
                }
            }
            items.iter().map(|item| keys_of(item, keys)).collect()
        }
    };
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(shown.len());
    for (index, value) in shown.iter().enumerate() {
        let times = seen.entry(text::json(value)).or_default();
        *times += 1;
        // The third and later copies are not named again.
        if *times == 2 {
            errors.push(path.index(index, |path| FieldError::duplicate(path.as_str(), value)));
        }
    }
}

fn keys_of(item: &Value, keys: &[String]) -> Value {
    let found: Map<String, Value> = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect();
    json!(found)
}
