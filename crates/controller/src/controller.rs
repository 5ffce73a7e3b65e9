//! The loop: changes in; Model, statuses, objects and Events out. It owns all state, so nothing is locked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_model::{Answer, ListenerState, Model, Report};
use weir_translate::{Observed, Output, Settings, Translator};

use crate::config::{self, CONFIG_MAP, Config};
use crate::debounce::Debounce;
use crate::health::Ready;
use crate::limits::Limits;
use crate::line::Line;
use crate::link::Verdict;
use crate::provision::Template;
use crate::watch::Change;
use crate::work::{Done, Work};
use crate::world::{Effect, World};

/// The controller's state.
pub(crate) struct Controller {
    config: Config,
    template: Template,
    settings: Settings,
    /// The ConfigMap's data as last seen, so that only changes of it are told.
    config_data: Option<Value>,
    world: World,
    changes: mpsc::Receiver<Change>,
    translator: Translator,
    observed: Observed,
    model: Option<Arc<Model>>,
    debounce: Debounce,
    /// Something changed that need not wait for a burst to end.
    stale: bool,
    line: Line,
    limits: Limits,
    work: Work,
    ready: Ready,
    /// When to say what is still missing, while something is.
    remind_at: Instant,
}

/// Caches that have not filled by then are worth a word.
const SLOW_START: Duration = Duration::from_secs(10);

impl Controller {
    /// A controller that has seen nothing yet. `config_map` is what `settings` came from.
    pub(crate) fn new(
        client: kube::Client,
        config: Config,
        settings: Settings,
        config_map: Option<&Value>,
        line: Line,
        changes: mpsc::Receiver<Change>,
        ready: Ready,
    ) -> Self {
        let template = Template { namespace: config.namespace.clone(), image: config.proxy_image.clone(), embedded: config.embedded };
        Self {
            template,
            world: World::new(&config.namespace),
            work: Work::new(client, &config.namespace),
            observed: Observed { loopback_backends: config.embedded, ..Observed::default() },
            config_data: config_map.and_then(|it| it.get("data")).cloned(),
            config,
            settings,
            changes,
            translator: Translator::new(),
            model: None,
            debounce: Debounce::default(),
            stale: false,
            line,
            limits: Limits::default(),
            ready,
            remind_at: Instant::now() + SLOW_START,
        }
    }

