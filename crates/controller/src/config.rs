//! What the controller is told: by whoever starts it, and by the administrator's `EnvoyGateway` file.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, DynamicObject};
use serde_json::Value;
use weir_api::envoy_gateway;
use weir_translate::Settings;

use crate::backoff::Backoff;
use crate::kinds::Kind;

/// The ConfigMap with the `EnvoyGateway` file, in the controller's namespace.
pub const CONFIG_MAP: &str = "envoy-gateway-config";
/// The key that the file is under.
pub const CONFIG_KEY: &str = "envoy-gateway.yaml";

/// How long one attempt at reading it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What whoever starts the controller decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// The controller's namespace: where its configuration is and where proxies are made.
    pub namespace: String,
    /// Whether the data plane and the backends run in this process: then proxies have one replica and backends may be on loopback
    /// addresses.
    pub embedded: bool,
    /// Where `/healthz` and `/readyz` are answered.
    pub health: SocketAddr,
    /// The image of the provisioned proxies.
    pub proxy_image: String,
    /// The domain of the cluster's Service names.
    pub cluster_domain: String,
    /// Whether several replicas elect the one that writes. Not available yet: [`crate::run`] refuses it.
    pub leader_election: bool,
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    /// The ConfigMap lacks the file.
    #[error("it has no key `{CONFIG_KEY}`; put the EnvoyGateway document there")]
    NoKey,
    /// The file is wrong.
    #[error("{CONFIG_KEY}: {0}")]
    File(String),
}

impl Config {
    /// What is in force without a ConfigMap.
    pub(crate) fn defaults(&self) -> Settings {
        Settings { cluster_domain: self.cluster_domain.as_str().into(), ..Settings::default() }
    }

    /// What `config_map` says, and the paths of what it says to no effect.
    pub(crate) fn settings(&self, config_map: &Value) -> Result<(Settings, Vec<String>), Invalid> {
        let text = config_map.get("data").and_then(|it| it.get(CONFIG_KEY)).and_then(Value::as_str).ok_or(Invalid::NoKey)?;
        let file = envoy_gateway::parse(text).map_err(|error| Invalid::File(error.to_string()))?;
        let mut settings = self.defaults();
        settings.controller_name = Arc::from(file.gateway.controller_name.as_str());
        settings.enable_backend = file.extension_apis.enable_backend;
        Ok((settings, file.unused().to_vec()))
    }
}

/// Says what is in force now, and what of the file has no effect.
pub(crate) fn tell(settings: &Settings, unused: &[String]) {
    let Settings { controller_name, enable_backend, cluster_domain: _ } = settings;
    tracing::info!(%controller_name, enable_backend, "configuration in force");
    if !unused.is_empty() {
        tracing::warn!(fields = unused.join(", "), "the configuration has fields without effect here");
    }
}

/// Reads the ConfigMap, trying again until the API server answers. None: there is no such ConfigMap.
pub(crate) async fn read(client: &kube::Client, namespace: &str) -> Option<Value> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &Kind::ConfigMap.resource());
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        let problem = match tokio::time::timeout(PATIENCE, api.get_opt(CONFIG_MAP)).await {
            Ok(Ok(object)) => return object.and_then(|it| serde_json::to_value(it).ok()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the API server did not answer in time".to_owned(),
        };
        if backoff.failures() == 0 {
            tracing::warn!(error = problem, "cannot read ConfigMap {namespace}/{CONFIG_MAP}; trying again");
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn config() -> Config {
        Config {
            namespace: "envoy-gateway-system".into(),
            embedded: true,
            health: "127.0.0.1:0".parse().expect("an address"),
            proxy_image: "weir".into(),
            cluster_domain: "cluster.local".into(),
            leader_election: false,
        }
    }

    pub(crate) fn config_map(text: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": CONFIG_MAP, "namespace": "envoy-gateway-system", "uid": "c", "resourceVersion": "1" },
            "data": { CONFIG_KEY: text },
        })
    }

    pub(crate) const ENABLE_BACKEND: &str = "apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
provider:
  type: Kubernetes
gateway:
  controllerName: example.com/weir
extensionApis:
  enableBackend: true
";

    #[test]
    fn the_file_is_read_and_the_rest_is_default() {
        let (settings, unused) = config().settings(&config_map(ENABLE_BACKEND)).expect("valid");
        assert!(settings.enable_backend && unused.is_empty());
        assert_eq!(&*settings.controller_name, "example.com/weir");
        let plain = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyGateway\n";
        assert_eq!(config().settings(&config_map(plain)), Ok((config().defaults(), Vec::new())));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(config().settings(&json!({ "data": { "other": "x" } })), Err(Invalid::NoKey));
        let error = config().settings(&config_map("kind: Nothing\n")).expect_err("not an EnvoyGateway");
        assert!(error.to_string().starts_with("envoy-gateway.yaml: "), "{error}");
    }
}
