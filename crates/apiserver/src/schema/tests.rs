use serde_json::{Value, json};

use super::{FieldError, Structural};

mod cel;
mod values;

fn schema(schema: Value) -> Structural {
    Structural::from_json(&schema).unwrap()
}

/// `field: message` of each error.
fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(|e| format!("{}: {}", e.field, e.message)).collect()
}

/// A policy like the one of the walkthrough.
fn policy() -> Structural {
    schema(json!({"type": "object", "required": ["spec"], "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
        "spec": {"type": "object", "properties": {
            "connection": {"type": "object", "properties": {
                "connectionLimit": {"type": "object", "properties": {
                    "value": {"type": "integer", "format": "int64", "minimum": 1},
                    "closeDelay": {"type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"},
                }, "x-kubernetes-validations": [
                    {"rule": "has(self.closeDelay) ? has(self.value) : true", "message": "closeDelay can only be configured when value is set"},
                ]},
                "maxAcceptPerSocketEvent": {"type": "integer", "format": "int32", "default": 1},
            }},
            "listeners": {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 5}, "port": {"type": "integer", "default": 80},
                }}},
            "type": {"type": "string", "enum": ["Endpoints", "DynamicResolver"]},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "port": {"x-kubernetes-int-or-string": true},
            "when": {"type": "string", "format": "date-time"},
        }},
    }}))
}

#[test]
fn unknown_fields_are_dropped_and_named() {
    let mut object = json!({
        "apiVersion": "g/v1", "kind": "P", "metadata": {"name": "a", "foo": 1, "labels": {"x": "y"}},
        "spec": {"a": 1, "connection": {"conectionLimit": {}}, "listeners": [{"name": "a", "b": 2}], "labels": {"k": "v"}, "free": {"x": {"y": 1.0}}},
        "xtra": {},
    });
    let dropped = policy().prune(&mut object);
    assert_eq!(dropped, ["metadata.foo", "spec.a", "spec.connection.conectionLimit", "spec.listeners[0].b", "xtra"]);
    assert_eq!(
        object,
        json!({
            "apiVersion": "g/v1", "kind": "P", "metadata": {"name": "a", "labels": {"x": "y"}},
            "spec": {"connection": {}, "listeners": [{"name": "a"}], "labels": {"k": "v"}, "free": {"x": {"y": 1}}},
        })
    );
}

#[test]
fn known_fields_help_to_suggest() {
    assert_eq!(policy().known_fields("spec.connection"), ["connectionLimit", "maxAcceptPerSocketEvent"]);
    assert_eq!(policy().known_fields("spec.listeners[0]"), ["name", "port"]);
    assert!(policy().known_fields("spec.free").is_empty());
    assert!(policy().known_fields("spec.nope.deep").is_empty());
}

#[test]
fn defaults_go_into_what_is_there() {
    let mut object =
        json!({"spec": {"connection": {"connectionLimit": null, "maxAcceptPerSocketEvent": null}, "listeners": [{"name": "a"}]}});
    policy().default(&mut object);
    assert_eq!(object, json!({"spec": {"connection": {"maxAcceptPerSocketEvent": 1}, "listeners": [{"name": "a", "port": 80}]}}));
    let mut object = json!({"spec": {}});
    policy().default(&mut object);
    assert_eq!(object, json!({"spec": {}}));
}

#[test]
fn hostile_schemas_are_refused() {
    let mut deep = json!({"type": "string"});
    for _ in 0..200 {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    for (schema, text) in [
        (deep, "nests deeper"),
        (json!([]), "must be an object"),
        (json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}), "a: pattern"),
        (
            json!({"type": "object", "properties": {"a": {"items": {"type": "strin"}, "type": "array"}}}),
            "a[]: type: Unsupported value: \"strin\"",
        ),
        (json!({"$ref": "#/x"}), ""),
    ] {
        match Structural::from_json(&schema) {
            Err(e) => assert!(e.contains(text), "{e}"),
            Ok(_) => assert!(text.is_empty(), "{schema}"),
        }
    }
}

#[test]
fn hostile_objects_take_no_longer_than_their_size() {
    let mut nested = json!({"type": "string"});
    for _ in 0..40 {
        nested = json!({"oneOf": [nested, {"type": "integer"}], "anyOf": [{"type": "boolean"}]});
    }
    let deep = schema(json!({"type": "object", "properties": {"a": nested}}));
    assert!(!deep.validate(&json!({"a": []}), None).is_empty());
    let list = schema(
        json!({"type": "object", "properties": {"l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
        "items": {"type": "object", "properties": {"n": {"type": "integer"}, "v": {"type": "integer"}}}}}}),
    );
    let items = |v: i64| json!({"l": (0..20_000).map(|n| json!({"n": n, "v": v})).collect::<Vec<_>>()});
    assert_eq!(list.validate(&items(1), Some(&items(2))), []);
}

#[test]
fn unknown_fields_take_no_more_than_is_read() {
    let schema = schema(json!({"type": "object", "properties": {
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}}},
    }}));
    let fields: serde_json::Map<String, Value> = (0..100_000).map(|n| (n.to_string(), json!(1))).collect();
    let mut object = json!({"map": {}});
    object["map"]["x".repeat(1 << 20)] = Value::Object(fields);
    assert_eq!(schema.prune(&mut object).len(), 1);
    assert_eq!(object["map"]["x".repeat(1 << 20)], json!({}));
}
