//! Merging a configuration into an object.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::element::Element;
use super::typed::{Shape, Typed, item_element};

/// What `base` becomes by `config`; none when nothing is left.
pub(super) fn merge(typed: Typed<'_>, base: Option<&Value>, config: Option<&Value>) -> Result<Option<Value>, String> {
    let (base, config) = match (base, config) {
        (None, None) => return Ok(None),
        (Some(one), None) | (None, Some(one)) => return Ok(Some(one.clone())),
        (Some(base), Some(config)) => (base, config),
    };
    let shape = typed.shape(config);
    // A null says nothing about what is in a map or a list.
    if config.is_null() && typed.shape(base) != Shape::Leaf {
        return Ok(Some(base.clone()));
    }
    match (shape, base, config) {
        (Shape::Map, Value::Object(base), Value::Object(config)) if !(base.is_empty() && config.is_empty()) => {
            fields(typed, base, config).map(Some)
        }
        (Shape::Keyed(_) | Shape::Set, Value::Array(base), Value::Array(config)) if !(base.is_empty() && config.is_empty()) => {
            items(typed, shape, base, config).map(Some)
        }
        _ => Ok(Some(config.clone())),
    }
}

fn fields(typed: Typed<'_>, base: &Map<String, Value>, config: &Map<String, Value>) -> Result<Value, String> {
    let mut merged = Map::new();
    let new = config.keys().filter(|name| !base.contains_key(*name));
    for name in base.keys().chain(new) {
        let child = typed.field(name).unwrap_or(Typed::Free);
        if let Some(value) = merge(child, base.get(name), config.get(name)).map_err(|e| format!(".{name}{e}"))? {
            merged.insert(name.clone(), value);
        }
    }
    Ok(Value::Object(merged))
}

/// Items of the configuration come in its order, each after those of the base that stood before it.
fn items(typed: Typed<'_>, shape: Shape<'_>, base: &[Value], config: &[Value]) -> Result<Value, String> {
    let child = typed.items();
    let elements = |list: &[Value]| -> Result<Vec<Element>, String> {
        list.iter().enumerate().map(|(i, v)| item_element(shape, child, v).map_err(|e| format!(": element {i}: {e}"))).collect()
    };
    let (left, right) = (elements(base)?, elements(config)?);
    // An item that stands in the base more than once is not merged with.
    let mut known: BTreeMap<&Element, Option<&Value>> = BTreeMap::new();
    for (element, item) in left.iter().zip(base) {
        known.entry(element).and_modify(|known| *known = None).or_insert(Some(item));
    }
    let of = |element: &Element| known.get(element).copied().flatten();
    let wanted: BTreeSet<&Element> = right.iter().collect();
    let is_wanted = |element: &Element| wanted.contains(element);
    let mut shared: VecDeque<&Element> = right.iter().filter(|e| known.contains_key(e)).collect();
    let mut next = shared.pop_front();
    let mut done: BTreeSet<&Element> = BTreeSet::new();
    let mut merged = Vec::with_capacity(left.len().max(right.len()));
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if let (Some(element), Some(other)) = (left.get(l), right.get(r)) {
            if element == other {
                done.insert(element);
                merged.extend(merge(child, of(element), config.get(r)).map_err(|e| format!("{element}{e}"))?);
                (l, r) = (l + 1, r + 1);
                next = shared.pop_front();
                continue;
            }
            if is_wanted(element) && next.is_some_and(|next| next != element) {
                // It comes later, where the configuration has it.
                l += 1;
                continue;
            }
        }
        if let Some(element) = left.get(l) {
            if !is_wanted(element) {
                merged.extend(base.get(l).cloned());
                l += 1;
                continue;
            }
            if done.contains(element) {
                l += 1;
            }
        }
        if let Some(element) = right.get(r) {
            done.insert(element);
            merged.extend(merge(child, of(element), config.get(r)).map_err(|e| format!("{element}{e}"))?);
            r += 1;
            if next == Some(element) {
                next = shared.pop_front();
            }
        }
    }
    Ok(Value::Array(merged))
}
