//! EnvoyProxy: how the proxies of a Gateway are run. The fields that Weir reads are typed; the rest of Envoy Gateway's fields are
//! known by name and kept as they came, so that their use can be reported instead of passed over.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::object::Object;

/// An EnvoyProxy object.
pub type EnvoyProxy = Object<EnvoyProxySpec>;

/// How the proxies of a GatewayClass or a Gateway are run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyProxySpec {
    /// Where proxies run, and what the objects created for them look like.
    pub provider: Option<EnvoyProxyProvider>,
    /// What proxies tell: access logs, metrics, traces.
    pub telemetry: Option<EnvoyProxyTelemetry>,
    /// How much the proxies' own logs tell.
    pub logging: EnvoyProxyLogging,
    /// How proxies end.
    pub shutdown: Option<Shutdown>,
    /// Worker threads of a proxy. Default: one per CPU.
    pub concurrency: Option<i32>,
    /// Whether all Gateways of the class share one set of proxies. Default: false.
    pub merge_gateways: Option<bool>,
    /// Whether requests go to endpoints or to the Service's own address: Endpoint or Service. Default: Endpoint.
    pub routing_type: Option<String>,
    /// Address families of listeners: IPv4, IPv6 or DualStack. Default: IPv4.
    pub ip_family: Option<IpFamily>,
    /// Whether rules keep the order they are written in instead of Gateway API's precedence. Default: false.
    pub preserve_route_order: Option<bool>,
    /// How this object is put together with what is less specific: the class's, the configuration's. Default: Replace, it stands alone.
    pub merge_type: Option<MergeType>,
    /// How Lua scripts are checked: Strict, InsecureSyntax or Disabled. Default: Strict.
    pub lua_validation: Option<LuaValidation>,
    /// Arguments for the Envoy command line. Not served by Weir, whose proxy is not Envoy.
    pub extra_args: Vec<String>,
    /// Changes to Envoy's bootstrap configuration. Not served by Weir, whose proxy is not Envoy.
    pub bootstrap: Option<Value>,
    /// Defaults for TLS towards backends. Not served by Weir yet.
    #[serde(rename = "backendTLS")]
    pub backend_tls: Option<Value>,
    /// Modules that Envoy loads. Not served by Weir, whose proxy is not Envoy.
    pub dynamic_modules: Vec<Value>,
    /// Order of HTTP filters. Not served by Weir yet.
    pub filter_order: Vec<Value>,
    /// Databases that tell a client's place. Not served by Weir yet.
    #[serde(rename = "geoIP")]
    pub geo_ip: Option<Value>,
    /// Backends whose clusters are shared between routes. Not served by Weir, which shares them always.
    pub merge_backends: Option<Value>,
}

words! {
    /// Address families of listeners.
    IpFamily { V4 = "IPv4", V6 = "IPv6", DualStack = "DualStack" }
}

words! {
    /// How objects are put together.
    MergeType { Replace = "Replace", StrategicMerge = "StrategicMerge", JsonMerge = "JSONMerge" }
}

words! {
    /// How Lua scripts are checked.
    LuaValidation { Strict = "Strict", InsecureSyntax = "InsecureSyntax", Disabled = "Disabled" }
}

/// How much the proxies' own logs tell.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyProxyLogging {
    /// Level by component: trace, debug, info, warn, error, critical or off. Default: warn for component default.
    pub level: BTreeMap<String, ProxyLogLevel>,
}

impl Default for EnvoyProxyLogging {
    fn default() -> Self {
        Self { level: BTreeMap::from([("default".to_owned(), ProxyLogLevel::Warn)]) }
    }
}

words! {
    /// Level of a proxy's log.
    ProxyLogLevel {
        Trace = "trace", Debug = "debug", Info = "info", Warn = "warn", Error = "error", Off = "off", Critical = "critical",
    }
}

/// How proxies end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Shutdown {
    /// How long open connections get to finish; such as 60s. Default: 60s.
    pub drain_timeout: Option<String>,
    /// How long a proxy waits at least before it ends; such as 10s. Default: 10s.
    pub min_drain_duration: Option<String>,
    /// Pause between the order to end and the failing of health checks; such as 5s. Default: 0s.
    pub health_check_failure_delay: Option<String>,
}

/// Where proxies run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvoyProxyProvider {
    /// Kubernetes runs them in pods, Host as processes on this machine.
    #[serde(rename = "type")]
    pub type_: ProxyProviderType,
    /// What the objects created for proxies look like; for type Kubernetes.
    pub kubernetes: Option<ProxyKubernetesProvider>,
    /// Settings for type Host.
    pub host: Option<ProxyHostProvider>,
}

words! {
    /// Where proxies run.
    ProxyProviderType { Kubernetes = "Kubernetes", Host = "Host" }
}

/// Proxies as processes on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyHostProvider {
    /// Version of Envoy. Not served by Weir, whose proxy is not Envoy.
    pub envoy_version: Option<String>,
}

