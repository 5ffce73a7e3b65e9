//! Taking fields out of an object.

use serde_json::{Map, Value};

use super::element::Element;
use super::set::FieldSet;
use super::typed::{Shape, Typed, item_element};

/// What is left of `value` without the members of `gone`; none when that is nothing.
pub(super) fn remove(typed: Typed<'_>, value: &Value, gone: &FieldSet) -> Option<Value> {
    if gone.is_empty() {
        return Some(value.clone());
    }
    match (typed.shape(value), value) {
        (Shape::Map, Value::Object(fields)) => {
            let kept: Map<String, Value> = fields
                .iter()
                .filter_map(|(name, field)| {
                    let child = typed.field(name).unwrap_or(Typed::Free);
                    Some((name.clone(), keep(child, field, &Element::field(name), gone)?))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        (shape @ (Shape::Keyed(_) | Shape::Set), Value::Array(items)) => {
            let child = typed.items();
            let kept: Vec<Value> = items
                .iter()
                .filter_map(|item| match item_element(shape, child, item) {
                    Ok(element) => keep(child, item, &element, gone),
                    Err(_) => Some(item.clone()),
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        (Shape::Leaf, scalar) if !typed.is_atomic() => Some(scalar.clone()),
        _ => None,
    }
}

fn keep(typed: Typed<'_>, value: &Value, element: &Element, gone: &FieldSet) -> Option<Value> {
    match gone.get(element) {
        None => Some(value.clone()),
        Some(branch) if branch.member => None,
        // What becomes empty by this stays, as null, which decoding drops.
        Some(branch) => Some(remove(typed, value, &branch.below).unwrap_or(Value::Null)),
    }
}
