//! OpenAPI v3 documents, for `kubectl apply` (does the server validate fields? how do lists merge?) and `kubectl explain`.

mod paths;
mod schemas;
mod swagger;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::builtin::Builtin;

/// A kind of one group version, as a document describes it.
#[derive(Clone, Copy, Debug)]
pub enum Described<'a> {
    /// A built-in kind.
    Builtin(&'a Builtin),
    /// A version of a CRD: the whole CustomResourceDefinition object and the name of the version.
    Custom {
        /// The CustomResourceDefinition.
        crd: &'a Value,
        /// The served version, `v1alpha1`.
        version: &'a str,
    },
}

pub(crate) use swagger::swagger;

/// One document, ready to serve.
#[derive(Clone, Debug)]
pub struct Document {
    /// The JSON text.
    pub text: String,
    /// Upper-case hexadecimal hash of the text, used in the URL and as ETag.
    pub hash: String,
}

impl Document {
    /// Renders a document and its hash.
    pub fn new(document: &Value) -> Self {
        let text = document.to_string();
        let hash = hex::encode_upper(Sha256::digest(text.as_bytes()));
        Self { text, hash }
    }
}

/// The path of a group version below `/openapi/v3/`: `api/v1` or `apis/apps/v1`.
pub fn path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The root document `/openapi/v3`; keys of `documents` are made by [`path`].
pub fn root(documents: &BTreeMap<String, Document>) -> Value {
    let paths: Map<String, Value> = documents
        .iter()
        .map(|(path, document)| (path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={}", document.hash)})))
        .collect();
    json!({"paths": paths})
}

/// The document of one group version.
pub fn group_version(group: &str, version: &str, kinds: &[Described<'_>]) -> Value {
    let custom = kinds.iter().any(|kind| matches!(kind, Described::Custom { .. }));
    let (title, number) = if custom { ("Kubernetes CRD Swagger", "v0.1.0") } else { ("Kubernetes", "unversioned") };
    let mut paths = Map::new();
    let mut schemas = schemas::Schemas::new(group);
    for kind in kinds {
        let kind = Kind::of(group, version, kind);
        paths::add(&kind, &mut paths);
        schemas.add(&kind);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": title, "version": number},
        "paths": paths,
        "components": {"schemas": schemas.finish()},
    })
}

/// What both halves of a document need of a kind.
struct Kind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    list_kind: String,
    plural: &'a str,
    namespaced: bool,
    subresources: Vec<&'a str>,
    /// Name in `components.schemas`.
    definition: String,
    /// A CRD's own schema.
    schema: Option<&'a Value>,
}

impl<'a> Kind<'a> {
    fn of(group: &'a str, version: &'a str, described: &Described<'a>) -> Self {
        match *described {
            Described::Builtin(builtin) => Self {
                group,
                version,
                kind: builtin.kind,
                list_kind: format!("{}List", builtin.kind),
                plural: builtin.plural,
                namespaced: builtin.namespaced,
                subresources: builtin.subresources.to_vec(),
                definition: builtin.definition.to_owned(),
                schema: None,
            },
            Described::Custom { crd, version: name } => {
                let spec = &crd["spec"];
                let text = |value: &'a Value| value.as_str().unwrap_or_default();
                let kind = text(&spec["names"]["kind"]);
                let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
                let found = versions.iter().find(|version| version["name"] == name).unwrap_or(&Value::Null);
                let subresources = found["subresources"].as_object().map(|map| map.keys().map(String::as_str).collect());
                let reversed: Vec<&str> = group.rsplit('.').collect();
                Self {
                    group,
                    version,
                    kind,
                    list_kind: spec["names"]["listKind"].as_str().map_or_else(|| format!("{kind}List"), str::to_owned),
                    plural: text(&spec["names"]["plural"]),
                    namespaced: spec["scope"] == "Namespaced",
                    subresources: subresources.unwrap_or_default(),
                    definition: format!("{}.{version}.{kind}", reversed.join(".")),
                    schema: Some(&found["schema"]["openAPIV3Schema"]),
                }
            }
        }
    }

    fn is_custom(&self) -> bool {
        self.schema.is_some()
    }

    fn group_version_kind(&self) -> Value {
        json!({"group": self.group, "version": self.version, "kind": self.kind})
    }
}
