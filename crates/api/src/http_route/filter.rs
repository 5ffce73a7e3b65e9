//! Filters of an HTTPRoute: what is done to requests and responses.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::reference::{BackendObjectReference, LocalObjectReference};

/// One step on a request's way. The type says which one of the other fields is set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteFilter {
    /// Which filter this is.
    #[serde(rename = "type")]
    pub type_: HttpRouteFilterType,
    /// Changes headers of the request.
    pub request_header_modifier: Option<HeaderModifier>,
    /// Changes headers of the response.
    pub response_header_modifier: Option<HeaderModifier>,
    /// Sends a copy of the request to another backend, whose answer is dropped.
    pub request_mirror: Option<RequestMirror>,
    /// Answers with a redirect. Parts that are not given are those of the request.
    pub request_redirect: Option<RequestRedirect>,
    /// Changes host and path before the request is forwarded.
    pub url_rewrite: Option<UrlRewrite>,
    /// Answers cross-origin requests of browsers.
    pub cors: Option<Cors>,
    /// Asks a service whether the request may pass.
    pub external_auth: Option<ExternalAuth>,
    /// An object in the route's namespace that describes a filter of another API, such as an HTTPRouteFilter.
    pub extension_ref: Option<LocalObjectReference>,
}

words! {
    /// The kinds of filters.
    HttpRouteFilterType {
        RequestHeaderModifier = "RequestHeaderModifier",
        ResponseHeaderModifier = "ResponseHeaderModifier",
        RequestMirror = "RequestMirror",
        RequestRedirect = "RequestRedirect",
        UrlRewrite = "URLRewrite",
        ExtensionRef = "ExtensionRef",
        Cors = "CORS",
        ExternalAuth = "ExternalAuth",
    }
}

/// Changes headers: first set, then add, then remove. Names are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderModifier {
    /// Headers that get exactly this value, whatever was there.
    pub set: Vec<HttpHeader>,
    /// Headers that get this value in addition to what was there.
    pub add: Vec<HttpHeader>,
    /// Names of headers that are taken out.
    pub remove: Vec<String>,
}

/// A header with its value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeader {
    /// Name of the header.
    pub name: String,
    /// Value of the header.
    pub value: String,
}

/// Where copies of requests go, and of how many. Default: of all.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestMirror {
    /// The backend that gets the copies.
    pub backend_ref: BackendObjectReference,
    /// How many of a hundred requests are copied.
    pub percent: Option<i32>,
    /// Which part of the requests is copied; instead of percent.
    pub fraction: Option<Fraction>,
}

/// A part of a whole.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fraction {
    /// How many; not more than the denominator.
    pub numerator: i32,
    /// Out of how many. Default: 100.
    #[serde(default = "hundred")]
    pub denominator: i32,
}

fn hundred() -> i32 {
    100
}

/// Where a client is redirected to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRedirect {
    /// Scheme of the new location: http or https. Default: the request's.
    pub scheme: Option<RedirectScheme>,
    /// Host of the new location. Default: the request's.
    pub hostname: Option<String>,
    /// Path of the new location. Default: the request's.
    pub path: Option<HttpPathModifier>,
    /// Port of the new location. Default: the scheme's well-known port if a scheme is given, else the listener's.
    pub port: Option<i32>,
    /// Status of the answer: 301, 302, 303, 307 or 308. Default: 302.
    #[serde(default = "found")]
    pub status_code: i64,
}

fn found() -> i64 {
    302
}

words! {
    /// Scheme of a redirect.
    RedirectScheme { Http = "http", Https = "https" }
}

/// What a request's host and path become.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlRewrite {
    /// The new host. Default: unchanged.
    pub hostname: Option<String>,
    /// The new path. Default: unchanged.
    pub path: Option<HttpPathModifier>,
}

/// How a path is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpPathModifier {
    /// What is replaced: the whole path, or the prefix that matched.
    #[serde(rename = "type")]
    pub type_: HttpPathModifierType,
    /// The new path, for type ReplaceFullPath.
    pub replace_full_path: Option<String>,
    /// What the matched prefix becomes, for type ReplacePrefixMatch; the rest of the path follows it.
    pub replace_prefix_match: Option<String>,
}

words! {
    /// What a path modifier replaces.
    HttpPathModifierType { ReplaceFullPath = "ReplaceFullPath", ReplacePrefixMatch = "ReplacePrefixMatch" }
}

/// What browsers of other origins may do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// Origins that may read responses: scheme and host, with an optional wildcard; or *.
    #[serde(default)]
    pub allow_origins: Vec<String>,
    /// Whether cookies and other credentials may be sent along. Default: no.
    pub allow_credentials: Option<bool>,
    /// Methods that may be used; or *.
    #[serde(default)]
    pub allow_methods: Vec<String>,
    /// Request headers that may be used; or *.
    #[serde(default)]
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may read; or *.
    #[serde(default)]
    pub expose_headers: Vec<String>,
    /// How many seconds a browser may remember a preflight answer. Default: 5.
    #[serde(default = "five")]
    pub max_age: i32,
}

fn five() -> i32 {
    5
}

/// A service that is asked whether a request may pass.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalAuth {
    /// How the service is asked: HTTP, or GRPC with Envoy's external authorization protocol.
    pub protocol: ExternalAuthProtocol,
    /// The service.
    pub backend_ref: BackendObjectReference,
    /// Settings for protocol GRPC.
    pub grpc: Option<GrpcAuth>,
    /// Settings for protocol HTTP.
    pub http: Option<HttpAuth>,
    /// Sends the start of the request's body along. Default: no body.
    pub forward_body: Option<ForwardBody>,
}

words! {
    /// How an authorization service is asked.
    ExternalAuthProtocol { Http = "HTTP", Grpc = "GRPC" }
}

/// What a gRPC authorization service is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcAuth {
    /// Request headers that are sent along. Default: all.
    pub allowed_headers: Vec<String>,
}

/// What an HTTP authorization service is told, and what its answer adds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpAuth {
    /// Put before the path of the request that is asked about. Default: nothing.
    pub path: Option<String>,
    /// Request headers that are sent along, besides Host, Method, Path, Content-Length and Authorization.
    pub allowed_headers: Vec<String>,
    /// Headers of the service's answer that are copied to the request.
    pub allowed_response_headers: Vec<String>,
}

/// How much of a request's body is sent along.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardBody {
    /// Bytes at most; 0 sends no body.
    pub max_size: Option<i64>,
}
