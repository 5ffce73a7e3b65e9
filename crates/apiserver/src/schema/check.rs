//! Checks of values against their nodes, in the order and words of kube-openapi's validator.

use serde_json::{Map, Value};

use super::{
    FieldError, Node, Type, format,
    node::Checks,
    number::{self, check_range},
    old,
    path::Path,
    text,
};

/// Checks `value` and everything below it. What equals its old value passes: an object stored under an older schema can still be edited.
pub(super) fn check(node: &Node, value: &Value, old: Option<&Value>, path: &mut Path, errors: &mut Vec<FieldError>) {
    if old == Some(value) {
        return;
    }
    if value.is_null() {
        if node.kind != Type::Any && !node.nullable {
            errors.push(FieldError::type_invalid(path.as_str(), node.kind.name(), "null"));
            if let Some(checks) = &node.checks {
                check_allowed(checks, value, path.as_str(), errors);
            }
        }
        return;
    }
    check_type(node, value, path.as_str(), errors);
    let checks = node.checks.as_deref();
    if let Some(checks) = checks {
        checks.junctors.check(value, path, errors);
    }
    match value {
        Value::String(s) => check_string(node, checks, s, path.as_str(), errors),
        Value::Number(n) => {
            check_range(node, n, path.as_str(), errors);
            if let Some(checks) = checks {
                checks.bounds.check(n, path.as_str(), errors);
            }
        }
        Value::Array(items) => check_array(node, checks, items, old, path, errors),
        _ => {}
    }
    if let Some(checks) = checks {
        check_allowed(checks, value, path.as_str(), errors);
    }
    if let Value::Object(fields) = value {
        check_object(node, checks, fields, old, path, errors);
    }
}

fn check_allowed(checks: &Checks, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if !checks.allowed.is_empty() && !checks.allowed.contains(value) {
        let allowed: Vec<String> = checks.allowed.iter().map(|v| v.as_str().map_or_else(|| text::json(v), str::to_owned)).collect();
        errors.push(FieldError::not_supported(path, value, allowed.iter().map(String::as_str)));
    }
}

/// The JSON type of a value, and the format that Go sees in it.
fn found(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
        Value::Number(n) if number::is_float(n) => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
    }
}

fn check_type(node: &Node, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (json_type, go_format) = found(value);
    let fits = match (node.kind, value) {
        (Type::Any, _) => node.format.is_none() || matches!(value, Value::String(_) | Value::Array(_)),
        (Type::Object, Value::Object(_))
        | (Type::Array, Value::Array(_))
        | (Type::String | Type::IntOrString, Value::String(_))
        | (Type::Number, Value::Number(_))
        | (Type::Boolean, Value::Bool(_)) => true,
        (Type::Integer | Type::IntOrString, Value::Number(n)) => !number::is_float(n) || number::is_whole(n),
        _ => false,
    };
    if fits {
        return;
    }
    // With a format, Go names the format it wanted and the one it saw, except for strings and lists.
    match &node.format {
        Some(format) if !matches!(value, Value::String(_) | Value::Array(_)) => {
            errors.push(FieldError::type_invalid(path, format, go_format));
        }
        _ => errors.push(FieldError::type_invalid(path, node.kind.name(), json_type)),
    }
}

fn check_string(node: &Node, checks: Option<&Checks>, value: &str, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(checks) = checks {
        let invalid = |what: String| FieldError::invalid(path, &Value::from(value), &format!("{path} in body {what}"));
        // Counting runes only when bytes could break the bound: long values are common, long bounds too.
        let runes = || value.chars().count() as u64;
        // Only the first of these is reported.
        if let Some(max) = checks.max_length.filter(|max| value.len() as u64 > *max && runes() > *max) {
            errors.push(FieldError::too_long(path, max));
        } else if let Some(min) = checks.min_length.filter(|min| runes() < *min) {
            errors.push(invalid(format!("should be at least {min} chars long")));
        } else if let Some(pattern) = checks.pattern.as_ref().filter(|p| !p.matches(value)) {
            errors.push(invalid(format!("should match '{}'", pattern.text())));
        }
    }
    if let Some(format) = node.format.as_deref()
        && !format::holds(format, value)
    {
        errors.push(FieldError::type_invalid(path, format, value));
    }
}

fn check_array(node: &Node, checks: Option<&Checks>, items: &[Value], old: Option<&Value>, path: &mut Path, errors: &mut Vec<FieldError>) {
    if let Some(child) = &node.items {
        // An array that breaks its bound is not looked into: the answer would be as long as the request.
        let bound = checks.and_then(|c| c.max_items).map_or(items.len(), |max| usize::try_from(max).unwrap_or(usize::MAX));
        let before = old::Items::new(node, old);
        for (index, item) in items.iter().enumerate().take(bound.max(1)) {
            path.index(index, |path| check(child, item, before.get(item), path, errors));
        }
    }
    let Some(checks) = checks else { return };
    let (path, size) = (path.as_str(), items.len() as u64);
    if let Some(min) = checks.min_items.filter(|min| size < *min) {
        errors.push(FieldError::invalid(path, &size.into(), &format!("{path} in body should have at least {min} items")));
    }
    if let Some(max) = checks.max_items.filter(|max| size > *max) {
        errors.push(FieldError::too_many(path, size, max));
    } else if checks.unique_items {
        let mut seen = std::collections::HashSet::with_capacity(items.len());
        if !items.iter().all(|item| seen.insert(text::json(item))) {
            errors.push(FieldError::invalid(path, &Value::from(""), &format!("{path} in body shouldn't contain duplicates")));
        }
    }
}

fn check_object(
    node: &Node,
    checks: Option<&Checks>,
    fields: &Map<String, Value>,
    old: Option<&Value>,
    path: &mut Path,
    errors: &mut Vec<FieldError>,
) {
    let size = fields.len() as u64;
    if let Some(checks) = checks {
        let path = path.as_str();
        if let Some(min) = checks.min_properties.filter(|min| size < *min) {
            errors.push(FieldError::invalid(path, &size.into(), &format!("{path} in body should have at least {min} properties")));
        }
        if let Some(max) = checks.max_properties.filter(|max| size > *max) {
            errors.push(FieldError::too_many(path, size, max));
        }
    }
    for (name, field) in fields {
        let child = node.properties.get(name.as_str()).map(AsRef::as_ref).or(node.additional.schema());
        if let Some(child) = child {
            path.child(name, |path| check(child, field, old::field(node, old, name), path, errors));
        }
    }
    for name in ["apiVersion", "kind"].into_iter().filter(|_| node.embedded) {
        if fields.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
            errors.push(path.child(name, |path| FieldError::required(path.as_str(), "")));
        }
    }
    for name in checks.iter().flat_map(|checks| &checks.required) {
        if !fields.contains_key(name) {
            errors.push(path.child(name, |path| FieldError::required(path.as_str(), "")));
        }
    }
}
