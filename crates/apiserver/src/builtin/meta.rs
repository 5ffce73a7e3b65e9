//! Checks of `metadata` that hold for every kind.

use serde_json::Value;

use super::{
    TypeError, decode,
    names::{self, NameRule},
    object_meta,
};
use crate::schema::FieldError;

/// Total size of all annotations, keys and values.
const ANNOTATIONS_LARGEST: u64 = 256 * 1024;

/// For bodies that no typed decoder has seen.
const NOT_TEXT: &str = "must be a string";

/// Checks that the fields of `metadata` are of their types, and drops its nulls and unknown fields; returns the paths of the latter.
/// [`Builtin::decode_check`](super::Builtin::decode_check) does it for built-in kinds; this is for custom resources.
pub fn decode_check(object: &mut Value) -> Result<Vec<String>, TypeError> {
    match object.get_mut("metadata") {
        Some(metadata) => decode::check_below("metadata", object_meta(), metadata),
        None => Ok(Vec::new()),
    }
}

/// Checks `metadata` of any object: name, namespace, labels, annotations, finalizers, owner references. The name is a DNS subdomain.
pub fn validate(namespaced: bool, object: &Value) -> Vec<FieldError> {
    validate_named(namespaced, NameRule::Subdomain, object)
}

pub(super) fn validate_named(namespaced: bool, rule: NameRule, object: &Value) -> Vec<FieldError> {
    let metadata = &object["metadata"];
    let text = |key: &str| metadata[key].as_str().unwrap_or_default();
    let mut errors = Vec::new();
    let mut invalid = |field: &str, value: &str, problems: Vec<String>| {
        errors.extend(problems.iter().map(|problem| FieldError::invalid(field, &value.into(), problem)));
    };
    if !text("generateName").is_empty() {
        invalid("metadata.generateName", text("generateName"), rule.check(text("generateName"), true));
    }
    if !text("name").is_empty() {
        invalid("metadata.name", text("name"), rule.check(text("name"), false));
    }
    if namespaced && !text("namespace").is_empty() {
        invalid("metadata.namespace", text("namespace"), names::label(text("namespace")));
    }
    if text("name").is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    }
    match (namespaced, text("namespace").is_empty()) {
        (true, true) => errors.push(FieldError::required("metadata.namespace", "")),
        (false, false) => errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type")),
        _ => {}
    }
    errors.extend(labels(&metadata["labels"], "metadata.labels"));
    errors.extend(annotations(&metadata["annotations"], "metadata.annotations"));
    errors.extend(owners(&metadata["ownerReferences"]));
    errors.extend(finalizers(&metadata["finalizers"]));
    errors
}

/// Checks a map of labels.
pub(super) fn labels(labels: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        errors.extend(names::qualified_name(key).iter().map(|e| FieldError::invalid(path, &key.as_str().into(), e)));
        match value.as_str() {
            Some(text) => errors.extend(names::label_value(text).iter().map(|e| FieldError::invalid(path, value, e))),
            None => errors.push(FieldError::invalid(path, value, NOT_TEXT)),
        }
    }
    errors
}

/// Checks a map of annotations.
pub(super) fn annotations(annotations: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        let problems = names::qualified_name(&key.to_lowercase());
        errors.extend(problems.iter().map(|e| FieldError::invalid(path, &key.as_str().into(), e)));
        if !value.is_string() {
            errors.push(FieldError::invalid(path, value, NOT_TEXT));
        }
        size += (key.len() + value.as_str().map_or(0, str::len)) as u64;
    }
    if size > ANNOTATIONS_LARGEST {
        errors.push(FieldError::too_long(path, ANNOTATIONS_LARGEST));
    }
    errors
}

fn owners(owners: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, owner) in owners.as_array().into_iter().flatten().enumerate() {
        for key in ["apiVersion", "kind", "name", "uid"] {
            if owner[key].as_str().unwrap_or_default().is_empty() {
                errors.push(FieldError::required(format!("metadata.ownerReferences[{index}].{key}"), "must not be empty"));
            }
        }
    }
    let controllers = owners.as_array().into_iter().flatten().filter(|owner| owner["controller"] == true);
    if controllers.count() > 1 {
        let detail = "Only one reference can have Controller set to true";
        errors.push(FieldError::invalid("metadata.ownerReferences", owners, detail));
    }
    errors
}

fn finalizers(finalizers: &Value) -> Vec<FieldError> {
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    let mut errors = Vec::new();
    for (index, finalizer) in finalizers.as_array().into_iter().flatten().enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        errors.extend(names::qualified_name(name).iter().map(|e| FieldError::invalid("metadata.finalizers", finalizer, e)));
        // Domain names without a slash are common on custom kinds (`gateway-exists-finalizer.gateway.networking.k8s.io`) and on CRDs.
        if !name.contains(['/', '.']) && !STANDARD.contains(&name) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(format!("metadata.finalizers[{index}]"), finalizer, detail));
        }
    }
    errors
}
