//! The fields that a configuration sets.

use std::collections::BTreeMap;

use serde_json::Value;

use super::element::Element;
use super::set::{Branch, FieldSet};
use super::typed::{Shape, Typed, item_element};

/// Every field that `value` has. An item of a list and an entry of a map are owned themselves, a named field only through what is in it.
pub(super) fn to_set(typed: Typed<'_>, value: &Value) -> FieldSet {
    let shape = typed.shape(value);
    match (shape, value) {
        (Shape::Map, Value::Object(fields)) => {
            let branch = |(name, field): (&String, &Value)| {
                let (leaf, below) = one(typed.field(name).unwrap_or(Typed::Free), field);
                let empty = field.is_null() || field.as_object().is_some_and(serde_json::Map::is_empty);
                Branch { element: Element::field(name), member: leaf || empty || !typed.names(name), below }
            };
            FieldSet::of(fields.iter().map(branch).collect())
        }
        (Shape::Keyed(_) | Shape::Set, Value::Array(items)) => {
            let child = typed.items();
            let mut found: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
            for item in items {
                if let Ok(element) = item_element(shape, child, item) {
                    found.entry(element).or_default().push(item);
                }
            }
            let branch = |(element, items): (Element, Vec<&Value>)| {
                let below = match items.as_slice() {
                    [item] => one(child, item).1,
                    // What is in items with the same key belongs to nobody in particular.
                    _ => FieldSet::default(),
                };
                Branch { element, member: true, below }
            };
            FieldSet::of(found.into_iter().map(branch).collect())
        }
        _ => FieldSet::default(),
    }
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
