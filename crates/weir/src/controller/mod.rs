//! `weir controller`: the controller against a cluster. Proxies are other processes, and nothing connects the two yet.

mod cluster;
mod file;

use std::path::Path;

use tokio_util::sync::CancellationToken;
use weir_controller::{Config, Source};

use self::cluster::Cluster;
use crate::cli::ControllerArguments;
use crate::exit::Failure;
use crate::run::{Signals, bootstrap};

/// Where a pod finds its own namespace.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Runs until a signal.
pub(crate) fn run(arguments: ControllerArguments) -> Result<(), Failure> {
    crate::logging::install()?;
    // Two threads: a long translation must not hold up the renewal of the Lease.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("controller").enable_all().build()?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let stop = CancellationToken::new();
        let serving = serve(arguments, stop.clone());
        tokio::pin!(serving);
        tokio::select! {
            outcome = &mut serving => return outcome,
            _ = signals.next() => stop.cancel(),
        }
        // It gives its Lease back; a second signal does not wait for that.
        tokio::select! {
            outcome = &mut serving => outcome,
            _ = signals.next() => Ok(()),
        }
    });
    runtime.shutdown_background();
    outcome
}

async fn serve(arguments: ControllerArguments, stop: CancellationToken) -> Result<(), Failure> {
    let namespace = arguments.namespace.or_else(|| variable("ENVOY_GATEWAY_NAMESPACE")).or_else(pod_namespace);
    let namespace = namespace.unwrap_or_else(|| bootstrap::NAMESPACE.to_owned());
    let (source, _watched) = match &arguments.config_path {
        Some(path) => {
            let (text, watched) = file::follow(path)?;
            (Source::File(path.clone(), text), Some(watched))
        }
        None => (Source::ConfigMap, None),
    };
    let cluster = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        cluster = connect(arguments.kubeconfig.as_deref(), &namespace) => cluster?,
    };
    tracing::info!(server = cluster.server, namespace, "the cluster that {} names", cluster.origin);
    let config = Config {
        namespace,
        source,
        embedded: false,
        health: arguments.health_address,
        proxy_image: arguments.proxy_image,
        cluster_domain: arguments.cluster_domain.or_else(|| variable("KUBERNETES_CLUSTER_DOMAIN")).unwrap_or("cluster.local".to_owned()),
        election: Some(host_name()),
    };
    weir_controller::run(cluster.client, None, config, stop).await.map_err(|error| Failure::new(format_args!("{error:#}")))
}

async fn connect(kubeconfig: Option<&Path>, namespace: &str) -> Result<Cluster, Failure> {
    let cluster = Cluster::find(kubeconfig).await?;
    cluster.check(namespace).await?;
    Ok(cluster)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn pod_namespace() -> Option<String> {
    std::fs::read_to_string(POD_NAMESPACE).ok().map(|it| it.trim().to_owned()).filter(|it| !it.is_empty())
}

/// What this machine, or this pod, is called.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|it| it.trim().to_owned());
    name.filter(|it| !it.is_empty()).or_else(|| variable("HOSTNAME")).unwrap_or_else(|| "weir".to_owned())
}
