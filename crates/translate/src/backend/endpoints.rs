//! The endpoints of a backend.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use weir_api::backend::{BackendEndpoint, FqdnEndpoint, IpEndpoint};
use weir_model::{Backend, DnsEndpoint, Endpoints, ObjectName};

use super::Key;
use crate::Settings;
use crate::core;
use crate::memo::Reader;

/// Where an endpoint of a Backend is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Address(SocketAddr),
    /// A Service, known by its name in the cluster's domain: its ready endpoints are followed, as the name's addresses would be.
    Service(ObjectName, u16),
    Name(DnsEndpoint),
}

/// Where an endpoint is; none for what cannot be reached.
pub(super) fn place(settings: &Settings, endpoint: &BackendEndpoint) -> Option<Place> {
    if let Some(IpEndpoint { address, port }) = &endpoint.ip {
        return Some(Place::Address((address.parse::<IpAddr>().ok()?, u16::try_from(*port).ok()?).into()));
    }
    let FqdnEndpoint { hostname, port } = endpoint.fqdn.as_ref()?;
    let port = u16::try_from(*port).ok()?;
    let name = hostname.strip_suffix('.').unwrap_or(hostname);
    Some(match service_of(settings, name) {
        Some(service) => Place::Service(service, port),
        None => Place::Name(DnsEndpoint { hostname: name.into(), port }),
    })
}

/// The Service that `NAME.NAMESPACE.svc` or `NAME.NAMESPACE.svc.CLUSTER-DOMAIN` stands for.
fn service_of(settings: &Settings, name: &str) -> Option<ObjectName> {
    let in_cluster = name.strip_suffix(&*settings.cluster_domain).and_then(|it| it.strip_suffix('.')).unwrap_or(name);
    let (service, namespace) = in_cluster.strip_suffix(".svc")?.split_once('.')?;
    (!service.is_empty() && !namespace.is_empty() && !namespace.contains('.')).then(|| ObjectName::new(namespace, service))
}

/// Makes the backend of the Model.
pub(crate) fn translate(reader: &Reader<'_>, key: &Key, previous: Option<&Arc<Backend>>) -> Arc<Backend> {
    let backend = Backend { name: key.name(), endpoints: endpoints(reader, key) };
    match previous {
        Some(old) if **old == backend => old.clone(),
        _ => Arc::new(backend),
    }
}

/// Whether anybody can serve requests for this backend.
pub(crate) fn has_endpoints(reader: &Reader<'_>, key: &Key) -> bool {
    endpoints(reader, key) != Endpoints::Addresses(Vec::new())
}

fn endpoints(reader: &Reader<'_>, key: &Key) -> Endpoints {
    let mut addresses = BTreeSet::new();
    let mut names = BTreeSet::new();
    match key {
        Key::Service(name, port) => addresses.extend(service_endpoints(reader, name, *port)),
        Key::Backend(name) => {
            let endpoints = reader.backend(name).map(|it| it.spec.endpoints.as_slice()).unwrap_or_default();
            for place in endpoints.iter().filter_map(|it| place(reader.settings(), it)) {
                match place {
                    Place::Address(address) => drop(addresses.insert(address)),
                    Place::Service(name, port) => addresses.extend(service_endpoints(reader, &name, port)),
                    Place::Name(name) => drop(names.insert(name)),
                }
            }
        }
    }
    // A Backend has either; its verdict says so.
    if names.is_empty() { Endpoints::Addresses(addresses.into_iter().collect()) } else { Endpoints::Names(names.into_iter().collect()) }
}

fn service_endpoints(reader: &Reader<'_>, name: &ObjectName, port: u16) -> Vec<SocketAddr> {
    let Some(port) = reader.service(name).and_then(|it| core::tcp_port(it, i32::from(port))) else { return Vec::new() };
    reader.slices(name).flat_map(|slice| core::ready_endpoints(slice, port)).collect()
}
