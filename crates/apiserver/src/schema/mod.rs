//! Structural schemas: what a CustomResourceDefinition's `openAPIV3Schema` asks of its objects.
//!
//! One [`Structural`] is built per CRD version and used for every object: unknown fields are pruned (and named, for strict decoding),
//! defaults are set, and values, list types and CEL rules are checked. Causes carry the words of kube-apiserver 1.37.

mod node;

use serde_json::Value;

pub(crate) use node::Node;

/// One cause of a 422 answer: `field: message`, with the machine-readable reason of `metav1.StatusCause`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// `FieldValueInvalid`, `FieldValueRequired`, ...
    pub reason: &'static str,
    /// Path as Kubernetes writes it: `spec.ports[0].port`; `<nil>` where the real server has no path.
    pub field: String,
    /// The cause's own message, without the field.
    pub message: String,
}

/// A parsed structural schema, with its patterns and CEL programs compiled.
#[derive(Debug)]
pub struct Structural {
    pub(crate) root: Node,
}

impl Structural {
    /// Reads an `openAPIV3Schema`. The error says where the schema is not usable.
    pub fn from_json(schema: &Value) -> Result<Self, String> {
        Ok(Self { root: Node::parse(schema, 0)? })
    }

    /// Removes fields that the schema does not know and returns their paths, sorted (`spec.a`, `metadata.foo`).
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        let _ = object;
        Vec::new()
    }

    /// Sets defaults, and drops nulls that the schema does not allow.
    pub fn default(&self, object: &mut Value) {
        let _ = object;
    }

    /// Checks values, list types and CEL rules. `old` is the stored object on an update.
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        self.validate_with(Vec::new(), object, old)
    }

    /// Like [`Structural::validate`], after errors found by other checks (metadata): these come first and can keep CEL from running.
    pub fn validate_with(&self, errors: Vec<FieldError>, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let _ = (object, old);
        errors
    }

    /// The field names that the schema knows at `path` (`spec.listeners[0]`), for "did you mean". Empty where anything goes.
    pub fn known_fields(&self, path: &str) -> Vec<&str> {
        let _ = path;
        Vec::new()
    }
}
