//! What an object goes through before it is stored: unknown fields, defaults, what the server allots, validation.

use serde_json::{Value, json};

use super::body::Decoded;
use super::options::FieldValidation;
use super::{jobs, services};
use crate::api::Api;
use crate::builtin::{TypeError, meta};
use crate::crd;
use crate::object::{ObjectExt, is_deeper};
use crate::registry::{Origin, Resource};
use crate::schema::FieldError;
use crate::status::ApiError;

/// Patches can nest an object deeper than any one body: what the JSON parser (128 levels) could not read back is not stored.
const MAX_DEPTH: usize = 100;

/// Why an object's fields were refused.
#[derive(Debug)]
pub(crate) enum FieldsRefused {
    /// A value of the wrong type.
    Type(TypeError),
    /// `strict decoding error: ...`
    Strict(String),
}

impl std::fmt::Display for FieldsRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Type(error) => error.fmt(f),
            Self::Strict(text) => f.write_str(text),
        }
    }
}

/// Drops unknown fields. Strict refuses them; Warn returns warnings.
pub(crate) fn fields(resource: &Resource, decoded: &mut Decoded, mode: FieldValidation) -> Result<Vec<String>, FieldsRefused> {
    let unknown = match &resource.origin {
        Origin::Builtin(builtin) => builtin.decode_check(&mut decoded.object).map_err(FieldsRefused::Type)?,
        Origin::Custom(structural) => {
            let mut unknown = meta::decode_check(&mut decoded.object).map_err(FieldsRefused::Type)?;
            unknown.extend(structural.prune(&mut decoded.object));
            unknown.sort();
            unknown
        }
    };
    let mut found: Vec<String> = decoded.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    found.extend(unknown.iter().map(|path| format!("unknown field \"{path}\"")));
    match mode {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(found),
        FieldValidation::Strict if found.is_empty() => Ok(found),
        FieldValidation::Strict => Err(FieldsRefused::Strict(format!("strict decoding error: {}", found.join(", ")))),
    }
}

/// The 400 that a POST or PUT with such fields gets.
pub(crate) fn refused(resource: &Resource, refused: &FieldsRefused) -> ApiError {
    let (kind, version) = (&resource.kind, &resource.version);
    ApiError::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {refused}"))
}

/// What there is to say of an object that is taken nevertheless.
pub(crate) fn warnings(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
    if resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
        return crd::warnings(object, old);
    }
    let what = match (resource.group.as_str(), resource.plural.as_str()) {
        _ if old.is_some() => return Vec::new(),
        ("", "resourcequotas" | "limitranges") => "does not enforce it",
        ("apps", "statefulsets" | "daemonsets") => "runs no pods for it; use a Deployment",
        _ => return Vec::new(),
    };
    vec![format!("this server keeps a {} but {what}", resource.kind)]
}

/// Sets the kind's defaults.
pub(crate) fn default(resource: &Resource, object: &mut Value, old: Option<&Value>) {
    if resource.is("", "services") {
        services::keep_allotted(object, old);
    }
    match &resource.origin {
        Origin::Builtin(builtin) => builtin.default(object),
        Origin::Custom(structural) => structural.default(object),
    }
}

/// Sets what only the server can give: cluster addresses, a Job's selector, a namespace's phase, a CRD's status.
pub(crate) fn allot(api: &Api, resource: &Resource, object: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    if resource.is("", "namespaces") && old.is_none() {
        new_namespace(object);
    }
    if resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
        crd::complete(object, old.is_none());
    }
    if resource.is("batch", "jobs") && old.is_none() {
        jobs::select(object);
    }
    if resource.is("", "services") {
        services::allot(api, resource, object, old)?;
    }
    Ok(())
}

/// Every rule of the kind.
pub(crate) fn validate(resource: &Resource, object: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    if is_deeper(object, MAX_DEPTH) {
        return Err(ApiError::bad_request(format!("the object is nested too deeply: at most {MAX_DEPTH} levels are allowed")));
    }
    let mut errors = match &resource.origin {
        Origin::Builtin(builtin) => builtin.validate(object, old),
        Origin::Custom(structural) => structural.validate_with(meta::validate(resource.namespaced, object), object, old),
    };
    if let Some(old) = old {
        errors.extend(new_finalizers(object, old));
    }
    if errors.is_empty() && resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
        errors.extend(crd::validate(object, old));
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(&resource.group, &resource.kind, object.name(), &errors)) }
}

fn new_finalizers(object: &Value, old: &Value) -> Option<FieldError> {
    if !old.is_deleting() {
        return None;
    }
    let before = old.finalizers();
    let added: Vec<String> = object.finalizers().iter().filter(|f| !before.contains(f)).map(|f| format!("{f:?}")).collect();
    let message = format!(
        "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.join(", ")
    );
    (!added.is_empty()).then(|| FieldError { reason: "FieldValueForbidden", field: "metadata.finalizers".to_owned(), message })
}

fn new_namespace(object: &mut Value) {
    let name = object.name().to_owned();
    let labels = object.meta_map().entry("labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert("kubernetes.io/metadata.name".to_owned(), Value::from(name));
    }
    if let Some(map) = object.as_object_mut() {
        map.insert("spec".to_owned(), json!({"finalizers": ["kubernetes"]}));
        map.insert("status".to_owned(), json!({"phase": "Active"}));
    }
}
