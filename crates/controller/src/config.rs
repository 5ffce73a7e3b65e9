//! What the controller is told: by whoever starts it, and by the administrator's `EnvoyGateway` file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, DynamicObject};
use serde_json::Value;
use tokio::sync::watch;
use weir_api::envoy_gateway;
use weir_translate::Settings;

use crate::backoff::Backoff;
use crate::election::Times;
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
    /// Where the administrator's file is.
    pub source: Source,
    /// Whether the data plane and the backends run in this process: then proxies have one replica and backends may be on loopback
    /// addresses.
    pub embedded: bool,
    /// Where `/healthz` and `/readyz` are answered.
    pub health: SocketAddr,
    /// The image of the provisioned proxies.
    pub proxy_image: String,
    /// The domain of the cluster's Service names.
    pub cluster_domain: String,
    /// What this replica is called where several elect the one that writes, unless the file turns that off; none: there is only this one.
    pub election: Option<String>,
}

/// Where the `EnvoyGateway` file is.
#[derive(Debug, Clone)]
pub enum Source {
    /// In ConfigMap [`CONFIG_MAP`], under [`CONFIG_KEY`].
    ConfigMap,
    /// In a file: what it holds, now and after each change.
    File(PathBuf, watch::Receiver<String>),
}

/// What the file says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct File {
    pub(crate) settings: Settings,
    /// How replicas elect the one that writes; none: they do not.
    pub(crate) election: Option<Times>,
    /// The paths of what it says to no effect.
    pub(crate) unused: Vec<String>,
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    /// The ConfigMap lacks the file.
    #[error("it has no key `{CONFIG_KEY}`; put the EnvoyGateway document there")]
    NoKey,
    /// The file is wrong.
    #[error("{0}")]
    File(String),
}

impl Config {
    /// What is in force without a file.
    pub(crate) fn defaults(&self) -> File {
        let settings = Settings { cluster_domain: self.cluster_domain.as_str().into(), ..Settings::default() };
        File { settings, election: Some(Times::default()), unused: Vec::new() }
    }

    /// What `text`, the file, says.
    pub(crate) fn parse(&self, text: &str) -> Result<File, Invalid> {
        let invalid = |error: String| match &self.source {
            Source::ConfigMap => Invalid::File(format!("{CONFIG_KEY}: {error}")),
            Source::File(..) => Invalid::File(error),
        };
        let file = envoy_gateway::parse(text).map_err(|error| invalid(error.to_string()))?;
        let mut settings = self.defaults().settings;
        settings.controller_name = Arc::from(file.gateway.controller_name.as_str());
        settings.enable_backend = file.extension_apis.enable_backend;
        let election = &file.provider.kubernetes.leader_election;
        let election = if election.disable { None } else { Some(Times::read(election).map_err(invalid)?) };
        Ok(File { settings, election, unused: file.unused().to_vec() })
    }

    /// Where the file is, for messages.
    pub(crate) fn origin(&self) -> String {
        match &self.source {
            Source::ConfigMap => format!("ConfigMap {}/{CONFIG_MAP}", self.namespace),
            Source::File(path, _) => path.display().to_string(),
        }
    }
}

/// The file in `config_map`.
pub(crate) fn text(config_map: &Value) -> Result<&str, Invalid> {
    config_map.get("data").and_then(|it| it.get(CONFIG_KEY)).and_then(Value::as_str).ok_or(Invalid::NoKey)
}

/// Says what is in force now, and what of the file has no effect.
pub(crate) fn tell(file: &File) {
    let Settings { controller_name, enable_backend, cluster_domain: _ } = &file.settings;
    tracing::info!(%controller_name, enable_backend, "configuration in force");
    if !file.unused.is_empty() {
        tracing::warn!(fields = file.unused.join(", "), "the configuration has fields without effect here");
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
            source: Source::ConfigMap,
            embedded: true,
            health: "127.0.0.1:0".parse().expect("an address"),
            proxy_image: "weir".into(),
            cluster_domain: "cluster.local".into(),
            election: None,
        }
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
        let file = config().parse(ENABLE_BACKEND).expect("valid");
        assert!(file.settings.enable_backend && file.unused.is_empty());
        assert_eq!(&*file.settings.controller_name, "example.com/weir");
        let plain = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyGateway\n";
        assert_eq!(config().parse(plain), Ok(config().defaults()));
    }

    #[test]
    fn an_election_is_the_rule_and_can_be_turned_off() {
        let with = |election: &str| {
            let kubernetes = format!("  type: Kubernetes\n  kubernetes:\n    leaderElection: {election}\n");
            config().parse(&ENABLE_BACKEND.replace("  type: Kubernetes\n", &kubernetes))
        };
        assert_eq!(with("{disable: true}").expect("valid").election, None);
        let times = with("{leaseDuration: 3s, renewDeadline: 2s, retryPeriod: 500ms}").expect("valid").election.expect("elected");
        assert_eq!((times.lease.as_secs(), times.renew.as_secs(), times.retry.as_millis()), (3, 2, 500));
        let error = with("{leaseDuration: 5s}").expect_err("shorter than the renewal may take").to_string();
        assert!(error.contains("leaseDuration") && error.contains("10s"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(text(&json!({ "data": { "other": "x" } })), Err(Invalid::NoKey));
        let error = config().parse("kind: Nothing\n").expect_err("not an EnvoyGateway");
        assert!(error.to_string().starts_with("envoy-gateway.yaml: "), "{error}");
    }
}
