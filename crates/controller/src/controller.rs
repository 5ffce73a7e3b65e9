//! The loop: changes in; Model, statuses, objects and Events out. It owns all state, so nothing is locked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_model::{Answer, ListenerState, Model, Report};
use weir_translate::{Observed, Output, Settings, Translator};

use crate::Connect;
use crate::config::{self, Config, Source};
use crate::debounce::Debounce;
use crate::health::Ready;
use crate::kinds::Kind;
use crate::limits::Limits;
use crate::line::Line;
use crate::link::{self, Verdict};
use crate::provision::Template;
use crate::watch::Change;
use crate::work::{Done, Work};
use crate::world::{Effect, World};

/// The controller's state.
pub(crate) struct Controller {
    config: Config,
    template: Template,
    settings: Settings,
    /// The administrator's file as last seen, so that only changes of it are told.
    config_text: Option<String>,
    world: World,
    changes: mpsc::Receiver<Change>,
    translator: Translator,
    observed: Observed,
    model: Option<Arc<Model>>,
    debounce: Debounce,
    /// Something changed that need not wait for a burst to end.
    stale: bool,
    role: Role,
    line: Option<Line>,
    limits: Limits,
    work: Work,
    ready: Ready,
    /// The kinds whose definitions were missing when that was last looked at.
    absent: Vec<Kind>,
    /// When to say what is still missing, while something is.
    remind_at: Instant,
}

/// Whether this replica leads, and how it reaches the data plane then.
pub(crate) struct Role {
    leads: watch::Receiver<bool>,
    connect: Option<Connect>,
}

impl Role {
    /// One that follows `leads`, which goes back only when the process is about to end.
    pub(crate) fn new(leads: watch::Receiver<bool>, connect: Option<Connect>) -> Self {
        Self { leads, connect }
    }

    fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    /// Returns when it has changed. Cancel-safe.
    async fn changed(&mut self) {
        if self.leads.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Caches that have not filled by then are worth a word.
const SLOW_START: Duration = Duration::from_secs(10);

impl Controller {
    /// A controller that has seen nothing yet. `config_text` is what `settings` came from.
    pub(crate) fn new(
        client: kube::Client,
        config: Config,
        settings: Settings,
        config_text: Option<String>,
        role: Role,
        changes: mpsc::Receiver<Change>,
        ready: Ready,
    ) -> Self {
        let template = Template { namespace: config.namespace.clone(), image: config.proxy_image.clone(), embedded: config.embedded };
        Self {
            template,
            world: World::new(&config.namespace),
            work: Work::new(client, &config.namespace, role.leads.clone()),
            observed: Observed { loopback_backends: config.embedded, ..Observed::default() },
            config_text,
            config,
            settings,
            changes,
            translator: Translator::new(),
            model: None,
            debounce: Debounce::default(),
            stale: false,
            role,
            line: None,
            limits: Limits::default(),
            ready,
            absent: Vec::new(),
            remind_at: Instant::now() + SLOW_START,
        }
    }

    /// Runs until told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        self.lead();
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
                answer = recv(&mut self.line) => match (answer, &mut self.line) {
                    (Some(answer), _) => self.answer(answer),
                    (None, Some(line)) => line.broke(Instant::now()),
                    (None, None) => {}
                },
                text = next_text(&mut self.config.source) => self.configure(Some(text)),
                () = self.role.changed() => self.lead(),
                done = self.work.next() => self.done(done?),
                () = sleep => {}
            }
            self.act(Instant::now());
        }
    }

    /// Does what a new leader does first.
    fn lead(&mut self) {
        if self.role.leads() {
            // An epoch of now: the data plane shall obey it more than whoever led before.
            let epoch = || link::new_epoch(u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or_default());
            self.line = self.role.connect.take().map(|connect| Line::new(connect, epoch()));
        }
    }

    fn wake(&self, now: Instant) -> Option<Instant> {
        let translate = if self.world.is_full() { self.debounce.due() } else { Some(self.remind_at) };
        let line = self.model.as_ref().and_then(|_| self.line.as_ref()?.wake());
        let work = if self.role.leads() { self.work.wake(now, self.hold(), &self.world, &self.limits.events) } else { None };
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
        if let (Some(model), Some(line)) = (&self.model, &mut self.line) {
            line.publish(model, now);
        }
        self.limits.tell(now);
        self.limits.restate(now);
        if self.role.leads() {
            let hold = self.hold();
            self.work.start(now, hold, &mut self.world, &mut self.limits.events);
        }
    }

    /// Until when statuses wait: an answer or a translation that is due may change what they say, and one write is better than two.
    fn hold(&self) -> Option<Instant> {
        self.line.as_ref().and_then(Line::hold).max(self.debounce.due())
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
        match (config, &self.config.source) {
            (Some(Some(config_map)), Source::ConfigMap) => match config::text(&config_map) {
                Ok(text) => self.configure(Some(text.to_owned())),
                Err(error) => self.refuse(String::new(), &error),
            },
            (Some(None), Source::ConfigMap) => self.configure(None),
            _ => {}
        }
        if !was_full && self.world.is_full() {
            tracing::info!("caches are full");
            self.stale = true;
        }
        self.installed();
    }

    /// Says which definitions are missing, and whether there is enough to be of use.
    fn installed(&mut self) {
        if !self.world.is_full() {
            return;
        }
        let absent = self.world.absent();
        if absent != self.absent {
            if !absent.is_empty() {
                let names: Vec<String> = absent.iter().map(|it| it.definition()).collect();
                tracing::error!(
                    missing = names.join(", "),
                    "CustomResourceDefinitions are not installed; install them: weir crds | kubectl apply --server-side -f -"
                );
            }
            self.absent = absent;
        }
        // Where there is a data plane to ask, its answer is waited for.
        if self.line.is_none() {
            self.ready.set(self.world.may_provision());
        }
    }

    /// The file changed, or was seen again; none: it is gone.
    fn configure(&mut self, text: Option<String>) {
        if text == self.config_text {
            return;
        }
        let Some(text) = text else {
            self.config_text = None;
            tracing::warn!("{} is gone; what it said last stays in force", self.config.origin());
            return;
        };
        match self.config.parse(&text) {
            Ok(file) => {
                self.config_text = Some(text);
                config::tell(&file);
                self.stale |= file.settings != self.settings;
                self.settings = file.settings;
            }
            Err(error) => self.refuse(text, &error),
        }
    }

    /// The file is invalid. Said once for each text.
    fn refuse(&mut self, text: String, error: &config::Invalid) {
        if self.config_text.as_ref() == Some(&text) {
            return;
        }
        self.config_text = Some(text);
        tracing::error!(%error, "{} is invalid; the last good configuration stays in force", self.config.origin());
    }

    fn answer(&mut self, answer: Answer) {
        let now = Instant::now();
        match answer {
            Answer::Acknowledgement(acknowledgement) => match self.line.as_mut().map(|it| it.acknowledge(&acknowledgement, now)) {
                None | Some(Verdict::Stale) => {}
                Some(Verdict::Applied) => self.applied(now),
                Some(Verdict::Refused(reason)) => {
                    tracing::warn!(%reason, "the data plane refused the configuration; sending all of it again");
                }
            },
            Answer::Report(report) => self.report(report),
            Answer::Refused(refused) => self.limits.refused(&refused, &self.world.board, Timestamp::now()),
            Answer::Cleared { limit, current, max } => self.limits.cleared(&limit, current, max, &self.world.board, Timestamp::now()),
        }
    }

    fn applied(&mut self, now: Instant) {
        let Some((version, model)) = self.line.as_ref().and_then(Line::applied) else { return };
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
        if let Some(line) = &mut self.line {
            line.reported(&report);
        }
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

/// The next answer of the data plane; pending while there is no line. Cancel-safe.
async fn recv(line: &mut Option<Line>) -> Option<Answer> {
    match line {
        Some(line) => line.recv().await,
        None => std::future::pending().await,
    }
}

/// What the file says now that it has changed; pending where it is a ConfigMap, which is watched with everything else. Cancel-safe.
async fn next_text(source: &mut Source) -> String {
    if let Source::File(_, text) = source
        && text.changed().await.is_ok()
    {
        return text.borrow_and_update().clone();
    }
    std::future::pending().await
}
