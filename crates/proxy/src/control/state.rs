//! The control thread's state and how it changes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use weir_limits::LimitState;
use weir_model::{
    Acknowledgement, Answer, Backend, BackendName, Endpoints, GatewayName, Limit, Listener, ListenerState, Model, Protocol, Publish,
    Refused, Report,
};

use super::changes::{Attachments, Changes};
use super::refusals::{News, Told};
use super::shortage::Shortages;
use super::storms::{Storms, WATCH};
use super::view::Readiness;
use super::{Shared, View, bind, compile, resolve};
use crate::access_log::RefusedLine;
use crate::config::{Port, PortConfig, PortKey, Socket, Versioned};
use crate::stats::per_worker;
use crate::worker::Order;
use crate::{BindPlan, LogSink, admin};

/// The longest pause between two attempts to bind.
const MAX_RETRY: Duration = Duration::from_secs(2);

/// Everything that the control thread knows.
pub(crate) struct Control {
    shared: Arc<Shared>,
    admin: Arc<admin::Orders>,
    model: Model,
    epoch: u64,
    version: u64,
    attachments: BTreeMap<u64, Attached>,
    registry: compile::Registry,
    /// Which routes are at which listeners.
    routes: Attachments,
    ports: BTreeMap<PortKey, Arc<Port>>,
    binds: BTreeMap<BindKey, Bind>,
    resolvers: BTreeMap<BackendName, (Arc<Backend>, AbortHandle)>,
    limits: BTreeMap<Arc<str>, Arc<Limit>>,
    told: Told,
    storms: Storms,
    shortages: Shortages,
    /// The newest controller's line.
    answers: Option<mpsc::Sender<Answer>>,
    last_report: Option<(Instant, Arc<Report>)>,
}

struct Attached {
    gateway: GatewayName,
    plan: BindPlan,
    log: Arc<dyn LogSink>,
    draining: bool,
}

/// A socket that is or should be bound. An attachment has its own, so that one that replaces another does not depend on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct BindKey {
    address: SocketAddr,
    port: PortKey,
    attachment: u64,
}

enum Bind {
    Up(Arc<Socket>),
    Down { why: String, again: Instant, pause: Duration },
}

impl Control {
    pub(crate) fn new(shared: Arc<Shared>, admin: Arc<admin::Orders>) -> Self {
        let workers = shared.team.members.len();
        Self {
            shared,
            admin,
            model: Model::default(),
            epoch: 0,
            version: 0,
            attachments: BTreeMap::new(),
            registry: compile::Registry::new(workers),
            routes: Attachments::default(),
            ports: BTreeMap::new(),
            binds: BTreeMap::new(),
            resolvers: BTreeMap::new(),
            limits: BTreeMap::new(),
            told: Told::default(),
            storms: Storms::default(),
            shortages: Shortages::default(),
            answers: None,
            last_report: None,
        }
    }

    /// A controller has connected.
    pub(crate) fn connected(&mut self, answers: mpsc::Sender<Answer>) {
        self.answers = Some(answers);
        self.last_report = None;
    }

    pub(crate) fn attach(&mut self, id: u64, gateway: GatewayName, log: Arc<dyn LogSink>) {
        self.attachments.insert(id, Attached { gateway, plan: BindPlan::default(), log, draining: false });
    }

    /// An attachment's plan is this now. False: there is no such attachment any more.
    pub(crate) fn plan(&mut self, id: u64, plan: BindPlan) -> bool {
        let Some(attached) = self.attachments.get_mut(&id) else { return false };
        attached.plan = plan;
        self.arrange(&Changes::of_frame());
        self.tell();
        true
    }

    pub(crate) fn attachments(&self) -> Vec<u64> {
        self.attachments.keys().copied().collect()
    }

