//! Which cluster, and whether it answers: what is wrong is told before anything starts.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use crate::exit::Failure;
use crate::workloads::named;

/// How long the cluster may take for its first answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A cluster that was found.
pub(super) struct Cluster {
    pub(super) client: Client,
    /// Its URL.
    pub(super) server: String,
    /// What named it.
    pub(super) origin: String,
}

impl Cluster {
    /// The one of the given kubeconfig, of `$KUBECONFIG`, of the pod that this is, or of `~/.kube/config`: the order of Envoy Gateway's own
    /// controller.
    pub(super) async fn find(kubeconfig: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = kubeconfig {
            return Self::of_file(path, format!("--kubeconfig {}", path.display())).await;
        }
        if let Some(paths) = super::variable("KUBECONFIG") {
            let origin = format!("KUBECONFIG={paths}");
            let missing: Vec<PathBuf> = std::env::split_paths(&paths).filter(|it| !it.as_os_str().is_empty() && !it.exists()).collect();
            if let [path, ..] = missing.as_slice() {
                return Err(Failure::new(format_args!("{origin}: there is no file {}", path.display())));
            }
            let config = Kubeconfig::from_env().map_err(|error| invalid(&origin, &error))?;
            return Self::of_kubeconfig(config.unwrap_or_default(), origin).await;
        }
        if super::variable("KUBERNETES_SERVICE_HOST").is_some() {
            let origin = "this pod's ServiceAccount".to_owned();
            let config = kube::Config::incluster().map_err(|error| invalid(&origin, &error))?;
            return Self::of_config(config, origin);
        }
        match std::env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config")).filter(|it| it.exists()) {
            Some(path) => Self::of_file(&path, path.display().to_string()).await,
            None => Err(Failure::new(
                "no cluster: name a kubeconfig with --kubeconfig FILE or in KUBECONFIG, or run this in a pod; without a cluster there is `weir run`",
            )),
        }
    }

    async fn of_file(path: &Path, origin: String) -> Result<Self, Failure> {
        if !path.exists() {
            return Err(Failure::new(format_args!("{origin}: there is no such file")));
        }
        let config = Kubeconfig::read_from(path).map_err(|error| invalid(&origin, &error))?;
        Self::of_kubeconfig(config, origin).await
    }

    async fn of_kubeconfig(config: Kubeconfig, origin: String) -> Result<Self, Failure> {
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(config, &options).await.map_err(|error| invalid(&origin, &error))?;
        Self::of_config(config, origin)
    }

    fn of_config(config: kube::Config, origin: String) -> Result<Self, Failure> {
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = Client::try_from(named(config, "weir-controller")).map_err(|error| invalid(&origin, &error))?;
        Ok(Self { client, server, origin })
    }

    /// Whether it answers and lets us in, and has the namespace.
    pub(super) async fn check(&self, namespace: &str) -> Result<(), Failure> {
        let Self { server, origin, .. } = self;
        let path = format!("/api/v1/namespaces/{namespace}");
        let request = http::Request::get(path)
            .body(Vec::new())
            .map_err(|_| Failure::new(format_args!("{namespace:?} is no namespace: name one with --namespace")))?;
        let silent = |why: &str| Failure::new(format_args!("the Kubernetes API at {server} ({origin}) does not answer: {why}"));
        match tokio::time::timeout(PATIENCE, self.client.request::<Value>(request)).await {
            Err(_) => Err(silent(&format!("nothing within {} s", PATIENCE.as_secs()))),
            Ok(Err(kube::Error::Api(status))) => match status.code {
                401 => Err(Failure::new(format_args!(
                    "the Kubernetes API at {server} does not know the credentials of {origin}: {}; are they of this cluster, and still valid?",
                    status.message
                ))),
                404 => Err(Failure::new(format_args!(
                    "the cluster at {server} has no namespace {namespace}: kubectl create namespace {namespace}, or name another with --namespace"
                ))),
                // May it not read this one, it may yet read what it needs: what it may not, it tells as it goes.
                _ => Ok(()),
            },
            Ok(Err(error)) => Err(silent(&root(&error))),
            Ok(Ok(_)) => Ok(()),
        }
    }
}

fn invalid(origin: &str, error: &dyn Error) -> Failure {
    Failure::new(format_args!("{origin}: {}", root(error)))
}

/// What an error comes from: what wraps it says little more.
fn root(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    // Some draw the place in the file below it.
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
