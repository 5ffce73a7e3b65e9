//! What to provision for a Gateway.

use std::collections::BTreeMap;

use weir_api::gateway::GatewayInfrastructure;
use weir_model::GatewayName;

use crate::gateway::{GatewayState, ListenerState};
use crate::naming;
use crate::output::{ProxyPort, ProxySpec};

type Texts = BTreeMap<String, String>;

/// The proxy of `gateway`.
pub(crate) fn proxy(gateway: &GatewayState<'_>) -> ProxySpec {
    let parameters = &gateway.parameters;
    let selector = selector(&gateway.name);
    let (infrastructure_labels, infrastructure_annotations) = match gateway.infrastructure {
        Some(GatewayInfrastructure { labels, annotations, parameters_ref: _ }) => (labels.clone(), annotations.clone()),
        None => Default::default(),
    };
    // Ours come last: pods must be found by them.
    let labels = merged([&infrastructure_labels, &selector]);
    let scrape = [("path", "/stats/prometheus"), ("port", "19001"), ("scrape", "true")];
    let scrape: Texts = scrape.into_iter().map(|(key, value)| (format!("prometheus.io/{key}"), value.to_owned())).collect();
    ProxySpec {
        gateway: gateway.name.clone(),
        gateway_class: gateway.class.to_owned(),
        name: naming::proxy_name(&gateway.name),
        pod_labels: merged([&infrastructure_labels, &parameters.pod_labels, &selector]),
        pod_annotations: merged([&scrape, &infrastructure_annotations, &parameters.pod_annotations]),
        service_labels: merged([&infrastructure_labels, &parameters.service_labels, &selector]),
        service_annotations: merged([&infrastructure_annotations, &parameters.service_annotations]),
        selector,
        labels,
        annotations: infrastructure_annotations,
        ports: ports(gateway),
        addresses: gateway.addresses.addresses.clone(),
    }
}

/// The proxy of a Gateway that cannot be decoded: what was provisioned for it stays.
pub(crate) fn unreadable(gateway: &GatewayName, class: &str) -> ProxySpec {
    let selector = selector(gateway);
    ProxySpec {
        gateway: gateway.clone(),
        gateway_class: class.to_owned(),
        name: naming::proxy_name(gateway),
        labels: selector.clone(),
        annotations: Texts::new(),
        pod_labels: selector.clone(),
        pod_annotations: Texts::new(),
        service_labels: selector.clone(),
        service_annotations: Texts::new(),
        selector,
        ports: Vec::new(),
        addresses: Vec::new(),
    }
}

fn selector(gateway: &GatewayName) -> Texts {
    let name = naming::label_value(&gateway.name);
    [
        ("app.kubernetes.io/component", "proxy"),
        ("app.kubernetes.io/managed-by", "envoy-gateway"),
        ("app.kubernetes.io/name", "envoy"),
        ("gateway.envoyproxy.io/owning-gateway-name", &name),
        ("gateway.envoyproxy.io/owning-gateway-namespace", &gateway.namespace),
        ("gateway.networking.k8s.io/gateway-name", &name),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

fn ports(gateway: &GatewayState<'_>) -> Vec<ProxyPort> {
    // Listeners that share a port speak the same.
    let ports: BTreeMap<u16, &ListenerState<'_>> = gateway.served().map(|it| (it.port, it)).collect();
    let name = |it: &ListenerState<'_>| format!("{}-{}", it.spec.protocol.as_str().to_ascii_lowercase(), it.port);
    ports.into_values().map(|it| ProxyPort { port: it.port, name: name(it), container_port: it.container_port }).collect()
}

/// Later ones win.
fn merged<const N: usize>(parts: [&Texts; N]) -> Texts {
    parts.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}
