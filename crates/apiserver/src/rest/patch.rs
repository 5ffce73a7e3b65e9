//! PATCH: JSON merge patch, strategic merge patch, JSON patch. Server-side apply goes its own way.

use parking_lot::Mutex;
use serde_json::Value;

use super::admit::FieldsRefused;
use super::body::Decoded;
use super::options::WriteOptions;
use super::present::present as shown;
use super::route::Request;
use super::update::{Made, Write, change, check_place, immutable};
use super::{admit, apply, owners};
use crate::apply::Operation;
use crate::events;
use crate::object::ObjectExt;
use crate::patch;
use crate::registry::Resource;
use crate::rest::Reply;
use crate::schema::FieldError;
use crate::status::ApiError;
use crate::store::Parsed;

/// A patch as it was sent.
#[derive(Debug)]
pub(super) enum Patch {
    Merge(Value),
    Strategic(Value),
    Json(json_patch::Patch),
}

impl Patch {
    pub(super) fn parse(request: &Request, resource: &Resource) -> Result<Self, ApiError> {
        let accepted = "application/json-patch+json, application/merge-patch+json";
        let unknown = "the body of the request was in an unknown format - accepted media types include";
        match request.media_type() {
            "application/merge-patch+json" => object(&request.body, "error decoding patch: ").map(Self::Merge),
            "application/strategic-merge-patch+json" if !resource.is_custom() => object(&request.body, "").map(Self::Strategic),
            "application/json-patch+json" => operations(&request.body).map(Self::Json),
            _ if resource.is_custom() => Err(ApiError::unsupported_media(format!("{unknown}: {accepted}, application/apply-patch+yaml"))),
            _ => Err(unknown_type()),
        }
    }

    /// The patched object.
    pub(super) fn apply(&self, resource: &Resource, object: &Value) -> Result<Value, ApiError> {
        match self {
            Self::Merge(changes) => {
                let mut object = object.clone();
                patch::json_merge(&mut object, changes);
                Ok(object)
            }
            Self::Strategic(changes) => match resource.builtin() {
                // The real server does not call these the client's either.
                Some(builtin) => patch::strategic(builtin, object, changes).map_err(|e| ApiError::new(500, "", e)),
                None => Err(unknown_type()),
            },
            Self::Json(operations) => {
                let mut object = object.clone();
                patch::json_patch(&mut object, operations).map_err(|_| unprocessable())?;
                Ok(object)
            }
        }
    }

    /// What is no longer of its kind cannot be decoded as it. Custom kinds, and strategic patches, leave that out of account.
    fn check_kind(&self, resource: &Resource, patched: &Value) -> Result<(), ApiError> {
        let text = |key: &str| patched.get(key).and_then(Value::as_str).unwrap_or_default();
        let (kind, version) = (text("kind"), text("apiVersion"));
        if resource.is_custom() || matches!(self, Self::Strategic(_)) || (kind == resource.kind && version == resource.api_version()) {
            return Ok(());
        }
        Err(self.refused(patched, &format!("no kind \"{kind}\" is registered for version \"{version}\" at this path")))
    }

    /// 422 about the patch; its value is shown as the real server does: the patched object, or for a strategic patch the patch in
    /// the way Go prints a map.
    fn refused(&self, patched: &Value, why: &str) -> ApiError {
        let shown = match self {
            Self::Strategic(changes) => crate::schema::text::go_value(changes),
            _ => patched.to_string(),
        };
        let message = format!("Invalid value: {}: {why}", Value::from(shown));
        ApiError::invalid("", "", "", &[FieldError { reason: "FieldValueInvalid", field: "patch".to_owned(), message }])
    }
}

fn unprocessable() -> ApiError {
    let mut error = ApiError::new(422, "Invalid", "the server rejected our request due to an error in our request");
    error.details = Some(Box::new(serde_json::json!({})));
    error
}

fn unknown_type() -> ApiError {
    let mut error = ApiError::unsupported_media("415: Unsupported Media Type");
    error.details = Some(Box::new(serde_json::json!({})));
    error
}

/// The operations of a JSON patch. What is no operation is found where it would be applied, as by the real server.
fn operations(body: &[u8]) -> Result<json_patch::Patch, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|_| ApiError::bad_request("invalid JSON patch"))?;
    if let Value::Array(operations) = &value {
        let (max, count) = (patch::MAX_OPERATIONS, operations.len());
        if count > max {
            let why = format!("Request entity too large: The allowed maximum operations in a JSON patch is {max}, got {count}");
            return Err(ApiError::new(413, "RequestEntityTooLarge", why));
        }
        return serde_json::from_value(value).map_err(|_| unprocessable());
    }
    let found = kind(&value);
    Err(ApiError::bad_request(format!("error decoding patch: json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp")))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null => "null",
    }
}

fn object(body: &[u8], prefix: &str) -> Result<Value, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|_| ApiError::bad_request("invalid JSON patch"))?;
    if value.is_object() {
        return Ok(value);
    }
    let found = kind(&value);
    Err(ApiError::bad_request(format!("{prefix}json: cannot unmarshal {found} into Go value of type map[string]interface {{}}")))
}

pub(super) async fn patch(write: Write<'_>) -> Result<Reply, ApiError> {
    let Write { api, request, target, resource, part, .. } = write;
    if request.media_type() == "application/apply-patch+yaml" {
        return apply::patch(write).await;
    }
    let patch = Patch::parse(request, resource)?;
    let options = WriteOptions::of_patch(&request.query)?;
    let name = write.name();
    let warnings = Mutex::new(Vec::new());
    let make = |old: &Parsed| {
        // A JSON patch may go into the list of owners; the others replace it as a whole, if they name it.
        let whole = matches!(patch, Patch::Json(_)).then(|| old.whole());
        let patched = patch.apply(resource, &shown(resource, whole.as_ref().unwrap_or(&old.value)))?;
        patch.check_kind(resource, &patched)?;
        let mut decoded = Decoded { object: patched.clone(), duplicates: Vec::new() };
        let found = admit::fields(resource, &mut decoded, options.validation).map_err(|e| match &e {
            // A strategic patch is merged without Go's JSON decoder, whose words differ.
            FieldsRefused::Type(error) if matches!(patch, Patch::Strategic(_)) => patch.refused(&patched, &error.unstructured()),
            _ => patch.refused(&patched, &e.to_string()),
        })?;
        *warnings.lock() = found;
        warnings.lock().extend(admit::warnings(resource, &decoded.object, Some(&old.value)));
        check_place(&decoded.object, target)?;
        let uid = decoded.object.uid();
        if !uid.is_empty() && uid != old.uid() {
            return Err(immutable(resource, name, "uid", uid));
        }
        Ok(Made::Written(if resource.group == "events.k8s.io" { events::to_core(&decoded.object) } else { decoded.object }))
    };
    let keeper = api.keeper(resource);
    let who = owners::who(request, &options, &keeper, part, Operation::Update);
    let stored = change(api, &keeper, part, &write.key(), options.dry_run, Some(&who), make).await?;
    write.reply(200, &stored, &warnings.into_inner())
}
