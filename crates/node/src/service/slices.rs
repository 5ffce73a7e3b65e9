//! The endpoint slice controller, as a function of a Service, the pods it selects and the slices there are.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::{ClusterAddress, cluster_address};
use crate::meta::{ObjectName, owner_reference};
use crate::patch::{merge_diff, to_value};
use crate::plan::{Kind, Plan, Verb};
use crate::replicaset::ready_since;

pub(crate) const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
/// As many as Kubernetes puts into one slice.
const MAX_ENDPOINTS: usize = 100;

/// The port of a pod that a Service's port leads to.
pub(crate) fn target_port(port: &ServicePort, pod: &Pod) -> Option<u16> {
    let number = match &port.target_port {
        None => port.port,
        Some(IntOrString::Int(0)) => port.port,
        Some(IntOrString::Int(n)) => *n,
        Some(IntOrString::String(name)) => named_port(pod, name, port.protocol.as_deref().unwrap_or("TCP"))?,
    };
    u16::try_from(number).ok().filter(|n| *n != 0)
}

fn named_port(pod: &Pod, name: &str, protocol: &str) -> Option<i32> {
    let containers = pod.spec.as_ref().map(|s| s.containers.as_slice()).unwrap_or_default();
    let ports = containers.iter().flat_map(|c| c.ports.iter().flatten());
    let found = ports.into_iter().find(|p| p.name.as_deref() == Some(name) && p.protocol.as_deref().unwrap_or("TCP") == protocol);
    found.map(|p| p.container_port)
}

/// Whether a selected pod is an endpoint at all: it has an address and has not ended.
fn is_endpoint(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let ended = status.and_then(|s| s.phase.as_deref()).is_some_and(|p| p == "Succeeded" || p == "Failed");
    !ended && status.and_then(|s| s.pod_ip.as_deref()).is_some_and(|ip| !ip.is_empty())
}

/// Whether a pod takes new connections.
pub(crate) fn is_ready_endpoint(pod: &Pod) -> bool {
    is_endpoint(pod) && pod.metadata.deletion_timestamp.is_none() && ready_since(pod).is_some()
}

fn endpoint(service: &Service, pod: &Pod) -> Endpoint {
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let serving = ready_since(pod).is_some();
    let unready_too = service.spec.as_ref().and_then(|s| s.publish_not_ready_addresses) == Some(true);
    let ip = pod.status.as_ref().and_then(|s| s.pod_ip.clone()).unwrap_or_default();
    Endpoint {
        addresses: vec![ip],
        conditions: Some(EndpointConditions {
            ready: Some(unready_too || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        node_name: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.as_ref().and_then(|s| s.ports.as_deref()).unwrap_or_default();
    let resolved = ports.iter().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(i32::from(target_port(port, pod)?)),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        })
    });
    resolved.collect()
}

