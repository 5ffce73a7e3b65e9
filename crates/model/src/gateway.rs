//! Gateways and their listeners.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::client::is_default;
use crate::{ClientSettings, GatewayName, HostPattern, ListenerName, Tls};

/// A gateway: what its listeners share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its name.
    pub name: GatewayName,
    /// Whether requests are written to the access log.
    pub access_log: bool,
}

/// One listener: a port, a protocol and the hosts it answers for. Several may share a port; the request's host decides between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its name, and with it the gateway that it belongs to.
    pub name: ListenerName,
    /// The port that clients know.
    pub port: u16,
    /// The port that a proxy in a pod listens on (80 becomes 10080, so that no privilege is needed); also what statistics are named after.
    pub container_port: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// The hosts it answers for.
    pub hostname: HostPattern,
    /// How it treats its clients. What takes effect before a TLS listener is known by its server name is the same at all listeners of a
    /// port: `proxy_protocol`, `connection.max_accept_per_socket_event` and `timeouts.inspection`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client: Arc<ClientSettings>,
}

/// What a listener speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https(Arc<Tls>),
}

impl Listener {
    /// The same, fit to be shown: without private keys.
    pub fn redacted(&self) -> Self {
        let protocol = match &self.protocol {
            Protocol::Http => Protocol::Http,
            Protocol::Https(tls) => Protocol::Https(Arc::new(tls.redacted())),
        };
        Self { protocol, ..self.clone() }
    }

    /// What Envoy's statistics call it: `http-10080`, `https-10443`.
    pub fn stat_prefix(&self) -> String {
        match self.protocol {
            Protocol::Http => format!("http-{}", self.container_port),
            Protocol::Https(_) => format!("https-{}", self.container_port),
        }
    }
}
