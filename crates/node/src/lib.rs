//! The embedded node: one process that plays deployment, replica set, job and endpoint slice controller, kubelet, kube-proxy and load balancer.
//!
//! It knows nothing of gateways. It talks to a Kubernetes-style API with a [`kube::Client`], and runs what the binary injects ([`Workload`]) as
//! tasks of this process, each pod on a loopback address of its own.
//!
//! ```text
//!  watches ──► World ──► work queue ──► reconcile (pure: objects in, writes and notes out) ──► writes ──► API
//!                ▲                                                                              │
//!                └────────────────────────── answers of the writes ◄────────────────────────────┘
//!  container tasks ──► reports ──► pod status
//! ```
//!
//! Everything is event driven: a key is looked at again when an object it depends on changed, when a write failed, or when a time it asked for has come.

mod address;
mod adoption;
mod capacity;
mod deployment;
mod dns;
mod driver;
mod events;
mod job;
mod kubelet;
mod logs;
mod meta;
mod node_object;
mod patch;
mod plan;
mod pod_template;
mod queue;
mod replicaset;
mod service;
#[cfg(test)]
mod simulation;
mod unsupported;
mod watcher;
mod workload;
mod world;
mod write;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use dns::Resolver;
pub use logs::{LogError, LogOptions, LogStore, LogStream, PodLog};
pub use workload::{ContainerContext, ContainerPort, Files, NodeBindPlan, Workload};

/// What a [`Node`] needs to know.
#[derive(Clone)]
pub struct Config {
    /// The API to serve.
    pub client: kube::Client,
    /// Container logs go to `logs/` below it.
    pub data_dir: PathBuf,
    /// Added to the ports of LoadBalancer Services where pods bind them, and nowhere else.
    pub port_offset: u16,
    /// Decides which /16 of 127.0.0.0/8 this node hands out addresses from, so that two instances on a machine seldom meet.
    pub address_seed: String,
    /// Name of the Node object.
    pub node_name: String,
    /// What `kubectl get nodes` shows as version, such as `v1.33.0`.
    pub version: String,
}

impl Config {
    /// The usual node: named `weir`, no port offset.
    pub fn new(client: kube::Client, data_dir: impl Into<PathBuf>, address_seed: impl Into<String>) -> Config {
        Config {
            client,
            data_dir: data_dir.into(),
            port_offset: 0,
            address_seed: address_seed.into(),
            node_name: "weir".to_owned(),
            version: "v1.33.0".to_owned(),
        }
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log folder cannot be used.
    #[error("cannot keep container logs in {path}: {source}; choose another data directory or make it writable")]
    Logs {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The API refused the Node object.
    #[error("cannot register the node: {0}")]
    Register(#[source] kube::Error),
    /// The first lists did not arrive.
    #[error("the API did not list its objects within {0:?}; is it serving apps/v1, batch/v1, v1 and discovery.k8s.io/v1?")]
    Sync(Duration),
}

/// How long the first lists may take.
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// How long taking over the pods of a previous run may hold up the start.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// A running node. Dropping it without [`Node::stop`] leaves its tasks to the runtime.
pub struct Node {
    inputs: mpsc::Sender<driver::Input>,
    logs: LogStore,
    resolver: Resolver,
    watches: CancellationToken,
    failed: CancellationToken,
    driver: JoinHandle<()>,
}

impl Node {
    /// Registers the Node object, lists everything once, takes over the pods of a previous run, and returns when all of that has been written.
    pub async fn start(config: Config, workloads: Vec<std::sync::Arc<dyn Workload>>) -> Result<Node, StartError> {
        let log_dir = config.data_dir.join("logs");
        let logs = LogStore::open_dir(&log_dir).map_err(|source| StartError::Logs { path: log_dir, source })?;
        let resolver = Resolver::default();
        let (inputs, receiver) = mpsc::channel(1024);
        let (progress, mut started) = watch::channel(driver::Progress::Listing);
        let watches = CancellationToken::new();
        watcher::start(&config.client, &inputs, &watches);
        let stop_watches = watches.clone().drop_guard();
        let capacity = capacity::of_this_process();
        node_object::register(&config, capacity).await.map_err(StartError::Register)?;
        let recorder = events::Recorder::start(config.client.clone(), config.node_name.clone(), watches.clone());
        unsupported::start(&config.client, &recorder, &watches);
        let driver = driver::Driver::new(config, capacity, workloads, logs.clone(), resolver.clone(), recorder, inputs.clone());
        let failed = CancellationToken::new();
        let driver = tokio::spawn(tell_panic(driver.run(receiver, progress), failed.clone()));
        let listed = tokio::time::timeout(SYNC_TIMEOUT, started.wait_for(|p| *p != driver::Progress::Listing));
        if !matches!(listed.await, Ok(Ok(_))) {
            driver.abort();
            return Err(StartError::Sync(SYNC_TIMEOUT));
        }
        // What takes longer than this goes on by itself.
        let _ = tokio::time::timeout(SETTLE_TIMEOUT, started.wait_for(|p| *p == driver::Progress::Settled)).await;
        stop_watches.disarm();
        Ok(Node { inputs, logs, resolver, watches, failed, driver })
    }

    /// Resolves when the node has come to an end by a defect of its own: nothing is scheduled, started or counted any more.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// The containers' logs, for the API's `pods/log`.
    pub fn logs(&self) -> LogStore {
        self.logs.clone()
    }

    /// Cluster DNS: `NAME.NAMESPACE.svc[.cluster.local]`, without a question on the wire. No answer means no such name, or no ready pod behind it.
    pub fn lookup(&self, name: &str) -> Vec<std::net::IpAddr> {
        self.resolver.lookup(name)
    }

    /// The same as [`Node::lookup`], as a handle to hand out.
    pub fn resolver(&self) -> Resolver {
        self.resolver.clone()
    }

    /// Stops all containers: tells each, waits up to `grace`, then drops what is left. Objects stay as they are; the next start takes them over.
    pub async fn stop(self, grace: Duration) {
        self.watches.cancel();
        let (done, stopped) = oneshot::channel();
        let told = async {
            if self.inputs.send(driver::Input::Stop { grace, done }).await.is_ok() {
                let _ = stopped.await;
            }
        };
        // A busy node may have no room for one more input, either.
        let _ = tokio::time::timeout(grace + Duration::from_secs(1), told).await;
        self.driver.abort();
        let _ = self.driver.await;
    }
}

/// Runs `work`; a panic in it is told by `failed`.
async fn tell_panic(work: impl Future<Output = ()>, failed: CancellationToken) {
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        failed.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_panic_is_told() {
        for (panics, told) in [(true, true), (false, false)] {
            let failed = CancellationToken::new();
            tell_panic(async { assert!(!panics, "a defect") }, failed.clone()).await;
            assert_eq!(failed.is_cancelled(), told);
        }
    }
}
