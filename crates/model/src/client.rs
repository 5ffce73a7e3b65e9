//! How a listener treats its clients: everything that a policy may set about connections, requests and addresses. The defaults are what
//! holds without a policy.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{HeaderName, Invalid, Pattern};

/// How a listener treats its clients. What is as by default is left out when it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientSettings {
    /// Connections as such.
    #[serde(skip_serializing_if = "is_default")]
    pub connection: ConnectionSettings,
    /// TCP keep-alive probes; none: the system does not probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Whether connections begin with a PROXY protocol header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Where a client's address is read.
    #[serde(skip_serializing_if = "is_default")]
    pub client_ip: ClientIp,
    /// How paths are normalised.
    #[serde(skip_serializing_if = "is_default")]
    pub path: PathSettings,
    /// Header rules.
    #[serde(skip_serializing_if = "is_default")]
    pub headers: HeaderSettings,
    /// How long things may take.
    #[serde(skip_serializing_if = "is_default")]
    pub timeouts: ClientTimeouts,
    /// HTTP/1 as such.
    #[serde(skip_serializing_if = "is_default")]
    pub http1: Http1Settings,
    /// A path that the listener answers 200 itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<Arc<str>>,
    /// Whether the scheme that a backend is told is that of the connection to it rather than the client's. Only HTTP/2 and 3 tell one:
    /// `x-forwarded-proto`, which HTTP/1 has for it, is the client's always.
    #[serde(skip_serializing_if = "is_default")]
    pub scheme_matches_backend: bool,
}

/// Whether a value says nothing that its default does not.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Connections as such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionSettings {
    /// How long a connection that a limit refused is held before it is closed; none: it is closed at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close_delay: Option<Duration>,
    /// How old a connection may grow; then it is drained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connection_duration: Option<Duration>,
    /// Whether a connection that has grown too old is closed only after an answer with `connection: close` (safe), rather than as soon as it is idle.
    pub safe_max_connection_duration: bool,
    /// How many requests a connection may carry; the last answer says `connection: close`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests_per_connection: Option<u32>,
    /// How long a request may take from its first byte to the answer's last; then 408, or the connection's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_stream_duration: Option<Duration>,
    /// Bytes that are buffered per connection and direction.
    pub buffer_limit: u32,
    /// Bytes of the kernel's socket buffers; none: the system's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_buffer_limit: Option<u32>,
    /// How many connections one wake-up accepts; 0: as many as are there.
    pub max_accept_per_socket_event: u32,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            close_delay: None,
            max_connection_duration: None,
            safe_max_connection_duration: true,
            max_requests_per_connection: None,
            max_stream_duration: None,
            buffer_limit: 32 << 10,
            socket_buffer_limit: None,
            // A flood of connections must not starve those that are served; 16 per wake-up costs the least processor time per connection.
            max_accept_per_socket_event: 16,
        }
    }
}

/// TCP keep-alive probes. What is not given is the system's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpKeepalive {
    /// Unanswered probes after which the connection is dead.
    pub probes: Option<u32>,
    /// Silence before the first probe.
    pub idle: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
}

/// PROXY protocol, versions 1 and 2 (the specification of HAProxy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyProtocol {
    /// Whether connections without a header are served too.
    pub optional: bool,
}

/// Where a client's address is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClientIp {
    /// It is the connection's peer; a forwarded-for header of the client's own is appended to.
    #[default]
    Peer,
    /// The connection's peer, and nothing is appended to a forwarded-for header.
    Direct,
    /// The N-th address from the right in `x-forwarded-for` as it was received: 1 is the rightmost, which the peer wrote. The peer where
    /// there are fewer, or where that entry is no address.
    TrustedHops {
        /// N; at least 1.
        hops: u32,
        /// Whether the peer's address is appended.
        append: bool,
    },
    /// The rightmost address in `x-forwarded-for` that is outside these ranges, when the peer itself is inside; else the peer.
    TrustedRanges {
        /// The proxies in front.
        ranges: Vec<IpRange>,
        /// Whether the peer's address is appended.
        append: bool,
    },
    /// The value of this header.
    Header {
        /// The header.
        name: HeaderName,
        /// Whether a request without a valid one is refused with 403.
        fail_closed: bool,
    },
}

