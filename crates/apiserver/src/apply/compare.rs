//! What differs between two states of an object.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::element::Element;
use super::set::{Branch, FieldSet};
use super::typed::{Shape, Typed, item_element};

/// The fields by which two states differ. No field is in two of the sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

/// What happened to one value itself, beside what happened in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    Nothing,
    Added,
    Modified,
    Removed,
}

impl Difference {
    fn put(&mut self, element: Element, own: Own, below: Self) {
        let one = |set: &mut FieldSet, kind: Own, below: FieldSet| {
            set.add(Branch { element: element.clone(), member: own == kind, below });
        };
        one(&mut self.added, Own::Added, below.added);
        one(&mut self.modified, Own::Modified, below.modified);
        one(&mut self.removed, Own::Removed, below.removed);
    }

    /// Without what is at and below these top-level fields.
    pub(super) fn without_fields(&self, names: &[&str]) -> Self {
        Self {
            added: self.added.without_fields(names),
            modified: self.modified.without_fields(names),
            removed: self.removed.without_fields(names),
        }
    }
}

/// Compares two objects. The error says which list cannot be compared.
pub(super) fn compare(typed: Typed<'_>, old: &Value, new: &Value) -> Result<Difference, String> {
    Ok(values(typed, Some(old), Some(new))?.1)
}

fn values(typed: Typed<'_>, old: Option<&Value>, new: Option<&Value>) -> Result<(Own, Difference), String> {
    let mut inside = Difference::default();
    let shapes = (old.map(|v| typed.shape(v)), new.map(|v| typed.shape(v)));
    let whole = match (old, new) {
        (None, None) => Own::Nothing,
        (None, Some(_)) => Own::Added,
        (Some(_), None) => Own::Removed,
        (Some(old), Some(new)) if is_empty(old) && is_empty(new) || shapes == (Some(Shape::Leaf), Some(Shape::Leaf)) => {
            return Ok((if old == new { Own::Nothing } else { Own::Modified }, inside));
        }
        (Some(_), Some(_)) if shapes.0 != shapes.1 => {
            // It became something else: everything in it goes, or comes.
            go_in(typed, old, None, &mut inside)?;
            go_in(typed, None, new, &mut inside)?;
            return Ok((Own::Modified, inside));
        }
        (Some(_), Some(_)) => Own::Nothing,
    };
    go_in(typed, old, new, &mut inside)?;
    Ok((whole, inside))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn go_in(typed: Typed<'_>, old: Option<&Value>, new: Option<&Value>, inside: &mut Difference) -> Result<(), String> {
    let Some(either) = new.or(old) else { return Ok(()) };
    match typed.shape(either) {
        Shape::Map => fields(typed, old.and_then(Value::as_object), new.and_then(Value::as_object), inside),
        shape @ (Shape::Keyed(_) | Shape::Set) => items(typed, shape, old.and_then(Value::as_array), new.and_then(Value::as_array), inside),
        Shape::Leaf => Ok(()),
    }
}

fn fields<'v>(
    typed: Typed<'_>,
    old: Option<&'v Map<String, Value>>,
    new: Option<&'v Map<String, Value>>,
    inside: &mut Difference,
) -> Result<(), String> {
    let mut one = |name: &str, old: Option<&Value>, new: Option<&Value>| -> Result<(), String> {
        let (own, below) = values(typed.field(name).unwrap_or(Typed::Free), old, new).map_err(|e| format!(".{name}{e}"))?;
        inside.put(Element::field(name), own, below);
        Ok(())
    };
    // What is always there comes and goes only with what it is part of.
    let blank = |side: Option<&Map<String, Value>>, name: &str| side.and_then(|_| typed.blank(name));
    let mut names: Vec<&String> = old.into_iter().chain(new).flat_map(Map::keys).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let value = |side: Option<&'v Map<String, Value>>| side.and_then(|fields| fields.get(name));
        match (value(old), value(new)) {
            (None, None) => {}
            (Some(old), None) => one(name, Some(old), blank(new, name).as_ref())?,
            (None, Some(new)) => one(name, blank(old, name).as_ref(), Some(new))?,
            (old, new) => one(name, old, new)?,
        }
    }
    Ok(())
}

fn items(
    typed: Typed<'_>,
    shape: Shape<'_>,
    old: Option<&Vec<Value>>,
    new: Option<&Vec<Value>>,
    inside: &mut Difference,
) -> Result<(), String> {
    let child = typed.items();
    let mut pairs: BTreeMap<Element, [Vec<&Value>; 2]> = BTreeMap::new();
    for (side, list) in [old, new].into_iter().enumerate() {
        for (index, item) in list.into_iter().flatten().enumerate() {
            let element = item_element(shape, child, item).map_err(|e| format!(": element {index}: {e}"))?;
            if let Some(values) = pairs.entry(element).or_default().get_mut(side) {
                values.push(item);
            }
        }
    }
    for (element, [old, new]) in pairs {
        let (own, below) = match (old.as_slice(), new.as_slice()) {
            ([] | [_], [] | [_]) => values(child, old.first().copied(), new.first().copied()).map_err(|e| format!("{element}{e}"))?,
            // Items with the same key are one piece together.
            ([], _) => (Own::Added, Difference::default()),
            ([one], _) => (Own::Added, values(child, Some(one), None)?.1),
            (_, []) => (Own::Removed, Difference::default()),
            (_, [one]) => (Own::Removed, values(child, None, Some(one))?.1),
            (old, new) => (if old == new { Own::Nothing } else { Own::Modified }, Difference::default()),
        };
        inside.put(element, own, below);
    }
    Ok(())
}
