//! Services: addresses, slices, relays, names and bind plans.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::Driver;
use crate::address::{Claim, Pool};
use crate::events;
use crate::meta::{ObjectName, random_suffix, selects};
use crate::plan::{Kind, Note, Plan, Verb};
use crate::queue::Key;
use crate::service::bind_plan::bind_plan;
use crate::service::relay::{Relays, Routes};
use crate::service::slices::{self, SERVICE_LABEL, is_ready_endpoint, target_port};
use crate::service::{ClusterAddress, assign_cluster_address, cluster_address, external_ips, ingress_ips, is_load_balancer, write_ingress};
use crate::workload::NodeBindPlan;

/// What a Service holds while it exists.
#[derive(Default)]
pub(super) struct ServiceRun {
    relays: Relays,
    balancer: Option<Claim>,
    cluster: Option<Claim>,
}

/// The Service that a slice of ours belongs to.
pub(super) fn service_of(slice: &EndpointSlice) -> Option<ObjectName> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_LABEL)?;
    slices::is_ours(slice).then(|| ObjectName::new(slice.metadata.namespace.clone().unwrap_or_default(), name.clone()))
}

fn selector(service: &Service) -> BTreeMap<String, String> {
    service.spec.as_ref().and_then(|s| s.selector.clone()).unwrap_or_default()
}

impl Driver {
    pub(super) fn queue_service(&mut self, service: Option<ObjectName>) {
        if let Some(service) = service {
            self.queue.add(Key::Service(service));
        }
    }

    pub(super) fn queue_services_of_pod(&mut self, pod: &Pod) {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let services = self.world.services.in_namespace(&namespace);
        let touched: Vec<ObjectName> = services
            .filter(|s| s.spec.as_ref().and_then(|s| s.selector.as_ref()).is_some_and(|s| selects(s, pod.metadata.labels.as_ref())))
            .map(|s| ObjectName::of(&s.metadata))
            .collect();
        touched.into_iter().for_each(|name| self.queue.add(Key::Service(name)));
    }

    /// Notes the addresses that Services and pods found at the start already have, so that nobody new gets them before they are claimed again.
    pub(super) fn mark_addresses(&mut self) {
        let taken_over = |pod: &&Arc<Pod>| pod.metadata.deletion_timestamp.is_none() && !super::pods::has_ended(pod);
        for ip in self.world.pods.all().map(|(_, pod)| pod).filter(taken_over).filter_map(|pod| pod_ip(pod)) {
            if let IpAddr::V4(ip) = ip
                && self.addresses.owns(Pool::Pod, ip)
            {
                self.addresses.mark(ip);
            }
        }
        for (_, service) in self.world.services.all() {
            for ip in ingress_ips(service).into_iter().chain(service.spec.as_ref().and_then(fixed_cluster_ip).map(IpAddr::V4)) {
                if let IpAddr::V4(ip) = ip {
                    self.addresses.mark(ip);
                }
            }
        }
    }

    pub(super) fn bind_plan(&self, pod: &Pod) -> NodeBindPlan {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        bind_plan(pod, self.world.services.in_namespace(namespace).map(Arc::as_ref), self.config.port_offset)
    }