    /// Carries out a change.
    pub(crate) fn publish(this: &Rc<RefCell<Self>>, publish: Publish) -> Acknowledgement {
        let control = &mut *this.borrow_mut();
        let Publish { epoch, version, base, delta } = publish;
        let refused = if epoch < control.epoch {
            Some(format!("epoch {epoch} is over: epoch {} is obeyed", control.epoch))
        } else if base != 0 && (epoch != control.epoch || base != control.version) {
            Some(format!("version {base} of epoch {epoch} is not in force here: send the whole Model (base 0)"))
        } else {
            None
        };
        if refused.is_none() {
            let delta = if base == 0 {
                let mut whole = Model::default();
                whole.apply(delta);
                control.model.diff(&whole)
            } else {
                delta
            };
            let changes = Changes::of(&delta, &control.model);
            control.model.apply(delta);
            (control.epoch, control.version) = (epoch, version);
            control.follow_backends(&changes);
            control.routes.follow(&changes, &control.model);
            control.arrange(&changes);
        }
        Acknowledgement { epoch, version, refused }
    }

    /// Endpoints first: a route that names a new backend finds it.
    fn follow_backends(&mut self, changes: &Changes) {
        for name in &changes.backends {
            let Some(backend) = self.model.backends.get(name).cloned() else {
                if let Some((_, resolver)) = self.resolvers.remove(name) {
                    resolver.abort();
                }
                self.registry.empty(name);
                self.registry.soil();
                continue;
            };
            let state = self.registry.backend(name);
            match &backend.endpoints {
                Endpoints::Addresses(addresses) => {
                    if let Some((_, resolver)) = self.resolvers.remove(name) {
                        resolver.abort();
                    }
                    if *state.endpoints.load() != *addresses {
                        state.endpoints.store(Arc::new(addresses.clone()));
                    }
                }
                Endpoints::Names(names) => {
                    if self.resolvers.get(name).is_some_and(|(of, _)| Arc::ptr_eq(of, &backend)) {
                        continue;
                    }
                    let task = tokio::task::spawn_local(resolve::follow(state, names.clone())).abort_handle();
                    if let Some((_, old)) = self.resolvers.insert(name.clone(), (backend, task)) {
                        old.abort();
                    }
                }
            }
        }
    }

    /// Brings ports, limits, sockets and what others see into line with the Model and the plans. Where only routes have changed, limits and
    /// sockets are as they were.
    fn arrange(&mut self, changes: &Changes) {
        if changes.frame {
            self.registry.follow_tls(&self.model);
        }
        self.arrange_ports(changes);
        if changes.frame {
            let (configs, limits) = compile::limits(&self.model);
            self.shared.team.ledger.configure(&configs);
            self.told.retain(|limit| limits.contains_key(limit));
            self.shared.team.refusals.retain(|limit| limits.contains_key(limit));
            self.limits = limits;
            self.arrange_sockets();
            let bound: BTreeSet<&PortKey> = self.binds.keys().map(|key| &key.port).collect();
            // A port that has no listener any more stays while its connections are served by their own reference to it.
            self.ports.retain(|key, _| bound.contains(key));
        }
        self.show();
    }

    /// The ports that should be served, with the attachment and the address of each.
    fn wanted(&self) -> BTreeMap<BindKey, bool> {
        let mut wanted = BTreeMap::new();
        for (id, attached) in self.attachments.iter().filter(|(_, attached)| !attached.draining) {
            for listener in compile::listeners_of(&self.model, &attached.gateway) {
                if self.registry.failure(&self.model, listener).is_some() {
                    continue;
                }
                let Some(&bound) = attached.plan.ports.get(&listener.container_port) else { continue };
                let port = PortKey { gateway: attached.gateway.clone(), container_port: listener.container_port };
                for ip in &attached.plan.addresses {
                    let key = BindKey { address: SocketAddr::new(*ip, bound), port: port.clone(), attachment: *id };
                    wanted.insert(key, bound == listener.container_port);
                }
            }
        }
        wanted
    }

