//! Tables of what applying and updating do, on a schema with each kind of list and map, and on built-in kinds.

mod applying;
mod kinds;
mod sets;
mod updates;

use serde_json::{Value, json};

use super::element::Element;
use super::fields_v1;
use super::managers::{Managers, Operation, Who};
use super::typed::Typed;
use super::{Applied, ApplyError, Configuration, apply, update};
use crate::schema::Structural;

/// A schema with each kind of list and map.
fn schema() -> Structural {
    let text = json!({"type": "string"});
    let item = json!({"type": "object", "properties": {
        "name": text, "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}, "note": text,
    }});
    Structural::from_json(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "a": text, "b": text, "number": {"type": "integer"},
            "map": {"type": "object", "additionalProperties": text},
            "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": text},
            "list": {"type": "array", "items": text},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
            "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": item},
            "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"], "items": item},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "deep": {"type": "object", "properties": {"x": text, "y": text}},
        }},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }}))
    .unwrap()
}

fn object(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "T", "metadata": {"name": "t"}, "spec": spec})
}

fn who(manager: &str, operation: Operation) -> Who {
    Who { manager: manager.to_owned(), operation, api_version: "v1".to_owned(), subresource: String::new() }
}

/// An object and its owners, written to step by step.
struct World {
    schema: Structural,
    live: Value,
    managers: Managers,
    now: i64,
}

impl World {
    fn new() -> Self {
        Self { schema: schema(), live: json!({"apiVersion": "v1", "kind": "T"}), managers: Managers::default(), now: 0 }
    }

    fn apply(&mut self, manager: &str, force: bool, spec: Value) -> Result<&mut Self, ApplyError> {
        self.now += 1;
        let config = object(spec);
        let who = who(manager, Operation::Apply);
        let configuration = Configuration { object: &config, who: &who, force, now: self.now, reset: &["status"] };
        let Applied { object, managers } = apply(Typed::Object(&self.schema.root), &self.live, self.managers.clone(), &configuration)?;
        (self.live, self.managers) = (object, managers);
        Ok(self)
    }

    fn update(&mut self, manager: &str, spec: Value) -> &mut Self {
        self.now += 1;
        let new = object(spec);
        let who = who(manager, Operation::Update);
        let managers = self.managers.clone();
        self.managers = update(Typed::Object(&self.schema.root), &self.live, &new, managers, &who, self.now, &["status"]).unwrap();
        self.live = new;
        self
    }

    fn spec(&self) -> &Value {
        &self.live["spec"]
    }

    /// What a manager owns below `spec`, as text of paths.
    fn owns(&self, manager: &str) -> Vec<String> {
        let entries = self.managers.entries.iter().filter(|entry| entry.who.manager == manager);
        entries.flat_map(|entry| entry.fields.paths()).map(|path| path.trim_start_matches(".spec").to_owned()).collect()
    }
}

fn conflicts(result: Result<&mut World, ApplyError>) -> String {
    match result {
        Err(ApplyError::Conflicts(found)) => super::Conflict::message(&found),
        Err(other) => panic!("{other:?}"),
        Ok(_) => "none".to_owned(),
    }
}