/// A range of addresses in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IpRange {
    address: std::net::IpAddr,
    length: u8,
}

impl IpRange {
    /// Reads `10.0.0.0/8`, `fd00::/8`, or a single address.
    ///
    /// # Errors
    /// [`Invalid::Range`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::Range(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: std::net::IpAddr = address.parse().map_err(|_| invalid())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|it| *it <= longest).ok_or_else(invalid)?
            }
            Some(_) => return Err(invalid()),
        };
        Ok(Self { address, length })
    }

    /// Whether `address` is in it. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: std::net::IpAddr) -> bool {
        use std::net::IpAddr::{V4, V6};
        let differ = match (self.address.to_canonical(), address.to_canonical()) {
            (V4(mine), V4(other)) => (mine.to_bits() ^ other.to_bits()).leading_zeros(),
            (V6(mine), V6(other)) => (mine.to_bits() ^ other.to_bits()).leading_zeros(),
            _ => return false,
        };
        differ >= u32::from(self.length)
    }
}

impl TryFrom<String> for IpRange {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<IpRange> for String {
    fn from(range: IpRange) -> Self {
        format!("{}/{}", range.address, range.length)
    }
}

/// How paths are normalised before anything looks at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathSettings {
    /// Whether `//` becomes `/`.
    pub merge_slashes: bool,
    /// What becomes of `%2F` and `%5C`.
    pub escaped_slashes: EscapedSlashes,
}

impl Default for PathSettings {
    fn default() -> Self {
        Self { merge_slashes: true, escaped_slashes: EscapedSlashes::UnescapeAndRedirect }
    }
}

/// What becomes of escaped slashes in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EscapedSlashes {
    /// They stay escaped.
    KeepUnchanged,
    /// The request is refused with 400.
    RejectRequest,
    /// They are unescaped, and the request goes on.
    UnescapeAndForward,
    /// They are unescaped, and the client is sent there with 307.
    UnescapeAndRedirect,
}

/// Header rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderSettings {
    /// Whether `x-envoy-*` headers are added to requests and answers.
    pub envoy_headers: bool,
    /// What becomes of headers with an underscore in their name.
    pub underscores: Underscores,
    /// Where `x-request-id` comes from.
    pub request_id: RequestId,
    /// Edits of every request before routing.
    #[serde(skip_serializing_if = "is_default")]
    pub early_request: HeaderMutation,
    /// Edits of every answer, last of all.
    #[serde(skip_serializing_if = "is_default")]
    pub late_response: HeaderMutation,
    /// Whether a dot at the end of the host is dropped before routing.
    pub strip_trailing_host_dot: bool,
    /// What becomes of `x-forwarded-client-cert`.
    pub forwarded_client_cert: ForwardedClientCert,
    /// What is told of the client's certificate in it, for the modes that set it.
    pub client_cert_details: Vec<ClientCertDetail>,
}

impl Default for HeaderSettings {
    fn default() -> Self {
        Self {
            envoy_headers: false,
            underscores: Underscores::Reject,
            request_id: RequestId::Generate,
            early_request: HeaderMutation::default(),
            late_response: HeaderMutation::default(),
            strip_trailing_host_dot: false,
            forwarded_client_cert: ForwardedClientCert::Sanitize,
            client_cert_details: Vec::new(),
        }
    }
}

/// What becomes of headers with an underscore in their name, which some servers take for a dash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Underscores {
    /// They are forwarded.
    Allow,
    /// The request is refused with 400.
    Reject,
    /// They are dropped.
    Drop,
}

/// Where `x-request-id` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestId {
    /// The client's if it sent one, else a new one.
    PreserveOrGenerate,
    /// The client's if it sent one, else none.
    Preserve,
    /// Always a new one.
    Generate,
    /// None: the client's is dropped.
    Disable,
}

