//! Waiting until what the files declare is there: Gateways programmed, Deployments available.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use super::bootstrap::NAMESPACE;
use super::objects::condition;
use crate::files::Document;

/// Something that is waited for.
#[derive(Debug, Clone)]
pub(crate) struct Awaited {
    pub(crate) kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    condition: &'static str,
}

impl std::fmt::Display for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// What the files declare that has a state to wait for; the controller itself when they declare nothing such.
pub(crate) fn awaited(documents: &[Document]) -> Vec<Awaited> {
    let mut all: Vec<Awaited> = documents
        .iter()
        .filter_map(|document| {
            let (kind, condition) = match document.kind() {
                "Gateway" => ("Gateway", "Programmed"),
                "Deployment" => ("Deployment", "Available"),
                _ => return None,
            };
            let namespace = if document.namespace().is_empty() { "default" } else { document.namespace() };
            Some(Awaited { kind, namespace: namespace.to_owned(), name: document.name().to_owned(), condition })
        })
        .collect();
    if all.is_empty() {
        all.push(Awaited { kind: "Deployment", namespace: NAMESPACE.to_owned(), name: "envoy-gateway".to_owned(), condition: "Available" });
    }
    all
}

impl Awaited {
    /// Returns once the condition holds for the object as it is now.
    pub(crate) async fn wait(&self, client: Client) -> Result<(), kube::runtime::wait::Error> {
        let holds = |object: Option<&DynamicObject>| object.is_some_and(|object| self.holds(&as_value(object)));
        await_condition(self.api(client), &self.name, holds).await.map(drop)
    }

    /// Why it is not there yet, in the words of its status.
    pub(crate) async fn missing(&self, client: Client) -> String {
        match self.api(client.clone()).get_opt(&self.name).await {
            Ok(Some(object)) => match condition(&as_value(&object), self.condition).filter(|it| it.status != "True") {
                Some(it) => {
                    let message = self.waiting(client, &object).await.unwrap_or_else(|| it.message.to_owned());
                    format!("{self} is not {}: {message}", self.condition)
                }
                None => format!("{self} is not {}", self.condition),
            },
            Ok(None) => format!("{self} does not exist"),
            Err(error) => format!("{self}: {error}"),
        }
    }

    /// What a pod of the Deployment waits for, such as an image that nobody knows.
    async fn waiting(&self, client: Client, deployment: &DynamicObject) -> Option<String> {
        let labels = deployment.data.pointer("/spec/selector/matchLabels")?.as_object()?;
        let selector: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
        let pods =
            Api::<DynamicObject>::namespaced_with(client, &self.namespace, &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod")));
        let pods = pods.list(&ListParams::default().labels(&selector.join(","))).await.ok()?;
        let containers = pods.iter().filter_map(|pod| pod.data.pointer("/status/containerStatuses")?.as_array()).flatten();
        containers.filter_map(|it| it.pointer("/state/waiting")).find_map(|waiting| {
            let text = |field: &str| waiting.get(field).and_then(Value::as_str).unwrap_or_default();
            (!text("message").is_empty()).then(|| format!("{}: {}", text("reason"), text("message")))
        })
    }

    fn holds(&self, object: &Value) -> bool {
        condition(object, self.condition).is_some_and(|it| it.status == "True")
    }

    fn api(&self, client: Client) -> Api<DynamicObject> {
        let kind = match self.kind {
            "Gateway" => GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway"),
            _ => GroupVersionKind::gvk("apps", "v1", "Deployment"),
        };
        Api::namespaced_with(client, &self.namespace, &ApiResource::from_gvk(&kind))
    }
}

fn as_value(object: &DynamicObject) -> Value {
    json!({"metadata": {"generation": object.metadata.generation}, "status": object.data.get("status")})
}
