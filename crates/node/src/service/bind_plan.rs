//! What LoadBalancer Services ask a pod to bind.

use k8s_openapi::api::core::v1::{Pod, Service};

use super::slices::target_port;
use super::{external_ips, ingress_ips, is_load_balancer};
use crate::meta::selects;
use crate::workload::NodeBindPlan;

/// Merges the wishes of all LoadBalancer Services that select the pod. The offset is added here and nowhere else.
pub(crate) fn bind_plan<'a>(pod: &Pod, services: impl Iterator<Item = &'a Service>, port_offset: u16) -> NodeBindPlan {
    let mut plan = NodeBindPlan::default();
    for service in services {
        let spec = service.spec.as_ref();
        let selector = spec.and_then(|s| s.selector.clone()).unwrap_or_default();
        let gone = service.metadata.deletion_timestamp.is_some();
        if gone || !is_load_balancer(service) || !selects(&selector, pod.metadata.labels.as_ref()) {
            continue;
        }
        let mut addresses = external_ips(service);
        if addresses.is_empty() {
            addresses = ingress_ips(service);
        }
        plan.addresses.extend(addresses);
        for port in spec.and_then(|s| s.ports.as_deref()).unwrap_or_default() {
            let bind = u16::try_from(port.port).ok().and_then(|p| p.checked_add(port_offset));
            if let (Some(target), Some(bind)) = (target_port(port, pod), bind) {
                plan.ports.insert(target, bind);
            }
        }
    }
    plan.addresses.sort();
    plan.addresses.dedup();
    plan
}
