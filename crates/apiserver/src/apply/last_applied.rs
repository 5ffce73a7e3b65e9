//! The annotation of client-side apply: `kubectl apply --server-side` takes over what it says was applied, and keeps it true.

use serde_json::Value;

use super::compare::compare;
use super::conflict::Conflict;
use super::to_set::to_set;
use super::typed::Typed;
use crate::schema::text;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str().filter(|text| !text.is_empty())
}

/// The conflicts that are not about fields which client-side apply set and which still are as it set them. None when there is no
/// annotation that could say so.
pub(super) fn left(typed: Typed<'_>, live: &Value, api_version: &str, conflicts: &[Conflict]) -> Option<Vec<Conflict>> {
    let last: Value = serde_json::from_str(annotation(live)?).ok()?;
    if last.get("apiVersion").and_then(Value::as_str) != Some(api_version) {
        return None;
    }
    let difference = compare(typed, &last, live).ok()?;
    let allowed = to_set(typed, &last).difference(&difference.modified).difference(&difference.added).difference(&difference.removed);
    let rest = conflicts.iter().map(|c| Conflict { who: c.who.clone(), fields: c.fields.difference(&allowed) });
    Some(rest.filter(|conflict| !conflict.fields.is_empty()).collect())
}

/// Writes what was applied into the annotation of an object that has it.
pub(super) fn renew(object: &mut Value, applied: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut applied = applied.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(ANNOTATION);
        if annotations.is_empty()
            && let Some(metadata) = applied.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.shift_remove("annotations");
        }
    }
    let applied = format!("{}\n", text::json(&applied));
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.insert(ANNOTATION.to_owned(), applied.into());
    }
}
