//! Options of writes that are in the query: field validation, dry run, field manager.

use super::query::Query;
use crate::status::ApiError;

/// What happens to fields that the kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// Options of one write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteOptions {
    pub(crate) validation: FieldValidation,
    pub(crate) dry_run: bool,
}

impl WriteOptions {
    /// `kind` is what the options are called in a refusal: `CreateOptions`, `UpdateOptions`, `PatchOptions`.
    pub(crate) fn from_query(query: &Query, kind: &str) -> Result<Self, ApiError> {
        let validation = match query.get("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let text = format!("Unsupported value: \"{other}\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"");
                return Err(ApiError::invalid_options(kind, "fieldValidation", "FieldValueNotSupported", text));
            }
        };
        if query.get("fieldManager").is_some_and(|m| m.len() > 128) {
            let text = "Too long: may not be more than 128 bytes";
            return Err(ApiError::invalid_options(kind, "fieldManager", "FieldValueTooLong", text));
        }
        if query.get("force").is_some() {
            let text = "Forbidden: may not be specified for non-apply patch";
            return Err(ApiError::invalid_options(kind, "force", "FieldValueForbidden", text));
        }
        let dry_run: Vec<&str> = query.all("dryRun").collect();
        Ok(Self { validation, dry_run: dry_run_of(&dry_run, kind)? })
    }
}

/// Whether `dryRun` asks for one.
pub(crate) fn dry_run_of(values: &[&str], kind: &str) -> Result<bool, ApiError> {
    match values {
        [] => Ok(false),
        ["All"] => Ok(true),
        others => {
            let list: Vec<String> = others.iter().map(|v| format!("{v:?}")).collect();
            let text = format!("Unsupported value: [{}]: supported values: \"All\"", list.join(" "));
            Err(ApiError::invalid_options(kind, "dryRun", "FieldValueNotSupported", text))
        }
    }
}
