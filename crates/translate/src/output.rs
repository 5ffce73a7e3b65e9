//! What a translation gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use weir_model::{GatewayName, Limit, Model};

use crate::status::Statuses;

/// What a translation gives.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// What the data plane is to do. What is unchanged is shared with the Translator's previous output, so that
    /// [`Model::diff`] compares pointers.
    pub model: Model,
    /// What is to be written into objects.
    pub statuses: Statuses,
    /// What is to be provisioned, in the order of the Gateways' names.
    pub proxies: Vec<ProxySpec>,
    /// The connection limits in force, for the log.
    pub limits: Vec<Arc<Limit>>,
}

/// The proxy of one Gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxySpec {
    /// The Gateway.
    #[serde(skip)]
    pub gateway: GatewayName,
    /// The GatewayClass of it, which owns what is provisioned.
    pub gateway_class: String,
    /// What its Deployment and its Service are called.
    pub name: String,
    /// The labels that its pods are found by. They never change while the Gateway lives.
    pub selector: BTreeMap<String, String>,
    /// The labels of its Deployment.
    pub labels: BTreeMap<String, String>,
    /// The annotations of its Deployment.
    pub annotations: BTreeMap<String, String>,
    /// The labels of its pods.
    pub pod_labels: BTreeMap<String, String>,
    /// The annotations of its pods.
    pub pod_annotations: BTreeMap<String, String>,
    /// The labels of its Service.
    pub service_labels: BTreeMap<String, String>,
    /// The annotations of its Service.
    pub service_annotations: BTreeMap<String, String>,
    /// What is served, each port once, in ascending order. Empty while no listener can be served: what was provisioned then stays as it
    /// is (its address would be lost otherwise), and nothing new is made.
    pub ports: Vec<ProxyPort>,
    /// The addresses that the user asked for; empty: any.
    pub addresses: Vec<String>,
}

/// A port of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyPort {
    /// The port that clients know.
    pub port: u16,
    /// What the Service calls it: `http-80`.
    pub name: String,
    /// The port that the pod listens on.
    pub container_port: u16,
}
