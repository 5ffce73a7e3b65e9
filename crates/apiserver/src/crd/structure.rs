//! What makes a schema structural: a type everywhere, items for lists, keys for map lists, defaults of the type they stand for, whole rules.
//! Said in the words of kube-apiserver 1.37, with its paths: those who write definitions look for them.

use serde_json::Value;

use crate::schema::FieldError;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
/// A schema that nests deeper is refused where it is read.
const MAX_DEPTH: usize = 64;

/// What is wrong with the schema at `path`, in the order in which it is written.
pub(super) fn check(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    node(schema, path, "must not be empty at the root", 0, &mut errors);
    errors
}

fn node(schema: &Value, path: &str, untyped: &str, depth: usize, errors: &mut Vec<FieldError>) {
    if depth > MAX_DEPTH || !schema.is_object() {
        return;
    }
    let kind = schema["type"].as_str().unwrap_or_default();
    let free = schema["x-kubernetes-int-or-string"] == true || depth > 0 && schema["x-kubernetes-preserve-unknown-fields"] == true;
    if kind.is_empty() && !free {
        errors.push(FieldError::required(format!("{path}.type"), untyped));
    } else if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), &schema["type"], TYPES.into_iter()));
    }
    if kind == "array" && !schema["items"].is_object() {
        errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
    }
    if schema["x-kubernetes-list-type"] == "map" && schema["x-kubernetes-list-map-keys"].as_array().is_none_or(Vec::is_empty) {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(format!("{path}.x-kubernetes-list-map-keys"), detail));
    }
    default(schema, kind, path, errors);
    rules(schema, path, errors);
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        node(child, &format!("{path}.properties[{name}]"), "must not be empty for specified object fields", depth + 1, errors);
    }
    node(&schema["items"], &format!("{path}.items"), "must not be empty for specified array items", depth + 1, errors);
    let additional = "must not be empty for specified object fields";
    node(&schema["additionalProperties"], &format!("{path}.additionalProperties"), additional, depth + 1, errors);
}

fn default(schema: &Value, kind: &str, path: &str, errors: &mut Vec<FieldError>) {
    let found = match &schema["default"] {
        Value::Null => return,
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if kind == found || kind.is_empty() || kind == "number" && found == "integer" {
        return;
    }
    let message = format!("Invalid value: \"{found}\":  in body must be of type {kind}: \"{found}\"");
    errors.push(FieldError { reason: "FieldValueInvalid", field: format!("{path}.default"), message });
}

fn rules(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (index, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.x-kubernetes-validations[{index}]");
        if rule["rule"].as_str().unwrap_or_default().trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.rule"), "rule is not specified"));
        }
        if rule["messageExpression"].as_str().is_some_and(|message| !message.is_empty() && message.trim().is_empty()) {
            let detail = "messageExpression must be non-empty if specified";
            errors.push(FieldError::required(format!("{path}.messageExpression"), detail));
        }
        if !rule["reason"].is_null() && !rule["reason"].as_str().is_some_and(|reason| REASONS.contains(&reason)) {
            errors.push(FieldError::not_supported(format!("{path}.reason"), &rule["reason"], REASONS.into_iter()));
        }
        if let Some(field) = rule["fieldPath"].as_str()
            && !leads_somewhere(schema, field)
        {
            errors.push(FieldError::invalid(format!("{path}.fieldPath"), &rule["fieldPath"], "must be a valid path"));
        }
    }
}

/// Whether `.a.b['c']` is a path of properties.
fn leads_somewhere(schema: &Value, path: &str) -> bool {
    let (mut schema, mut rest) = (schema, path);
    while !rest.is_empty() {
        let name = if let Some(quoted) = rest.strip_prefix("['") {
            let Some((name, after)) = quoted.split_once("']") else { return false };
            rest = after;
            name
        } else {
            let Some(plain) = rest.strip_prefix('.') else { return false };
            let (name, after) = plain.split_at(plain.find(['.', '[']).unwrap_or(plain.len()));
            rest = after;
            name
        };
        let next = [&schema["properties"][name], &schema["additionalProperties"]].into_iter().find(|next| next.is_object());
        let Some(next) = next else { return false };
        schema = next;
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_fault_is_named_with_its_path() {
        let said = |schema: Value| check(&schema, "s").iter().map(|e| format!("{}: {}", e.field, e.message)).collect::<Vec<_>>();
        assert_eq!(said(json!({})), ["s.type: Required value: must not be empty at the root"]);
        let properties = json!({"type": "object", "properties": {"a": {}, "b": {"x-kubernetes-int-or-string": true}}});
        assert_eq!(said(properties), ["s.properties[a].type: Required value: must not be empty for specified object fields"]);
        assert_eq!(said(json!({"type": "array"})), ["s.items: Required value: must be specified"]);
        let default = "s.default: Invalid value: \"integer\":  in body must be of type string: \"integer\"";
        assert_eq!(said(json!({"type": "string", "default": 5})), [default]);
        let rules = json!({"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-validations": [{"rule": " "},
            {"rule": "true", "fieldPath": ".a"}, {"rule": "true", "fieldPath": ".b"}]});
        let expected = [
            "s.x-kubernetes-validations[0].rule: Required value: rule is not specified",
            "s.x-kubernetes-validations[2].fieldPath: Invalid value: \".b\": must be a valid path",
        ];
        assert_eq!(said(rules), expected);
    }
}
