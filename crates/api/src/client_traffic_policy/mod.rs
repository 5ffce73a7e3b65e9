//! ClientTrafficPolicy: how a Gateway treats connections and requests of clients.

pub mod connection;
pub mod headers;
pub mod http;
pub mod tls;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::object::Object;
use crate::reference::{PolicyTargetReference, gateway_group};
use crate::selector::{LabelSelector, LabelSelectorRequirement};

pub use connection::{ClientConnection, ConnectionLimit};

/// A ClientTrafficPolicy object.
pub type ClientTrafficPolicy = Object<ClientTrafficPolicySpec>;

/// What the policy applies to, and how connections and requests of clients are treated there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTrafficPolicySpec {
    /// The one target. Deprecated in favour of targetRefs.
    pub target_ref: Option<PolicyTargetReference>,
    /// The Gateways or ListenerSets, or their sections, or the HTTPRoutes that the policy applies to. For an HTTPRoute only
    /// connection.connectionLimit.value has a meaning: it limits the connections that carry requests for that route.
    pub target_refs: Vec<PolicyTargetReference>,
    /// Applies the policy to the objects whose labels fit.
    pub target_selectors: Vec<TargetSelector>,
    /// Keepalive probes on TCP connections of clients. Default: none.
    pub tcp_keepalive: Option<connection::TcpKeepalive>,
    /// Whether connections start with a PROXY protocol header. Deprecated in favour of proxyProtocol.
    pub enable_proxy_protocol: Option<bool>,
    /// Connections start with a PROXY protocol header, which tells the client's address.
    pub proxy_protocol: Option<connection::ProxyProtocol>,
    /// How the address of the original client is found. Default: from X-Forwarded-For, trusting no hop.
    #[serde(rename = "clientIPDetection")]
    pub client_ip_detection: Option<http::ClientIpDetection>,
    /// TLS towards clients.
    pub tls: Option<tls::ClientTls>,
    /// How paths of requests are normalised.
    pub path: Option<http::PathSettings>,
    /// How headers of requests and responses are treated.
    pub headers: Option<headers::HeaderSettings>,
    /// How long clients may take.
    pub timeout: Option<connection::ClientTimeout>,
    /// Limits on connections and their buffers.
    pub connection: Option<ClientConnection>,
    /// Settings for HTTP/1.
    pub http1: Option<http::Http1Settings>,
    /// Settings for HTTP/2.
    pub http2: Option<http::Http2Settings>,
    /// Serves HTTP/3 as well, on the listeners that do TLS.
    pub http3: Option<http::Http3Settings>,
    /// Settings for gRPC.
    pub grpc: Option<http::GrpcSettings>,
    /// Answers health checks without asking a backend.
    pub health_check: Option<http::HealthCheckSettings>,
    /// The scheme that backends see. Preserve: the client's. MatchBackend: that of the connection to the backend. Default: Preserve.
    pub scheme: Option<SchemeTransform>,
}

words! {
    /// The scheme that backends see.
    SchemeTransform { Preserve = "Preserve", MatchBackend = "MatchBackend" }
}

/// Chooses what a policy applies to by labels.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetSelector {
    /// API group of the targets. Default: gateway.networking.k8s.io.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// Kind of the targets: Gateway, ListenerSet or HTTPRoute.
    pub kind: String,
    /// Labels that a target must have with exactly these values.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
    /// Further demands on a target's labels.
    #[serde(default)]
    pub match_expressions: Vec<LabelSelectorRequirement>,
    /// Namespaces that targets may be in. Other namespaces need a ReferenceGrant there. Default: the policy's own.
    pub namespaces: Option<TargetNamespaces>,
}

/// Namespaces that targets may be in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetNamespaces {
    /// Same: the policy's own. All: every namespace. Selector: those that the selector chooses. Default: Same.
    pub from: TargetFromNamespaces,
    /// Chooses namespaces by their labels; for from Selector.
    pub selector: Option<LabelSelector>,
}

words! {
    /// Namespaces that targets may be in.
    TargetFromNamespaces { Same = "Same", All = "All", Selector = "Selector" } default Same
}

/// A text that is compared.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StringMatch {
    /// How: the whole text, its start, its end, or a regular expression. Default: Exact.
    #[serde(default, rename = "type")]
    pub type_: StringMatchType,
    /// What the text is compared with.
    pub value: String,
}

words! {
    /// How a text is compared.
    StringMatchType { Exact = "Exact", Prefix = "Prefix", Suffix = "Suffix", RegularExpression = "RegularExpression" } default Exact
}
