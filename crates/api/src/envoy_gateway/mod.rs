//! The `EnvoyGateway` configuration file: ConfigMap `envoy-gateway-config`, key `envoy-gateway.yaml`.
//!
//! Every field of Envoy Gateway's file is known by name, so that a file made for it is read. A field that is set and has no effect
//! in Weir is told by [`EnvoyGateway::unused`]; one that nobody knows is an error.

mod check;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::envoy_proxy::EnvoyProxySpec;
use crate::selector::LabelSelector;

/// Version and kind that the file must declare.
pub const API_VERSION: &str = "gateway.envoyproxy.io/v1alpha1";
/// The kind that the file must declare.
pub const KIND: &str = "EnvoyGateway";
/// The controller name that GatewayClasses use unless the file says otherwise.
pub const DEFAULT_CONTROLLER_NAME: &str = "gateway.envoyproxy.io/gatewayclass-controller";

/// What the controller is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvoyGateway {
    /// Which GatewayClasses are served.
    pub gateway: GatewayConfig,
    /// Where objects come from and proxies run.
    pub provider: ProviderConfig,
    /// What the controller logs.
    pub logging: LoggingConfig,
    /// APIs beyond Gateway API, each off unless it is turned on.
    pub extension_apis: ExtensionApis,
    /// Defaults for every EnvoyProxy.
    pub envoy_proxy: Option<EnvoyProxySpec>,
    /// The controller's own console.
    pub admin: AdminConfig,
    /// Kinds of Gateway API that are served although they are experimental.
    #[serde(rename = "gatewayAPI")]
    pub gateway_api: GatewayApiConfig,
    /// Behaviour that is being changed, by name.
    pub runtime_flags: RuntimeFlags,
    /// Metrics and traces of the controller.
    pub telemetry: Option<Value>,
    /// The server that Envoy proxies ask for their configuration.
    pub xds_server: Option<Value>,
    /// The store behind global rate limits.
    pub rate_limit: Option<Value>,
    /// A server that changes the translation.
    pub extension_manager: Option<Value>,
    /// Several of them.
    pub extension_managers: Vec<Value>,
    #[serde(skip)]
    unused: Vec<String>,
}

/// Which GatewayClasses are served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayConfig {
    /// Those whose controllerName is this.
    pub controller_name: String,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self { controller_name: DEFAULT_CONTROLLER_NAME.to_owned() }
    }
}

/// Where objects come from and proxies run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderConfig {
    /// Kubernetes.
    #[serde(rename = "type")]
    pub type_: ProviderType,
    /// Settings for type Kubernetes.
    pub kubernetes: KubernetesProvider,
    /// Settings for type Custom, which Weir refuses.
    pub custom: Option<Value>,
}

words! {
    /// Where objects come from.
    ProviderType { Kubernetes = "Kubernetes", Custom = "Custom" } default Kubernetes
}

/// How the controller uses its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesProvider {
    /// Namespaces whose objects are read.
    pub watch: Option<Watch>,
    /// Namespaces that proxies run in.
    pub deploy: Option<Deploy>,
    /// How one of several controllers is chosen.
    pub leader_election: LeaderElection,
    /// How fast the cluster is asked.
    pub client: Option<Value>,
    /// How often everything is read again.
    pub cache_sync_period: Option<String>,
    /// The Deployment of the rate limit service.
    pub rate_limit_deployment: Option<Value>,
    /// Its autoscaler.
    pub rate_limit_hpa: Option<Value>,
    /// Its disruption budget.
    #[serde(rename = "rateLimitPDB")]
    pub rate_limit_pdb: Option<Value>,
    /// The container that ends Envoy proxies.
    pub shutdown_manager: Option<Value>,
    /// The webhook that tells Envoy proxies their zone.
    pub proxy_topology_injector: Option<Value>,
}

/// Namespaces whose objects are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Watch {
    /// By name or by label.
    #[serde(rename = "type")]
    pub type_: Option<WatchType>,
    /// Their names, for type Namespaces.
    pub namespaces: Vec<String>,
    /// Their labels, for type NamespaceSelector.
    pub namespace_selector: Option<LabelSelector>,
}

words! {
    /// How namespaces are chosen.
    WatchType { Namespaces = "Namespaces", NamespaceSelector = "NamespaceSelector" }
}

/// Namespaces that proxies run in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Deploy {
    /// The controller's own, or each Gateway's.
    #[serde(rename = "type")]
    pub type_: DeployType,
}

words! {
    /// Where proxies run.
    DeployType { ControllerNamespace = "ControllerNamespace", GatewayNamespace = "GatewayNamespace" } default ControllerNamespace
}

