//! Causes, in the words of `k8s.io/apimachinery/pkg/util/validation/field`.

use serde_json::Value;

use super::text;

/// One cause of a 422 answer: `field: message`, with the machine-readable reason of `metav1.StatusCause`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// `FieldValueInvalid`, `FieldValueRequired`, ...
    pub reason: &'static str,
    /// Path as Kubernetes writes it: `spec.ports[0].port`; `<nil>` where the real server has no path.
    pub field: String,
    /// The cause's own message, without the field.
    pub message: String,
}

pub(crate) const INVALID: &str = "FieldValueInvalid";
pub(crate) const TYPE_INVALID: &str = "FieldValueTypeInvalid";
pub(crate) const REQUIRED: &str = "FieldValueRequired";
pub(crate) const NOT_SUPPORTED: &str = "FieldValueNotSupported";
pub(crate) const DUPLICATE: &str = "FieldValueDuplicate";
pub(crate) const FORBIDDEN: &str = "FieldValueForbidden";
pub(crate) const TOO_LONG: &str = "FieldValueTooLong";
pub(crate) const TOO_MANY: &str = "FieldValueTooMany";

/// What stands for a path where the real server has none.
const NIL: &str = "<nil>";

impl FieldError {
    /// `Invalid value: VALUE: DETAIL`.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new(INVALID, field, format!("Invalid value: {}: {detail}", text::shown(value)))
    }

    /// `Invalid value: DETAIL`, for objects and arrays whose value is left out.
    pub fn invalid_bare(field: impl Into<String>, detail: &str) -> Self {
        Self::new(INVALID, field, format!("Invalid value: {detail}"))
    }

    /// `Invalid value: "": DETAIL` without a path: errors about a schema as a whole.
    pub(crate) fn composite(detail: &str) -> Self {
        Self::new(INVALID, NIL, format!("Invalid value: \"\": {detail}"))
    }

    /// A value of the wrong type: `Invalid value: "FOUND": PATH in body must be of type WANTED: "FOUND"`.
    pub(crate) fn type_invalid(path: &str, wanted: &str, found: &str) -> Self {
        let found = text::quoted(found);
        Self::new(TYPE_INVALID, field_of(path), format!("Invalid value: {found}: {path} in body must be of type {wanted}: {found}"))
    }

    /// `Required value` with an optional detail.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new(REQUIRED, field, with_detail("Required value", detail))
    }

    /// `Forbidden: DETAIL`.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new(FORBIDDEN, field, with_detail("Forbidden", detail))
    }

    /// `Duplicate value: VALUE`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(DUPLICATE, field, format!("Duplicate value: {}", text::shown(value)))
    }

    /// `Unsupported value: VALUE: supported values: "A", "B"`.
    pub fn not_supported<'a>(field: impl Into<String>, value: &Value, supported: impl Iterator<Item = &'a str>) -> Self {
        let supported: Vec<String> = supported.map(text::quoted).collect();
        Self::new(NOT_SUPPORTED, field, format!("Unsupported value: {}: supported values: {}", text::shown(value), supported.join(", ")))
    }

    /// `Too long: may not be more than N bytes`.
    pub fn too_long(field: impl Into<String>, max: u64) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        Self::new(TOO_LONG, field, format!("Too long: may not be more than {max} {unit}"))
    }

    /// `Too many: N: must have at most M items`.
    pub fn too_many(field: impl Into<String>, actual: u64, max: u64) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self::new(TOO_MANY, field, format!("Too many: {actual}: must have at most {max} {unit}"))
    }

    pub(crate) fn new(reason: &'static str, field: impl Into<String>, message: String) -> Self {
        let field = field.into();
        Self { reason, field: if field.is_empty() { NIL.to_owned() } else { field }, message }
    }

    /// The cause that tells that CEL was skipped.
    pub(crate) fn rules_not_checked() -> Self {
        let detail =
            "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        Self::new(INVALID, NIL, format!("Invalid value: null: {detail}"))
    }

    /// Whether CEL rules must not run: they would see values that are not what the schema promises.
    pub(crate) fn blocks_rules(&self) -> bool {
        matches!(self.reason, TYPE_INVALID | REQUIRED | NOT_SUPPORTED | TOO_LONG | TOO_MANY)
    }
}

/// The path of an error at the root of an object is empty in messages and `<nil>` in causes.
fn field_of(path: &str) -> &str {
    if path.is_empty() { NIL } else { path }
}

fn with_detail(what: &str, detail: &str) -> String {
    if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") }
}
