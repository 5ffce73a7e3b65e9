//! Connections of clients: limits, buffers, timeouts, keepalive, PROXY protocol.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::quantity::Quantity;

/// Limits on connections and their buffers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientConnection {
    /// How many connections there may be, and for how long.
    pub connection_limit: Option<ConnectionLimit>,
    /// Soft limit in bytes on what is buffered per connection. Default: 32768.
    pub buffer_limit: Option<Quantity>,
    /// Size in bytes of the socket buffers of client connections. Default: the system's.
    pub socket_buffer_limit: Option<Quantity>,
    /// How many connections one wakeup of a worker may accept; 0 for no limit. Default: 1.
    #[serde(default = "one")]
    pub max_accept_per_socket_event: i32,
}

fn one() -> i32 {
    1
}

impl Default for ClientConnection {
    fn default() -> Self {
        Self { connection_limit: None, buffer_limit: None, socket_buffer_limit: None, max_accept_per_socket_event: one() }
    }
}

/// How many connections there may be, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionLimit {
    /// How many connections may be open at once, at least 1; a further one is closed. HTTP listeners of a Gateway share one count, each
    /// HTTPS or TLS listener has its own. Default: no limit.
    pub value: Option<i64>,
    /// How long a refused connection is held before it is closed; such as 5s. Needs value. Default: closed at once.
    pub close_delay: Option<String>,
    /// How long a connection may live; such as 1h. Then it is drained and closed. HTTP only. Default: no limit.
    pub max_connection_duration: Option<String>,
    /// How many requests a connection may carry; 1 turns keep-alive off. HTTP only. Default: no limit.
    pub max_requests_per_connection: Option<i32>,
    /// How long one request with its response may take; such as 10m. HTTP only. Default: no limit.
    pub max_stream_duration: Option<String>,
}

/// Keepalive probes on TCP connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpKeepalive {
    /// How many unanswered probes end a connection. Default: the system's, on Linux 9.
    pub probes: Option<i32>,
    /// How long a connection is idle before the first probe; such as 30s. Default: the system's, on Linux 2h.
    pub idle_time: Option<String>,
    /// Pause between probes; such as 10s. Default: the system's, on Linux 75s.
    pub interval: Option<String>,
}

/// How the PROXY protocol header is treated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocol {
    /// Whether connections without the header are served too; safe only where every client is trusted. Default: false.
    pub optional: Option<bool>,
}

/// How long clients may take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTimeout {
    /// For connections.
    pub tcp: Option<TcpClientTimeout>,
    /// For HTTP.
    pub http: Option<HttpClientTimeout>,
}

/// How long connections may take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpClientTimeout {
    /// How long a TCP or TLS connection may carry no byte in either direction. Default: 1h.
    pub idle_timeout: Option<String>,
    /// How long a TLS handshake may take. Default: no limit of its own.
    pub tls_handshake_timeout: Option<String>,
    /// How long a new connection may take to show what it speaks and for which server name. Default: 15s.
    pub connection_inspection_timeout: Option<String>,
}

/// How long HTTP may take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpClientTimeout {
    /// From the start of a request to its last byte. Default: no limit.
    pub request_received_timeout: Option<String>,
    /// From the first byte of a request's headers to the last; 0s for no limit. Default: no limit.
    pub request_headers_received_timeout: Option<String>,
    /// How long a connection may be without a request. Default: 1h.
    pub idle_timeout: Option<String>,
    /// How long a request may go without a byte in either direction; 0s for no limit. Default: 5m.
    pub stream_idle_timeout: Option<String>,
}
