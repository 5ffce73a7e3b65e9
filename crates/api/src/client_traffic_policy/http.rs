//! HTTP towards clients: client address, paths, protocol versions, health checks.

use schemars::JsonSchema;
use serde::Deserialize;

use super::StringMatch;
use crate::quantity::Quantity;

/// How the address of the original client is found: exactly one way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientIpDetection {
    /// From the X-Forwarded-For header.
    pub x_forwarded_for: Option<XForwardedFor>,
    /// From a header of another name.
    pub custom_header: Option<CustomHeader>,
    /// From the connection itself.
    #[serde(rename = "directSourceIP")]
    pub direct_source_ip: Option<DirectSourceIp>,
}

/// Which part of X-Forwarded-For is trusted: by count or by address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct XForwardedFor {
    /// The client is the address at this place from the right; instead of trustedCIDRs.
    pub num_trusted_hops: Option<i32>,
    /// Networks whose entries are trusted, from the right; the client is the first other address. Instead of numTrustedHops.
    #[serde(rename = "trustedCIDRs")]
    pub trusted_cidrs: Vec<String>,
    /// Whether the header is forwarded without the connection's own address appended. Default: false.
    pub disable_x_forwarded_for_append: Option<bool>,
}

/// A header that tells the client's address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomHeader {
    /// Name of the header.
    pub name: String,
    /// Whether a request without a usable address there is refused with 403. Default: false.
    pub fail_closed: Option<bool>,
}

/// The client is whoever opened the connection. Has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct DirectSourceIp {}

/// How paths of requests are normalised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PathSettings {
    /// What happens to paths with an escaped slash (%2F, %5C). Default: UnescapeAndRedirect.
    pub escaped_slashes_action: Option<EscapedSlashesAction>,
    /// Whether several slashes in a row are left as they are. Default: false, they become one.
    pub disable_merge_slashes: Option<bool>,
}

words! {
    /// What happens to paths with an escaped slash.
    EscapedSlashesAction {
        /// Left as they are.
        KeepUnchanged = "KeepUnchanged",
        /// Refused with 400.
        RejectRequest = "RejectRequest",
        /// Unescaped on the way.
        UnescapeAndForward = "UnescapeAndForward",
        /// The client is redirected to the unescaped path.
        UnescapeAndRedirect = "UnescapeAndRedirect",
    }
}

/// Settings for HTTP/1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Http1Settings {
    /// Whether trailers are forwarded. Default: false.
    pub enable_trailers: Option<bool>,
    /// Whether header names keep their upper and lower case. Default: false.
    pub preserve_header_case: Option<bool>,
    /// Serves HTTP/1.0 requests too. Default: they are refused with 426.
    pub http10: Option<Http10Settings>,
    /// Whether a connection past maxConnectionDuration is closed without waiting for its next request. Default: false.
    pub disable_safe_max_connection_duration: Option<bool>,
    /// Requests to upgrade to a protocol that fits are served as if they did not ask for it, instead of refused.
    pub ignored_upgrade_types: Vec<StringMatch>,
}

/// Settings for HTTP/1.0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Http10Settings {
    /// Whether a request without Host gets the listener's hostname, or its only route's. Default: false.
    pub use_default_host: Option<bool>,
}

/// Settings for HTTP/2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Http2Settings {
    /// Flow control window of a stream, in bytes. Default: 64Ki.
    pub initial_stream_window_size: Option<Quantity>,
    /// Flow control window of a connection, in bytes. Default: 1Mi.
    pub initial_connection_window_size: Option<Quantity>,
    /// How many streams a connection may carry at once. Default: 100.
    pub max_concurrent_streams: Option<i32>,
    /// What a malformed message ends: TerminateStream or TerminateConnection. Default: TerminateConnection.
    pub on_invalid_message: Option<String>,
    /// Pings that tell whether a connection is alive. Default: none.
    pub connection_keepalive: Option<Http2Keepalive>,
}

/// Pings that tell whether a connection is alive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Http2Keepalive {
    /// Pause between pings; such as 30s.
    pub interval: Option<String>,
    /// How long an answer may take before the connection is closed; such as 5s.
    pub timeout: Option<String>,
    /// Varies the pause by up to this many percent. Default: 15.
    pub interval_jitter: Option<i32>,
    /// Pings before a request when the connection was idle for so long; such as 1m.
    pub idle_interval: Option<String>,
}

/// Serves HTTP/3. Has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Http3Settings {}

/// Settings for gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcSettings {
    /// Whether gRPC-Web requests of browsers are translated to gRPC. Default: true for a GRPCRoute, false for an HTTPRoute.
    pub enable_web: Option<bool>,
}

/// Answers health checks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckSettings {
    /// Requests for this path are answered with 200, or 503 while the proxy drains.
    pub path: String,
}