/// How one of several controllers is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaderElection {
    /// Whether there is no election: every controller is the leader.
    pub disable: bool,
    /// How long others wait for a silent leader; 15s by default.
    pub lease_duration: Option<String>,
    /// How long a leader tries to stay; 10s by default.
    pub renew_deadline: Option<String>,
    /// Pause between attempts; 2s by default.
    pub retry_period: Option<String>,
}

/// What the controller logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LoggingConfig {
    /// Level by component; component `default` is for those not named.
    pub level: BTreeMap<String, LogLevel>,
    /// How lines look.
    pub encoder: Option<LogEncoder>,
}

words! {
    /// A level of the controller's log.
    LogLevel { Debug = "debug", Info = "info", Warn = "warn", Error = "error" } default Info
}

words! {
    /// How lines of the log look.
    LogEncoder { Text = "Text", Json = "JSON" }
}

impl LoggingConfig {
    /// The level of components that have none of their own.
    pub fn default_level(&self) -> LogLevel {
        self.level.get("default").cloned().unwrap_or_default()
    }
}

/// APIs beyond Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionApis {
    /// Whether Backends may be used.
    pub enable_backend: bool,
    /// Whether EnvoyPatchPolicies may be used.
    pub enable_envoy_patch_policy: bool,
    /// Whether Lua scripts may be used.
    pub enable_lua: bool,
    /// The older, inverse form of enableLua.
    pub disable_lua: Option<bool>,
    /// Whether secrets may be named by URL.
    #[serde(rename = "enableSDSSecretRef")]
    pub enable_sds_secret_ref: bool,
}

/// The controller's own console.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AdminConfig {
    /// Where it listens.
    pub address: Option<AdminAddress>,
    /// Whether each configuration is logged.
    pub enable_dump_config: bool,
    /// Whether profiles can be taken.
    pub enable_pprof: bool,
}

/// Where the console listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AdminAddress {
    /// Host; 127.0.0.1 by default.
    pub host: Option<String>,
    /// Port; 19000 by default.
    pub port: Option<u16>,
}

/// Kinds of Gateway API that are served although they are experimental.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayApiConfig {
    /// Their names.
    pub enabled: Vec<String>,
}

/// Behaviour that is being changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RuntimeFlags {
    /// Flags that are turned on.
    pub enabled: Vec<String>,
    /// Flags that are turned off.
    pub disabled: Vec<String>,
}

impl EnvoyGateway {
    /// The paths of fields that the file sets and that have no effect in Weir.
    pub fn unused(&self) -> &[String] {
        &self.unused
    }
}

/// Why a configuration file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is no YAML, or no object.
    #[error("the configuration is not valid YAML: {0}")]
    Syntax(String),
    /// The document is something else.
    #[error("the configuration must declare apiVersion {API_VERSION} and kind {KIND}; it declares {found}")]
    WrongKind {
        /// What the document declares.
        found: String,
    },
    /// Fields that are unknown or hold something that cannot be; all of them.
    #[error("{}", join(.0))]
    Fields(Vec<FieldProblem>),
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct FieldProblem {
    /// The path of the field, such as `extensionApis.enableBackend`.
    pub path: String,
    /// What is wrong with it, and what to write.
    pub message: String,
}

fn join(problems: &[FieldProblem]) -> String {
    problems.iter().map(FieldProblem::to_string).collect::<Vec<_>>().join("; ")
}

/// Reads a configuration file. Every problem with its fields is reported at once.
pub fn parse(text: &str) -> Result<EnvoyGateway, ConfigError> {
    let mut document: Value = serde_saphyr::from_str(text).map_err(|error| ConfigError::Syntax(check::one_line(&error)))?;
    let fields = match &mut document {
        Value::Object(fields) => fields,
        Value::Null => return Err(ConfigError::WrongKind { found: "nothing: it is empty".to_owned() }),
        _ => return Err(ConfigError::Syntax("a document with fields is expected".to_owned())),
    };
    let [api_version, kind] = ["apiVersion", "kind"].map(|key| fields.shift_remove(key));
    let declared = |value: Option<Value>| match value {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let (api_version, kind) = (declared(api_version), declared(kind));
    if api_version != API_VERSION || kind != KIND {
        return Err(ConfigError::WrongKind { found: format!("apiVersion {api_version:?} and kind {kind:?}") });
    }
    let (unknown, unused) = check::fields(&document);
    if !unknown.is_empty() {
        return Err(ConfigError::Fields(unknown));
    }
    let config: EnvoyGateway =
        crate::decode(document).map_err(|error| ConfigError::Fields(vec![FieldProblem { path: error.path, message: error.message }]))?;
    let problems = check::values(&config);
    if !problems.is_empty() {
        return Err(ConfigError::Fields(problems));
    }
    let mut config = EnvoyGateway { unused, ..config };
    if config.gateway.controller_name.is_empty() {
        config.gateway = GatewayConfig::default();
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