    fn arrange_ports(&mut self, changes: &Changes) {
        let ledger = &self.shared.team.ledger;
        if !changes.frame && self.ports.values().all(|port| !port.config.load().table.is_sparse()) {
            for port in self.ports.values() {
                let before = port.config.load();
                if let Some(config) = compile::edit(&before, changes, &self.model, &mut self.registry, ledger) {
                    port.config.store(Arc::new(config));
                }
            }
            return;
        }
        // Those that nobody wants at the moment as well: who wants one again takes it as it is.
        let wanted = self.wanted().into_keys().map(|key| key.port);
        let keys: BTreeSet<PortKey> = wanted.chain(self.ports.keys().cloned()).collect();
        for key in keys {
            let Some(frame) = compile::frame(&self.model, &key, &self.registry) else { continue };
            let before = self.ports.get(&key).map(|port| port.config.load());
            let stat_prefix = frame.listeners.first().map(|it| it.stat_prefix()).unwrap_or_default();
            let config = match before.as_deref() {
                Some(before) if compile::is_editable(before, &frame) => {
                    compile::edit(before, changes, &self.model, &mut self.registry, ledger)
                }
                before => {
                    let routes = self.routes.routes(&frame.listeners, &self.model);
                    compile::port(frame, &routes, before, &mut self.registry, ledger)
                }
            };
            let Some(config) = config else { continue };
            match self.ports.get(&key) {
                Some(port) => port.config.store(Arc::new(config)),
                None => drop(self.ports.insert(key.clone(), Arc::new(self.port(key, stat_prefix, config)))),
            }
        }
    }

    fn port(&self, key: PortKey, stat_prefix: String, config: PortConfig) -> Port {
        let stats = per_worker(self.shared.team.members.len());
        Port { key, stat_prefix, config: Versioned::new(config), stats, refused: 0.into(), held: 0.into() }
    }

    fn arrange_sockets(&mut self) {
        let wanted = self.wanted();
        let drain = self.shared.team.settings.drain_timeout;
        let gone: Vec<BindKey> = self.binds.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        for key in gone {
            // Nobody waits for these connections to end.
            let (done, _) = mpsc::channel(1);
            self.unbind(&key, drain, &done);
        }
        for (key, via_service) in wanted {
            if !self.binds.contains_key(&key) {
                let bind = self.bind(&key, via_service, Duration::from_millis(50));
                self.binds.insert(key, bind);
            }
        }
    }

    fn unbind(&mut self, key: &BindKey, drain: Duration, done: &mpsc::Sender<()>) {
        if let Some(Bind::Up(socket)) = self.binds.remove(key) {
            for member in &self.shared.team.members {
                member.orders.send(Order::Unlisten { id: socket.id, drain, done: done.clone() });
            }
        }
    }

    fn bind(&self, key: &BindKey, via_service: bool, pause: Duration) -> Bind {
        let down = |why| Bind::Down { why, again: Instant::now() + pause, pause: (pause * 2).min(MAX_RETRY) };
        let team = &self.shared.team;
        let (Some(port), Some(attached)) = (self.ports.get(&key.port), self.attachments.get(&key.attachment)) else {
            return down("not attached".into());
        };
        let at_address = |other: &&BindKey| other.address == key.address && matches!(self.binds.get(other), Some(Bind::Up(_)));
        if let Some(other) = self.binds.keys().filter(at_address).find(|other| other.port != key.port) {
            return down(format!(
                "{} is already served for Gateway {}: give one of the two another port or address",
                key.address, other.port.gateway
            ));
        }
        let ours = self.binds.keys().any(|other| at_address(&other));
        match bind::bind(key.address, team.members.len(), ours) {
            Err(error) => down(bind::explain(key.address, &error)),
            Ok(listeners) => {
                let socket = Arc::new(Socket {
                    id: self.shared.next_id(),
                    address: key.address,
                    via_service,
                    port: port.clone(),
                    stats: per_worker(team.members.len()),
                    log: attached.log.clone(),
                    log_id: key.attachment,
                    listening: 0.into(),
                });
                for (member, listener) in team.members.iter().zip(listeners) {
                    member.orders.send(Order::Listen(socket.clone(), listener));
                }
                Bind::Up(socket)
            }
        }
    }

    /// Does what need not be done with every change.
    pub(crate) fn tidy(&mut self) {
        self.registry.tidy(&self.model);
    }

    /// Tries again what could not be bound.
    pub(crate) fn retry_binds(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self
            .binds
            .iter()
            .filter_map(|(key, bind)| match bind {
                Bind::Down { again, pause, .. } if *again <= now => Some((key.clone(), *pause)),
                _ => None,
            })
            .collect();
        if due.is_empty() {
            return;
        }
        let wanted = self.wanted();
        for (key, pause) in due {
            let bind = self.bind(&key, wanted.get(&key).copied().unwrap_or_default(), pause);
            self.binds.insert(key, bind);
        }
        self.show();
    }