/// What the objects created for proxies look like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyKubernetesProvider {
    /// The Deployment of the proxies.
    pub envoy_deployment: Option<ProxyDeployment>,
    /// The Service in front of the proxies.
    pub envoy_service: Option<ProxyService>,
    /// Runs the proxies as a DaemonSet instead of a Deployment. Not served by Weir yet.
    pub envoy_daemon_set: Option<Value>,
    /// Scales the proxies by load. Not served by Weir yet.
    pub envoy_hpa: Option<Value>,
    /// How many proxies may be away at once. Not served by Weir yet.
    #[serde(rename = "envoyPDB")]
    pub envoy_pdb: Option<Value>,
    /// The ServiceAccount of the proxies. Not served by Weir yet.
    pub envoy_service_account: Option<Value>,
    /// Whether proxies listen on the listener's own port number inside their pods. Default: false, which adds 10000 to ports below 1024.
    pub use_listener_port_as_container_port: Option<bool>,
}

/// The Deployment of the proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyDeployment {
    /// How many proxies run. Default: 1.
    pub replicas: Option<i32>,
    /// What their pods carry.
    pub pod: Option<ProxyPod>,
    /// Name of the Deployment. Default: made from the Gateway's namespace and name.
    pub name: Option<String>,
    /// How pods are replaced. Not served by Weir yet.
    pub strategy: Option<Value>,
    /// Settings of the proxy's container. Not served by Weir yet.
    pub container: Option<Value>,
    /// Containers that run before the proxy. Not served by Weir yet.
    pub init_containers: Vec<Value>,
    /// Changes to the finished Deployment. Not served by Weir yet.
    pub patch: Option<Value>,
}

/// What the proxies' pods carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyPod {
    /// Labels for the pods.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the pods.
    pub annotations: BTreeMap<String, String>,
    /// Labels of the nodes that pods may run on. Not served by Weir yet.
    pub node_selector: BTreeMap<String, String>,
    /// Priority class of the pods. Not served by Weir yet.
    pub priority_class_name: Option<String>,
    /// Where pods run best. Not served by Weir yet.
    pub affinity: Option<Value>,
    /// Secrets for pulling images. Not served by Weir yet.
    pub image_pull_secrets: Vec<Value>,
    /// Security settings of the pods. Not served by Weir yet.
    pub security_context: Option<Value>,
    /// Taints that pods tolerate. Not served by Weir yet.
    pub tolerations: Vec<Value>,
    /// How pods spread. Not served by Weir yet.
    pub topology_spread_constraints: Vec<Value>,
    /// Further volumes. Not served by Weir yet.
    pub volumes: Vec<Value>,
}

/// The Service in front of the proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyService {
    /// Labels for the Service.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the Service.
    pub annotations: BTreeMap<String, String>,
    /// ClusterIP, LoadBalancer or NodePort. Default: LoadBalancer.
    #[serde(rename = "type")]
    pub type_: ProxyServiceType,
    /// Name of the Service. Default: made from the Gateway's namespace and name.
    pub name: Option<String>,
    /// Local sends outside traffic only to proxies on the node it reached; Cluster to all. Default: Local.
    pub external_traffic_policy: ExternalTrafficPolicy,
    /// Which load balancer implementation serves the Service.
    pub load_balancer_class: Option<String>,
    /// IPv4 address asked of the load balancer.
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: Option<String>,
    /// Networks that may reach the load balancer. Default: all.
    pub load_balancer_source_ranges: Vec<String>,
    /// Whether node ports are allocated for a LoadBalancer. Default: true.
    pub allocate_load_balancer_node_ports: Option<bool>,
    /// Changes to the finished Service. Not served by Weir yet.
    pub patch: Option<Value>,
}

words! {
    /// Type of the proxies' Service.
    ProxyServiceType { ClusterIp = "ClusterIP", LoadBalancer = "LoadBalancer", NodePort = "NodePort" } default LoadBalancer
}

words! {
    /// Which proxies get outside traffic.
    ExternalTrafficPolicy { Local = "Local", Cluster = "Cluster" } default Local
}

/// What proxies tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyProxyTelemetry {
    /// The access log.
    pub access_log: Option<AccessLog>,
    /// Events of health checks. Not served by Weir yet.
    pub health_check_log: Option<Value>,
    /// Metrics and where they go. Not served by Weir yet.
    pub metrics: Option<Value>,
    /// How request identifiers carry trace decisions. Not served by Weir yet.
    #[serde(rename = "requestID")]
    pub request_id: Option<Value>,
    /// Traces and where they go. Not served by Weir yet.
    pub tracing: Option<Value>,
}

/// The access log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessLog {
    /// Whether no access log is written. Default: false.
    pub disable: Option<bool>,
    /// Formats, filters and sinks. Default: one JSON object per request on standard output. Not served by Weir yet.
    pub settings: Vec<Value>,
}
