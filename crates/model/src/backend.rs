//! Backends: sets of endpoints that requests go to.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::BackendName;

/// A set of endpoints that all serve the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Its name.
    pub name: BackendName,
    /// Where it is served.
    pub endpoints: Endpoints,
}

/// Where a backend is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Endpoints {
    /// At these addresses, in ascending order, each once. Empty when none is ready: requests are answered 503.
    Addresses(Vec<SocketAddr>),
    /// At whatever addresses these names have now; the data plane resolves them and follows their changes.
    Names(Vec<DnsEndpoint>),
}

/// A host name and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DnsEndpoint {
    /// The name to resolve.
    pub hostname: Arc<str>,
    /// The port to connect to.
    pub port: u16,
}
