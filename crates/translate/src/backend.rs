//! Where requests go: Services by their EndpointSlices, and Backends.

mod endpoints;
mod judge;
mod status;

use std::fmt;
use std::sync::Arc;

use weir_model::{BackendName, ObjectName};

pub(crate) use endpoints::{has_endpoints, translate};
pub(crate) use judge::{judge, reachable};
pub(crate) use status::write as write_statuses;

/// Names a backend of the Model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A Backend.
    Backend(ObjectName),
    /// A port of a Service.
    Service(ObjectName, u16),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(name) => write!(f, "backend/{name}"),
            Self::Service(name, port) => write!(f, "service/{name}/{port}"),
        }
    }
}

impl Key {
    /// What routes call it when it has no endpoints.
    pub(crate) fn object(&self) -> String {
        match self {
            Self::Backend(name) => format!("Backend {name}"),
            Self::Service(name, _) => format!("Service {name}"),
        }
    }

    /// What the Model calls it.
    pub(crate) fn name(&self) -> BackendName {
        BackendName(Arc::from(self.to_string()))
    }
}

/// Whether a backend with this `appProtocol` can be served by HTTP/1.1 in the clear. Words that nobody standardised say nothing.
pub(crate) fn speaks_http1(app_protocol: &str) -> bool {
    let word = app_protocol.rsplit('/').next().unwrap_or(app_protocol).to_ascii_lowercase();
    !matches!(word.as_str(), "h2c" | "http2" | "grpc" | "grpc-web" | "https" | "tls" | "wss")
}
