//! Structural schemas: what a CustomResourceDefinition's `openAPIV3Schema` asks of its objects.
//!
//! One [`Structural`] is built per CRD version and used for every object: unknown fields are pruned (and named, for strict decoding),
//! defaults are set, and values, list types and CEL rules are checked. Causes carry the words of kube-apiserver 1.37.

mod cel;
mod cel_functions;
mod cel_macros;
mod cel_value;
mod check;
mod default;
pub(crate) mod error;
mod escaping;
mod expression;
pub(crate) mod format;
mod junctors;
mod lists;
mod meter;
mod node;
mod number;
mod old;
mod path;
mod pattern;
mod prune;
#[cfg(test)]
mod tests;
pub(crate) mod text;
pub(crate) mod typing;
mod work;

use std::sync::Arc;

use serde_json::Value;

pub use error::FieldError;
pub(crate) use node::{Additional, ListType, Node, Parser, Type};
use path::Path;

/// A parsed structural schema, with its patterns compiled and its CEL programs compiled at first use.
#[derive(Debug)]
pub struct Structural {
    pub(crate) root: Arc<Node>,
}

impl Structural {
    /// Reads an `openAPIV3Schema`. The error says where the schema is not usable.
    pub fn from_json(schema: &Value) -> Result<Self, String> {
        Ok(Self { root: Arc::new(Node::parse(schema)?) })
    }

    /// Removes fields that the schema does not know and returns their paths, sorted (`spec.a`, `metadata.foo`).
    /// Floats without a fraction become integers, as they do on their way through Go.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::prune_root(&self.root, object)
    }

    /// Sets defaults, and drops nulls that the schema does not allow.
    pub fn default(&self, object: &mut Value) {
        default::drop_nulls(&self.root, object);
        default::set(&self.root, object);
    }

    /// Checks values, list types and CEL rules. `old` is the stored object on an update: what has not changed is not complained about.
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        self.validate_with(Vec::new(), object, old)
    }

    /// Like [`Structural::validate`], after errors found by other checks (metadata): these come first and can keep CEL from running.
    pub fn validate_with(&self, mut errors: Vec<FieldError>, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        check::check(&self.root, object, old, &mut Path::root(), &mut errors);
        let duplicates = lists::check(&self.root, object);
        // An object that already had duplicates can still be edited.
        if !duplicates.is_empty() && old.is_none_or(|old| lists::check(&self.root, old).is_empty()) {
            errors.extend(duplicates);
        }
        if !self.root.deep.rules {
            return errors;
        }
        if errors.iter().any(FieldError::blocks_rules) {
            errors.push(FieldError::rules_not_checked());
        } else {
            cel::check(&self.root, object, old, &mut errors);
        }
        errors
    }

    /// The field names that the schema knows at `path` (`spec.listeners[0]`), for "did you mean". Empty where anything goes.
    pub fn known_fields(&self, path: &str) -> Vec<&str> {
        let mut node = self.root.as_ref();
        for segment in path.split(['.', '[', ']']).filter(|s| !s.is_empty()) {
            let next = match node.properties.get(segment) {
                Some(child) => Some(child.as_ref()),
                None => node.items.as_deref().or(node.additional.schema()),
            };
            match next {
                Some(child) => node = child,
                None => return Vec::new(),
            }
        }
        node.properties.keys().map(AsRef::as_ref).collect()
    }
}
