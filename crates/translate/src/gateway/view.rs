//! What routes see of a Gateway: no more than decides about them, so that nothing else about it makes them be translated again.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{FailReason, HostPattern, ListenerName, ObjectName};

use super::GatewayState;
use super::listener::Namespaces;

/// A Gateway as routes see it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) listeners: Vec<ListenerView>,
    /// The routes that must answer 500, whatever the listener.
    pub(crate) failed_routes: BTreeMap<ObjectName, Failure>,
}

/// A listener as routes see it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListenerView {
    pub(crate) name: ListenerName,
    pub(crate) port: u16,
    pub(crate) hostname: HostPattern,
    pub(crate) takes_http_routes: bool,
    pub(crate) namespaces: Namespaces,
    /// Whether it goes to the data plane.
    pub(crate) served: bool,
    /// Why its routes must answer 500.
    pub(crate) failure: Option<Failure>,
}

/// Why routes must answer 500: a policy that covers them, or their listener, cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) FailReason);

impl View {
    /// What routes see of `gateway`, where policies have made the listeners of `failures` fail, and these routes.
    pub(crate) fn new(
        gateway: &GatewayState<'_>,
        failures: &BTreeMap<ListenerName, Failure>,
        failed_routes: BTreeMap<ObjectName, Failure>,
    ) -> Self {
        let listeners = gateway.listeners.iter().map(|it| ListenerView {
            name: it.name.clone(),
            port: it.port,
            hostname: it.hostname.clone(),
            takes_http_routes: it.takes_http_routes(),
            namespaces: it.namespaces.clone(),
            served: gateway.refused.is_none() && it.is_served(),
            failure: failures.get(&it.name).cloned(),
        });
        Self { listeners: listeners.collect(), failed_routes }
    }
}

impl ListenerView {
    /// Whether HTTPRoutes of `namespace` may attach. Its labels are asked for only when they matter.
    pub(crate) fn lets_in(&self, namespace: &str, labels: impl FnOnce() -> Arc<BTreeMap<String, String>>) -> bool {
        self.takes_http_routes
            && match &self.namespaces {
                Namespaces::All => true,
                Namespaces::Same => *self.name.gateway.namespace == *namespace,
                Namespaces::Selected(selector) => selector.matches(&labels()),
                Namespaces::None => false,
            }
    }
}
