//! EnvoyProxies: how proxies are run.

mod status;

use std::collections::BTreeMap;

use weir_api::envoy_proxy::{
    AccessLog, EnvoyProxyLogging, EnvoyProxyProvider, EnvoyProxySpec, EnvoyProxyTelemetry, ExternalTrafficPolicy, ProxyDeployment,
    ProxyKubernetesProvider, ProxyPod, ProxyProviderType, ProxyService, ProxyServiceType,
};
use weir_api::reference::{LocalObjectReference, ObjectReference};
use weir_model::{GatewayName, ObjectName};

use crate::fields::Fields;
use crate::resources::{Kind, Resources};

pub(crate) use status::write as write_statuses;

/// How proxies are run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parameters {
    pub(crate) no_access_log: bool,
    /// Whether proxies listen on the listener's own port number inside their pods.
    pub(crate) same_container_ports: bool,
    pub(crate) pod_labels: BTreeMap<String, String>,
    pub(crate) pod_annotations: BTreeMap<String, String>,
    pub(crate) service_labels: BTreeMap<String, String>,
    pub(crate) service_annotations: BTreeMap<String, String>,
    /// Paths of fields that have no effect yet.
    pub(crate) unsupported: Vec<String>,
    /// Why nothing may be served: a field that keeps clients out cannot be obeyed.
    pub(crate) refused: Option<String>,
}

/// What the EnvoyProxy that a Gateway names asks for. The error is worded as Envoy Gateway words it.
pub(crate) fn for_gateway(resources: &Resources, gateway: &GatewayName, reference: &LocalObjectReference) -> Result<Parameters, String> {
    let LocalObjectReference { group, kind, name } = reference;
    if group != Kind::EnvoyProxy.group() || kind != Kind::EnvoyProxy.as_str() || name.is_empty() {
        return Err(format!("unsupported parametersRef for gateway {gateway}"));
    }
    let wanted = ObjectName::new(gateway.namespace.clone(), name.as_str());
    find(resources, &wanted).map_err(|problem| format!("failed to find envoyproxy {wanted} for Gateway {}: {problem}", gateway.name))
}

/// What the EnvoyProxy that a GatewayClass names asks for, and its name.
pub(crate) fn for_class(resources: &Resources, class: &str, reference: &ObjectReference) -> Result<(ObjectName, Parameters), String> {
    let ObjectReference { group, kind, name, namespace } = reference;
    if group != Kind::EnvoyProxy.group() || kind != Kind::EnvoyProxy.as_str() || name.is_empty() {
        return Err(format!("unsupported parametersRef(invalid group or kind) for gatewayclass {class}"));
    }
    let wanted = ObjectName::new(namespace.as_deref().unwrap_or("default"), name.as_str());
    match find(resources, &wanted) {
        Ok(parameters) => Ok((wanted, parameters)),
        Err(problem) => Err(format!("failed to find envoyproxy {wanted} for GatewayClass {class}: {problem}")),
    }
}

fn find(resources: &Resources, name: &ObjectName) -> Result<Parameters, String> {
    if let Some(found) = resources.envoy_proxies.get(name) {
        return Ok(read(&found.object.spec));
    }
    let broken = resources.envoy_proxies.broken().find(|(it, _)| *it == name);
    // How the Kubernetes client words it.
    Err(broken.map_or_else(
        || format!("EnvoyProxy.gateway.envoyproxy.io \"{}\" not found", name.name),
        |(_, broken)| format!("it cannot be read: {}", broken.error),
    ))
}

/// Reads a spec, field by field.
fn read(spec: &EnvoyProxySpec) -> Parameters {
    let EnvoyProxySpec {
        provider,
        telemetry,
        logging,
        shutdown,
        concurrency,
        merge_gateways,
        routing_type,
        ip_family,
        preserve_route_order,
        merge_type,
        lua_validation,
        extra_args,
        bootstrap,
        backend_tls,
        dynamic_modules,
        filter_order,
        geo_ip,
        merge_backends,
    } = spec;
    let mut out = Parameters::default();
    let mut fields = Fields::default();
    if let Some(provider) = provider {
        read_provider(provider, &mut out, &mut fields);
    }
    if let Some(telemetry) = telemetry {
        read_telemetry(telemetry, &mut out, &mut fields);
    }
    fields.note("spec.logging", *logging != EnvoyProxyLogging::default());
    fields.note("spec.shutdown", shutdown);
    fields.note("spec.concurrency", concurrency);
    fields.note("spec.mergeGateways", *merge_gateways == Some(true));
    fields.note("spec.routingType", routing_type.as_deref().is_some_and(|it| it != "Endpoint"));
    fields.note("spec.ipFamily", ip_family);
    fields.note("spec.preserveRouteOrder", *preserve_route_order == Some(true));
    fields.note("spec.mergeType", merge_type);
    fields.note("spec.luaValidation", lua_validation);
    fields.note("spec.extraArgs", extra_args);
    fields.note("spec.bootstrap", bootstrap);
    fields.note("spec.backendTLS", backend_tls);
    fields.note("spec.dynamicModules", dynamic_modules);
    fields.note("spec.filterOrder", filter_order);
    fields.note("spec.geoIP", geo_ip);
    fields.note("spec.mergeBackends", merge_backends);
    out.unsupported = fields.paths;
    out
}

