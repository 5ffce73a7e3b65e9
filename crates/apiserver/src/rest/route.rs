//! From an authenticated request to its handler.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};

use super::accept::{Accept, Form, Offer};
use super::query::Query;
use super::update::{Part, Write};
use super::{Body, Reply, Target, binding, collection, create, deletion, logs, patch, read, review, scale, static_paths, update};
use crate::api::Api;
use crate::proto;
use crate::registry::Resource;
use crate::status::ApiError;
use crate::store::Key;
use crate::watch;

/// A request with its whole body.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The content type without its parameters.
    pub(crate) fn media_type(&self) -> &str {
        self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim()
    }
}

/// Answers a request that carried no token: only a few paths are for everybody.
pub(crate) fn refuse(api: &Api, method: &Method, path: &str, query: &Query) -> Response<Body> {
    if matches!(*method, Method::GET | Method::HEAD)
        && let Some(reply) = static_paths::open(api, path)
    {
        return reply.into_response();
    }
    let verb = verb(method, path, query);
    let user = "User \"system:anonymous\"";
    let error = match Target::parse(path) {
        Some(target) => {
            let scope = match &target.namespace {
                Some(namespace) => format!("in the namespace \"{namespace}\""),
                None => "at the cluster scope".to_owned(),
            };
            let why = format!("{user} cannot {verb} resource \"{}\" in API group \"{}\" {scope}", target.resource, target.group);
            match api.resource(&target.group, &target.version, &target.resource) {
                Some(resource) => match &target.name {
                    Some(name) => ApiError::forbidden(&resource, name, &why),
                    None => ApiError::all_forbidden(&resource, &why),
                },
                None => ApiError::new(403, "Forbidden", format!("forbidden: {why}")),
            }
        }
        None => ApiError::new(403, "Forbidden", format!("forbidden: {user} cannot {verb} path \"{path}\"")),
    };
    Reply::from(error).into_response()
}

fn verb(method: &Method, path: &str, query: &Query) -> &'static str {
    let target = Target::parse(path);
    let named = target.as_ref().is_none_or(|t| t.name.is_some());
    match method.as_str() {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if named => "delete",
        "DELETE" => "deletecollection",
        _ if query.flag("watch") => "watch",
        _ if named => "get",
        _ => "list",
    }
}

/// Answers an authenticated request.
pub(crate) async fn handle(api: Arc<Api>, request: Request) -> Response<Body> {
    let read_only = matches!(request.method, Method::GET | Method::HEAD);
    if read_only && let Some(reply) = static_paths::open(&api, &request.path) {
        return reply.into_response();
    }
    if let Some(reply) = static_paths::known(&api, &request) {
        let reply = if read_only { reply } else { Err(ApiError::method_not_allowed()) };
        return reply.unwrap_or_else(Reply::from).into_response();
    }
    let Some(target) = Target::parse(&request.path) else { return static_paths::not_found().into_response() };
    if let Some(reply) = review::review(&target, &request) {
        return reply.unwrap_or_else(Reply::from).into_response();
    }
    let Some(resource) = api.resource(&target.group, &target.version, &target.resource) else {
        return static_paths::no_resource(&target).into_response();
    };
    match dispatch(&api, &request, &target, &resource).await {
        Ok(response) => response,
        Err(error) => {
            // A failure has a message, whatever it is about.
            let form = Accept::negotiate(request.header("accept"), Offer::Messages).map_or(Form::Json, |accept| accept.form);
            Reply::failure(error, form).into_response()
        }
    }
}

fn negotiate(request: &Request, resource: &Resource) -> Result<Accept, ApiError> {
    let has_messages = !resource.is_custom() && proto::is_known(&resource.api_version(), &resource.kind);
    Accept::negotiate(request.header("accept"), if has_messages { Offer::Messages } else { Offer::Objects })
}

