//! GET of one object and of lists.

use serde_json::json;

use super::accept::Accept;
use super::present;
use super::query::Query;
use super::route::Request;
use super::{Target, paging};
use crate::api::Api;
use crate::registry::Resource;
use crate::rest::Reply;
use crate::schema::FieldError;
use crate::selector::Selector;
use crate::status::ApiError;
use crate::store::Key;

pub(super) fn get(api: &Api, request: &Request, target: &Target, resource: &Resource, accept: Accept) -> Result<Reply, ApiError> {
    let name = target.name.as_deref().unwrap_or_default();
    let key = Key::new(&resource.shelf, target.namespace.as_deref().unwrap_or_default(), name);
    wanted_version(&request.query, api.store.version())?;
    let stored = api.store.get(&key).ok_or_else(|| ApiError::not_found(resource, name))?;
    Ok(deprecation(resource, present::one(api, resource, accept, &request.query, 200, &stored)?))
}

pub(super) fn list(api: &Api, request: &Request, target: &Target, resource: &Resource, accept: Accept) -> Result<Reply, ApiError> {
    let query = &request.query;
    let selector = Selector::from_query(query, resource)?;
    wanted_version(query, api.store.version())?;
    check_match(query)?;
    let (found, head) = paging::page(api, target, resource, query, &selector)?;
    Ok(deprecation(resource, present::many(api, resource, accept, query, head, &found)?))
}

/// The version a reader asks for: 0 when it does not matter, an error when it is not there yet.
pub(crate) fn wanted_version(query: &Query, current: u64) -> Result<u64, ApiError> {
    let Some(text) = query.get("resourceVersion") else { return Ok(0) };
    let Ok(wanted) = text.parse::<u64>() else {
        let why = format!("Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax");
        return Err(ApiError::bad_request(format!("invalid resource version: resourceVersion: {why}")));
    };
    if wanted > current {
        let message = format!("Too large resource version: {wanted}, current: {current}");
        let mut error = ApiError::new(504, "Timeout", format!("Timeout: {message}"));
        error = error.with_causes(vec![json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"})]);
        error.retry_after = Some(1);
        return Err(error);
    }
    Ok(wanted)
}

fn check_match(query: &Query) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    let mut refuse = |field: &str, reason: &'static str, message: &str| {
        errors.push(FieldError { reason, field: field.to_owned(), message: message.to_owned() });
    };
    let mut forbid = |why: &str| refuse("resourceVersionMatch", "FieldValueForbidden", &format!("Forbidden: {why}"));
    if let Some(wanted) = query.get("resourceVersionMatch") {
        if query.get("resourceVersion").is_none() {
            forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if query.get("continue").is_some() {
            forbid("resourceVersionMatch is forbidden when continue is provided");
        }
        if wanted == "Exact" && query.get("resourceVersion") == Some("0") {
            forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
        if !matches!(wanted, "Exact" | "NotOlderThan") {
            let why = format!("Unsupported value: \"{wanted}\": supported values: \"Exact\", \"NotOlderThan\", \"\"");
            refuse("resourceVersionMatch", "FieldValueNotSupported", &why);
        }
    }
    if query.get("sendInitialEvents").is_some() {
        refuse("sendInitialEvents", "FieldValueForbidden", "Forbidden: sendInitialEvents is forbidden for list");
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}

fn deprecation(resource: &Resource, reply: Reply) -> Reply {
    match &resource.deprecation {
        Some(warning) => reply.warnings(std::slice::from_ref(warning)),
        None => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_from_the_future_is_to_be_asked_for_again() {
        let error = wanted_version(&Query::parse("resourceVersion=9"), 5).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (504, "Timeout: Too large resource version: 9, current: 5"));
        assert_eq!(error.retry_after, Some(1));
        assert_eq!(wanted_version(&Query::parse("resourceVersion=5"), 5).unwrap(), 5);
        assert_eq!(wanted_version(&Query::parse("watch=1"), 5).unwrap(), 0);
        assert!(wanted_version(&Query::parse("resourceVersion=x"), 5).is_err());
    }
}
