//! What the binary injects: images that this process can run itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::logs::PodLog;

/// Something that runs containers of some images as tasks of this process.
pub trait Workload: Send + Sync {
    /// The images it runs, as patterns for people, such as `*/echo-basic:*`. They are listed when an image is not known.
    fn images(&self) -> &'static [&'static str];

    /// Whether it runs this image.
    fn runs(&self, image: &str) -> bool;

    /// Runs one container until it ends by itself or `context.stop` is cancelled. The result is the exit code; a panic counts as 101.
    fn start(&self, context: ContainerContext) -> BoxFuture<'static, i32>;
}

/// Everything a container knows of itself.
pub struct ContainerContext {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// The container's image, as written.
    pub image: String,
    /// The pod's labels.
    pub labels: BTreeMap<String, String>,
    /// The pod's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The pod's own address. A container binds its ports here.
    pub ip: Ipv4Addr,
    /// What its volumes hold, by path.
    pub files: Files,
    /// Environment with all references resolved.
    pub env: BTreeMap<String, String>,
    /// `command`, with `$(NAME)` replaced.
    pub command: Vec<String>,
    /// `args`, with `$(NAME)` replaced.
    pub args: Vec<String>,
    /// The container's declared ports.
    pub ports: Vec<ContainerPort>,
    /// Standard output and standard error in one.
    pub log: PodLog,
    /// Cancelled when the container has to end.
    pub stop: CancellationToken,
    /// Where LoadBalancer Services want this pod to listen. Changes while the pod runs.
    pub bind_plan: watch::Receiver<NodeBindPlan>,
    /// How long the container may take to end once `stop` is cancelled; then it is dropped.
    pub grace: Duration,
}

/// The files that a container's volumes give it, by absolute path.
#[derive(Clone, Default)]
pub struct Files(pub(crate) Arc<BTreeMap<String, Bytes>>);

impl Files {
    /// The content of the file at `path`.
    ///
    /// # Errors
    /// No volume has a file there.
    pub fn read(&self, path: &str) -> std::io::Result<Bytes> {
        self.0.get(path).cloned().ok_or_else(|| std::io::Error::new(std::io::ErrorKind::NotFound, format!("{path}: no such file")))
    }
}

/// A declared port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its number.
    pub port: u16,
    /// `TCP` or `UDP`.
    pub protocol: String,
}

/// What the LoadBalancer Services that select a pod ask of it: bind each address at each port's bind port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeBindPlan {
    /// External addresses, sorted.
    pub addresses: Vec<IpAddr>,
    /// Container port to port to bind: the Service's port plus the node's port offset.
    pub ports: BTreeMap<u16, u16>,
}
