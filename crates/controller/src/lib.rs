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
//!
//! Of several replicas one is elected and does all of this; the others watch, so that they can take over, and write nothing.

mod backoff;
mod config;
mod controller;
mod debounce;
mod election;
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
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_model::{Answer, Publish};

pub use config::{CONFIG_KEY, CONFIG_MAP, Config, Source};
use controller::{Controller, Role};
use health::Ready;
use kinds::Kind;

/// Opens a line to the data plane; called again whenever the line breaks.
pub type Connect = Arc<dyn Fn() -> (mpsc::Sender<Publish>, mpsc::Receiver<Answer>) + Send + Sync>;

/// Changes that the watches may be ahead of the loop.
const CHANGES: usize = 1024;

/// Runs the controller until `stop`. It logs with `tracing`; run it on a runtime whose subscriber writes where the log belongs.
///
/// `connect` leads to the data plane; without one nothing is published, and what statuses say of it is that it has taken nothing yet.
///
/// # Errors
/// The configuration is invalid, or the health address is taken, at start; the message names the reason and what to do. Or another replica
/// may lead by now: then this one must not write any more, and its process should end. Other trouble is logged and survived.
pub async fn run(client: kube::Client, connect: Option<Connect>, config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = health::listen(config.health).await?;
    let ready = Ready::default();
    // Aborted when dropped, so everything ends with this function.
    let mut tasks = JoinSet::new();
    tasks.spawn(health::serve(listener, ready.clone()));
    let text = match &config.source {
        Source::File(_, text) => Some(text.borrow().clone()),
        Source::ConfigMap => tokio::select! {
            () = stop.cancelled() => return Ok(()),
            config_map = config::read(&client, &config.namespace) => match config_map {
                Some(it) => Some(config::text(&it).with_context(|| format!("{} is invalid", config.origin()))?.to_owned()),
                None => None,
            },
        },
    };
    let file = match &text {
        Some(text) => config.parse(text).with_context(|| format!("{} is invalid", config.origin()))?,
        None => config.defaults(),
    };
    tracing::info!(namespace = config.namespace, "controller started");
    config::tell(&file);
    let (sender, changes) = mpsc::channel(CHANGES);
    for kind in Kind::ALL {
        tasks.spawn(watch::watch(client.clone(), kind, config.namespace.clone(), sender.clone()));
    }
    drop(sender);
    let elected = config.election.as_deref().zip(file.election).map(|(name, times)| (election::identity(name), times));
    let (leads, role) = tokio::sync::watch::channel(elected.is_none());
    let namespace = config.namespace.clone();
    let controller = Controller::new(client.clone(), config, file.settings, text, Role::new(role, connect), changes, ready);
    let Some((identity, times)) = elected else { return controller.run(stop).await };
    // A task of its own: a turn of the controller's loop may take long, and must not hold up a renewal.
    let (lost, loss) = tokio::sync::oneshot::channel();
    let campaign = {
        let (client, namespace, identity) = (client.clone(), namespace.clone(), identity.clone());
        tasks.spawn(async move { drop(lost.send(election::campaign(&client, &namespace, &identity, times, leads).await)) })
    };
    tokio::select! {
        outcome = controller.run(stop) => {
            // All that it was doing has ended with it.
            campaign.abort();
            election::release(&client, &namespace, &identity).await;
            outcome
        }
        lost = loss => Err(lost.context("the Lease is renewed no more: this controller writes no more, and ends")?.into()),
    }
}
