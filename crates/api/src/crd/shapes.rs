//! Shapes that several kinds share: `$use: name` in a schema stands for a shape of `schema/shapes.yaml`; keys beside it are added to
//! the shape, or replace its own.

use serde_json::{Map, Value};

use super::{describe, embedded, types};
use crate::gateway::RouteGroupKind;
use crate::reference::ParentReference;

pub(super) struct Shapes(Map<String, Value>);

impl Shapes {
    pub(super) fn load() -> Self {
        Self(embedded(include_str!("../schema/shapes.yaml")))
    }

    /// The schema with every `$use` replaced.
    pub(super) fn expand(&self, schema: &Value) -> Value {
        match schema {
            Value::Object(fields) => {
                let mut expanded = fields.get("$use").map(|name| self.shape(name)).unwrap_or_default();
                for (key, value) in fields.iter().filter(|(key, _)| *key != "$use") {
                    expanded.insert(key.clone(), self.expand(value));
                }
                Value::Object(expanded)
            }
            Value::Array(items) => items.iter().map(|item| self.expand(item)).collect(),
            other => other.clone(),
        }
    }

    fn shape(&self, name: &Value) -> Map<String, Value> {
        let name = name.as_str().unwrap_or_default();
        let mut shape = self.expand(self.0.get(name).expect("schema/ uses only shapes of shapes.yaml: the tests expand them all"));
        // Statuses use these without a type around them that would describe their fields.
        match name {
            "parentRef" => describe::describe(&mut shape, types::<ParentReference>().as_value()),
            "routeGroupKind" => describe::describe(&mut shape, types::<RouteGroupKind>().as_value()),
            _ => {}
        }
        match shape {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}
