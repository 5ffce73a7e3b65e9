//! Merging and ordering lists.

use serde_json::{Map, Value};

use super::{PATCH, Strategy, bad_directive, merge_object, without_directives};
use crate::schema::Node;

/// Merges the list of a patch into `target`.
pub(super) fn merge(item: Option<&Node>, strategy: Strategy, target: &mut Vec<Value>, patch: &[Value]) -> Result<(), String> {
    match strategy {
        Strategy::Atomic => {
            *target = patch.iter().filter_map(without_directives).collect();
            Ok(())
        }
        Strategy::Primitives => {
            for item in patch {
                if !target.contains(item) {
                    target.push(item.clone());
                }
            }
            Ok(())
        }
        Strategy::Key(key) => merge_by_key(item, key, target, patch),
    }
}

fn merge_by_key(item: Option<&Node>, key: &str, target: &mut Vec<Value>, patch: &[Value]) -> Result<(), String> {
    let mut changes = Vec::new();
    let mut replace = false;
    for change in patch {
        let fields = change.as_object().ok_or("expected slice of maps in a list that merges by key")?;
        match fields.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
            None => changes.push(fields),
            Some("delete") => {
                let gone = fields.get(key).ok_or_else(|| no_key(fields, key))?;
                target.retain(|old| old.get(key) != Some(gone));
            }
            Some("replace") => replace = true,
            Some("merge") => return Err("merging lists cannot yet be specified in the patch".to_owned()),
            Some(other) => return Err(bad_directive(other, fields)),
        }
    }
    if replace {
        *target = changes.into_iter().filter_map(|fields| without_directives(&Value::Object(fields.clone()))).collect();
        return Ok(());
    }
    for fields in changes {
        let value = fields.get(key).ok_or_else(|| no_key(fields, key))?;
        match target.iter_mut().find(|old| old.get(key) == Some(value)) {
            Some(Value::Object(old)) => merge_object(item, old, fields)?,
            _ => target.extend(without_directives(&Value::Object(fields.clone()))),
        }
    }
    Ok(())
}

fn no_key(fields: &Map<String, Value>, key: &str) -> String {
    format!("map: {} does not contain declared merge key: {key}", crate::schema::text::go_value(&Value::Object(fields.clone())))
}

/// Puts `items` in the order that the patch wants: its own items as listed, the others where they were among them before.
pub(super) fn order(strategy: Strategy, items: &mut Vec<Value>, before: &[Value], order: &Value) -> Result<(), String> {
    let order = order.as_array().ok_or("$setElementOrder must be a list")?;
    let identity = |item: &Value| match strategy {
        Strategy::Key(key) => item.get(key).cloned().unwrap_or_default(),
        Strategy::Primitives | Strategy::Atomic => item.clone(),
    };
    let wanted: Vec<Value> = order.iter().map(identity).collect();
    let before: Vec<Value> = before.iter().map(identity).collect();
    let place = |list: &[Value], item: &Value| {
        let item = identity(item);
        list.iter().position(|other| *other == item)
    };
    let (mut ordered, others): (Vec<Value>, Vec<Value>) =
        std::mem::take(items).into_iter().partition(|item| place(&wanted, item).is_some());
    ordered.sort_by_key(|item| place(&wanted, item));
    let mut ordered = ordered.into_iter().peekable();
    for other in others {
        // The patch's items go first unless both were there before and the other was in front.
        while let Some(next) = ordered.peek() {
            let in_front = matches!((place(&before, &other), place(&before, next)), (Some(other), Some(next)) if other < next);
            if in_front {
                break;
            }
            items.extend(ordered.next());
        }
        items.push(other);
    }
    items.extend(ordered);
    Ok(())
}
