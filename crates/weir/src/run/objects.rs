//! Reading objects as they are, without types: what start and banner need of them.

use kube::Client;
use serde_json::Value;

/// A condition that speaks of the object as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition<'o> {
    pub(crate) status: &'o str,
    pub(crate) reason: &'o str,
    pub(crate) message: &'o str,
}

/// The object's condition `kind`, unless it speaks of an older generation.
pub(crate) fn condition<'o>(object: &'o Value, kind: &str) -> Option<Condition<'o>> {
    let status = object.get("status")?;
    let found = status.get("conditions")?.as_array()?.iter().find(|condition| condition["type"] == kind)?;
    let observed = found.get("observedGeneration").or_else(|| status.get("observedGeneration")).and_then(Value::as_i64);
    if observed < object.pointer("/metadata/generation").and_then(Value::as_i64) && observed.is_some() {
        return None;
    }
    let text = |field: &str| found.get(field).and_then(Value::as_str).unwrap_or_default();
    Some(Condition { status: text("status"), reason: text("reason"), message: text("message") })
}

/// `namespace/name`.
pub(crate) fn full_name(object: &Value) -> String {
    let text = |field: &str| object.pointer(&format!("/metadata/{field}")).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}

/// The objects of a collection.
///
/// # Errors
/// When the API does not answer with them.
pub(crate) async fn list(client: &Client, path: &str) -> Result<Vec<Value>, kube::Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    let mut answer: Value = client.request(request).await?;
    Ok(match answer["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    })
}

/// An object, when it is there.
///
/// # Errors
/// When the API does not answer.
pub(crate) async fn get(client: &Client, path: &str) -> Result<Option<Value>, kube::Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    match client.request(request).await {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}
