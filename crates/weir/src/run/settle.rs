//! Whether the Gateways have come to rest: served, or known not to be. Conditions outlive the process that wrote them, so what the data plane of
//! this run says counts beside them.

use std::time::Duration;

use kube::Client;
use serde_json::Value;
use weir_model::{ListenerState, Report};
use weir_proxy::DataPlane;

use super::bootstrap::NAMESPACE;
use super::objects::{condition, full_name, get, list};

/// How long to wait before the next look: short beside what a start takes, long beside what a look costs.
const PAUSE: Duration = Duration::from_millis(20);

/// The Gateways, and which of their classes are ours.
pub(crate) struct Gateways {
    pub(crate) all: Vec<Value>,
    classes: Vec<Value>,
    controller_name: String,
}

/// Whose a Gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The embedded controller's.
    Weir,
    /// Another controller's.
    Other,
    /// Nobody's: there is no such class.
    NoClass,
}

impl Gateways {
    /// Reads them.
    ///
    /// # Errors
    /// When the API does not answer.
    pub(crate) async fn read(client: &Client) -> Result<Self, kube::Error> {
        let config = get(client, &format!("/api/v1/namespaces/{NAMESPACE}/configmaps/envoy-gateway-config")).await?;
        let file = config.as_ref().and_then(|it| it["data"]["envoy-gateway.yaml"].as_str()).unwrap_or_default();
        // A configuration that is not valid is the controller's to tell; until then its name is the usual one.
        let controller_name = weir_api::envoy_gateway::parse(file)
            .map_or_else(|_| weir_api::envoy_gateway::DEFAULT_CONTROLLER_NAME.to_owned(), |file| file.gateway.controller_name);
        Ok(Self {
            all: list(client, "/apis/gateway.networking.k8s.io/v1/gateways").await?,
            classes: list(client, "/apis/gateway.networking.k8s.io/v1/gatewayclasses").await?,
            controller_name,
        })
    }

    /// Whose `gateway` is.
    pub(crate) fn owner(&self, gateway: &Value) -> Owner {
        let class = self.classes.iter().find(|class| class.pointer("/metadata/name") == gateway.pointer("/spec/gatewayClassName"));
        match class.and_then(|class| class.pointer("/spec/controllerName")).and_then(Value::as_str) {
            None => Owner::NoClass,
            Some(name) if name == self.controller_name => Owner::Weir,
            Some(_) => Owner::Other,
        }
    }

    fn settled(&self, report: &Report) -> bool {
        self.all.iter().filter(|gateway| self.owner(gateway) == Owner::Weir).all(|gateway| settled(gateway, report))
    }
}

/// Returns once every Gateway that the embedded controller looks after is served, or has said why not.
pub(crate) async fn settle(client: &Client, data_plane: &DataPlane) -> Result<(), kube::Error> {
    loop {
        // Version 0: this run's controller has not spoken yet.
        let report = data_plane.report();
        if report.version > 0 && Gateways::read(client).await?.settled(&report) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn settled(gateway: &Value, report: &Report) -> bool {
    let Some(programmed) = condition(gateway, "Programmed") else { return false };
    let name = full_name(gateway);
    let mut listeners = report.listeners.iter().filter(|(listener, _)| listener.gateway.to_string() == name).map(|(_, it)| &it.state);
    match programmed.status {
        "True" => listeners.any(|state| matches!(state, ListenerState::Bound(_))),
        "False" => match programmed.reason {
            "Pending" | "NoResources" | "AddressNotAssigned" => false,
            // Nothing of it could be served, so no listener has a state.
            _ if listeners.next().is_none() => condition(gateway, "Accepted").is_some_and(|it| it.reason != "Accepted"),
            _ => listeners_failed(&name, report),
        },
        _ => false,
    }
}

fn listeners_failed(gateway: &str, report: &Report) -> bool {
    report.listeners.iter().any(|(listener, it)| listener.gateway.to_string() == gateway && matches!(it.state, ListenerState::Failed(_)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use weir_model::{GatewayName, ListenerName, ListenerReport};

    use super::*;

    fn gateway(status: &str, reason: &str, observed: u64) -> Value {
        let condition =
            |kind: &str| json!({"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": observed});
        json!({"metadata": {"name": "eg", "namespace": "ns", "generation": 2}, "status": {"conditions": [condition("Accepted"), condition("Programmed")]}})
    }

    fn report(state: Option<ListenerState>) -> Report {
        let name = ListenerName::new(GatewayName::new("ns", "eg"), "http");
        let listeners: BTreeMap<_, _> = state.map(|state| (name, ListenerReport { state, connections: 0 })).into_iter().collect();
        Report { epoch: 1, version: 1, listeners, limits: BTreeMap::new() }
    }

    #[test]
    fn an_earlier_runs_word_is_not_taken_for_this_ones() {
        let (bound, failed) = (report(Some(ListenerState::Bound(Vec::new()))), report(Some(ListenerState::Failed("taken".to_owned()))));
        assert!(settled(&gateway("True", "Programmed", 2), &bound));
        assert!(!settled(&gateway("True", "Programmed", 2), &report(None)), "programmed by an earlier run");
        assert!(!settled(&gateway("True", "Programmed", 1), &bound), "programmed before an edit");
        assert!(settled(&gateway("False", "Invalid", 2), &failed));
        assert!(!settled(&gateway("False", "Invalid", 2), &bound), "failed in an earlier run");
        assert!(!settled(&gateway("False", "NoResources", 2), &failed), "still starting");
        assert!(settled(&gateway("False", "Invalid", 2), &report(None)), "nothing of it can be served");
    }
}
