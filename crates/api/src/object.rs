//! What every object has: metadata, a spec, a raw status; and how one is decoded.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An object of the API: metadata, its spec, and its status as it came.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Object<S> {
    /// Who the object is.
    #[serde(default)]
    pub metadata: Metadata,
    /// What it asks for.
    pub spec: S,
    /// What controllers reported, untyped: it is merged, never interpreted.
    #[serde(default)]
    pub status: Option<Value>,
}

/// The metadata that readers use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Unique within kind and namespace.
    pub name: String,
    /// `None` for cluster-scoped objects, and for files that leave it to the client.
    pub namespace: Option<String>,
    /// Never reused, even by an object of the same name.
    pub uid: Option<String>,
    /// Changes with every write, opaque.
    pub resource_version: Option<String>,
    /// Counts changes of the spec.
    pub generation: Option<i64>,
    /// RFC 3339, in seconds: its order as text is its order in time.
    pub creation_timestamp: Option<String>,
    /// RFC 3339; set once deletion was asked for and finalizers hold it up.
    pub deletion_timestamp: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Why an object could not be read: which field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct DecodeError {
    /// The path of the field, such as `spec.listeners[0].port`; `.` for the object itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

/// Reads an object. A null field counts as absent, as in an API server's defaulting; unknown fields are ignored, since pruning
/// them is the server's work.
pub fn decode<T: DeserializeOwned>(mut object: Value) -> Result<T, DecodeError> {
    strip_nulls(&mut object);
    serde_path_to_error::deserialize(object)
        .map_err(|error| DecodeError { path: error.path().to_string(), message: error.inner().to_string() })
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Gateway;

    #[test]
    fn an_error_names_the_field() {
        let gateway = json!({ "metadata": { "name": "eg" }, "spec": { "gatewayClassName": "eg", "listeners": [
            { "name": "http", "protocol": "HTTP", "port": "eighty" },
        ] } });
        let error = decode::<Gateway>(gateway).unwrap_err();
        assert_eq!(error.path, "spec.listeners[0].port");
        assert!(error.message.contains("expected i32"), "{}", error.message);
    }

    #[test]
    fn a_missing_field_names_its_owner() {
        let error = decode::<Gateway>(json!({ "spec": { "listeners": [] } })).unwrap_err();
        assert_eq!(error.to_string(), "spec: missing field `gatewayClassName`");
    }

    #[test]
    fn null_is_absent() {
        let gateway: Gateway = decode(json!({ "metadata": { "name": "eg", "creationTimestamp": null, "labels": null },
            "spec": { "gatewayClassName": "eg", "addresses": null, "listeners": [{ "name": "a", "protocol": "HTTP", "port": 80, "allowedRoutes": null }] } }))
        .unwrap();
        assert!(gateway.spec.addresses.is_empty());
        assert_eq!(gateway.spec.listeners[0].allowed_routes, crate::gateway::AllowedRoutes::default());
    }
}
