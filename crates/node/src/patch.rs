//! The difference of two values as a JSON merge patch (RFC 7386), so that a write happens only if something changed.

use serde::Serialize;
use serde_json::{Map, Value};

/// What has to be sent so that `current` becomes `desired`. Nothing if they are the same. Arrays are replaced whole.
pub(crate) fn merge_diff(current: &Value, desired: &Value) -> Option<Value> {
    match (current, desired) {
        (Value::Object(current), Value::Object(desired)) => {
            let mut patch = Map::new();
            for (key, value) in desired {
                match current.get(key) {
                    None => drop(patch.insert(key.clone(), value.clone())),
                    Some(old) => {
                        if let Some(difference) = merge_diff(old, value) {
                            patch.insert(key.clone(), difference);
                        }
                    }
                }
            }
            for key in current.keys().filter(|k| !desired.contains_key(*k)) {
                patch.insert(key.clone(), Value::Null);
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (current, desired) => (current != desired).then(|| desired.clone()),
    }
}

/// The patch for a status, in its envelope.
pub(crate) fn status_diff<T: Serialize>(current: Option<&T>, desired: &T) -> Option<Value> {
    let current = current.map(to_value).unwrap_or_else(|| Value::Object(Map::new()));
    merge_diff(&current, &to_value(desired)).map(|status| serde_json::json!({ "status": status }))
}

/// API types always serialize: their maps have text keys and they hold no failing parts.
pub(crate) fn to_value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_changed_is_sent() {
        let current = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}, "gone": true});
        assert_eq!(merge_diff(&current, &current), None);
        let desired = json!({"a": 1, "b": {"c": [2], "d": "x"}, "new": {}});
        assert_eq!(merge_diff(&current, &desired), Some(json!({"b": {"c": [2]}, "new": {}, "gone": null})));
    }
}