    /// Starts to drain attachments. The receiver ends when their last connection is gone.
    pub(crate) fn drain(&mut self, ids: &[u64], drain: Duration) -> mpsc::Receiver<()> {
        let (done, drained) = mpsc::channel(1);
        for id in ids {
            if let Some(attached) = self.attachments.get_mut(id) {
                attached.draining = true;
            }
        }
        let keys: Vec<BindKey> = self.binds.keys().filter(|key| ids.contains(&key.attachment)).cloned().collect();
        for key in keys {
            self.unbind(&key, drain, &done);
        }
        self.show();
        drained
    }

    /// Forgets drained attachments.
    pub(crate) fn forget(&mut self, ids: &[u64]) {
        self.attachments.retain(|id, _| !ids.contains(id));
        self.arrange(&Changes::of_frame());
        self.tell();
    }

    /// Publishes what others may see.
    fn show(&self) {
        let mut view = View { epoch: self.epoch, version: self.version, limits: self.limits.clone(), ..View::default() };
        view.ports = self.ports.values().cloned().collect();
        for (key, bind) in &self.binds {
            if let Bind::Up(socket) = bind {
                view.sockets.push(socket.clone());
            }
            let Some(port) = self.ports.get(&key.port) else { continue };
            for (index, listener) in port.config.load().listeners.iter().enumerate() {
                // Each TLS listener has its own; those in the clear share that of the first.
                let cell = (index == 0 || listener.protocol != Protocol::Http).then(|| listener.name.to_string().into());
                let (state, _) = view.listeners.entry(listener.name.clone()).or_insert_with(|| (ListenerState::Bound(Vec::new()), cell));
                match (state, bind) {
                    (ListenerState::Bound(addresses), Bind::Up(_)) if !addresses.contains(&key.address) => addresses.push(key.address),
                    (state @ ListenerState::Bound(_), Bind::Down { why, .. }) => *state = ListenerState::Failed(why.clone()),
                    _ => {}
                }
            }
        }
        self.show_failures(&mut view);
        for attached in self.attachments.values() {
            let readiness = match attached.draining {
                true => Readiness::Draining,
                false if self.model.gateways.contains_key(&attached.gateway) => Readiness::Ready,
                false => Readiness::Waiting,
            };
            let place = view.gateways.entry(attached.gateway.clone()).or_insert(readiness);
            if *place == Readiness::Draining {
                // One that is replaced does not speak for the one that replaces it.
                *place = readiness;
            }
            for ip in attached.plan.addresses.iter().chain(&attached.plan.pod_ip) {
                view.addresses.entry(*ip).or_default().insert(attached.gateway.clone());
            }
        }
        let addresses: BTreeSet<IpAddr> = view.addresses.keys().copied().collect();
        self.shared.view.store(Arc::new(view));
        self.admin.serve_at(addresses);
    }

    /// Listeners that are not bound since nothing could be said at them.
    fn show_failures(&self, view: &mut View) {
        for attached in self.attachments.values().filter(|attached| !attached.draining) {
            let planned = |it: &&Arc<Listener>| it.name.gateway == attached.gateway && attached.plan.ports.contains_key(&it.container_port);
            for listener in self.model.listeners.values().filter(planned) {
                if let Some(why) = self.registry.failure(&self.model, listener) {
                    view.listeners.insert(listener.name.clone(), (ListenerState::Failed(why), None));
                }
            }
        }
    }

    /// Looks whether there is a storm. How soon everything is to be looked at again.
    pub(crate) fn pause(&mut self) -> Duration {
        let team = self.shared.team.clone();
        let binds = &self.binds;
        let sockets = |port: &PortKey| {
            let up = |(key, bind): (&BindKey, &Bind)| match bind {
                Bind::Up(socket) if key.port == *port => Some(socket.id),
                _ => None,
            };
            binds.iter().filter_map(up).collect()
        };
        self.storms.look(Instant::now(), &team, &self.ports, sockets);
        match (self.storms.is_any(), self.is_busy()) {
            (true, _) => WATCH,
            (false, true) => super::BUSY,
            (false, false) => super::CALM,
        }
    }

