//! HTTPRoute: which requests go to which backends, and what happens to them on the way.

pub mod filter;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::object::Object;
use crate::reference::{ParentReference, service_kind};

pub use filter::HttpRouteFilter;

/// An HTTPRoute object.
pub type HttpRoute = Object<HttpRouteSpec>;

/// Attaches rules to parents: requests for the hostnames that fit a rule's matches go to its backends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// The Gateways, or their listeners, that the route attaches to.
    #[serde(default)]
    pub parent_refs: Vec<ParentReference>,
    /// Attaches the route to default Gateways of this scope as well. Default: None.
    pub use_default_gateways: Option<UseDefaultGateways>,
    /// Hostnames that are served, each with an optional leading wildcard label. Default: every hostname of the listener.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// What is matched and where it goes. Default: one rule that matches every path and has no backend.
    #[serde(default = "default_rules")]
    pub rules: Vec<HttpRouteRule>,
}

fn default_rules() -> Vec<HttpRouteRule> {
    vec![HttpRouteRule::default()]
}

words! {
    /// Which default Gateways a route attaches to.
    UseDefaultGateways { All = "All", None = "None" }
}

/// One rule: a request that fits any of the matches goes through the filters to one of the backends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteRule {
    /// Name of the rule, unique within the route; the sectionName of references to it.
    pub name: Option<String>,
    /// A request fits the rule when it fits one of these. Default: the path prefix /.
    pub matches: Vec<HttpRouteMatch>,
    /// What is done to requests and responses of this rule, in order.
    pub filters: Vec<HttpRouteFilter>,
    /// Where requests go, shared by weight. Without one, and without a filter that answers, the answer is 500.
    pub backend_refs: Vec<HttpBackendRef>,
    /// How long a request may take.
    pub timeouts: Option<HttpRouteTimeouts>,
    /// When a failed request is sent again.
    pub retry: Option<HttpRouteRetry>,
    /// Keeps the requests of one client session on one backend endpoint.
    pub session_persistence: Option<SessionPersistence>,
}

impl Default for HttpRouteRule {
    fn default() -> Self {
        Self {
            name: None,
            matches: vec![HttpRouteMatch::default()],
            filters: Vec::new(),
            backend_refs: Vec::new(),
            timeouts: None,
            retry: None,
            session_persistence: None,
        }
    }
}

/// One match: every part that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteMatch {
    /// What the path must be. Default: the prefix /.
    pub path: HttpPathMatch,
    /// Headers that must be there, all of them.
    pub headers: Vec<HttpHeaderMatch>,
    /// Query parameters that must be there, all of them.
    pub query_params: Vec<HttpQueryParamMatch>,
    /// The method that the request must have. Default: any.
    pub method: Option<HttpMethod>,
}

/// What the path must be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpPathMatch {
    /// Exact: the whole path. PathPrefix: whole segments from the start. RegularExpression: as the implementation reads it. Default: PathPrefix.
    #[serde(rename = "type")]
    pub type_: PathMatchType,
    /// The path, prefix or expression. Default: /.
    pub value: String,
}

impl Default for HttpPathMatch {
    fn default() -> Self {
        Self { type_: PathMatchType::default(), value: "/".to_owned() }
    }
}

words! {
    /// How a path is compared.
    PathMatchType { Exact = "Exact", PathPrefix = "PathPrefix", RegularExpression = "RegularExpression" } default PathPrefix
}

words! {
    /// How a value is compared.
    ValueMatchType { Exact = "Exact", RegularExpression = "RegularExpression" } default Exact
}

/// A header that must be there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeaderMatch {
    /// How the value is compared. Default: Exact.
    #[serde(default, rename = "type")]
    pub type_: ValueMatchType,
    /// Name of the header, compared without regard to case.
    pub name: String,
    /// The value or expression.
    pub value: String,
}

/// A query parameter that must be there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpQueryParamMatch {
    /// How the value is compared. Default: Exact.
    #[serde(default, rename = "type")]
    pub type_: ValueMatchType,
    /// Name of the parameter, compared exactly.
    pub name: String,
    /// The value or expression.
    pub value: String,
}

words! {
    /// A request method.
    HttpMethod {
        Get = "GET", Head = "HEAD", Post = "POST", Put = "PUT", Delete = "DELETE", Connect = "CONNECT", Options = "OPTIONS",
        Trace = "TRACE", Patch = "PATCH",
    }
}

/// A backend with its share of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpBackendRef {
    /// API group. Default: empty, the core group.
    #[serde(default)]
    pub group: String,
    /// Kind. Default: Service.
    #[serde(default = "service_kind")]
    pub kind: String,
    /// Name of the backend.
    pub name: String,
    /// Namespace of the backend. Another namespace than the route's needs a ReferenceGrant there. Default: the route's.
    pub namespace: Option<String>,
    /// Port of the backend. Required for a Service, where it is the Service's own port rather than its pods'.
    pub port: Option<i32>,
    /// Share of the requests: this weight divided by the sum of the rule's weights. 0 sends none. Default: 1.
    #[serde(default = "one")]
    pub weight: i32,
    /// What is done to requests and responses of this backend alone.
    #[serde(default)]
    pub filters: Vec<HttpRouteFilter>,
}

fn one() -> i32 {
    1
}

/// How long a request may take. 0s means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteTimeouts {
    /// From the request's arrival to the end of the response, retries included; such as 10s. After it: 504.
    pub request: Option<String>,
    /// One attempt at a backend; not longer than request. After it: 504, or the next attempt.
    pub backend_request: Option<String>,
}

/// When a failed request is sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteRetry {
    /// Status codes of a backend that are tried again, 400 to 599. Failed connections are always tried again.
    pub codes: Vec<i64>,
    /// How often a request is sent again at most.
    pub attempts: Option<i64>,
    /// The least pause between attempts; such as 100ms.
    pub backoff: Option<String>,
}

/// Keeps a client's session on one backend endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionPersistence {
    /// Name of the cookie or header that carries the session. Default: chosen by the implementation.
    pub session_name: Option<String>,
    /// How long a session lasts at most; such as 1h. Required for a permanent cookie.
    pub absolute_timeout: Option<String>,
    /// What carries the session: Cookie or Header. Default: Cookie.
    #[serde(rename = "type")]
    pub type_: SessionPersistenceType,
    /// Settings of the cookie; for type Cookie.
    pub cookie_config: Option<CookieConfig>,
}

words! {
    /// What carries a session.
    SessionPersistenceType { Cookie = "Cookie", Header = "Header" } default Cookie
}

/// Settings of a session cookie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CookieConfig {
    /// Session: the cookie goes when the browser closes. Permanent: after absoluteTimeout. Default: Session.
    pub lifetime_type: CookieLifetime,
}

words! {
    /// When a cookie goes.
    CookieLifetime { Permanent = "Permanent", Session = "Session" } default Session
}
