//! Request bodies: JSON, YAML, and protobuf for built-in kinds.

use serde_json::Value;

use super::duplicates::duplicates;
use super::route::Request;
use crate::proto;
use crate::registry::Resource;
use crate::status::ApiError;

/// A decoded body.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) object: Value,
    /// Paths of keys that were given twice.
    pub(crate) duplicates: Vec<String>,
}

/// Characters of a body that an error shows whole.
const MAX_SHOWN: usize = 512;
const KNOWN: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// Decodes any object, by content type; an absent type means JSON.
pub(crate) fn decode(request: &Request) -> Result<Decoded, ApiError> {
    let plain = |object| Decoded { object, duplicates: Vec::new() };
    match request.media_type() {
        "" | "application/json" => {
            // Clients have sent protobuf and YAML under no type at all.
            if request.body.starts_with(proto::MAGIC) {
                return proto::decode(&request.body).map(plain).map_err(ApiError::bad_request);
            }
            let object = json(&request.body)?;
            Ok(Decoded { object, duplicates: duplicates(&request.body) })
        }
        "application/yaml" => yaml(&request.body).map(plain),
        "application/vnd.kubernetes.protobuf" => proto::decode(&request.body).map(plain).map_err(ApiError::bad_request),
        _ => {
            let known = format!("the body of the request was in an unknown format - accepted media types include: {KNOWN}");
            Err(ApiError::unsupported_media(known))
        }
    }
}

/// Decodes a configuration that is to be applied: YAML, of which JSON is a part.
pub(crate) fn decode_applied(request: &Request) -> Result<Value, ApiError> {
    let decoded = match serde_json::from_slice(&request.body) {
        Ok(value) => Ok(value),
        Err(_) => yaml(&request.body),
    };
    match decoded {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(other) => {
            let found = match other {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Number(_) => "number",
                Value::Bool(_) => "bool",
                _ => return Err(ApiError::bad_request("invalid object type: /, Kind=")),
            };
            Err(ApiError::bad_request(format!(
                "error decoding patch: error unmarshaling JSON: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
            )))
        }
        Err(mut error) => {
            error.message = format!("error decoding patch: {}", error.message);
            Err(error)
        }
    }
}

/// Decodes an object of this resource's kind and checks that it says so.
pub(crate) fn decode_kind(request: &Request, resource: &Resource) -> Result<Decoded, ApiError> {
    let mut decoded = decode(request).map_err(|mut error| {
        if error.code == 400 {
            error.message = format!("the object provided is unrecognized (must be of type {}): {}", resource.kind, error.message);
        }
        error
    })?;
    check_kind(&mut decoded.object, resource, &request.body)?;
    Ok(decoded)
}

fn json(body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("couldn't get version/kind; json parse error: {error} ({})", summary(body))))
}

fn yaml(body: &[u8]) -> Result<Value, ApiError> {
    let text = std::str::from_utf8(body).map_err(|_| ApiError::bad_request("error converting YAML to JSON: the body is not UTF-8"))?;
    serde_saphyr::from_str(text).map_err(|e| ApiError::bad_request(format!("error converting YAML to JSON: {e}")))
}

/// A body in an error message, cut as kube-apiserver does.
fn summary(body: &[u8]) -> String {
    const MAX: usize = 30;
    let shown = body.get(..MAX.min(body.len())).unwrap_or_default();
    let text = if shown.starts_with(b"{") { String::from_utf8_lossy(shown).into_owned() } else { hex::encode(shown) };
    if shown.len() < body.len() { format!("{text} ...") } else { text }
}

fn check_kind(object: &mut Value, resource: &Resource, body: &[u8]) -> Result<(), ApiError> {
    // What leaves out both is taken for what the path says, where the kinds are the server's own.
    if !resource.is_custom()
        && let Value::Object(map) = object
        && !map.contains_key("kind")
        && !map.contains_key("apiVersion")
    {
        map.insert("kind".to_owned(), Value::from(resource.kind.as_str()));
        map.insert("apiVersion".to_owned(), Value::from(resource.api_version()));
    }
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let (kind, version) = (text("kind"), text("apiVersion"));
    if !object.is_object() || kind.is_empty() {
        let text: String = String::from_utf8_lossy(body).chars().take(MAX_SHOWN).collect();
        let (kind, summary) = (&resource.kind, summary(body));
        let message =
            format!("the object provided is unrecognized (must be of type {kind}): Object 'Kind' is missing in '{text}' ({summary})");
        return Err(ApiError::bad_request(message));
    }
    let expected = resource.api_version();
    if version != expected {
        let message = format!("the API version in the data ({version}) does not match the expected API version ({expected})");
        return Err(ApiError::bad_request(message));
    }
    if kind != resource.kind {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let error = crate::schema::FieldError {
            reason: "FieldValueInvalid",
            field: "kind".to_owned(),
            message: format!("Invalid value: \"{kind}\": must be {}", resource.kind),
        };
        return Err(ApiError::invalid(&resource.group, kind, name, &[error]));
    }
    Ok(())
}
