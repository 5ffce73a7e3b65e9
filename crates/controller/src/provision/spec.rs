//! The objects as they should be. What is not said here is the server's default or somebody else's.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_translate::ProxySpec;

use crate::watch::OWN;

/// Prometheus metrics of a proxy, as Envoy Gateway's users scrape them.
const METRICS_PORT: u16 = 19001;
/// A proxy's `/ready`.
const READY_PORT: u16 = 19003;
/// How long a proxy that is told to end may drain, as Envoy Gateway has it.
const GRACE_SECONDS: u32 = 360;
/// The same in this process: what `weir run` gives itself, so that a restarted proxy is soon back.
const EMBEDDED_GRACE_SECONDS: u32 = 5;

/// What all proxies have in common.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Where they are made.
    pub(crate) namespace: String,
    /// What they run.
    pub(crate) image: String,
    /// Whether they run inside this process.
    pub(crate) embedded: bool,
}

impl Template {
    /// The Deployment of one Gateway's proxies.
    pub(crate) fn deployment(&self, proxy: &ProxySpec) -> Value {
        let gateway = proxy.gateway.to_string();
        let ports = proxy.ports.iter().map(|it| port(&it.name, it.container_port));
        let ports: Vec<_> = ports.chain([port("metrics", METRICS_PORT), port("readiness", READY_PORT)]).collect();
        let container = json!({
            "name": "envoy",
            "image": self.image,
            "args": ["proxy", "--gateway", gateway],
            "env": [field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace"), field("POD_IP", "status.podIP")],
            "ports": ports,
            "readinessProbe": { "httpGet": { "path": "/ready", "port": READY_PORT }, "periodSeconds": 5, "failureThreshold": 1 },
        });
        let grace = if self.embedded { EMBEDDED_GRACE_SECONDS } else { GRACE_SECONDS };
        let mut spec = json!({
            "selector": { "matchLabels": proxy.selector },
            "template": {
                "metadata": { "labels": proxy.pod_labels, "annotations": proxy.pod_annotations },
                "spec": { "containers": [container], "terminationGracePeriodSeconds": grace },
            },
        });
        if self.embedded {
            // All proxies of a process share its worker threads, and a Gateway is served once: a second replica would serve nothing.
            spec["replicas"] = json!(1);
            spec["strategy"] = json!({ "type": "Recreate", "rollingUpdate": null });
        }
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self.metadata(proxy, &proxy.labels, &proxy.annotations),
            "spec": spec,
        })
    }

    /// The Service that gives one Gateway its address.
    pub(crate) fn service(&self, proxy: &ProxySpec) -> Value {
        let ports: Vec<_> = proxy
            .ports
            .iter()
            .map(|it| json!({ "name": it.name, "protocol": "TCP", "port": it.port, "targetPort": it.container_port }))
            .collect();
        let addresses = if proxy.addresses.is_empty() { Value::Null } else { json!(proxy.addresses) };
        let mut spec = json!({ "type": "LoadBalancer", "externalIPs": addresses, "selector": proxy.selector, "ports": ports });
        if !self.embedded {
            // Clients' addresses arrive unchanged.
            spec["externalTrafficPolicy"] = json!("Local");
        }
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(proxy, &proxy.service_labels, &proxy.service_annotations),
            "spec": spec,
        })
    }

    fn metadata(&self, proxy: &ProxySpec, labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> Value {
        let mut labels = labels.clone();
        labels.insert(OWN.0.to_owned(), OWN.1.to_owned());
        json!({ "name": proxy.name, "namespace": self.namespace, "labels": labels, "annotations": annotations })
    }
}

/// Whether the object is one that the controller made for a Gateway.
pub(crate) fn is_own(object: &Value) -> bool {
    let label = |name: &str| object.pointer("/metadata/labels").and_then(|it| it.get(name)).and_then(Value::as_str);
    label(OWN.0) == Some(OWN.1) && label("gateway.envoyproxy.io/owning-gateway-name").is_some()
}

fn port(name: &str, number: u16) -> Value {
    json!({ "name": name, "containerPort": number, "protocol": "TCP" })
}

fn field(name: &str, path: &str) -> Value {
    json!({ "name": name, "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": path } } })
}

#[cfg(test)]
pub(crate) mod tests {
    use weir_model::GatewayName;
    use weir_translate::ProxyPort;

    use super::*;

    pub(crate) fn proxy(name: &str) -> ProxySpec {
        let own = BTreeMap::from([("gateway.envoyproxy.io/owning-gateway-name".to_owned(), name.to_owned())]);
        ProxySpec {
            gateway: GatewayName::new("ns", name),
            gateway_class: "eg".into(),
            name: format!("envoy-ns-{name}"),
            selector: own.clone(),
            labels: own.clone(),
            annotations: BTreeMap::new(),
            pod_labels: own.clone(),
            pod_annotations: BTreeMap::new(),
            service_labels: own,
            service_annotations: BTreeMap::new(),
            ports: vec![ProxyPort { port: 80, name: "http-80".into(), container_port: 10080 }],
            addresses: Vec::new(),
        }
    }

    pub(crate) fn template() -> Template {
        Template { namespace: "envoy-gateway-system".into(), image: "weir".into(), embedded: true }
    }

    #[test]
    fn a_deployment_serves_one_gateway() {
        let deployment = template().deployment(&proxy("eg"));
        assert!(is_own(&deployment));
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["name"], "envoy");
        assert_eq!(container["args"], json!(["proxy", "--gateway", "ns/eg"]));
        assert_eq!(container["ports"][0], json!({ "name": "http-80", "containerPort": 10080, "protocol": "TCP" }));
        assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
        let clustered = Template { embedded: false, ..template() }.deployment(&proxy("eg"));
        assert!(clustered["spec"].get("replicas").is_none(), "an autoscaler's business there");
    }

    #[test]
    fn a_service_has_the_addresses_that_were_asked_for() {
        let mut proxy = proxy("eg");
        let service = template().service(&proxy);
        assert_eq!(service["spec"]["externalIPs"], Value::Null);
        assert_eq!(service["spec"]["ports"][0], json!({ "name": "http-80", "protocol": "TCP", "port": 80, "targetPort": 10080 }));
        proxy.addresses = vec!["127.0.0.9".into()];
        assert_eq!(template().service(&proxy)["spec"]["externalIPs"], json!(["127.0.0.9"]));
    }

    #[test]
    fn others_objects_are_not_own() {
        assert!(!is_own(&json!({ "metadata": { "labels": { OWN.0: OWN.1 } } })), "the controller's own Deployment");
        assert!(!is_own(&json!({ "metadata": {} })));
    }
}
