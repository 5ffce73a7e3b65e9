//! Services: cluster addresses, load balancer addresses, and the EndpointSlices that say who is behind them.

pub(crate) mod bind_plan;
pub(crate) mod relay;
pub(crate) mod slices;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Service, ServiceSpec, ServiceStatus};
use serde_json::json;

use crate::meta::ObjectName;
use crate::patch::status_diff;
use crate::plan::{Kind, Plan, Verb};

/// What kind of address a Service has in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClusterAddress {
    /// ExternalName: neither address nor endpoints.
    Never,
    /// `clusterIP: None`.
    Headless,
    /// To be allocated.
    Wanted,
    Is(IpAddr),
}

pub(crate) fn cluster_address(spec: &ServiceSpec) -> ClusterAddress {
    match (spec.type_.as_deref(), spec.cluster_ip.as_deref()) {
        (Some("ExternalName"), _) => ClusterAddress::Never,
        (_, Some("None")) => ClusterAddress::Headless,
        (_, None | Some("")) => ClusterAddress::Wanted,
        (_, Some(ip)) => ip.parse().map_or(ClusterAddress::Headless, ClusterAddress::Is),
    }
}

pub(crate) fn is_load_balancer(service: &Service) -> bool {
    service.spec.as_ref().and_then(|s| s.type_.as_deref()) == Some("LoadBalancer")
}

/// The addresses that a LoadBalancer Service asks for itself.
pub(crate) fn external_ips(service: &Service) -> Vec<IpAddr> {
    let listed = service.spec.as_ref().and_then(|s| s.external_ips.as_deref()).unwrap_or_default();
    listed.iter().filter_map(|ip| ip.parse().ok()).collect()
}

/// The addresses that a LoadBalancer Service has been given.
pub(crate) fn ingress_ips(service: &Service) -> Vec<IpAddr> {
    let balancer = service.status.as_ref().and_then(|s| s.load_balancer.as_ref());
    let ingress = balancer.and_then(|b| b.ingress.as_deref()).unwrap_or_default();
    ingress.iter().filter_map(|i| i.ip.as_deref()?.parse().ok()).collect()
}

/// Writes the cluster address down where it is kept: in the Service itself.
pub(crate) fn assign_cluster_address(service: &Service, ip: Ipv4Addr, plan: &mut Plan) {
    let ip = ip.to_string();
    let patch = json!({"spec": {"clusterIP": ip, "clusterIPs": [ip]}});
    plan.write(Kind::Service, ObjectName::of(&service.metadata), Verb::Patch(patch));
}

/// Writes the load balancer's addresses into the status. None for Services that are no (longer) LoadBalancers.
pub(crate) fn write_ingress(service: &Service, addresses: &[IpAddr], plan: &mut Plan) {
    let ingress =
        addresses.iter().map(|ip| LoadBalancerIngress { ip: Some(ip.to_string()), ip_mode: Some("VIP".to_owned()), ..Default::default() });
    let ingress: Vec<LoadBalancerIngress> = ingress.collect();
    let current = service.status.clone().unwrap_or_default();
    let ingress = (!ingress.is_empty()).then_some(ingress);
    let desired = ServiceStatus { load_balancer: Some(LoadBalancerStatus { ingress }), ..current.clone() };
    if current.load_balancer.is_none() && addresses.is_empty() {
        return;
    }
    if let Some(patch) = status_diff(Some(&current), &desired) {
        plan.write(Kind::Service, ObjectName::of(&service.metadata), Verb::PatchStatus(patch));
    }
}
