//! The built-in kinds that are read beside routes: as much of them as is needed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::object::{Metadata, Object};

/// A Service object.
pub type Service = Object<ServiceSpec>;

/// Ports and addresses of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// ClusterIP, NodePort, LoadBalancer or ExternalName; absent means ClusterIP.
    #[serde(rename = "type")]
    pub type_: Option<String>,
    /// The virtual address; `None` as text for a headless Service.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    /// The DNS name that a Service of type ExternalName stands for.
    pub external_name: Option<String>,
    /// Further addresses that the Service answers on.
    #[serde(rename = "externalIPs")]
    pub external_ips: Vec<String>,
    /// Labels of the pods behind it.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Name; absent only where the Service has one port.
    pub name: Option<String>,
    /// TCP, UDP or SCTP.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// The port of the Service.
    pub port: i32,
    /// The port of the pods, by number or by name; absent means the same number.
    pub target_port: Option<IntOrString>,
    /// The port on every node.
    pub node_port: Option<i32>,
    /// What is spoken there, such as kubernetes.io/h2c.
    pub app_protocol: Option<String>,
}

fn tcp() -> String {
    "TCP".to_owned()
}

/// A number or a text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// A text.
    String(String),
}

/// An EndpointSlice object: part of the endpoints of the Service named by label kubernetes.io/service-name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// Who the object is.
    #[serde(default)]
    pub metadata: Metadata,
    /// IPv4, IPv6 or FQDN.
    pub address_type: String,
    /// The endpoints.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// The ports that every endpoint has.
    #[serde(default)]
    pub ports: Vec<EndpointPort>,
}

impl EndpointSlice {
    /// The Service whose endpoints these are.
    pub fn service(&self) -> Option<&str> {
        self.metadata.labels.get("kubernetes.io/service-name").map(String::as_str)
    }
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Addresses that are all the same endpoint; the first is used.
    pub addresses: Vec<String>,
    /// Whether it takes traffic.
    #[serde(default)]
    pub conditions: EndpointConditions,
    /// Name of the endpoint within its Service.
    pub hostname: Option<String>,
    /// Node that it runs on.
    pub node_name: Option<String>,
    /// Zone of that node.
    pub zone: Option<String>,
}

/// Whether an endpoint takes traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointConditions {
    /// Ready for traffic; absent counts as true.
    pub ready: Option<bool>,
    /// Able to serve, terminating or not; absent counts as ready.
    pub serving: Option<bool>,
    /// On its way out; absent counts as false.
    pub terminating: Option<bool>,
}

/// One port of all endpoints of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointPort {
    /// Name of the Service's port.
    pub name: Option<String>,
    /// TCP, UDP or SCTP; absent means TCP.
    pub protocol: Option<String>,
    /// The number; absent means every port.
    pub port: Option<i32>,
    /// What is spoken there.
    pub app_protocol: Option<String>,
}

/// A Namespace object: only its labels matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Who the object is.
    pub metadata: Metadata,
}

/// A Secret object: whether it is there, and of which type. Its data is not read here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Secret {
    /// Who the object is.
    pub metadata: Metadata,
    /// Such as kubernetes.io/tls.
    #[serde(rename = "type")]
    pub type_: Option<String>,
}

/// A ConfigMap object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    /// Who the object is.
    pub metadata: Metadata,
    /// Texts by key.
    pub data: BTreeMap<String, String>,
}
