//! The Kubernetes controller: watches, the translate loop, statuses, provisioning.
//!
//! It speaks to a Kubernetes API over HTTP and cannot tell whether that is a cluster's or the one in this process. [`run`] is all there is
//! to call. Inside, everything with a rule is a state machine without I/O (what to publish, which statuses and objects to write, which
//! Events); one loop owns them all and carries out what they ask for:
//!
//! ```text
//!  watch ─► world ─┬─► translate ─► link ─► data plane
//!                  │       ├─► status::Board ─► PATCH .../status
//!                  │       └─► provision::Fleet ─► Deployments, Services
//!                  └──────────── limits ─► log, Events ◄─ data plane
//! ```

mod backoff;
mod config;
mod controller;
mod debounce;
mod events;
mod health;
mod json;
mod kinds;
mod limits;
mod limits_log;
mod line;
mod link;
mod provision;
mod status;
mod version;
mod watch;
mod work;
mod world;

use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_model::{Answer, Publish};

pub use config::{CONFIG_KEY, CONFIG_MAP, Config};
use controller::Controller;
use health::Ready;
use kinds::Kind;
use line::Line;

/// Opens a line to the data plane; called again whenever the line breaks.
pub type Connect = Arc<dyn Fn() -> (mpsc::Sender<Publish>, mpsc::Receiver<Answer>) + Send + Sync>;

/// Changes that the watches may be ahead of the loop.
const CHANGES: usize = 1024;

/// Runs the controller until `stop`. It logs with `tracing`; run it on a runtime whose subscriber writes where the log belongs.
///
/// # Errors
/// The configuration is invalid, or the health address is taken, at start; the message names the reason and what to do. Later trouble
/// is logged and survived.
pub async fn run(client: kube::Client, connect: Connect, config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    anyhow::ensure!(!config.leader_election, "leader election is not available yet: run one replica and turn it off");
    let listener = health::listen(config.health).await?;
    let ready = Ready::default();
    // Aborted when dropped, so everything ends with this function.
    let mut tasks = JoinSet::new();
    tasks.spawn(health::serve(listener, ready.clone()));
    let config_map = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        config_map = config::read(&client, &config.namespace) => config_map,
    };
    let (settings, unused) = match &config_map {
        Some(it) => config.settings(it).with_context(|| format!("ConfigMap {}/{CONFIG_MAP} is invalid", config.namespace))?,
        None => (config.defaults(), Vec::new()),
    };
    let epoch = link::new_epoch(u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or_default());
    tracing::info!(namespace = config.namespace, epoch, "controller started");
    config::tell(&settings, &unused);
    let (sender, changes) = mpsc::channel(CHANGES);
    for kind in Kind::ALL {
        tasks.spawn(watch::watch(client.clone(), kind, config.namespace.clone(), sender.clone()));
    }
    drop(sender);
    let line = Line::new(connect, epoch);
    Controller::new(client, config, settings, config_map.as_ref(), line, changes, ready).run(stop).await
}
