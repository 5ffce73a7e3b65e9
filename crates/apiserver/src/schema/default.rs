//! Defaulting, and the nulls that go before it.

use serde_json::Value;

use super::{Additional, Node};

/// Sets defaults in what is there: a missing parent is not made for the sake of a default below it.
pub(super) fn set(node: &Node, value: &mut Value) {
    if !node.deep.defaults {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, child) in &node.properties {
                if let Some(default) = &child.default
                    && fields.get(name.as_ref()).is_none_or(|v| v.is_null() && !child.nullable)
                {
                    fields.insert(name.to_string(), default.clone());
                }
            }
            for (name, field) in fields.iter_mut() {
                if let Some(child) = node.properties.get(name.as_str()) {
                    set(child, field);
                } else if let Additional::Schema(child) = &node.additional {
                    set_null(child, field);
                    set(child, field);
                }
            }
        }
        Value::Array(items) => {
            let Some(child) = &node.items else { return };
            for item in items {
                set_null(child, item);
                set(child, item);
            }
        }
        _ => {}
    }
}

fn set_null(child: &Node, value: &mut Value) {
    if value.is_null()
        && !child.nullable
        && let Some(default) = &child.default
    {
        *value = default.clone();
    }
}

/// Drops null fields that may not be null and have no default; those with one get it from [`set`].
pub(super) fn drop_nulls(node: &Node, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, field| {
                let child = node.properties.get(name.as_str()).map(AsRef::as_ref).or(node.additional.schema());
                let Some(child) = child else { return true };
                if field.is_null() {
                    return child.nullable || child.default.is_some();
                }
                drop_nulls(child, field);
                true
            });
        }
        Value::Array(items) => {
            if let Some(child) = &node.items {
                items.iter_mut().for_each(|item| drop_nulls(child, item));
            }
        }
        _ => {}
    }
}
