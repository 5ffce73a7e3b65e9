//! Judging documents as the API server will, before anything is applied: unknown fields, types, bounds, rules. Errors point into the file.

use std::collections::BTreeMap;

use serde_json::Value;
use weir_apiserver::builtin;
use weir_apiserver::schema::{FieldError, Structural};

use super::read::{Document, ReadError};

/// A kind that can be applied.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    rules: Rules,
}

#[derive(Debug)]
enum Rules {
    Builtin(&'static builtin::Builtin),
    Custom(Box<Structural>),
}

/// All kinds that can be applied, by `apiVersion` and `kind`.
#[derive(Debug)]
pub(crate) struct Checker {
    resources: BTreeMap<(String, String), Resource>,
}

impl Checker {
    /// Knows the built-in kinds and those of `crds`.
    ///
    /// # Errors
    /// When a definition's schema cannot be used.
    pub(crate) fn new(crds: &[Value]) -> Result<Self, String> {
        let mut resources = BTreeMap::new();
        for kind in builtin::all() {
            let resource = Resource { plural: kind.plural.to_owned(), namespaced: kind.namespaced, rules: Rules::Builtin(kind) };
            resources.insert((kind.api_version(), kind.kind.to_owned()), resource);
        }
        let mut checker = Self { resources };
        crds.iter().try_for_each(|crd| checker.learn(crd))?;
        Ok(checker)
    }

    /// Learns the definitions among `documents`, so that their objects can stand in the same set.
    pub(crate) fn learn_from(&mut self, documents: &[Document]) -> Vec<ReadError> {
        let definitions = documents.iter().filter(|document| document.kind() == "CustomResourceDefinition");
        definitions.filter_map(|document| self.learn(&document.object).err().map(|error| document.error("spec", error, None))).collect()
    }

    fn learn(&mut self, crd: &Value) -> Result<(), String> {
        let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        for version in crd.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten() {
            let name = version["name"].as_str().unwrap_or_default();
            let schema = version.pointer("/schema/openAPIV3Schema").unwrap_or(&Value::Null);
            let resource = Resource {
                plural: text("/spec/names/plural"),
                namespaced: text("/spec/scope") == "Namespaced",
                rules: Rules::Custom(Box::new(Structural::from_json(schema)?)),
            };
            self.resources.insert((format!("{}/{name}", text("/spec/group")), text("/spec/names/kind")), resource);
        }
        Ok(())
    }

    /// The document's kind, when it can be applied.
    pub(crate) fn resource(&self, document: &Document) -> Option<&Resource> {
        self.resource_of(document.api_version(), document.kind())
    }

    /// The kind, when it can be applied.
    pub(crate) fn resource_of(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.resources.get(&(api_version.to_owned(), kind.to_owned()))
    }

    /// The object with its defaults, as the API server would store it.
    pub(crate) fn with_defaults(&self, document: &Document) -> Value {
        let mut object = document.object.clone();
        match self.resource(document).map(|resource| &resource.rules) {
            Some(Rules::Builtin(kind)) => kind.default(&mut object),
            Some(Rules::Custom(schema)) => schema.default(&mut object),
            None => {}
        }
        object
    }

    /// Everything that the API server would refuse about `document`.
    pub(crate) fn check(&self, document: &Document) -> Vec<ReadError> {
        let Some(resource) = self.resource(document) else { return vec![self.unknown_kind(document)] };
        let mut object = document.object.clone();
        if resource.namespaced && document.namespace().is_empty() && object["metadata"].is_object() {
            object["metadata"]["namespace"] = Value::from(document.namespace_or_default());
        }
        let (unknown, causes) = match &resource.rules {
            Rules::Builtin(kind) => match kind.decode_check(&mut object) {
                Ok(unknown) => {
                    kind.default(&mut object);
                    (unknown, kind.validate(&object, None))
                }
                Err(error) => return vec![document.error(&field_of_decode_error(&error.to_string()), error, None)],
            },
            Rules::Custom(schema) => {
                let unknown = schema.prune(&mut object);
                schema.default(&mut object);
                (unknown, schema.validate(&object, None))
            }
        };
        let mut errors: Vec<ReadError> = unknown.iter().map(|path| self.unknown_field(document, resource, path)).collect();
        errors.extend(causes.iter().filter(|cause| cause.field != "<nil>").map(|cause| refused(document, cause)));
        errors
    }

    fn unknown_kind(&self, document: &Document) -> ReadError {
        let kinds = self.resources.keys().map(|(_, kind)| kind.as_str());
        let help = match self.resources.keys().find(|(_, kind)| kind == document.kind()) {
            Some((api_version, _)) => Some(format!("did you mean apiVersion {api_version}?")),
            None => suggestion(document.kind(), kinds),
        };
        let message = format!("no kind `{}` in version `{}`", document.kind(), document.api_version());
        document.error("kind", message, help)
    }

    fn unknown_field(&self, document: &Document, resource: &Resource, path: &str) -> ReadError {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let known = match &resource.rules {
            Rules::Builtin(kind) => kind.schema().known_fields(parent),
            Rules::Custom(schema) => schema.known_fields(parent),
        };
        document.error(path, format_args!("unknown field \"{path}\""), suggestion(name, known.into_iter()))
    }
}

fn refused(document: &Document, cause: &FieldError) -> ReadError {
    document.error(&cause.field, format_args!("{}: {}", cause.field, cause.message), None)
}

/// `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32` is about `spec.replicas`.
fn field_of_decode_error(error: &str) -> String {
    let named = error.split("Go struct field ").nth(1).and_then(|rest| rest.split(' ').next());
    named.and_then(|field| field.split_once('.')).map(|(_, path)| path.to_owned()).unwrap_or_default()
}

fn suggestion<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    let best = known.map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate)).min()?;
    (best.0 <= 1 + word.len() / 4).then(|| format!("did you mean `{}`?", best.1))
}