/// Header changes: first `set`, then `add`, `add_if_absent`, `remove`, `remove_on_match`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderMutation {
    /// Replaced, or added where missing.
    #[serde(skip_serializing_if = "is_default")]
    pub set: Vec<(HeaderName, Arc<str>)>,
    /// Appended to what is there.
    #[serde(skip_serializing_if = "is_default")]
    pub add: Vec<(HeaderName, Arc<str>)>,
    /// Added where missing.
    #[serde(skip_serializing_if = "is_default")]
    pub add_if_absent: Vec<(HeaderName, Arc<str>)>,
    /// Taken away.
    #[serde(skip_serializing_if = "is_default")]
    pub remove: Vec<HeaderName>,
    /// Taken away where the name, in lower case, matches.
    #[serde(skip_serializing_if = "is_default")]
    pub remove_on_match: Vec<StringMatch>,
}

impl HeaderMutation {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A text that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StringMatch {
    /// This text.
    Exact(Arc<str>),
    /// Texts that begin so.
    Prefix(Arc<str>),
    /// Texts that end so.
    Suffix(Arc<str>),
    /// Texts that the expression matches as a whole.
    Regex(Pattern),
}

/// What becomes of `x-forwarded-client-cert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ForwardedClientCert {
    /// It is dropped.
    Sanitize,
    /// It is forwarded when the connection is mutually authenticated.
    ForwardOnly,
    /// The client's certificate is appended to it, on such connections.
    AppendForward,
    /// It is replaced by the client's certificate, on such connections.
    SanitizeSet,
    /// It is forwarded always.
    AlwaysForwardOnly,
}

/// What is told of a client's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClientCertDetail {
    /// The subject.
    Subject,
    /// The certificate, PEM and URL-encoded.
    Cert,
    /// The chain, PEM and URL-encoded.
    Chain,
    /// The DNS names.
    Dns,
    /// The URIs.
    Uri,
}

/// How long things may take; zero in a policy means no limit, and stands here as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientTimeouts {
    /// From accept to a complete PROXY header and ClientHello.
    pub inspection: Option<Duration>,
    /// A TLS handshake.
    pub tls_handshake: Option<Duration>,
    /// A request's head, from its first byte.
    pub headers: Option<Duration>,
    /// A request, head and body.
    pub request: Option<Duration>,
    /// A connection without a request.
    pub idle: Option<Duration>,
    /// An exchange in which no byte moves.
    pub stream_idle: Option<Duration>,
    /// Which of them a policy sets.
    #[serde(skip_serializing_if = "is_default")]
    pub chosen: ChosenTimeouts,
}

/// Which timeouts a policy sets, even to what is the default: these hold however full a limit is, while others are cut short to make room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is named after the timeout that it is about")]
#[expect(clippy::struct_excessive_bools, reason = "a set, of which each member has a name")]
pub struct ChosenTimeouts {
    pub inspection: bool,
    pub tls_handshake: bool,
    pub headers: bool,
    pub request: bool,
    pub idle: bool,
    pub stream_idle: bool,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self {
            inspection: Some(Duration::from_secs(10)),
            tls_handshake: Some(Duration::from_secs(10)),
            headers: Some(Duration::from_secs(10)),
            request: None,
            idle: Some(Duration::from_secs(3600)),
            stream_idle: Some(Duration::from_secs(300)),
            chosen: ChosenTimeouts::default(),
        }
    }
}

/// HTTP/1 as such.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Http1Settings {
    /// Whether trailers are forwarded rather than dropped.
    pub trailers: bool,
    /// Whether header names keep the case that the peer wrote.
    pub preserve_header_case: bool,
    /// Whether HTTP/1.0 is served.
    pub http10: Option<Http10>,
    /// Upgrades that are not offered to the backend: the request goes on without them. Compared in lower case.
    pub ignored_upgrades: Vec<StringMatch>,
}

/// HTTP/1.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http10 {
    /// The host of requests that name none; without it they are refused.
    pub default_host: Option<Arc<str>>,
}
