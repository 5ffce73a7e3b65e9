//! Paths that are not resources: version, health, discovery, OpenAPI.

use serde_json::json;

use super::Target;
use super::accept::{Accept, Offer, Shape};
use super::route::Request;
use crate::api::Api;
use crate::builtin;
use crate::discovery::{self, Half};
use crate::openapi;
use crate::registry::Resource;
use crate::rest::Reply;
use crate::status::ApiError;

/// The answer to anything that is no path of ours, as kube-apiserver gives it.
pub(super) fn not_found() -> Reply {
    Reply::text(404, "404 page not found\n").header("x-content-type-options", "nosniff")
}

/// The answer to a resource that is not served. Those who serve a built-in group know all that is in it.
pub(super) fn no_resource(target: &Target) -> Reply {
    if builtin::all().iter().any(|kind| kind.group == target.group && kind.version == target.version) {
        return ApiError::no_such_path().into();
    }
    not_found()
}

/// The answer to a subresource that a resource does not have.
pub(super) fn no_subresource(resource: &Resource, name: &str) -> Reply {
    if resource.is_custom() { ApiError::not_found(resource, name).into() } else { ApiError::no_such_path().into() }
}

/// Answers without a token.
pub(super) fn open(api: &Api, path: &str) -> Option<Reply> {
    match path {
        "/version" | "/version/" => Some(version(api)),
        "/healthz" | "/livez" | "/readyz" => Some(Reply::text(200, "ok")),
        _ => None,
    }
}

fn version(api: &Api) -> Reply {
    let mut numbers = api.git_version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    Reply::json(
        200,
        &json!({
            "major": major, "minor": minor, "gitVersion": api.git_version, "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": platform,
        }),
    )
}

/// OpenAPI v2, as JSON for all who read that.
fn swagger(api: &Api, request: &Request) -> Reply {
    let accepted = request.header("accept").unwrap_or("*/*");
    if !accepted.contains("json") && !accepted.contains('*') {
        return Reply::bytes(200, OPENAPI_V2_TYPE, OPENAPI_V2.as_slice());
    }
    let registry = api.registry();
    let document = registry.swagger(&api.git_version);
    let etag = format!("\"{}\"", document.hash);
    if request.header("if-none-match") == Some(etag.as_str()) {
        return Reply::bytes(304, "application/json", "").header("etag", etag);
    }
    Reply::bytes(200, "application/json", document.text.clone()).header("etag", etag)
}

/// An OpenAPI v2 document that describes nothing, as `openapi.v2.Document` in protobuf: swagger `2.0`, a title, a version, no paths.
/// kubectl asks for it about kinds that OpenAPI v3 lacks, and only with an answer goes on to say that there is no such kind; without one it
/// fails with words about validation.
const OPENAPI_V2: [u8; 18] = *b"\x0a\x032.0\x12\x09\x0a\x04Weir\x12\x011\x42\x00";
/// Asked for with `v2@v1.0`, which is no media type (RFC 2045): the answer has `v2.v1.0`, as a cluster's.
const OPENAPI_V2_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Discovery and OpenAPI; `None` when the path is something else.
pub(super) fn known(api: &Api, request: &Request) -> Option<Result<Reply, ApiError>> {
    let path = request.path.trim_end_matches('/');
    let registry = api.registry();
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let plain = |value: Option<serde_json::Value>| Some(Ok(value.map_or_else(not_found, |v| Reply::json(200, &v))));
    match segments.as_slice() {
        ["api"] => Some(discover(api, request, Half::Core)),
        ["apis"] => Some(discover(api, request, Half::Groups)),
        ["api", version] => plain(discovery::resource_list("", version, registry.resources())),
        ["apis", group] => plain(registry.discovery().group(group)),
        ["apis", group, version] => plain(discovery::resource_list(group, version, registry.resources())),
        ["openapi", "v2"] => Some(Ok(swagger(api, request))),
        ["openapi", "v3"] => {
            let root = openapi::root(registry.documents());
            Some(Ok(Reply::text(200, root.to_string())))
        }
        ["openapi", "v3", ..] => Some(Ok(document(api, request, path))),
        _ => None,
    }
}

fn discover(api: &Api, request: &Request, half: Half) -> Result<Reply, ApiError> {
    let accept = Accept::negotiate(request.header("accept"), Offer::Discovery)?;
    let registry = api.registry();
    let Shape::Discovery(version) = accept.shape else {
        return Ok(Reply::json(
            200,
            &match half {
                Half::Core => discovery::core_versions(&api.address),
                Half::Groups => registry.discovery().group_list.clone(),
            },
        )
        .header("vary", "Accept"));
    };
    let (document, etag) = registry.discovery().aggregated(half, version);
    let content_type = match version {
        "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    };
    let reply = if request.header("if-none-match") == Some(etag) {
        Reply::bytes(304, content_type, "")
    } else {
        Reply::bytes(200, content_type, document.to_string())
    };
    Ok(reply.header("etag", etag).header("vary", "Accept").header("cache-control", "public"))
}

fn document(api: &Api, request: &Request, path: &str) -> Reply {
    let registry = api.registry();
    let key = path.trim_start_matches("/openapi/v3/");
    let Some(document) = registry.documents().get(key) else { return Reply::text(404, "") };
    let etag = format!("\"{}\"", document.hash);
    match request.query.get("hash") {
        Some(hash) if hash == document.hash => {
            if request.header("if-none-match") == Some(etag.as_str()) {
                return Reply::bytes(304, "application/json", "").header("etag", etag);
            }
            // The hash is part of the address: what it names never changes.
            Reply::bytes(200, "application/json", document.text.clone())
                .header("etag", etag)
                .header("cache-control", "public, immutable, max-age=31536000")
        }
        Some(_) => Reply::text(301, "").header("location", format!("/openapi/v3/{key}?hash={}", document.hash)),
        None => Reply::bytes(200, "application/json", document.text.clone()).header("etag", etag),
    }
}