fn read_provider(provider: &EnvoyProxyProvider, out: &mut Parameters, fields: &mut Fields) {
    let EnvoyProxyProvider { type_, kubernetes, host } = provider;
    fields.note("spec.provider.type", *type_ != ProxyProviderType::Kubernetes);
    fields.note("spec.provider.host", host);
    let Some(kubernetes) = kubernetes else { return };
    let ProxyKubernetesProvider {
        envoy_deployment,
        envoy_service,
        envoy_daemon_set,
        envoy_hpa,
        envoy_pdb,
        envoy_service_account,
        use_listener_port_as_container_port,
    } = kubernetes;
    out.same_container_ports = *use_listener_port_as_container_port == Some(true);
    fields.note("spec.provider.kubernetes.envoyDaemonSet", envoy_daemon_set);
    fields.note("spec.provider.kubernetes.envoyHpa", envoy_hpa);
    fields.note("spec.provider.kubernetes.envoyPDB", envoy_pdb);
    fields.note("spec.provider.kubernetes.envoyServiceAccount", envoy_service_account);
    if let Some(deployment) = envoy_deployment {
        read_deployment(deployment, out, fields);
    }
    if let Some(service) = envoy_service {
        read_service(service, out, fields);
    }
}

fn read_deployment(deployment: &ProxyDeployment, out: &mut Parameters, fields: &mut Fields) {
    let ProxyDeployment { replicas, pod, name, strategy, container, init_containers, patch } = deployment;
    fields.note("spec.provider.kubernetes.envoyDeployment.replicas", replicas.is_some_and(|it| it != 1));
    fields.note("spec.provider.kubernetes.envoyDeployment.name", name);
    fields.note("spec.provider.kubernetes.envoyDeployment.strategy", strategy);
    fields.note("spec.provider.kubernetes.envoyDeployment.container", container);
    fields.note("spec.provider.kubernetes.envoyDeployment.initContainers", init_containers);
    fields.note("spec.provider.kubernetes.envoyDeployment.patch", patch);
    let Some(pod) = pod else { return };
    let ProxyPod {
        labels,
        annotations,
        node_selector,
        priority_class_name,
        affinity,
        image_pull_secrets,
        security_context,
        tolerations,
        topology_spread_constraints,
        volumes,
    } = pod;
    out.pod_labels.clone_from(labels);
    out.pod_annotations.clone_from(annotations);
    fields.note("spec.provider.kubernetes.envoyDeployment.pod.nodeSelector", node_selector);
    fields.note("spec.provider.kubernetes.envoyDeployment.pod.priorityClassName", priority_class_name);
    fields.note("spec.provider.kubernetes.envoyDeployment.pod.affinity", affinity);
    fields.note("spec.provider.kubernetes.envoyDeployment.pod.imagePullSecrets", image_pull_secrets);
    fields.note("spec.provider.kubernetes.envoyDeployment.pod.securityContext", security_context);
    fields.note("spec.provider.kubernetes.envoyDeployment.pod.tolerations", tolerations);
    fields.note("spec.provider.kubernetes.envoyDeployment.pod.topologySpreadConstraints", topology_spread_constraints);
    fields.note("spec.provider.kubernetes.envoyDeployment.pod.volumes", volumes);
}

fn read_service(service: &ProxyService, out: &mut Parameters, fields: &mut Fields) {
    let ProxyService {
        labels,
        annotations,
        type_,
        name,
        external_traffic_policy,
        load_balancer_class,
        load_balancer_ip,
        load_balancer_source_ranges,
        allocate_load_balancer_node_ports,
        patch,
    } = service;
    out.service_labels.clone_from(labels);
    out.service_annotations.clone_from(annotations);
    fields.note("spec.provider.kubernetes.envoyService.type", *type_ != ProxyServiceType::LoadBalancer);
    fields.note("spec.provider.kubernetes.envoyService.name", name);
    let traffic = *external_traffic_policy != ExternalTrafficPolicy::Local;
    fields.note("spec.provider.kubernetes.envoyService.externalTrafficPolicy", traffic);
    fields.note("spec.provider.kubernetes.envoyService.loadBalancerClass", load_balancer_class);
    fields.note("spec.provider.kubernetes.envoyService.loadBalancerIP", load_balancer_ip);
    if !load_balancer_source_ranges.is_empty() {
        let path = "spec.provider.kubernetes.envoyService.loadBalancerSourceRanges";
        out.refused = Some(format!("field {path} is not supported yet: nothing is served, since everybody could reach it"));
    }
    let node_ports = *allocate_load_balancer_node_ports == Some(false);
    fields.note("spec.provider.kubernetes.envoyService.allocateLoadBalancerNodePorts", node_ports);
    fields.note("spec.provider.kubernetes.envoyService.patch", patch);
}

fn read_telemetry(telemetry: &EnvoyProxyTelemetry, out: &mut Parameters, fields: &mut Fields) {
    let EnvoyProxyTelemetry { access_log, health_check_log, metrics, request_id, tracing } = telemetry;
    if let Some(AccessLog { disable, settings }) = access_log {
        out.no_access_log = *disable == Some(true);
        // Nothing is written then, so nothing of it can be missed.
        fields.note("spec.telemetry.accessLog.settings", !out.no_access_log && !settings.is_empty());
    }
    fields.note("spec.telemetry.healthCheckLog", health_check_log);
    fields.note("spec.telemetry.metrics", metrics);
    fields.note("spec.telemetry.requestID", request_id);
    fields.note("spec.telemetry.tracing", tracing);
}
