//! JSON merge patch, RFC 7386.

use serde_json::{Map, Value};

/// Applies a JSON merge patch: objects merge, null removes, everything else replaces.
pub fn json_merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            fields.shift_remove(key);
        } else {
            json_merge(fields.entry(key.as_str()).or_insert(Value::Null), change);
        }
    }
}
