//! The built-in kinds: their names, what the server fills in, and what it refuses.

mod decode;
mod defaults;
mod kinds;
mod merging;
pub mod meta;
pub(crate) mod names;
mod quantity;
mod schemas;
#[cfg(test)]
mod tests;
mod validate;

use serde_json::Value;

pub use decode::TypeError;
pub(crate) use schemas::{definitions, object_meta};

use crate::schema::{FieldError, Structural};

/// A built-in kind, as discovery and the store need it.
#[derive(Debug)]
pub struct Builtin {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Kind, `Deployment`.
    pub kind: &'static str,
    /// Name of the schema definition, `io.k8s.api.apps.v1.Deployment`.
    pub definition: &'static str,
    /// Resource name in paths, `deployments`.
    pub plural: &'static str,
    /// Singular resource name, `deployment`.
    pub singular: &'static str,
    /// Short names, `deploy`.
    pub short_names: &'static [&'static str],
    /// Categories; `all` is the one that kubectl knows.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Subresources, of `status`, `scale`, `log`.
    pub subresources: &'static [&'static str],
    /// Whether the server keeps `metadata.generation`.
    pub generation: bool,
    /// The top-level fields whose change raises the generation (`spec`; an EndpointSlice has no spec).
    pub generation_fields: &'static [&'static str],
}

/// All built-in kinds, in discovery order.
pub fn all() -> &'static [Builtin] {
    kinds::ALL
}

/// What is wrong with a new Event that came by way of `events.k8s.io`, which asks for more.
pub(crate) fn new_event(event: &Value) -> Vec<FieldError> {
    validate::new_event(event)
}

/// The built-in kind behind a resource path.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Builtin> {
    all().iter().find(|b| b.group == group && b.version == version && b.plural == plural)
}

/// The built-in kind that a body names.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static Builtin> {
    all().iter().find(|b| b.group == group && b.version == version && b.kind == kind)
}

impl Builtin {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Decodes as the typed server does: drops nulls and unknown fields, and returns the paths of the latter in document order. A wrong
    /// type is an error; its text is Go's (`json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`).
    pub fn decode_check(&self, object: &mut Value) -> Result<Vec<String>, TypeError> {
        decode::check(&self.schema().root, object)
    }

    /// Fills in what the server fills in on create and update.
    pub fn default(&self, object: &mut Value) {
        defaults::set(self, object);
    }

    /// Checks an object on create (`old` is None) or update. Includes the metadata checks of [`meta::validate`].
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        validate::check(self, new, old)
    }

    /// The kind's schema, from the published OpenAPI of Kubernetes.
    pub fn schema(&self) -> &'static Structural {
        schemas::of(self)
    }
}
