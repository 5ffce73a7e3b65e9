//! JSON merge patches (RFC 7396): what to send so that an object becomes another.

use serde_json::{Map, Value};

/// The merge patch that turns `from` into `to`; none when they are equal. Arrays are replaced as a whole.
pub(crate) fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return Some(to.clone()) };
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in to {
        match from.get(key) {
            None => drop(patch.insert(key.clone(), value.clone())),
            Some(before) => {
                if let Some(change) = merge_patch(before, value) {
                    patch.insert(key.clone(), change);
                }
            }
        }
    }
    Some(Value::Object(patch))
}

/// The three-way merge patch of a configuration that is owned in part: what `desired` says is set, what `previous` said and `desired` does
/// not is taken away, everything else in `actual` is left alone (the server's defaults, other writers' fields). None when nothing is to
/// be done.
pub(crate) fn three_way(previous: Option<&Value>, desired: &Value, actual: &Value) -> Option<Value> {
    let (Value::Object(want), Value::Object(have)) = (desired, actual) else {
        return (!holds(actual, desired)).then(|| desired.clone());
    };
    let before = previous.and_then(Value::as_object);
    let mut patch = Map::new();
    for key in before.into_iter().flat_map(Map::keys).filter(|key| !want.contains_key(*key) && have.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in want {
        let change = match have.get(key) {
            None if is_empty(value) => None,
            None => Some(value.clone()),
            Some(actual) => three_way(before.and_then(|it| it.get(key)), value, actual),
        };
        if let Some(change) = change {
            patch.insert(key.clone(), change);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Servers do not keep empty maps and lists.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether everything in `part` is in `whole`, which may hold more: the server adds defaults to objects, also inside lists.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).map_or(is_empty(value), |it| holds(it, value)))
        }
        (Value::Array(whole), Value::Array(part)) => whole.len() == part.len() && whole.iter().zip(part).all(|(a, b)| holds(a, b)),
        _ => whole == part,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_says_only_what_differs() {
        let from = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "list": [1, 2], "gone": {} });
        let to = json!({ "list": [1], "b": { "c": 2, "d": 4 }, "a": 1, "new": true });
        assert_eq!(merge_patch(&from, &to), Some(json!({ "b": { "d": 4 }, "list": [1], "gone": null, "new": true })));
        assert_eq!(merge_patch(&from, &from), None);
        assert_eq!(merge_patch(&Value::Null, &to), Some(to));
    }

    #[test]
    fn three_ways_leave_defaults_and_others_fields_alone() {
        let desired = json!({ "spec": { "replicas": 1, "ports": [{ "port": 80 }] }, "labels": { "a": "b" } });
        let actual =
            json!({ "spec": { "replicas": 1, "ports": [{ "port": 80, "protocol": "TCP" }], "more": 1 }, "labels": { "a": "b", "x": "y" } });
        assert_eq!(three_way(None, &desired, &actual), None);
        let previous = json!({ "labels": { "a": "b", "x": "y", "z": "already gone" } });
        assert_eq!(three_way(Some(&previous), &desired, &actual), Some(json!({ "labels": { "x": null } })));
        let scaled =
            json!({ "spec": { "replicas": 0, "ports": [{ "port": 80, "protocol": "TCP" }, { "port": 81 }] }, "labels": { "a": "c" } });
        let patch = three_way(None, &desired, &scaled);
        assert_eq!(patch, Some(json!({ "spec": { "replicas": 1, "ports": [{ "port": 80 }] }, "labels": { "a": "b" } })));
    }

    #[test]
    fn a_null_says_that_a_field_must_not_be_there() {
        let desired = json!({ "externalIPs": null });
        assert_eq!(three_way(None, &desired, &json!({ "other": 1 })), None);
        let empty = json!({ "annotations": {}, "list": [{ "map": {} }] });
        assert_eq!(three_way(None, &empty, &json!({ "list": [{}] })), None, "servers drop what is empty");
        assert_eq!(three_way(None, &desired, &json!({ "externalIPs": ["127.0.0.1"] })), Some(json!({ "externalIPs": null })));
    }
}
