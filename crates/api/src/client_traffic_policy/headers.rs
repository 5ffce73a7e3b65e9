//! Headers: what is added, changed, dropped, trusted.

use schemars::JsonSchema;
use serde::Deserialize;

use super::StringMatch;
use crate::http_route::filter::HttpHeader;

/// How headers of requests and responses are treated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderSettings {
    /// Whether X-Envoy- headers are added to requests and responses. Default: false.
    pub enable_envoy_headers: Option<bool>,
    /// Whether responses go without X-RateLimit- headers. Default: false.
    pub disable_rate_limit_headers: Option<bool>,
    /// How the X-Forwarded-Client-Cert header is treated. Default: it is removed.
    pub x_forwarded_client_cert: Option<ForwardedClientCert>,
    /// What happens to requests that have headers with underscores in their names. Default: RejectRequest.
    pub with_underscores_action: Option<UnderscoresAction>,
    /// Whether a client's X-Request-ID is kept. Deprecated in favour of requestID.
    #[serde(rename = "preserveXRequestID")]
    pub preserve_x_request_id: Option<bool>,
    /// What happens to the X-Request-ID header. Default: Generate, which replaces a client's.
    #[serde(rename = "requestID")]
    pub request_id: Option<RequestIdAction>,
    /// Changes to requests before they are matched against routes.
    pub early_request_headers: Option<HeaderFilter>,
    /// Changes to responses after everything else.
    pub late_response_headers: Option<HeaderFilter>,
    /// How the Host header is normalised.
    pub host: Option<HostSettings>,
}

words! {
    /// What happens to headers with underscores in their names.
    UnderscoresAction {
        /// They are kept.
        Allow = "Allow",
        /// The request is refused with 400.
        RejectRequest = "RejectRequest",
        /// They are dropped.
        DropHeader = "DropHeader",
    }
}

words! {
    /// What happens to the X-Request-ID header.
    RequestIdAction {
        /// Kept, or made where there is none.
        PreserveOrGenerate = "PreserveOrGenerate",
        /// Kept, never made.
        Preserve = "Preserve",
        /// Always made anew.
        Generate = "Generate",
        /// Neither kept nor made.
        Disable = "Disable",
    }
}

/// How the X-Forwarded-Client-Cert header is treated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardedClientCert {
    /// What is done with the header. Default: Sanitize.
    pub mode: Option<ForwardedClientCertMode>,
    /// What the header tells of the client's certificate besides its hash; for modes AppendForward and SanitizeSet.
    pub cert_details_to_add: Vec<ClientCertDetail>,
}

words! {
    /// What is done with the X-Forwarded-Client-Cert header.
    ForwardedClientCertMode {
        /// Removed.
        Sanitize = "Sanitize",
        /// Forwarded when the client showed a certificate.
        ForwardOnly = "ForwardOnly",
        /// Forwarded with the client's certificate appended, when it showed one.
        AppendForward = "AppendForward",
        /// Replaced by the client's certificate, when it showed one.
        SanitizeSet = "SanitizeSet",
        /// Forwarded always.
        AlwaysForwardOnly = "AlwaysForwardOnly",
    }
}

words! {
    /// What is told of a client's certificate.
    ClientCertDetail { Subject = "Subject", Cert = "Cert", Chain = "Chain", Dns = "DNS", Uri = "URI" }
}

/// Changes headers. Names are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderFilter {
    /// Headers that get exactly this value, whatever was there.
    pub set: Vec<HttpHeader>,
    /// Headers that get this value in addition to what was there.
    pub add: Vec<HttpHeader>,
    /// Headers that get this value if there was none.
    pub add_if_absent: Vec<HttpHeader>,
    /// Names of headers that are taken out.
    pub remove: Vec<String>,
    /// Headers whose names fit are taken out.
    pub remove_on_match: Vec<StringMatch>,
}

/// How the Host header is normalised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HostSettings {
    /// Whether a dot at the end of the host is cut off before routing. Default: false.
    pub strip_trailing_host_dot: Option<bool>,
}
