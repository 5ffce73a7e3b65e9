//! Carries descriptions from the Rust types, where they are doc comments, to the schemas that `kubectl explain` prints.

use serde_json::{Map, Value};

/// Gives every field of the schema that has no description the one of its type.
pub(super) fn describe(schema: &mut Value, types: &Value) {
    let Value::Object(fields) = schema else { return };
    if !fields.contains_key("description")
        && let Some(description) = description(types)
    {
        let mut described = Map::from_iter([("description".to_owned(), description)]);
        described.append(fields);
        *fields = described;
    }
    let types = present(types);
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        for (name, property) in properties {
            describe(property, &types["properties"][name.as_str()]);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner_schema) = fields.get_mut(inner) {
            describe(inner_schema, &types[inner]);
        }
    }
}

/// The type of an optional field when it is there.
pub(super) fn present(types: &Value) -> &Value {
    let alternatives = types["anyOf"].as_array();
    alternatives.and_then(|all| all.iter().find(|one| one["type"] != "null")).unwrap_or(types)
}

/// The doc comment: the field's own before its type's. Lines of one paragraph become one line.
fn description(types: &Value) -> Option<Value> {
    let text = types["description"].as_str().or_else(|| present(types)["description"].as_str())?;
    Some(Value::String(text.replace('\n', " ")))
}