    pub(super) fn service(&mut self, name: &ObjectName) -> Plan {
        let mut plan = Plan::default();
        let service = self.world.services.get(name).cloned().filter(|s| s.metadata.deletion_timestamp.is_none());
        let Some(service) = service else {
            self.forget_service(name, &mut plan);
            self.update_bind_plans(&name.namespace);
            return plan;
        };
        let cluster_ip = self.assign_cluster(name, &service, &mut plan);
        let balancer = self.assign_balancer(name, &service, &mut plan);
        let (world, selector) = (&self.world, selector(&service));
        let of_namespace = world.pods.in_namespace(&name.namespace).map(Arc::as_ref);
        let pods: Vec<&Pod> = of_namespace.filter(|p| selects(&selector, p.metadata.labels.as_ref())).collect();
        let of_namespace = world.slices.in_namespace(&name.namespace).map(Arc::as_ref);
        let existing: Vec<&EndpointSlice> = of_namespace.filter(|s| service_of(s).as_ref() == Some(name)).collect();
        slices::reconcile(&service, &pods, &existing, &mut random_suffix, &mut plan);
        let ready: Vec<&Pod> = pods.into_iter().filter(|p| is_ready_endpoint(p)).collect();
        self.resolver.set(name.clone(), answers(&service, cluster_ip, &ready));
        let routes = cluster_ip.map(|ip| routes(&service, ip, &ready, &balancer, self.config.port_offset)).unwrap_or_default();
        self.relay(name, &service, routes);
        self.update_bind_plans(&name.namespace);
        plan
    }

    fn forget_service(&mut self, name: &ObjectName, plan: &mut Plan) {
        self.resolver.forget(name);
        if let Some(run) = self.services.remove(name) {
            run.cluster.iter().chain(&run.balancer).for_each(|claim| self.addresses.release(claim.ip));
        }
        for slice in self.world.slices.in_namespace(&name.namespace).filter(|s| service_of(s).as_ref() == Some(name)) {
            let uid = slice.metadata.uid.clone().unwrap_or_default();
            plan.write(Kind::Slice, ObjectName::of(&slice.metadata), Verb::Delete { uid, grace_seconds: None });
        }
    }

    /// The address at which the Service can be reached; allocates one if it has none.
    ///
    /// An API server of its own mind may have given out an address that is not of this machine (10.96.0.0/16 is usual). Then the Service
    /// keeps that, and its name and its relays use a loopback address instead.
    fn assign_cluster(&mut self, name: &ObjectName, service: &Service, plan: &mut Plan) -> Option<IpAddr> {
        let run = self.services.entry(name.clone()).or_default();
        let wanted = match service.spec.as_ref().map(cluster_address)? {
            ClusterAddress::Is(IpAddr::V4(ip)) if ip.is_loopback() => {
                if run.cluster.as_ref().map(|c| c.ip) != Some(ip) {
                    run.cluster.take().into_iter().for_each(|old| self.addresses.release(old.ip));
                    self.addresses.mark(ip);
                    run.cluster = Some(Claim::adopt(ip));
                }
                return Some(IpAddr::V4(ip));
            }
            ClusterAddress::Is(_) => false,
            ClusterAddress::Wanted => true,
            ClusterAddress::Headless | ClusterAddress::Never => {
                run.cluster.take().into_iter().for_each(|old| self.addresses.release(old.ip));
                return None;
            }
        };
        // The same one again if the write did not come through.
        if run.cluster.is_none() {
            run.cluster = self.addresses.allocate(Pool::Service, Claim::take).ok().map(|(_, claim)| claim);
        }
        let ip = run.cluster.as_ref()?.ip;
        if wanted {
            assign_cluster_address(service, ip, plan);
        }
        Some(IpAddr::V4(ip))
    }

