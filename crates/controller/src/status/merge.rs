//! Merging the status that we want into the one that an object has: times stay while nothing changes, and what others wrote stays theirs.

use serde_json::{Map, Value, json};
use weir_translate::Merge;

/// How much of a status is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ownership {
    /// The top-level fields that are wanted; one that is wanted as null goes. Of conditions, those whose type is qualified with a domain
    /// (`example.com/Ready`) are somebody else's and stay.
    Whole,
    /// In the list below the first key, the entries with our `controllerName`. The second key holds what an entry is about.
    Entries {
        /// `parents` or `ancestors`.
        list: &'static str,
        /// `parentRef` or `ancestorRef`.
        reference: &'static str,
    },
}

impl From<Merge> for Ownership {
    fn from(merge: Merge) -> Self {
        match merge {
            Merge::Whole => Self::Whole,
            Merge::Parents => Self::Entries { list: "parents", reference: "parentRef" },
            Merge::Ancestors => Self::Entries { list: "ancestors", reference: "ancestorRef" },
        }
    }
}

/// The status that an object with status `current` should get. `desired` has no times; `now` is for conditions that change.
pub(crate) fn merge(current: &Value, desired: &Value, ownership: Ownership, controller: &str, now: &str) -> Value {
    match ownership {
        Ownership::Whole => {
            let mut status = without_nulls(desired);
            stamp(&mut status, current, now);
            if let (Some(fields), Some(current)) = (status.as_object_mut(), current.as_object()) {
                let unmentioned = current.iter().filter(|(key, _)| desired.get(key.as_str()).is_none());
                fields.extend(unmentioned.map(|(key, value)| (key.clone(), value.clone())));
            }
            status
        }
        Ownership::Entries { list, reference } => {
            let wanted = desired.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let entries = entries(current.get(list), wanted, reference, controller, now);
            let mut status = current.as_object().cloned().unwrap_or_default();
            status.insert(list.to_owned(), Value::Array(entries));
            Value::Object(status)
        }
    }
}

/// Whether `status` has entries of ours in `list`.
pub(crate) fn has_ours(status: &Value, list: &str, controller: &str) -> bool {
    status.get(list).and_then(Value::as_array).is_some_and(|entries| entries.iter().any(|it| is_ours(it, controller)))
}

fn is_ours(entry: &Value, controller: &str) -> bool {
    entry.get("controllerName").and_then(Value::as_str) == Some(controller)
}

/// Entries keep their places, so that two controllers that write one list do not reorder it in turns for ever.
fn entries(current: Option<&Value>, wanted: &[Value], reference: &str, controller: &str, now: &str) -> Vec<Value> {
    let current = current.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut left: Vec<Option<&Value>> = wanted.iter().map(Some).collect();
    let mut result = Vec::with_capacity(current.len().max(wanted.len()));
    for entry in current {
        if !is_ours(entry, controller) {
            result.push(entry.clone());
            continue;
        }
        let about = about(entry, reference);
        let found = left.iter_mut().find(|it| it.is_some_and(|wanted| self::about(wanted, reference) == about)).and_then(Option::take);
        if let Some(wanted) = found {
            result.push(entry_from(wanted, entry, reference, controller, now));
        }
    }
    result.extend(left.into_iter().flatten().map(|wanted| entry_from(wanted, &Value::Null, reference, controller, now)));
    result
}

fn entry_from(wanted: &Value, current: &Value, reference: &str, controller: &str, now: &str) -> Value {
    let mut entry = without_nulls(wanted);
    stamp(&mut entry, current, now);
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("controllerName".to_owned(), json!(controller));
        // As the server has it, with its defaults: else the two would differ for ever.
        if let Some(same) = current.get(reference) {
            fields.insert(reference.to_owned(), same.clone());
        }
    }
    entry
}

/// A reference with the defaults that the schema gives it, so that two that mean the same are equal.
fn about(entry: &Value, reference: &str) -> Map<String, Value> {
    let mut fields = entry.get(reference).and_then(Value::as_object).cloned().unwrap_or_default();
    fields.retain(|_, value| !value.is_null());
    fields.entry("group").or_insert_with(|| json!("gateway.networking.k8s.io"));
    fields.entry("kind").or_insert_with(|| json!("Gateway"));
    fields
}

/// Gives every condition below `status` its time: the current one's while its status stands, else `now`. Lists whose items have a `name`
/// (a Gateway's listeners) are matched by it.
fn stamp(status: &mut Value, current: &Value, now: &str) {
    let Some(fields) = status.as_object_mut() else { return };
    for (key, value) in fields.iter_mut() {
        let Some(items) = value.as_array_mut() else { continue };
        let before = current.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if key == "conditions" {
            stamp_conditions(items, before, now);
        } else {
            for item in items {
                let same = before.iter().find(|it| it.get("name").is_some() && it.get("name") == item.get("name"));
                stamp(item, same.unwrap_or(&Value::Null), now);
            }
        }
    }
}

fn stamp_conditions(conditions: &mut Vec<Value>, current: &[Value], now: &str) {
    for condition in conditions.iter_mut() {
        let before = current.iter().find(|it| it.get("type") == condition.get("type"));
        let stands = before.filter(|it| it.get("status") == condition.get("status"));
        let time = stands.and_then(|it| it.get("lastTransitionTime")).cloned().unwrap_or_else(|| json!(now));
        if let Some(fields) = condition.as_object_mut() {
            fields.insert("lastTransitionTime".to_owned(), time);
        }
    }
    let foreign = |it: &&Value| it.get("type").and_then(Value::as_str).is_some_and(|kind| kind.contains('/'));
    let kept: Vec<_> =
        current.iter().filter(foreign).filter(|it| conditions.iter().all(|ours| ours.get("type") != it.get("type"))).cloned().collect();
    conditions.extend(kept);
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.iter().filter(|(_, it)| !it.is_null()).map(|(key, it)| (key.clone(), without_nulls(it))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
