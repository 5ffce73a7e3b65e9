//! The fields that a configuration sets.

use serde_json::Value;

use super::element::Element;
use super::set::{Branch, FieldSet};
use super::typed::{Shape, Typed, item_element};

/// Every field that `value` has. An item of a list and an entry of a map are owned themselves, a named field only through what is in it.
pub(super) fn to_set(typed: Typed<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    let shape = typed.shape(value);
    match (shape, value) {
        (Shape::Map, Value::Object(fields)) => {
            for (name, field) in fields {
                let child = typed.field(name).unwrap_or(Typed::Free);
                let (leaf, below) = one(child, field);
                let empty = field.is_null() || field.as_object().is_some_and(serde_json::Map::is_empty);
                set.add(Branch { element: Element::field(name), member: leaf || empty || !typed.names(name), below });
            }
        }
        (Shape::Keyed(_) | Shape::Set, Value::Array(items)) => {
            let child = typed.items();
            let elements: Vec<_> = items.iter().map(|item| item_element(shape, child, item)).collect();
            for (item, element) in items.iter().zip(&elements) {
                let Ok(element) = element else { continue };
                // What is in items with the same key belongs to nobody in particular.
                let twice = elements.iter().filter(|e| e.as_ref() == Ok(element)).count() > 1;
                let below = if twice { FieldSet::default() } else { one(child, item).1 };
                set.add(Branch { element: element.clone(), member: true, below });
            }
        }
        _ => {}
    }
    set
}

/// Whether a value is one piece, and else what is in it.
fn one(typed: Typed<'_>, value: &Value) -> (bool, FieldSet) {
    match typed.shape(value) {
        Shape::Leaf => (true, FieldSet::default()),
        _ => (false, to_set(typed, value)),
    }
}

/// The set with every named field above its members as a member too: removing all of them removes the field.
pub(super) fn with_named(typed: Typed<'_>, set: &FieldSet) -> FieldSet {
    let mut named = FieldSet::default();
    for branch in set.branches() {
        let is_named = matches!(&branch.element, Element::Field(name) if typed.names(name)) && !branch.below.is_empty();
        let below = match typed.below(&branch.element) {
            Some(child) => with_named(child, &branch.below),
            None => branch.below.clone(),
        };
        named.add(Branch { element: branch.element.clone(), member: branch.member || is_named, below });
    }
    named
}
