//! An object as it is written out: its value and its owners together, without copying either.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::apply::Managed;

/// A whole object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole<'a> {
    pub(crate) value: &'a Value,
    pub(crate) managed: &'a Managed,
    /// Without kind and apiVersion.
    pub(crate) bare: bool,
}

impl<'a> Whole<'a> {
    pub(crate) fn new(value: &'a Value, managed: &'a Managed) -> Self {
        Self { value, managed, bare: false }
    }
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(fields) = self.value else { return self.value.serialize(serializer) };
        let mut map = serializer.serialize_map(None)?;
        for (name, field) in fields {
            match (name.as_str(), field) {
                ("kind" | "apiVersion", _) if self.bare => {}
                ("metadata", Value::Object(fields)) => map.serialize_entry(name, &Metadata { fields, managed: self.managed })?,
                _ => map.serialize_entry(name, field)?,
            }
        }
        map.end()
    }
}

/// Metadata with its `managedFields`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metadata<'a> {
    pub(crate) fields: &'a Map<String, Value>,
    pub(crate) managed: &'a Managed,
}

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, field) in self.fields {
            map.serialize_entry(name, field)?;
        }
        if !self.managed.is_empty() {
            map.serialize_entry("managedFields", self.managed)?;
        }
        map.end()
    }
}
