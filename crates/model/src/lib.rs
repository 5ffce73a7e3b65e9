//! What the data plane knows, and nothing else: gateways, listeners, routes, backends and limits.
//!
//! The control plane decides everything that can be decided beforehand and puts the decision here; the data plane has never heard of
//! Kubernetes. Every value is valid by construction: what could be wrong is refused by a constructor, so that nobody asks twice.
//!
//! Resources point *up* to their parent (a listener names its gateway, a route names its listeners), so that one changed object is one
//! changed message. [`Model::diff`] makes those messages, [`Delta`] carries them, and a data plane answers each with an [`Answer`].

mod backend;
mod client;
mod delta;
mod gateway;
mod limit;
mod name;
mod report;
mod route;
mod shared_map;
mod tls;

pub use backend::{Backend, DnsEndpoint, Endpoints};
pub use client::{
    ChosenTimeouts, ClientCertDetail, ClientIp, ClientSettings, ClientTimeouts, ConnectionSettings, EscapedSlashes, ForwardedClientCert,
    HeaderMutation, HeaderSettings, Http1Settings, Http10, IpRange, PathSettings, ProxyProtocol, RequestId, StringMatch, TcpKeepalive,
    Underscores,
};
pub use delta::{Delta, Model, Publish, Resource, ResourceKey};
pub use gateway::{Gateway, Listener, Protocol};
pub use limit::{Limit, LimitScope};
pub use name::{BackendName, GatewayName, HostPattern, LimitName, ListenerName, ObjectName};
pub use report::{Acknowledgement, Answer, LimitReport, ListenerReport, ListenerState, Refusals, Refused, Report};
pub use route::{
    Action, Attachment, FailReason, Filter, HeaderEdit, HeaderMatch, HeaderName, Match, PathMatch, PathRewrite, Pattern, QueryMatch,
    Redirect, Route, Rule, Scheme, Target, Timeouts, ValueMatch, Weighted,
};
pub use shared_map::{Change, MapIter, SharedMap};
pub use tls::{Certificate, ClientValidation, ClientValidationMode, Fingerprint, NameKind, Secret, Tls, TlsVersion};

/// Why a value cannot be part of a [`Model`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not a host name, nor `*.` followed by one.
    #[error("`{0}` is not a host name (letters, digits, `-` and `.`, optionally behind `*.`)")]
    Host(String),
    /// Not a range of addresses.
    #[error("`{0}` is not a range of addresses (such as 10.0.0.0/8 or fd00::/8)")]
    Range(String),
    /// Not a header name (RFC 9110, section 5.1).
    #[error("`{0}` is not a header name")]
    Header(String),
    /// Not a regular expression that runs in linear time, or one that would take too much memory.
    #[error("`{pattern}` is not a usable regular expression: {reason}")]
    Pattern {
        /// The expression as written.
        pattern: String,
        /// What the parser says.
        reason: String,
    },
}

#[cfg(test)]
mod tests;
