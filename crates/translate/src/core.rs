//! The little that is asked of Kubernetes' own kinds.

use std::net::{IpAddr, SocketAddr};

use weir_api::core::{IntOrString, ServicePort};
use weir_api::{EndpointSlice, Service};

/// Whether a Service is only an alias of a DNS name.
pub(crate) fn is_external_name(service: &Service) -> bool {
    service.spec.type_.as_deref() == Some("ExternalName")
}

/// The TCP port of a Service by its number.
pub(crate) fn tcp_port(service: &Service, number: i32) -> Option<&ServicePort> {
    service.spec.ports.iter().find(|it| it.port == number && matches!(it.protocol.as_str(), "" | "TCP"))
}

/// The ready endpoints behind `port`. Unknown readiness counts as ready; a slice port without a number stands for all ports (both: API
/// reference of discovery.k8s.io/v1). Addresses that are names (addressType FQDN, deprecated) are passed over.
pub(crate) fn ready_endpoints(slice: &EndpointSlice, port: &ServicePort) -> impl Iterator<Item = SocketAddr> {
    let name = |it: &Option<String>| it.clone().unwrap_or_default();
    let number = slice
        .ports
        .iter()
        .find(|it| matches!(it.protocol.as_deref(), None | Some("" | "TCP")) && name(&it.name) == name(&port.name))
        .and_then(|it| it.port.or_else(|| number_in_pods(port)))
        .and_then(|it| u16::try_from(it).ok());
    let ready = slice.endpoints.iter().filter(|it| it.conditions.ready.unwrap_or(true));
    ready.flat_map(|it| &it.addresses).filter_map(move |address| Some((address.parse::<IpAddr>().ok()?, number?).into()))
}

/// Where a port leads in pods, when it says so by number.
fn number_in_pods(port: &ServicePort) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(_)) => None,
    }
}
