//! Whether a configuration fits its schema: what server-side apply refuses before it merges.

use std::collections::BTreeSet;

use serde_json::Value;

use super::typed::{Shape, Typed, is_free, item_element};
use crate::schema::{Node, Type};
use crate::texts::Texts;

/// The first thing that is wrong at each place, each with its path, as one text; none when all is well. Of very many, the first.
pub(super) fn problems(typed: Typed<'_>, value: &Value) -> Option<String> {
    let mut found = Texts::default();
    check(typed, value, &mut String::new(), &mut found);
    match found.into_vec().as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("errors:\n  {}", many.join("\n  "))),
    }
}

fn check(typed: Typed<'_>, value: &Value, path: &mut String, found: &mut Texts) {
    if let Some(wrong) = mismatch(typed, value) {
        found.push(|| if path.is_empty() { wrong } else { format!("{path}: {wrong}") });
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let len = path.len();
                path.push('.');
                path.push_str(name);
                match typed.field(name) {
                    Some(child) => check(child, field, path, found),
                    None => found.push(|| format!("{path}: field not declared in schema")),
                }
                path.truncate(len);
            }
        }
        Value::Array(items) => list(typed, value, items, path, found),
        _ => {}
    }
}

fn list(typed: Typed<'_>, value: &Value, items: &[Value], path: &mut String, found: &mut Texts) {
    let shape = typed.shape(value);
    let child = typed.items();
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let len = path.len();
        if shape == Shape::Leaf {
            path.push_str(&format!("[{index}]"));
        } else {
            match item_element(shape, child, item) {
                Ok(element) => {
                    if seen.contains(&element) {
                        found.push(|| format!("{path}: duplicate entries for key {element}"));
                    }
                    path.push_str(&element.to_string());
                    seen.insert(element);
                }
                Err(wrong) => {
                    found.push(|| format!("{path}: element {index}: {wrong}"));
                    return;
                }
            }
        }
        check(child, item, path, found);
        path.truncate(len);
    }
}

/// A value of the wrong type, in the words of Go's formatting.
fn mismatch(typed: Typed<'_>, value: &Value) -> Option<String> {
    let node = match typed {
        Typed::Object(_) => return (!value.is_object() && !value.is_null()).then(|| format!("expected map, got &{{{}}}", go(value))),
        Typed::Text => return (!value.is_string() && !value.is_null()).then(|| no_text(value)),
        Typed::Free => return None,
        Typed::Node(node) if is_free(node) => return None,
        Typed::Node(node) => node,
    };
    let fits = value.is_null() || fits(node, value);
    (!fits).then(|| match node.kind {
        Type::Object => format!("expected map, got &{{{}}}", go(value)),
        Type::Array => format!("expected list, got &{{{}}}", go(value)),
        Type::String => no_text(value),
        Type::Integer | Type::Number => format!("expected numeric (int or float), got {}", go_type(value)),
        Type::Boolean => format!("expected boolean, got &{{{}}}", go(value)),
        Type::IntOrString | Type::Any => format!("expected any scalar, got &{{{}}}", go(value)),
    })
}

fn no_text(value: &Value) -> String {
    format!("expected string, got &value.valueUnstructured{{Value:{}}}", go(value))
}

fn fits(node: &Node, value: &Value) -> bool {
    match node.kind {
        Type::Any => true,
        Type::Object => value.is_object(),
        Type::Array => value.is_array(),
        Type::String => value.is_string(),
        Type::Integer | Type::Number => value.is_number(),
        Type::Boolean => value.is_boolean(),
        Type::IntOrString => value.is_number() || value.is_string() || value.is_boolean(),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// As Go prints a decoded value.
fn go(value: &Value) -> String {
    crate::schema::text::go_value(value)
}
