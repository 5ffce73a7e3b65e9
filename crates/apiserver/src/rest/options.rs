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
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    pub(crate) validation: FieldValidation,
    pub(crate) dry_run: bool,
    /// `fieldManager`, when one is named.
    pub(crate) manager: Option<String>,
    /// An applier takes what others own.
    pub(crate) force: bool,
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
        let manager = query.get("fieldManager");
        check_manager(manager.unwrap_or_default(), kind)?;
        let dry_run: Vec<&str> = query.all("dryRun").collect();
        Ok(Self { validation, dry_run: dry_run_of(&dry_run, kind)?, manager: manager.map(str::to_owned), force: query.flag("force") })
    }

    /// Options of a patch that is no configuration to apply.
    pub(crate) fn of_patch(query: &Query) -> Result<Self, ApiError> {
        if query.get("force").is_some() {
            let text = "Forbidden: may not be specified for non-apply patch";
            return Err(ApiError::invalid_options("PatchOptions", "force", "FieldValueForbidden", text));
        }
        Self::from_query(query, "PatchOptions")
    }

    /// Options of a configuration to apply.
    pub(crate) fn of_apply(query: &Query) -> Result<Self, ApiError> {
        if query.get("fieldManager").is_none() {
            let text = "Required value: is required for apply patch";
            return Err(ApiError::invalid_options("PatchOptions", "fieldManager", "FieldValueRequired", text));
        }
        Self::from_query(query, "PatchOptions")
    }
}

fn check_manager(manager: &str, kind: &str) -> Result<(), ApiError> {
    if manager.len() > 128 {
        let text = "Too long: may not be more than 128 bytes";
        return Err(ApiError::invalid_options(kind, "fieldManager", "FieldValueTooLong", text));
    }
    match manager.char_indices().find(|(_, c)| c.is_control()) {
        None => Ok(()),
        Some((at, c)) => {
            let shown = crate::schema::text::quoted(manager);
            let text = format!("Invalid value: {shown}: invalid character U+{:04X} (at position {at})", u32::from(c));
            Err(ApiError::invalid_options(kind, "fieldManager", "FieldValueInvalid", text))
        }
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