async fn dispatch(api: &Arc<Api>, request: &Request, target: &Target, resource: &Arc<Resource>) -> Result<Response<Body>, ApiError> {
    if target.namespace.is_some() && !resource.namespaced {
        return Ok(static_paths::not_found().into_response());
    }
    if let Some(subresource) = &target.subresource {
        return sub(api, request, target, resource, subresource).await;
    }
    let accept = negotiate(request, resource)?;
    let placed = !resource.namespaced || target.namespace.is_some();
    let reply = match (request.method.as_str(), target.name.is_some()) {
        ("GET" | "HEAD", false) if target.watch || request.query.flag("watch") => {
            return watch::serve(api, request, target, resource, accept);
        }
        ("GET" | "HEAD", false) => read::list(api, request, target, resource, accept)?,
        ("GET" | "HEAD", true) if placed => read::get(api, request, target, resource, accept)?,
        ("POST", false) => create::post(api, request, target, resource, accept).await?,
        ("PUT", true) if placed => update::put(Write { api, request, target, resource, part: Part::Main, accept }).await?,
        ("PATCH", true) if placed => patch::patch(Write { api, request, target, resource, part: Part::Main, accept }).await?,
        ("DELETE", true) if placed => deletion::delete(api, request, target, resource, accept).await?,
        // All namespaces at once are not deleted, on no cluster.
        ("DELETE", false) if placed && !resource.is("", "namespaces") => collection::delete(api, request, target, resource, accept).await?,
        ("PUT", false) if resource.is_custom() => return Err(ApiError::bad_request("name must be provided")),
        (_, true) if !placed => return Ok(static_paths::not_found().into_response()),
        _ => return Err(ApiError::method_not_allowed()),
    };
    Ok(reply.into_response())
}

/// There is nobody here who could do less than everything: a token for a ServiceAccount would be the administrator's under another name.
fn no_tokens(api: &Api, target: &Target, resource: &Resource) -> ApiError {
    let name = target.name.as_deref().unwrap_or_default();
    let key = Key::new(&resource.shelf, target.namespace.as_deref().unwrap_or_default(), name);
    if api.store.get(&key).is_none() {
        return ApiError::not_found(resource, name);
    }
    let why = "this server gives no tokens to ServiceAccounts, since it does not enforce RBAC and they could do everything; \
               clients use the token of its kubeconfig";
    ApiError::forbidden(resource, name, why)
}

async fn sub(
    api: &Arc<Api>,
    request: &Request,
    target: &Target,
    resource: &Arc<Resource>,
    subresource: &str,
) -> Result<Response<Body>, ApiError> {
    let pods = resource.is("", "pods");
    let reply = match (subresource, request.method.as_str()) {
        ("status", _) if resource.has_status => {
            let accept = negotiate(request, resource)?;
            let write = Write { api, request, target, resource, part: Part::Status, accept };
            match request.method.as_str() {
                "GET" | "HEAD" => read::get(api, request, target, resource, accept)?,
                "PUT" => update::put(write).await?,
                "PATCH" => patch::patch(write).await?,
                _ => return Err(ApiError::method_not_allowed()),
            }
        }
        ("token", "POST") if resource.is("", "serviceaccounts") => return Err(no_tokens(api, target, resource)),
        ("binding", "POST") if pods => binding::bind(api, request, target, resource).await?,
        ("binding", _) if pods => return Err(ApiError::method_not_allowed()),
        ("scale", _) => scale::scale(api, request, target, resource).await?,
        ("log", "GET") if resource.has_log => return logs::logs(api, request, target, resource).await,
        ("log", _) if resource.has_log => return Err(ApiError::method_not_allowed()),
        ("exec" | "attach" | "portforward", _) if pods => logs::interactive(api, target, resource, subresource)?,
        _ if target.name.is_some() => static_paths::no_subresource(resource, target.name.as_deref().unwrap_or_default()),
        _ => static_paths::not_found(),
    };
    Ok(reply.into_response())
}
