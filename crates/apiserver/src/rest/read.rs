//! GET of one object and of lists.

use serde_json::json;

use super::Target;
use super::accept::Accept;
use super::present::{self, ListMeta};
use super::query::Query;
use super::route::Request;
use crate::api::Api;
use crate::registry::Resource;
use crate::rest::Reply;
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
    check_paging(query)?;
    let selector = Selector::from_query(query, resource)?;
    let (objects, version) = api.store.list(&resource.shelf, target.namespace.as_deref());
    let wanted = wanted_version(query, version)?;
    check_match(query, wanted, version)?;
    let found: Vec<_> = objects.into_iter().filter(|o| selector.matches(&o.value)).collect();
    Ok(deprecation(resource, present::many(api, resource, accept, query, ListMeta::whole(version), &found)?))
}

/// Lists are answered whole, which `limit` allows; there is never a `continue` to come back with.
fn check_paging(query: &Query) -> Result<(), ApiError> {
    if let Some(limit) = query.get("limit")
        && limit.parse::<i64>().is_err()
    {
        return Err(ApiError::bad_request(format!("strconv.ParseInt: parsing \"{limit}\": invalid syntax")));
    }
    if query.get("continue").is_some() {
        let why = "continue key is not valid: this server answers lists whole and hands out no continue tokens";
        return Err(ApiError::bad_request(format!("invalid continue token: {why}")));
    }
    Ok(())
}

/// The version a reader asks for: 0 when it does not matter, an error when it is not there yet.
pub(crate) fn wanted_version(query: &Query, current: u64) -> Result<u64, ApiError> {
    let Some(text) = query.get("resourceVersion") else { return Ok(0) };
    let Ok(wanted) = text.parse::<u64>() else {
        let message = format!("Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax");
        return Err(ApiError::invalid_options("ListOptions", "resourceVersion", "FieldValueInvalid", message));
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

fn check_match(query: &Query, wanted: u64, current: u64) -> Result<(), ApiError> {
    match query.get("resourceVersionMatch") {
        None | Some("NotOlderThan") => Ok(()),
        // Only the present is kept.
        Some("Exact") if wanted == current => Ok(()),
        Some("Exact") => Err(ApiError::new(410, "Expired", "The resourceVersion for the provided list is too old.")),
        Some(other) => {
            let message = format!("Unsupported value: \"{other}\": supported values: \"Exact\", \"NotOlderThan\"");
            Err(ApiError::invalid_options("ListOptions", "resourceVersionMatch", "FieldValueNotSupported", message))
        }
    }
}

fn deprecation(resource: &Resource, reply: Reply) -> Reply {
    if resource.is("", "endpoints") {
        return reply.warnings(&["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()]);
    }
    reply
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
