//! What a definition is taken with, and its writer should know.

use serde_json::Value;

use super::versions;
use crate::schema::format;

/// Formats that nobody checks, and sets of what cannot be told apart; on an update only those that are new.
pub(crate) fn warnings(crd: &Value, old: Option<&Value>) -> Vec<String> {
    let before = old.map(of).unwrap_or_default();
    of(crd).into_iter().filter(|warning| !before.contains(warning)).collect()
}

fn of(crd: &Value) -> Vec<String> {
    let (mut formats, mut sets) = (Vec::new(), Vec::new());
    for version in versions(crd) {
        walk(&version["schema"]["openAPIV3Schema"], &mut |schema| {
            let kind = schema["type"].as_str().unwrap_or_default();
            if let Some(format) = schema["format"].as_str().filter(|format| !format.is_empty() && !format::is_known(format, kind)) {
                formats.push(format!("unrecognized format {format:?}"));
            }
            let items = schema["items"]["type"].as_str().unwrap_or_default();
            if schema["x-kubernetes-list-type"] == "set" && matches!(items, "object" | "array") {
                sets.push(format!(
                    "x-kubernetes-list-type: set for items of type {items:?} is not supported by server-side apply or CEL validation rules"
                ));
            }
        });
    }
    sets.sort();
    let mut all: Vec<String> = Vec::new();
    for warning in formats.into_iter().chain(sets) {
        if !all.contains(&warning) {
            all.push(warning);
        }
    }
    all
}

/// A schema and all schemas in it.
fn walk(schema: &Value, see: &mut impl FnMut(&Value)) {
    if !schema.is_object() {
        return;
    }
    see(schema);
    for key in ["items", "additionalProperties", "not"] {
        walk(&schema[key], see);
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        schema[key].as_array().into_iter().flatten().for_each(|branch| walk(branch, see));
    }
    schema["properties"].as_object().into_iter().flatten().for_each(|(_, child)| walk(child, see));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_new_is_warned_of() {
        let crd = |format: &str| {
            let schema = json!({"type": "object", "properties": {
                "a": {"type": "string", "format": format}, "b": {"type": "string", "format": "date-time"}, "c": {"type": "integer", "format": "int8"},
                "d": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}}, "e": {"type": "string", "format": format},
            }});
            json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}})
        };
        let set = "x-kubernetes-list-type: set for items of type \"object\" is not supported by server-side apply or CEL validation rules";
        assert_eq!(warnings(&crd("odd"), None), ["unrecognized format \"odd\"", "unrecognized format \"int8\"", set]);
        assert_eq!(warnings(&crd("odder"), Some(&crd("odd"))), ["unrecognized format \"odder\""]);
    }
}
