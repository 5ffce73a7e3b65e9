//! Doors for fuzz targets to what reads the bytes of strangers and is not public otherwise.

use serde_json::Value;

use crate::apply::{self, Configuration, Managed, Managers, Operation, Typed, Who};
use crate::builtin::Builtin;
use crate::registry::{Registry, Resource};
use crate::selector::{FieldSelector, LabelSelector};

/// Applies a configuration to an object with these `managedFields`; gives the object and its `managedFields` after that. The error is
/// the refusal's text.
pub fn apply(kind: &Builtin, live: &Value, managed: &Value, manager: &str, force: bool, config: &Value) -> Result<(Value, Value), String> {
    let managers = Managers::from_value(managed)?;
    let who = Who { manager: manager.to_owned(), operation: Operation::Apply, api_version: kind.api_version(), subresource: String::new() };
    let configuration = Configuration { object: config, who: &who, force, now: 1, reset: &["status"] };
    let applied = apply::apply(Typed::Object(&kind.schema().root), live, managers, &configuration).map_err(|e| format!("{e:?}"))?;
    Ok((applied.object, Managed::new(&applied.managers).to_value()))
}

/// Whether a label selector and a field selector match an object; none when they cannot be read.
#[derive(Debug)]
pub struct Selectors {
    resource: std::sync::Arc<Resource>,
}

impl Default for Selectors {
    fn default() -> Self {
        let registry = Registry::new(&[], None);
        Self { resource: registry.find("", "v1", "pods").cloned().expect("pods are built in") }
    }
}

impl Selectors {
    /// By labels.
    pub fn labels(&self, text: &str, object: &Value) -> Option<bool> {
        LabelSelector::parse(text).ok().map(|selector| selector.matches(object))
    }

    /// By fields of a pod.
    pub fn fields(&self, text: &str, object: &Value) -> Option<bool> {
        FieldSelector::parse(text, &self.resource).ok().map(|selector| selector.matches(object))
    }
}
