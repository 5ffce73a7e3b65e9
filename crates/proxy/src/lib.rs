//! The data plane: worker threads that carry requests from clients to backends, and one control thread that tells them how.
//!
//! ```text
//!  controller ──Publish──► control ──PortConfig, endpoints──► workers ◄── sockets
//!             ◄──Answer───    │                                  │
//!                             └── binds, reports, metrics ◄──────┘ counters
//! ```
//!
//! Each worker is a current-thread runtime with its own `SO_REUSEPORT` listeners, upstream pools, buffers and counters; nothing on the
//! request path takes a lock or shares a cache line with another worker but the connection limits. The control thread owns the
//! [`weir_model::Model`], compiles what changed of it, and publishes immutable parts that workers pick up between requests.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod access_log;
mod admin;
mod ceiling;
mod client;
mod client_ip;
mod clock;
mod config;
mod control;
mod exposition;
mod mailbox;
mod mutation;
mod process;
mod proxy_protocol;
mod socket;
mod stats;
mod storm;
mod tls;
mod worker;

#[cfg(test)]
mod tests;

// What the tests of this crate share with those beside it names it from outside.
#[cfg(test)]
extern crate self as weir_proxy;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use weir_model::{Answer, GatewayName, Publish, Report};

use crate::control::{Command, Shared};

/// How the data plane works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Worker threads; at least one.
    pub workers: usize,
    /// How long connections of a listener that is taken away may go on.
    pub drain_timeout: Duration,
    /// Where metrics are served on each address, at `/stats/prometheus`.
    pub metrics_port: u16,
    /// Where readiness is served on each address, at `/ready`.
    pub ready_port: u16,
    /// How long waits may take.
    pub timeouts: Timeouts,
    /// The most connections of clients, of all gateways together; none: what file descriptors and memory can carry.
    pub max_connections: Option<u64>,
    /// Whether backends may run in this process, whose descriptors they then share.
    pub backends_share_process: bool,
    /// How many connections refused in a second, at a port where nobody could come in, are left to the kernel to refuse.
    pub storm_rate: u64,
    /// How patient it is with clients while a limit is nearly full.
    pub patience: Patience,
    /// The most idle connections that a worker keeps to one endpoint.
    pub max_idle_upstream: usize,
}

/// How patient the data plane is with clients who hold places that others want: from 90 percent of a limit on. Granularity: 1 s. What a
/// policy says about a timeout is never cut short.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long a connection may be idle between requests when the limit is full; six times as long at 90 percent.
    pub idle: Duration,
    /// How long a connection may take for its first request's head, TLS handshake included, when the limit is full; twice as long at 90
    /// percent.
    pub silent: Duration,
    /// Over which time the bytes are counted that a client sends of a body or takes of an answer, while it is the one that is waited for.
    pub slow: Duration,
    /// How many bytes a second it must move then.
    pub least_bytes_per_second: u32,
}

/// How long waits for backends may take; for clients it is the Model that says. Granularity: 0.1 s.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection to an endpoint. Envoy Gateway's default (`connectTimeout`).
    pub connect: Duration,
    /// For an idle connection to an endpoint, before it is closed.
    pub upstream_idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            drain_timeout: Duration::from_secs(5),
            metrics_port: 19001,
            ready_port: 19003,
            timeouts: Timeouts::default(),
            max_connections: None,
            backends_share_process: false,
            storm_rate: 2000,
            patience: Patience::default(),
            max_idle_upstream: 512,
        }
    }
}

impl Settings {
    fn backends(&self) -> ceiling::Backends {
        if self.backends_share_process { ceiling::Backends::Here } else { ceiling::Backends::Elsewhere }
    }
}

impl Default for Patience {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { idle: ten, silent: ten / 2, slow: ten, least_bytes_per_second: 512 }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), upstream_idle: Duration::from_secs(60) }
    }
}

/// Which addresses and ports a gateway is served on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindPlan {
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// The port to bind for each listener's container port. A listener without an entry is not bound.
    pub ports: BTreeMap<u16, u16>,
    /// Another address for metrics and readiness alone.
    pub pod_ip: Option<IpAddr>,
}

/// Where access log lines go.
pub trait LogSink: Send + Sync {
    /// Takes whole lines, each with its line feed. Called from the data plane's log thread, never from a worker.
    fn write(&self, lines: &[u8]);
}

/// A running data plane. All clones are the same one; it stops when the last is dropped.
#[derive(Clone)]
pub struct DataPlane {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.commands.send(Command::Stop);
    }
}

impl DataPlane {
    /// Starts the threads. Nothing is served until a gateway is attached and a Model published.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be started.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        let shared = control::start(settings)?;
        Ok(Self { handle: Arc::new(Handle { shared }) })
    }

    /// A controller's line. Each [`Publish`] gets its [`Answer::Acknowledgement`]; reports and refusals follow as they come. A newer line
    /// takes the reports over from an older one, and the highest epoch that was seen is obeyed.
    pub fn connect(&self) -> (mpsc::Sender<Publish>, mpsc::Receiver<Answer>) {
        let (publish, publishes) = mpsc::channel(16);
        let (answers, receiver) = mpsc::channel(64);
        self.handle.shared.commands.send(Command::Connect { publishes, answers });
        (publish, receiver)
    }

    /// Serves `gateway` under a bind plan until it is detached. Its listeners are bound as soon as the Model has them; those that a new
    /// plan or Model leaves alone keep their sockets.
    pub fn attach(&self, gateway: GatewayName, plan: watch::Receiver<BindPlan>, log: Arc<dyn LogSink>) -> Attachment {
        let id = self.handle.shared.next_id();
        self.handle.shared.commands.send(Command::Attach { id, gateway, plan, log });
        Attachment { id, handle: Some(self.handle.clone()) }
    }

    /// How things stand now.
    pub fn report(&self) -> Arc<Report> {
        Arc::new(self.handle.shared.report())
    }

    /// How many client connections each worker has.
    pub fn loads(&self) -> Vec<usize> {
        self.handle.shared.team.members.iter().map(|member| member.load.read()).collect()
    }

    /// Drains and detaches every gateway: stops accepting, closes idle connections at once and the others after their answer, at the
    /// latest after `timeout`.
    pub async fn drain(&self, timeout: Duration) {
        let (done, wait) = oneshot::channel();
        self.handle.shared.commands.send(Command::DrainAll { timeout, done });
        // An error means that the control thread is gone, and with it all that could be drained.
        let _ = wait.await;
    }
}

/// A gateway that is being served. Dropping it stops serving at once.
#[must_use = "dropping it stops serving the gateway"]
pub struct Attachment {
    id: u64,
    handle: Option<Arc<Handle>>,
}

impl Attachment {
    /// Stops serving this gateway: no new connections, idle ones closed at once, the others after their answer, at the latest after
    /// `drain`. Other gateways are not touched. Returns when the last connection is gone.
    pub async fn detach(mut self, drain: Duration) {
        let Some(handle) = self.handle.take() else { return };
        let (done, wait) = oneshot::channel();
        handle.shared.commands.send(Command::Detach { id: self.id, drain, done: Some(done) });
        let _ = wait.await;
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.shared.commands.send(Command::Detach { id: self.id, drain: Duration::ZERO, done: None });
        }
    }
}
