//! `components.schemas`: the kinds' own schemas, and what they refer to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Kind;
use crate::{builtin, patch};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const REFERENCE: &str = "#/components/schemas/";

/// The schemas of one document.
pub(super) struct Schemas {
    /// Everything that can be referred to, not yet in the document.
    known: Map<String, Value>,
    document: BTreeMap<String, Value>,
}

impl Schemas {
    /// The schemas of a document of `group`; a group of custom resources needs no more than metadata.
    pub(super) fn new(group: &str) -> Self {
        Self { known: builtin::definitions(|other| other == group), document: BTreeMap::new() }
    }

    /// Adds a kind, its list, and what they refer to.
    pub(super) fn add(&mut self, kind: &Kind<'_>) {
        match kind.schema {
            Some(schema) => {
                let schema = custom(schema);
                self.insert(&kind.definition, schema);
            }
            None => self.refer(&kind.definition),
        }
        if let Some(schema) = self.document.get_mut(&kind.definition) {
            schema["x-kubernetes-group-version-kind"] = json!([kind.group_version_kind()]);
        }
        let mut list = list(kind);
        list["x-kubernetes-group-version-kind"] = json!([{"group": kind.group, "version": kind.version, "kind": kind.list_kind}]);
        self.insert(&format!("{}List", kind.definition), list);
        for name in ["DeleteOptions", "Status"] {
            self.refer(&format!("{META}{name}"));
        }
    }

    pub(super) fn finish(self) -> BTreeMap<String, Value> {
        self.document
    }

    fn insert(&mut self, name: &str, schema: Value) {
        let mut references = Vec::new();
        collect_references(&schema, &mut references);
        self.document.insert(name.to_owned(), schema);
        for reference in references {
            self.refer(&reference);
        }
    }

    /// Brings a known definition into the document.
    fn refer(&mut self, name: &str) {
        if let Some(mut schema) = self.known.shift_remove(name) {
            publish(name, &mut schema);
            self.insert(name, schema);
        }
    }
}

fn collect_references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str().and_then(|v| v.strip_prefix(REFERENCE)) {
                    Some(name) if key == "$ref" => found.push(name.to_owned()),
                    _ => collect_references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

/// Turns a definition of k8s-openapi into what a server publishes.
fn publish(name: &str, schema: &mut Value) {
    rewrite_references(schema);
    let mut segments = name.rsplit('.');
    let (kind, version) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let owner = format!("{version}.{kind}");
    if name.ends_with(".IntOrString") || name.ends_with(".Quantity") {
        schema["oneOf"] = json!([{"type": "string"}, {"type": if kind == "Quantity" { "number" } else { "integer" }}]);
    }
    for (field, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Some((strategy, key)) = patch::patch_tags(&owner, field) {
            property["x-kubernetes-patch-strategy"] = strategy.into();
            if let Some(key) = key {
                property["x-kubernetes-patch-merge-key"] = key.into();
            }
        }
    }
}

/// `#/$defs/X` becomes `#/components/schemas/X`; beside anything else it moves into `allOf`, as OpenAPI 3.0 wants it.
fn rewrite_references(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
                let reference = json!(format!("{REFERENCE}{name}"));
                if fields.len() == 1 {
                    fields.insert("$ref".to_owned(), reference);
                } else {
                    fields.shift_remove("$ref");
                    fields.insert("allOf".to_owned(), json!([{"$ref": reference}]));
                }
                return;
            }
            fields.values_mut().for_each(rewrite_references);
        }
        Value::Array(items) => items.iter_mut().for_each(rewrite_references),
        _ => {}
    }
}

/// A CRD's schema with the standard three fields described as for every kind.
fn custom(schema: &Value) -> Value {
    let mut schema = match schema {
        Value::Object(_) => schema.clone(),
        _ => json!({"type": "object"}),
    };
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let properties = &mut schema["properties"];
    properties["apiVersion"] = api_version();
    properties["kind"] = kind_field();
    properties["metadata"] = json!({
        "description": "Standard object's metadata: name, namespace, labels, annotations and what the server keeps.",
        "allOf": [{"$ref": format!("{REFERENCE}{META}ObjectMeta")}],
        "default": {},
    });
    schema
}

fn api_version() -> Value {
    json!({"description": "The group and version of this object's schema, such as apps/v1.", "type": "string"})
}

fn kind_field() -> Value {
    json!({"description": "The kind of this object, in CamelCase. It cannot be changed.", "type": "string"})
}

fn list(kind: &Kind<'_>) -> Value {
    json!({
        "description": format!("{} is a list of {}.", kind.list_kind, kind.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": api_version(),
            "items": {
                "description": format!("The {}.", kind.plural),
                "type": "array",
                "items": {"allOf": [{"$ref": format!("{REFERENCE}{}", kind.definition)}], "default": {}},
            },
            "kind": kind_field(),
            "metadata": {
                "description": "Standard list metadata.",
                "allOf": [{"$ref": format!("{REFERENCE}{META}ListMeta")}],
                "default": {},
            },
        },
    })
}
