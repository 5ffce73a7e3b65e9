//! The statuses of Backends.

use serde_json::json;
use weir_api::backend::BackendSpec;

use crate::condition::Conditions;
use crate::fields::{self, Fields};
use crate::memo::Reader;
use crate::resources::{Kind, Resources};
use crate::status::{Merge, ObjectRef, StatusWriter, json as to_json};

/// Writes the statuses of all Backends.
pub(crate) fn write(resources: &Resources, reader: &Reader<'_>, statuses: &mut StatusWriter) {
    let object = |name: &weir_model::ObjectName| ObjectRef::new(Kind::Backend, name.namespace.clone(), name.name.clone());
    for (name, stored) in resources.backends.iter() {
        let mut conditions = Conditions::new(stored.object.metadata.generation.unwrap_or_default());
        if !reader.settings().enable_backend {
            refuse(&mut conditions, "The Backend was not accepted since Backend is not enabled in Envoy Gateway Config".into());
        } else {
            match super::judge(reader, &stored.object.spec) {
                Ok(()) => conditions.yes("Accepted", "Accepted", "The Backend was accepted"),
                Err(problem) => refuse(&mut conditions, format!("The Backend was not accepted: {}", problem.message)),
            }
            let unsupported = unsupported(&stored.object.spec);
            if !unsupported.is_empty() {
                conditions.warn("UnsupportedField", &fields::message(&unsupported));
            }
        }
        statuses.write(object(name), Merge::Whole, json!({ "conditions": to_json(&conditions) }));
    }
    for (name, broken) in resources.backends.broken() {
        let mut conditions = Conditions::new(broken.generation());
        refuse(&mut conditions, format!("The Backend was not accepted: the object cannot be read: {}", broken.error));
        statuses.write(object(name), Merge::Whole, json!({ "conditions": to_json(&conditions) }));
    }
}

/// Says it twice: as one reads it, and as Envoy Gateway writes it, with type and reason the other way round
/// (internal/gatewayapi/status/backend.go), for whoever looks for that.
fn refuse(conditions: &mut Conditions, message: String) {
    conditions.no("Accepted", "Invalid", message.clone());
    conditions.no("Invalid", "Accepted", message);
}

fn unsupported(spec: &BackendSpec) -> Vec<String> {
    let mut fields = Fields::default();
    for (at, endpoint) in spec.endpoints.iter().enumerate() {
        fields.note(&format!("spec.endpoints[{at}].hostname"), &endpoint.hostname);
        fields.note(&format!("spec.endpoints[{at}].zone"), &endpoint.zone);
    }
    fields.note("spec.fallback", spec.fallback == Some(true));
    fields.paths
}
