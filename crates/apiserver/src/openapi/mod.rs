//! OpenAPI v3 documents, for `kubectl apply` (does the server validate fields?) and `kubectl explain`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
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
    let paths: serde_json::Map<String, Value> = documents
        .iter()
        .map(|(path, document)| (path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={}", document.hash)})))
        .collect();
    json!({"paths": paths})
}

/// The document of one group version.
pub fn group_version(group: &str, version: &str, kinds: &[Described<'_>]) -> Value {
    let _ = (group, version, kinds);
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.33.0"}, "paths": {}, "components": {"schemas": {}}})
}