    /// The load balancer's addresses; allocates one if the Service names none.
    fn assign_balancer(&mut self, name: &ObjectName, service: &Service, plan: &mut Plan) -> Vec<IpAddr> {
        let wanted = external_ips(service);
        let run = self.services.entry(name.clone()).or_default();
        let own = is_load_balancer(service) && wanted.is_empty();
        if !own && let Some(claim) = run.balancer.take() {
            self.addresses.release(claim.ip);
        }
        let addresses = if own {
            if run.balancer.is_none() {
                let before = ingress_ips(service).into_iter().find_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None });
                let kept = before.filter(|ip| self.addresses.owns(Pool::LoadBalancer, *ip)).and_then(|ip| Claim::take(ip).ok());
                let claim = kept.map_or_else(|| self.addresses.allocate(Pool::LoadBalancer, Claim::take).map(|(_, claim)| claim), Ok);
                let claim = match claim {
                    Ok(claim) => claim,
                    Err(error) => {
                        tracing::warn!(service = %name, %error, "no address for the load balancer");
                        plan.again(Duration::from_secs(5));
                        return Vec::new();
                    }
                };
                self.addresses.mark(claim.ip);
                run.balancer = Some(claim);
            }
            run.balancer.iter().map(|claim| IpAddr::V4(claim.ip)).collect()
        } else if is_load_balancer(service) {
            wanted
        } else {
            Vec::new()
        };
        write_ingress(service, &addresses, plan);
        addresses
    }

    fn relay(&mut self, name: &ObjectName, service: &Service, routes: Routes) {
        let Some(run) = self.services.get_mut(name) else { return };
        for (address, error) in run.relays.set(routes) {
            // The Event tells it too, and without the right to low ports it is so for every Service on one: no news at each start.
            if error.kind() == ErrorKind::PermissionDenied {
                tracing::debug!(service = %name, %address, %error, "cannot relay a cluster address");
            } else {
                tracing::warn!(service = %name, %address, %error, "cannot relay a cluster address");
            }
            let way_out = match error.kind() {
                ErrorKind::PermissionDenied => "; sysctl net.ipv4.ip_unprivileged_port_start=0 allows low ports to everybody",
                ErrorKind::AddrInUse => "; another process on this machine uses it",
                _ => "",
            };
            self.recorder.note(Note {
                about: events::reference("v1", "Service", &service.metadata),
                component: "kube-proxy",
                warning: true,
                reason: "FailedToBind",
                message: format!("Cannot listen on {address}: {error}{way_out}"),
            });
        }
    }

    /// Tells running pods what Services ask of them now.
    fn update_bind_plans(&mut self, namespace: &str) {
        for (name, run) in self.kubelet.runs.iter().filter(|(name, _)| name.namespace == namespace) {
            let Some(pod) = self.world.pods.get(name) else { continue };
            let plan = self.bind_plan(pod);
            run.plan.send_if_modified(|old| {
                let changed = *old != plan;
                *old = plan;
                changed
            });
        }
    }
}

fn fixed_cluster_ip(spec: &k8s_openapi::api::core::v1::ServiceSpec) -> Option<Ipv4Addr> {
    match cluster_address(spec) {
        ClusterAddress::Is(IpAddr::V4(ip)) => Some(ip),
        _ => None,
    }
}

/// What the Service's name stands for.
fn answers(service: &Service, cluster_ip: Option<IpAddr>, ready: &[&Pod]) -> Vec<IpAddr> {
    match service.spec.as_ref().map(cluster_address) {
        Some(ClusterAddress::Headless) => ready.iter().filter_map(|p| pod_ip(p)).collect(),
        _ => cluster_ip.into_iter().collect(),
    }
}

fn pod_ip(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()
}

/// Where the cluster address leads. A load balancer's pods listen at its own address only, so that is where its cluster address leads as well.
fn routes(service: &Service, cluster_ip: IpAddr, ready: &[&Pod], balancer: &[IpAddr], port_offset: u16) -> Routes {
    let mut routes = Routes::new();
    if selector(service).is_empty() {
        return routes;
    }
    for port in service.spec.as_ref().and_then(|s| s.ports.as_deref()).unwrap_or_default() {
        let Some(number) = u16::try_from(port.port).ok().filter(|_| port.protocol.as_deref().unwrap_or("TCP") == "TCP") else { continue };
        let targets: Vec<SocketAddr> = if is_load_balancer(service) {
            let bound = number.checked_add(port_offset).filter(|_| !ready.is_empty());
            bound.map(|bound| balancer.iter().map(|ip| SocketAddr::new(*ip, bound)).collect()).unwrap_or_default()
        } else {
            ready.iter().filter_map(|pod| Some(SocketAddr::new(pod_ip(pod)?, target_port(port, pod)?))).collect()
        };
        routes.insert(SocketAddr::new(cluster_ip, number), targets);
    }
    routes
}