    /// Runs until told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            let wake = self.wake(Instant::now());
            let sleep = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                change = self.changes.recv() => match change {
                    Some(change) => self.change(change),
                    None => anyhow::bail!("all watches have ended"),
                },
                answer = self.line.recv() => match answer {
                    Some(answer) => self.answer(answer),
                    None => self.line.broke(Instant::now()),
                },
                done = self.work.next() => self.done(done?),
                () = sleep => {}
            }
            self.act(Instant::now());
        }
    }

    fn wake(&self, now: Instant) -> Option<Instant> {
        let translate = if self.world.is_full() { self.debounce.due() } else { Some(self.remind_at) };
        let line = self.model.as_ref().and_then(|_| self.line.wake());
        let work = self.work.wake(now, self.hold(), &self.world, &self.limits.events);
        [translate, line, work, self.limits.wake()].into_iter().flatten().min()
    }

    /// Does everything that is due.
    fn act(&mut self, now: Instant) {
        if self.world.is_full() {
            let mut due = self.debounce.take(now);
            // Once more when the first made something known that it could not know.
            for _ in 0..2 {
                if std::mem::take(&mut self.stale) || std::mem::take(&mut due) {
                    self.translate();
                }
            }
        } else if self.remind_at <= now {
            self.remind_at = now + 6 * SLOW_START;
            tracing::warn!(kinds = ?self.world.missing(), "still waiting for these kinds to be listed; may the controller list and watch them?");
        }
        if let Some(model) = &self.model {
            self.line.publish(model, now);
        }
        self.limits.tell(now);
        self.limits.restate(now);
        let hold = self.hold();
        self.work.start(now, hold, &mut self.world, &mut self.limits.events);
    }

    /// Until when statuses wait: an answer or a translation that is due may change what they say, and one write is better than two.
    fn hold(&self) -> Option<Instant> {
        self.line.hold().max(self.debounce.due())
    }

    fn translate(&mut self) {
        self.observed.addresses = self.world.fleet.addresses(self.config.embedded);
        self.observed.proxies = self.world.fleet.proxies();
        let Output { model, statuses, proxies, .. } = self.translator.translate(&self.world.resources, &self.settings, &self.observed);
        self.world.board.want(&self.settings.controller_name, statuses);
        if self.world.may_provision() {
            self.world.fleet.want(&proxies, &self.template);
            // Whose Services and Deployments these are has just become known: what they say is part of the next translation.
            let Observed { addresses, proxies, .. } = &self.observed;
            self.stale |= *addresses != self.world.fleet.addresses(self.config.embedded) || *proxies != self.world.fleet.proxies();
        }
        if self.model.as_ref().is_none_or(|it| **it != model) {
            self.model = Some(Arc::new(model));
        }
    }

    fn change(&mut self, change: Change) {
        let was_full = self.world.is_full();
        let Effect { translate, config } = self.world.apply(change);
        if translate {
            self.debounce.note(Instant::now());
        }
        if let Some(config_map) = config {
            self.configure(config_map.as_ref());
        }
        if !was_full && self.world.is_full() {
            tracing::info!("caches are full");
            self.stale = true;
        }
    }

    /// The ConfigMap changed, or was seen again.
    fn configure(&mut self, config_map: Option<&Value>) {
        let data = config_map.and_then(|it| it.get("data")).cloned();
        if data == self.config_data {
            return;
        }
        self.config_data = data;
        let namespace = &self.config.namespace;
        let Some(config_map) = config_map else {
            tracing::warn!("ConfigMap {namespace}/{CONFIG_MAP} is gone; what it said last stays in force");
            return;
        };
        match self.config.settings(config_map) {
            Ok((settings, unused)) => {
                config::tell(&settings, &unused);
                self.stale |= settings != self.settings;
                self.settings = settings;
            }
            Err(error) => {
                tracing::error!(%error, "ConfigMap {namespace}/{CONFIG_MAP} is invalid; the last good configuration stays in force");
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        let now = Instant::now();
        match answer {
            Answer::Acknowledgement(acknowledgement) => match self.line.acknowledge(&acknowledgement, now) {
                Verdict::Stale => {}
                Verdict::Applied => self.applied(now),
                Verdict::Refused(reason) => tracing::warn!(%reason, "the data plane refused the configuration; sending all of it again"),
            },
            Answer::Report(report) => self.report(report),
            Answer::Refused(refused) => self.limits.refused(&refused, &self.world.board, Timestamp::now()),
            Answer::Cleared { limit, current, max } => self.limits.cleared(&limit, current, max, &self.world.board, Timestamp::now()),
        }
    }

    fn applied(&mut self, now: Instant) {
        let Some((version, model)) = self.line.applied() else { return };
        tracing::debug!(version, "in force");
        if *version == 1 {
            tracing::info!(
                gateways = model.gateways.len(),
                routes = model.routes.len(),
                backends = model.backends.len(),
                "the data plane has taken the configuration"
            );
        }
        self.observed.applied = model.clone();
        self.limits.in_force(model.clone(), now);
        self.stale = true;
        self.ready.set(true);
    }

    fn report(&mut self, report: Arc<Report>) {
        self.line.reported(&report);
        let states: BTreeMap<_, _> = report.listeners.iter().map(|(name, it)| (name.clone(), it.state.clone())).collect();
        if states != self.observed.listeners {
            for (name, state) in &states {
                if let ListenerState::Failed(reason) = state
                    && self.observed.listeners.get(name) != Some(state)
                {
                    tracing::warn!(listener = %name, %reason, "a listener cannot be served");
                }
            }
            self.observed.listeners = states;
            self.stale = true;
        }
        self.limits.report(report, Instant::now());
    }

    fn done(&mut self, done: Done) {
        let changed = self.work.done(done, Instant::now(), &mut self.world, &mut self.limits.events);
        if changed {
            self.debounce.note(Instant::now());
        }
    }
}
