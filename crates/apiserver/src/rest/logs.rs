//! `pods/NAME/log`.

use http::Response;
use serde_json::Value;

use super::query::Query;
use super::route::Request;
use super::{Body, Target, body_stream};
use crate::api::Api;
use crate::hooks::{LogError, LogRequest};
use crate::object::ObjectExt;
use crate::registry::Resource;
use crate::rest::Reply;
use crate::schema::FieldError;
use crate::status::ApiError;
use crate::store::Key;

pub(super) async fn logs(api: &Api, request: &Request, target: &Target, resource: &Resource) -> Result<Response<Body>, ApiError> {
    let name = target.name.as_deref().unwrap_or_default();
    let key = Key::new(&resource.shelf, target.namespace.as_deref().unwrap_or_default(), name);
    let pod = api.store.parsed(&key).ok_or_else(|| ApiError::not_found(resource, name))?;
    let wanted = options(&request.query, &pod.value)?;
    let container = wanted.container.clone();
    let reader = api.hooks.pod_logs.as_ref().ok_or_else(|| ApiError::bad_request("this server has no pods to read logs of"))?;
    let stream = reader.open(wanted).await.map_err(|error| match error {
        LogError::Waiting(reason) => {
            ApiError::bad_request(format!("container \"{container}\" in pod \"{name}\" is waiting to start: {reason}"))
        }
        LogError::Other(text) => ApiError::bad_request(text),
    })?;
    let mut response = Response::new(body_stream(futures::StreamExt::take_until(stream, api.stop.clone().cancelled_owned())));
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache, private"));
    Ok(response)
}

fn options(query: &Query, pod: &Value) -> Result<LogRequest, ApiError> {
    let mut errors = Vec::new();
    let mut number = |key: &str, least: i64, rule: &str| -> Result<Option<i64>, ApiError> {
        let Some(text) = query.get(key) else { return Ok(None) };
        let number: i64 =
            text.parse().map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax")))?;
        if number < least {
            errors.push(invalid(key, "FieldValueInvalid", format!("Invalid value: {number}: must be {rule}")));
        }
        Ok(Some(number))
    };
    let tail = number("tailLines", 0, "greater than or equal to 0")?;
    let since_seconds = number("sinceSeconds", 1, "greater than 0")?;
    let limit = number("limitBytes", 1, "greater than 0")?;
    let since_time = match query.get("sinceTime") {
        None => None,
        Some(text) => {
            let time: Result<jiff::Timestamp, _> = text.parse();
            Some(time.map_err(|_| ApiError::bad_request(format!("parsing time \"{text}\": not an RFC 3339 time")))?.as_second())
        }
    };
    if since_seconds.is_some() && since_time.is_some() {
        let message = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
        errors.push(invalid("[]", "FieldValueForbidden", message.to_owned()));
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid("", "PodLogOptions", pod.name(), &errors));
    }
    let container = container(query, pod)?;
    let since = since_time.or_else(|| since_seconds.map(|s| jiff::Timestamp::now().as_second() - s));
    let unsigned = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
    Ok(LogRequest {
        namespace: pod.namespace().to_owned(),
        pod: pod.name().to_owned(),
        uid: pod.uid().to_owned(),
        container,
        previous: query.flag("previous"),
        follow: query.flag("follow"),
        tail_lines: unsigned(tail),
        since,
        timestamps: query.flag("timestamps"),
        limit_bytes: unsigned(limit),
    })
}

fn invalid(field: &str, reason: &'static str, message: String) -> FieldError {
    FieldError { reason, field: field.to_owned(), message }
}

/// The container asked for, or the only one.
fn container(query: &Query, pod: &Value) -> Result<String, ApiError> {
    let of = |pointer: &str| -> Vec<&str> {
        let list = pod.pointer(pointer).and_then(Value::as_array);
        list.map(|l| l.iter().filter_map(|c| c.get("name")?.as_str()).collect()).unwrap_or_default()
    };
    let (containers, init) = (of("/spec/containers"), of("/spec/initContainers"));
    match query.get("container") {
        Some(name) if containers.contains(&name) || init.contains(&name) => Ok(name.to_owned()),
        Some(name) => Err(ApiError::bad_request(format!("container {name} is not valid for pod {}", pod.name()))),
        None => match containers.as_slice() {
            [only] => Ok((*only).to_owned()),
            many => {
                let list = many.join(" ");
                Err(ApiError::bad_request(format!("a container name must be specified for pod {}, choose one of: [{list}]", pod.name())))
            }
        },
    }
}

/// `exec`, `attach`, `portforward`: refused with what to do instead.
pub(super) fn interactive(api: &Api, target: &Target, resource: &Resource, what: &str) -> Result<Reply, ApiError> {
    let name = target.name.as_deref().unwrap_or_default();
    let key = Key::new(&resource.shelf, target.namespace.as_deref().unwrap_or_default(), name);
    let pod = api.store.parsed(&key).ok_or_else(|| ApiError::not_found(resource, name))?;
    let text = match &api.hooks.refusal {
        Some(refusal) => refusal(what, &pod.value),
        None => format!("{what} is not supported: this pod runs inside the server's own process"),
    };
    Err(ApiError::bad_request(text))
}