    /// Whether something has to be looked at again soon.
    fn is_busy(&self) -> bool {
        self.binds.values().any(|bind| matches!(bind, Bind::Down { .. }))
            || self.states().iter().any(|state| self.told.is_open(state, self.is_heard()))
    }

    /// Tells the controller, and the log, what there is to tell. Never waits: what does not fit is told the next time.
    pub(crate) fn tell(&mut self) {
        self.tell_limits();
        let now = Instant::now();
        let report = Arc::new(self.shared.report());
        let due = match &self.last_report {
            None => true,
            Some((_, last)) if *last == report => false,
            Some((at, last)) => now >= *at + super::CALM || states(last).ne(states(&report)) || last.version != report.version,
        };
        if due && self.answers.as_ref().is_some_and(|answers| answers.try_send(Answer::Report(report.clone())).is_ok()) {
            self.last_report = Some((now, report));
        }
    }

    /// How the Model's limits stand; the ledger has one more, of our own.
    fn states(&self) -> Vec<LimitState> {
        let mut states = self.shared.team.ledger.snapshot();
        states.retain(|state| self.limits.contains_key(&state.name));
        states
    }

    fn tell_limits(&mut self) {
        let now = Instant::now();
        let upstreams = self.registry.upstreams();
        self.shortages.look(now, &self.shared.team, upstreams);
        let (states, heard) = (self.states(), self.is_heard());
        if !states.iter().any(|state| self.told.is_open(state, heard)) {
            // While something is open this is looked at again soon anyway: a storm must not wake this thread with every refusal.
            self.shared.team.refusals.look();
        }
        for state in states {
            let (Some(news), Some(limit)) = (self.told.news(&state, now, heard), self.limits.get(&state.name)) else { continue };
            let answer = match &news {
                News::Cleared => Answer::Cleared { limit: limit.name.clone(), current: state.current, max: state.value },
                News::Refused { fresh, owed } => {
                    let Some(last) = self.shared.team.refusals.last(&state.name) else { continue };
                    Answer::Refused(Refused {
                        limit: limit.name.clone(),
                        gateway: limit.gateway.clone(),
                        scope: limit.scope,
                        max: state.value,
                        current: last.current,
                        refused: fresh + owed,
                        total: state.refused,
                        last_client: last.client,
                    })
                }
            };
            let heard = match self.answers.as_ref().map(mpsc::Sender::try_reserve) {
                Some(Ok(place)) => {
                    place.send(answer.clone());
                    true
                }
                Some(Err(mpsc::error::TrySendError::Full(()))) => continue,
                Some(Err(mpsc::error::TrySendError::Closed(()))) | None => false,
            };
            // The access log has had what is owed to a controller.
            if let (Answer::Refused(refused), News::Refused { fresh: 1.., owed }) = (&answer, &news) {
                self.log(&Refused { refused: refused.refused - owed, ..refused.clone() });
            }
            self.told.said(&state, &news, now, heard);
        }
    }

    /// Whether a controller listens.
    fn is_heard(&self) -> bool {
        self.answers.as_ref().is_some_and(|answers| !answers.is_closed())
    }

    /// Writes refused connections to their gateway's access log.
    fn log(&self, refused: &Refused) {
        let logged = self.model.gateways.get(&refused.gateway).is_none_or(|gateway| gateway.access_log);
        let attached = self.attachments.values().rev().find(|attached| attached.gateway == refused.gateway);
        let (true, Some(attached)) = (logged, attached) else { return };
        let name = refused.limit.to_string();
        let line = RefusedLine {
            scope: refused.scope.as_str(),
            limit: &name,
            value: refused.max,
            current: refused.current,
            refused: refused.refused,
            local: self.shared.team.refusals.last(&name).map(|last| last.local),
            client: refused.last_client,
        };
        let mut text = Vec::new();
        line.write(&mut text);
        self.shared.team.logger.send(&attached.log, text);
    }
}

fn states(report: &Report) -> impl Iterator<Item = (&weir_model::ListenerName, &ListenerState)> {
    report.listeners.iter().map(|(name, report)| (name, &report.state))
}
