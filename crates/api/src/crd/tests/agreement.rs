//! Types and schemas agree: the same fields, required or not, of the same types, with the same words and the same defaults.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::super::{DEFINITIONS, crds, describe::present};
use crate::{Backend, ClientTrafficPolicy, EnvoyProxy, Gateway, GatewayClass, HttpRoute, ReferenceGrant, decode};

fn spec_schema(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
}

#[test]
fn types_and_schemas_name_the_same_fields() {
    let mut differences = Vec::new();
    for (crd, definition) in crds().iter().zip(&DEFINITIONS) {
        let path = format!("{}.spec", crd["spec"]["names"]["kind"].as_str().unwrap());
        compare(spec_schema(crd), (definition.spec)().as_value(), &path, &mut differences);
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

fn compare(schema: &Value, types: &Value, path: &str, differences: &mut Vec<String>) {
    let types = present(types);
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        // Kept as it came: any value.
        if types.get("type").is_some() {
            differences.push(format!("{path}: kept as it came by the schema, typed in Rust: {types}"));
        }
        return;
    }
    let mut differ = |what: &str, ours: Value, theirs: Value| {
        if ours != theirs {
            differences.push(format!("{path}: {what}: the type says {ours}, the schema {theirs}"));
        }
    };
    differ("type", json!(type_name(&types["type"])), json!(type_name(&schema["type"])));
    differ("int or string", types["x-kubernetes-int-or-string"].clone(), schema["x-kubernetes-int-or-string"].clone());
    if schema["type"] == "integer" {
        // Go's int has no format in a CRD.
        let format = schema.get("format").cloned().unwrap_or(json!("int64"));
        differ("format", types["format"].clone(), format);
        return;
    }
    // A list's words and a text that is judged later may stay text; a set of words says all of them.
    if let Some(words) = types["enum"].as_array() {
        let words: Vec<_> = words.iter().filter(|word| !word.is_null()).collect();
        differ("words", json!(words), schema["enum"].clone());
    }
    differ("fields", keys(&types["properties"]), keys(&schema["properties"]));
    differ("required fields", required(types, schema), required(schema, schema));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        compare(property, &types["properties"][name], &format!("{path}.{name}"), differences);
    }
    for (inner, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner_schema) = schema.get(inner) {
            compare(inner_schema, &types[inner], &format!("{path}{mark}"), differences);
        }
    }
}

fn type_name(value: &Value) -> Option<&str> {
    let name = |value: &'_ Value| value.as_str().filter(|name| *name != "null").is_some();
    value.as_str().or_else(|| value.as_array()?.iter().find(|value| name(value))?.as_str())
}

fn keys(properties: &Value) -> Value {
    let mut keys: Vec<_> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    keys.sort();
    json!(keys)
}

/// Required fields, without those that the schema gives a default: defaults come first.
fn required(node: &Value, schema: &Value) -> Value {
    let mut names: Vec<_> = node["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    names.retain(|name| schema["properties"][name].get("default").is_none());
    names.sort_unstable();
    json!(names)
}

/// An object with every field there.
fn complete(schema: &Value) -> Value {
    match type_name(&schema["type"]) {
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            Value::Object(properties.map(|(name, property)| (name.clone(), complete(property))).collect())
        }
        Some("array") => json!([complete(&schema["items"])]),
        Some("integer") => json!(7),
        Some("boolean") => json!(true),
        _ => json!("text"),
    }
}

/// Takes out every field that has a default.
fn without_defaulted(value: &mut Value, schema: &Value) {
    retain(value, schema, |property| property.get("default").is_none());
    descend(value, schema, without_defaulted);
}

/// Takes out every text, number and truth value that has a default, so that defaults inside what has a default show as well.
fn without_defaulted_leaves(value: &mut Value, schema: &Value) {
    retain(value, schema, |property| property.get("default").is_none() || matches!(type_name(&property["type"]), Some("object" | "array")));
    descend(value, schema, without_defaulted_leaves);
}

fn retain(value: &mut Value, schema: &Value, keep: fn(&Value) -> bool) {
    if let (Value::Object(fields), Some(properties)) = (value, schema["properties"].as_object()) {
        fields.retain(|name, _| properties.get(name).is_none_or(keep));
    }
}

/// What an API server's defaulting makes of a value.
fn with_defaults(value: &mut Value, schema: &Value) {
    if let (Value::Object(fields), Some(properties)) = (&mut *value, schema["properties"].as_object()) {
        for (name, property) in properties {
            if let Some(default) = property.get("default").filter(|_| !fields.contains_key(name)) {
                fields.insert(name.clone(), default.clone());
            }
        }
    }
    descend(value, schema, with_defaults);
}

fn descend(value: &mut Value, schema: &Value, step: fn(&mut Value, &Value)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                step(field, schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| step(item, &schema["items"])),
        _ => {}
    }
}

fn check_defaults<T: DeserializeOwned + PartialEq + std::fmt::Debug>(crd: &Value) {
    let schema = spec_schema(crd);
    let complete = complete(schema);
    let [mut bare, mut leafless] = [complete.clone(), complete];
    without_defaulted(&mut bare, schema);
    without_defaulted_leaves(&mut leafless, schema);
    for mut spec in [bare, leafless] {
        let read = |spec: &Value| decode::<T>(json!({ "spec": spec })).unwrap();
        let ours = read(&spec);
        with_defaults(&mut spec, schema);
        assert_eq!(ours, read(&spec), "{}", crd["metadata"]["name"]);
    }
}

#[test]
fn types_and_schemas_have_the_same_defaults() {
    let crds = crds();
    let [gateway_class, gateway, http_route, reference_grant, backend, client_traffic_policy, envoy_proxy] = &crds[..] else {
        panic!("seven kinds");
    };
    check_defaults::<GatewayClass>(gateway_class);
    check_defaults::<Gateway>(gateway);
    check_defaults::<HttpRoute>(http_route);
    check_defaults::<ReferenceGrant>(reference_grant);
    check_defaults::<Backend>(backend);
    check_defaults::<ClientTrafficPolicy>(client_traffic_policy);
    check_defaults::<EnvoyProxy>(envoy_proxy);
}
