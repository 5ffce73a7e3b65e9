//! Failures as the API tells them: a `Status` body with code, reason, message and causes.

use serde_json::{Map, Value, json};

use crate::registry::Resource;
use crate::schema::FieldError;

/// A failed request: everything its `Status` body needs.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// Boxed: an error shall be small where there is none.
    pub(crate) details: Option<Box<Value>>,
    pub(crate) retry_after: Option<u32>,
    /// Where an expired list can be continued.
    pub(crate) next: Option<Box<str>>,
}

impl ApiError {
    /// A failure without details.
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, retry_after: None, next: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        let mut error = Self::new(500, "InternalError", format!("Internal error occurred: {message}"));
        error.details = Some(Box::new(json!({"causes": [{"message": message}]})));
        error
    }

    pub(crate) fn method_not_allowed() -> Self {
        let mut error = Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
        error.details = Some(Box::new(json!({})));
        error
    }

    pub(crate) fn unsupported_media(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        Self::about(404, "NotFound", &resource.group, &resource.plural, name, format!("{} \"{name}\" not found", resource.qualified()))
    }

    pub(crate) fn namespace_not_found(name: &str) -> Self {
        Self::about(404, "NotFound", "", "namespaces", name, format!("namespaces \"{name}\" not found"))
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::about(409, "AlreadyExists", &resource.group, &resource.plural, name, message)
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", resource.qualified());
        Self::about(403, "Forbidden", &resource.group, &resource.plural, name, message)
    }

    /// As [`ApiError::forbidden`], of no object in particular.
    pub(crate) fn all_forbidden(resource: &Resource, why: &str) -> Self {
        let message = format!("{} is forbidden: {why}", resource.qualified());
        Self::about(403, "Forbidden", &resource.group, &resource.plural, "", message)
    }

    /// There is no such thing below a group and version that are served.
    pub(crate) fn no_such_path() -> Self {
        let mut error = Self::new(404, "NotFound", "the server could not find the requested resource");
        error.details = Some(Box::new(json!({})));
        error
    }

    /// Another writer was faster than the version the client read.
    pub(crate) fn conflict(resource: &Resource, name: &str) -> Self {
        const WHY: &str = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict_because(&resource.group, &resource.plural, name, WHY)
    }

    pub(crate) fn conflict_because(group: &str, kind: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", dotted(kind, group));
        Self::about(409, "Conflict", group, kind, name, message)
    }

    /// 422 with one cause per field error; `kind` is the Kind, as everywhere but in "must be specified for an update".
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let texts: Vec<String> =
            errors.iter().map(|e| if e.field.is_empty() { e.message.clone() } else { format!("{}: {}", e.field, e.message) }).collect();
        let list = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut error = Self::about(422, "Invalid", group, kind, name, format!("{} \"{name}\" is invalid: {list}", dotted(kind, group)));
        let causes: Vec<Value> = errors.iter().map(|e| json!({"reason": e.reason, "message": e.message, "field": e.field})).collect();
        error.set_causes(causes);
        error
    }

    /// 422 about request options (`CreateOptions` and its like).
    pub(crate) fn invalid_options(kind: &str, field: &str, reason: &'static str, message: impl Into<String>) -> Self {
        Self::invalid("meta.k8s.io", kind, "", &[FieldError { reason, field: field.to_owned(), message: message.into() }])
    }

    pub(crate) fn with_causes(mut self, causes: Vec<Value>) -> Self {
        self.set_causes(causes);
        self
    }

    fn set_causes(&mut self, causes: Vec<Value>) {
        let details = self.details.get_or_insert_with(|| Box::new(json!({})));
        if let Some(details) = details.as_object_mut() {
            details.insert("causes".to_owned(), Value::Array(causes));
        }
    }

    fn about(code: u16, reason: &'static str, group: &str, kind: &str, name: &str, message: String) -> Self {
        let mut details = Map::new();
        for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), Value::from(value));
            }
        }
        Self { code, reason, message, details: Some(Box::new(Value::Object(details))), retry_after: None, next: None }
    }

    /// The `Status` object.
    pub(crate) fn body(&self) -> Value {
        let metadata = self.next.as_ref().map_or_else(|| json!({}), |next| json!({"continue": next}));
        let mut body = json!({"kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure", "message": self.message});
        if let Some(map) = body.as_object_mut() {
            if !self.reason.is_empty() {
                map.insert("reason".to_owned(), Value::from(self.reason));
            }
            let mut details = self.details.as_deref().cloned();
            if let Some(seconds) = self.retry_after {
                let details = details.get_or_insert_with(|| json!({}));
                crate::object::set_or_remove(details, "retryAfterSeconds", Some(&Value::from(seconds)));
            }
            if let Some(details) = details {
                map.insert("details".to_owned(), details);
            }
            map.insert("code".to_owned(), Value::from(self.code));
        }
        body
    }
}

fn dotted(kind: &str, group: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

/// The `Status` that answers a successful delete.
pub(crate) fn deleted(resource: &Resource, name: &str, uid: &str) -> Value {
    let mut details = Map::new();
    for (key, value) in [("name", name), ("group", &resource.group), ("kind", &resource.plural), ("uid", uid)] {
        if !value.is_empty() {
            details.insert(key.to_owned(), Value::from(value));
        }
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
