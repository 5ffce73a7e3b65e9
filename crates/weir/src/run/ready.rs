//! Waiting until what the files declare is there: Gateways programmed, Deployments available.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::wait::await_condition;
use serde_json::Value;

use super::bootstrap::NAMESPACE;
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
        let holds = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| condition(object, self.condition).is_some_and(|(status, _)| status == "True"))
        };
        await_condition(self.api(client), &self.name, holds).await.map(drop)
    }

    /// Why it is not there yet, in the words of its status.
    pub(crate) async fn missing(&self, client: Client) -> String {
        match self.api(client).get_opt(&self.name).await {
            Ok(Some(object)) => match condition(&object, self.condition) {
                Some((_, message)) => format!("{self} is not {}: {message}", self.condition),
                None => format!("{self} is not {}", self.condition),
            },
            Ok(None) => format!("{self} does not exist"),
            Err(error) => format!("{self}: {error}"),
        }
    }

    fn api(&self, client: Client) -> Api<DynamicObject> {
        let kind = match self.kind {
            "Gateway" => GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway"),
            _ => GroupVersionKind::gvk("apps", "v1", "Deployment"),
        };
        Api::namespaced_with(client, &self.namespace, &ApiResource::from_gvk(&kind))
    }
}

/// A condition's status and message, unless it speaks of an older generation of the object.
fn condition(object: &DynamicObject, name: &str) -> Option<(String, String)> {
    let generation = object.metadata.generation;
    let status = object.data.get("status")?;
    let found = status.get("conditions")?.as_array()?.iter().find(|condition| condition["type"] == name)?;
    let observed = found.get("observedGeneration").or_else(|| status.get("observedGeneration")).and_then(Value::as_i64);
    if observed.is_some_and(|observed| Some(observed) < generation) {
        return None;
    }
    let text = |field: &str| found.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some((text("status"), text("message")))
}
