//! What comes in beside the resources: what only the world knows, and what the administrator set.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{GatewayName, ListenerName, ListenerState, Model};

/// What only the world knows.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Whether Backends may be on loopback addresses: they may where everything runs on one machine.
    pub loopback_backends: bool,
    /// The addresses that each Gateway's Service got.
    pub addresses: BTreeMap<GatewayName, Vec<String>>,
    /// Whether the data plane has bound each listener.
    pub listeners: BTreeMap<ListenerName, ListenerState>,
    /// The last Model that the data plane has acknowledged: a Gateway whose part of the new Model differs is not Programmed yet.
    pub applied: Arc<Model>,
    /// The proxies of each Gateway.
    pub proxies: BTreeMap<GatewayName, ProxyState>,
}

/// How many proxies a Gateway has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProxyState {
    /// Those that exist.
    pub replicas: u32,
    /// Those that can serve.
    pub available: u32,
}

/// What the administrator set in the `EnvoyGateway` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name that GatewayClasses must name to be ours.
    pub controller_name: Arc<str>,
    /// `extensionApis.enableBackend`.
    pub enable_backend: bool,
    /// The domain of the cluster's Service names.
    pub cluster_domain: Arc<str>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            controller_name: "gateway.envoyproxy.io/gatewayclass-controller".into(),
            enable_backend: false,
            cluster_domain: "cluster.local".into(),
        }
    }
}