/// Endpoints by the ports they have; pods of different templates may differ in what a port's name means.
fn desired(service: &Service, pods: &[&Pod]) -> Vec<(Vec<EndpointPort>, Vec<Endpoint>)> {
    let mut groups: Vec<(Vec<EndpointPort>, Vec<Endpoint>)> = Vec::new();
    let mut pods: Vec<&&Pod> = pods.iter().filter(|p| is_endpoint(p)).collect();
    pods.sort_by_key(|p| (p.metadata.creation_timestamp.clone(), p.metadata.name.clone()));
    for pod in pods {
        let ports = ports(service, pod);
        let endpoint = endpoint(service, pod);
        match groups.iter_mut().find(|(p, e)| *p == ports && e.len() < MAX_ENDPOINTS) {
            Some((_, endpoints)) => endpoints.push(endpoint),
            None => groups.push((ports, vec![endpoint])),
        }
    }
    if groups.is_empty() {
        // One slice always, so that watchers see that nobody is there.
        groups.push((Vec::new(), Vec::new()));
    }
    groups
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_LABEL.to_owned(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    if service.spec.as_ref().map(cluster_address) == Some(ClusterAddress::Headless) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels
}

/// Whether a slice is this controller's; others may keep slices for a Service too.
pub(crate) fn is_ours(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.as_ref().and_then(|l| l.get(MANAGED_BY)).is_some_and(|by| by == CONTROLLER)
}

/// `pods` are those that the Service selects, `existing` its slices of ours.
pub(crate) fn reconcile(
    service: &Service,
    pods: &[&Pod],
    existing: &[&EndpointSlice],
    suffix: &mut impl FnMut() -> String,
    plan: &mut Plan,
) {
    let spec = service.spec.as_ref();
    let selects = spec.and_then(|s| s.selector.as_ref()).is_some_and(|s| !s.is_empty());
    let gone = service.metadata.deletion_timestamp.is_some();
    if gone || spec.map(cluster_address) == Some(ClusterAddress::Never) || !selects {
        // A Service without selector has the slices that somebody else makes; ours are of the time when it had one.
        existing.iter().for_each(|slice| delete(slice, plan));
        return;
    }
    let mut free: Vec<&EndpointSlice> = existing.to_vec();
    free.sort_by_key(|s| s.metadata.name.clone());
    let mut groups = desired(service, pods);
    let labels = labels(service);
    let mut rest = Vec::new();
    // Slices keep their ports where they can, so that readers see endpoints change and not slices come and go.
    for (ports, endpoints) in groups.drain(..) {
        match free.iter().position(|s| s.ports.as_deref().unwrap_or_default() == ports) {
            Some(at) => update(free.remove(at), &labels, &ports, &endpoints, plan),
            None => rest.push((ports, endpoints)),
        }
    }
    for (ports, endpoints) in rest {
        match free.pop() {
            Some(slice) => update(slice, &labels, &ports, &endpoints, plan),
            None => create(service, &labels, ports, endpoints, &suffix(), plan),
        }
    }
    free.into_iter().for_each(|slice| delete(slice, plan));
}

fn update(slice: &EndpointSlice, labels: &BTreeMap<String, String>, ports: &[EndpointPort], endpoints: &[Endpoint], plan: &mut Plan) {
    // Endpoints that are still there keep their places.
    let place = |e: &Endpoint| slice.endpoints.iter().position(|old| old.target_ref == e.target_ref).unwrap_or(usize::MAX);
    let mut endpoints = endpoints.to_vec();
    endpoints.sort_by_key(place);
    let comparable = |labels: Option<&BTreeMap<String, String>>, ports: &[EndpointPort], endpoints: &[Endpoint]| json!({"metadata": {"labels": labels}, "ports": to_value(&ports), "endpoints": to_value(&endpoints)});
    let current = comparable(slice.metadata.labels.as_ref(), slice.ports.as_deref().unwrap_or_default(), &slice.endpoints);
    if let Some(patch) = merge_diff(&current, &comparable(Some(labels), ports, &endpoints)) {
        plan.write(Kind::Slice, ObjectName::of(&slice.metadata), Verb::Patch(patch));
    }
}

fn create(
    service: &Service,
    labels: &BTreeMap<String, String>,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
    suffix: &str,
    plan: &mut Plan,
) {
    let generate_name = format!("{}-", service.metadata.name.as_deref().unwrap_or_default());
    let name = ObjectName::new(service.metadata.namespace.clone().unwrap_or_default(), format!("{generate_name}{suffix}"));
    let slice = EndpointSlice {
        metadata: ObjectMeta {
            name: Some(name.name.clone()),
            generate_name: Some(generate_name),
            namespace: Some(name.namespace.clone()),
            labels: Some(labels.clone()),
            owner_references: Some(vec![owner_reference("v1", "Service", &service.metadata)]),
            ..Default::default()
        },
        address_type: "IPv4".to_owned(),
        ports: (!ports.is_empty()).then_some(ports),
        endpoints,
    };
    let mut slice: Value = to_value(&slice);
    // Required by the schema, also when empty.
    if let Some(object) = slice.as_object_mut() {
        object.entry("endpoints").or_insert_with(|| json!([]));
    }
    plan.write(Kind::Slice, name, Verb::Create(slice));
}

fn delete(slice: &EndpointSlice, plan: &mut Plan) {
    let uid = slice.metadata.uid.clone().unwrap_or_default();
    plan.write(Kind::Slice, ObjectName::of(&slice.metadata), Verb::Delete { uid, grace_seconds: None });
}
