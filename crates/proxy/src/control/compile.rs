//! From the Model to what workers read. What did not change is shared with what was there before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use smallvec::SmallVec;
use weir_limits::{Cell, Ledger, LimitConfig};
use weir_model::{
    Action, BackendName, GatewayName, Limit, LimitName, Listener, ListenerName, Model, ObjectName, Protocol, Route, Rule, Target, Tls,
};
use weir_route::{Slots, Table};

use super::changes::{Changes, is_attached};
use crate::client::Client;
use crate::config::{BackendState, Cluster, PortConfig, PortKey, RuleConfig, SecureListener, TargetConfig, Versioned};
use crate::stats::per_worker;
use crate::tls::{self, Terms};

/// The cell of connections whose TLS listener is not known yet, and its limit.
pub(crate) const HALL: &str = "process/handshakes";
/// The most of them, if there are descriptors for four times as many.
const HALL_SIZE: u64 = 4096;

/// A listener's terms, or why it can have none.
type TermsOrWhy = Result<Arc<Terms>, String>;

/// Things that outlive a configuration, by name.
pub(crate) struct Registry {
    workers: usize,
    tls: BTreeMap<ListenerName, (Arc<Tls>, TermsOrWhy)>,
    clusters: HashMap<Arc<str>, Arc<Cluster>>,
    /// By the listener in whose cell the connections count, and the route.
    route_cells: HashMap<(ListenerName, ObjectName), Arc<Cell>>,
    backends: BTreeMap<BackendName, Arc<BackendState>>,
    /// The last [`RuleConfig::stamp`].
    stamp: u64,
    /// Whether something may be there that nobody uses.
    untidy: bool,
}

/// A route's cells: see [`RuleConfig::cells`].
type Cells = SmallVec<[(usize, Arc<Cell>); 1]>;

/// What a port is made of, its routes aside.
pub(crate) struct Frame {
    /// In the order of their names.
    pub(crate) listeners: Vec<Arc<Listener>>,
    access_log: bool,
}

impl Registry {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers,
            tls: BTreeMap::new(),
            clusters: HashMap::new(),
            route_cells: HashMap::new(),
            backends: BTreeMap::new(),
            stamp: 0,
            untidy: false,
        }
    }

    /// The backend called `name`; without endpoints until somebody sets them.
    pub(crate) fn backend(&mut self, name: &BackendName) -> Arc<BackendState> {
        let fresh = || Arc::new(BackendState { name: name.clone(), endpoints: Versioned::new(Vec::new()) });
        self.backends.entry(name.clone()).or_insert_with(fresh).clone()
    }

    /// Makes the terms of TLS listeners that are new or have changed; the others keep theirs, and with them their clients' tickets.
    pub(crate) fn follow_tls(&mut self, model: &Model) {
        self.tls.retain(|name, _| model.listeners.contains_key(name));
        for (name, listener) in &model.listeners {
            let Protocol::Https(tls) = &listener.protocol else {
                self.tls.remove(name);
                continue;
            };
            match self.tls.get_mut(name) {
                Some((before, _)) if Arc::ptr_eq(before, tls) => {}
                Some((before, _)) if before == tls => *before = tls.clone(),
                _ => drop(self.tls.insert(name.clone(), (tls.clone(), tls::build(tls).map_err(|error| error.to_string())))),
            }
        }
    }

    /// Why a listener cannot be served whatever its address: it is TLS that cannot be used, or its port speaks something else.
    pub(crate) fn failure(&self, model: &Model, listener: &Listener) -> Option<String> {
        if let Some((_, Err(why))) = self.tls.get(&listener.name) {
            return Some(format!("TLS cannot be used: {why}"));
        }
        let first = listeners_of(model, &listener.name.gateway).find(|it| it.container_port == listener.container_port)?;
        (is_secure(first) != is_secure(listener))
            .then(|| format!("port {} is spoken for by listener {}, which has another protocol", listener.port, first.name.listener))
    }

    /// How many connections to backends are open.
    pub(crate) fn upstreams(&self) -> u64 {
        self.clusters.values().flat_map(|cluster| &cluster.stats).map(|stats| stats.connections_active.read()).fold(0, u64::wrapping_add)
    }

    fn cluster(&mut self, name: &Arc<str>) -> Arc<Cluster> {
        let workers = self.workers;
        let fresh = || Arc::new(Cluster { name: name.clone(), stats: per_worker(workers) });
        self.clusters.entry(name.clone()).or_insert_with(fresh).clone()
    }

    /// Takes the endpoints away from a backend that the Model does not have any more.
    pub(crate) fn empty(&self, name: &BackendName) {
        if let Some(state) = self.backends.get(name) {
            state.endpoints.store(Arc::default());
        }
    }

    /// Something may have become unused.
    pub(crate) fn soil(&mut self) {
        self.untidy = true;
    }

    /// Forgets what nobody uses any more; looks at everything, so not with every change. A backend of the Model stays even before a port uses
    /// it: its endpoints are set when it comes, not when a gateway that routes to it is attached.
    pub(crate) fn tidy(&mut self, model: &Model) {
        if !std::mem::take(&mut self.untidy) {
            return;
        }
        self.clusters.retain(|_, cluster| Arc::strong_count(cluster) > 1);
        self.route_cells.retain(|_, cell| Arc::strong_count(cell) > 1);
        self.backends.retain(|name, backend| Arc::strong_count(backend) > 1 || model.backends.contains_key(name));
    }

    /// The cell of a route for connections that count in `listener`'s cell.
    fn route_cell(&mut self, listener: &ListenerName, route: &ObjectName, ledger: &Ledger) -> Arc<Cell> {
        let fresh = || Arc::new(ledger.cell(&route_key(&listener.to_string(), route)));
        self.route_cells.entry((listener.clone(), route.clone())).or_insert_with(fresh).clone()
    }

    /// The cells of a route at a port with these listeners.
    fn route_cells(&mut self, listeners: &[Arc<Listener>], route: &Route, ledger: &Ledger) -> Cells {
        let one = |(place, listener): (usize, &Arc<Listener>)| (place, self.route_cell(&listener.name, &route.name, ledger));
        let first = listeners.iter().enumerate().take(1);
        if listeners.iter().all(|listener| listener.protocol == Protocol::Http) {
            return first.map(one).collect();
        }
        let is_attached = |listener: &ListenerName| route.attachments.iter().any(|it| it.listener == *listener);
        listeners.iter().enumerate().filter(|(_, listener)| is_attached(&listener.name)).map(one).collect()
    }

    fn rule(&mut self, route: &Arc<Route>, index: usize, rule: &Rule, cells: Cells) -> RuleConfig {
        let targets = match &rule.action {
            Action::Forward(targets) => targets.as_slice(),
            Action::Redirect(_) | Action::Fail(_) => &[],
        };
        let targets = targets.iter().map(|it| match &it.target {
            Target::Backend(name) => TargetConfig::Backend { weight: it.weight, backend: self.backend(name) },
            Target::Fail(reason) => TargetConfig::Fail { weight: it.weight, reason: reason.clone() },
        });
        let targets = targets.collect();
        self.stamp += 1;
        RuleConfig { stamp: self.stamp, route: route.clone(), index, cluster: self.cluster(&rule.name), cells, targets }
    }

    /// Gives the rules of a route their numbers in `table`.
    fn put_rules(
        &mut self,
        rules: &mut Slots<RuleConfig>,
        table: &Table,
        route: &Arc<Route>,
        listeners: &[Arc<Listener>],
        ledger: &Ledger,
    ) {
        let ids = table.ids(&route.name);
        if ids.is_empty() {
            return;
        }
        let cells = self.route_cells(listeners, route, ledger);
        for (index, (rule, id)) in route.rules.iter().zip(ids).enumerate() {
            rules.set(*id as usize, Some(Arc::new(self.rule(route, index, rule, cells.clone()))));
        }
    }
}

fn is_secure(listener: &Listener) -> bool {
    matches!(listener.protocol, Protocol::Https(_))
}

/// The listeners of a gateway, by name.
pub(crate) fn listeners_of<'m>(model: &'m Model, gateway: &'m GatewayName) -> impl Iterator<Item = &'m Arc<Listener>> {
    let from = ListenerName::new(gateway.clone(), "");
    model.listeners.range(from..).map(|(_, listener)| listener).take_while(|it| it.name.gateway == *gateway)
}

/// What `key` is made of now; none if it has no listener that can be served.
pub(crate) fn frame(model: &Model, key: &PortKey, registry: &Registry) -> Option<Frame> {
    let listeners = listeners_of(model, &key.gateway).filter(|it| it.container_port == key.container_port);
    let listeners: Vec<_> = listeners.filter(|it| registry.failure(model, it).is_none()).cloned().collect();
    let access_log = model.gateways.get(&key.gateway).is_none_or(|gateway| gateway.access_log);
    (!listeners.is_empty()).then_some(Frame { listeners, access_log })
}

/// The port as it is when only routes have changed; none if none of them is its own.
pub(crate) fn edit(before: &PortConfig, changes: &Changes, model: &Model, registry: &mut Registry, ledger: &Ledger) -> Option<PortConfig> {
    let listeners = &before.listeners;
    let edits = changes.routes.keys().filter_map(|name| {
        let route = model.routes.get(name).filter(|it| is_attached(it, listeners));
        (route.is_some() || !before.table.ids(name).is_empty()).then_some((name, route))
    });
    let edits: Vec<(&ObjectName, Option<&Arc<Route>>)> = edits.collect();
    if edits.is_empty() {
        return None;
    }
    let table = Arc::new(before.table.edit(edits.iter().copied()));
    let mut rules = before.rules.clone();
    for id in edits.iter().flat_map(|(name, _)| before.table.ids(name)) {
        rules.set(*id as usize, None);
    }
    for route in edits.iter().filter_map(|(_, route)| *route) {
        registry.put_rules(&mut rules, &table, route, listeners, ledger);
    }
    let frame = Frame { listeners: listeners.clone(), access_log: before.access_log };
    finish(frame, table, rules, Some(before), registry, ledger)
}

/// Whether a port can be edited where routes have changed; else it is made anew.
pub(crate) fn is_editable(before: &PortConfig, frame: &Frame) -> bool {
    same(&before.listeners, &frame.listeners) && before.access_log == frame.access_log && !before.table.is_sparse()
}

/// Makes a port from all its routes.
pub(crate) fn port(
    frame: Frame,
    routes: &[Arc<Route>],
    before: Option<&PortConfig>,
    registry: &mut Registry,
    ledger: &Ledger,
) -> Option<PortConfig> {
    let listeners = frame.listeners.iter().map(|it| &**it);
    let table = Arc::new(match before {
        Some(before) => before.table.recompile(listeners, routes),
        None => Table::compile(listeners, routes),
    });
    let mut rules = Slots::default();
    for route in routes {
        registry.put_rules(&mut rules, &table, route, &frame.listeners, ledger);
    }
    finish(frame, table, rules, before, registry, ledger)
}

/// Adds what belongs to the listeners, sharing what is as it was.
fn finish(
    frame: Frame,
    table: Arc<Table>,
    rules: Slots<RuleConfig>,
    before: Option<&PortConfig>,
    registry: &mut Registry,
    ledger: &Ledger,
) -> Option<PortConfig> {
    let Frame { listeners, access_log } = frame;
    registry.soil();
    let first = listeners.first()?;
    let clients = listeners.iter().enumerate().map(|(at, listener)| {
        let same = before.and_then(|before| before.clients.get(at)).filter(|it| Arc::ptr_eq(&it.settings, &listener.client));
        same.cloned().unwrap_or_else(|| Arc::new(Client::new(&listener.client)))
    });
    let clients = clients.collect();
    let secure = listeners.iter().filter_map(|listener| {
        let (_, terms) = registry.tls.get(&listener.name)?;
        let (terms, cell) = (terms.as_ref().ok()?.clone(), ledger.cell(&listener.name.to_string()));
        Some(Arc::new(SecureListener { listener: listener.clone(), terms, cell }))
    });
    let secure = secure.collect();
    let (cell, public_port) = (ledger.cell(&first.name.to_string()), first.port);
    Some(PortConfig { table, rules, access_log, public_port, cell, secure, clients, listeners })
}

fn same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// The cell in which a listener's connections count: its own if it speaks TLS, else that of the first listener of its port, since which
/// listener a connection is for is not known when it comes.
pub(crate) fn cell_of(model: &Model, name: &ListenerName) -> Arc<str> {
    let listener = model.listeners.get(name);
    if listener.is_some_and(|it| is_secure(it)) {
        return name.to_string().into();
    }
    let port = listener.map(|it| it.container_port);
    let first = listeners_of(model, &name.gateway).find(|it| Some(it.container_port) == port);
    first.map_or(name, |it| &it.name).to_string().into()
}

/// The ledger's limits, each with the Model's.
pub(crate) fn limits(model: &Model) -> (Vec<LimitConfig>, BTreeMap<Arc<str>, Arc<Limit>>) {
    let mut configs = Vec::with_capacity(model.limits.len() + 1);
    configs.push(LimitConfig { name: HALL.into(), value: hall_size(), cells: vec![HALL.into()] });
    let mut by_name = BTreeMap::new();
    for (name, limit) in &model.limits {
        let cells: BTreeSet<Arc<str>> = match &limit.route {
            None => limit.cells.iter().map(|listener| cell_of(model, listener)).collect(),
            Some(route) => limit.cells.iter().map(|listener| route_key(&cell_of(model, listener), route).into()).collect(),
        };
        let name = text(name);
        configs.push(LimitConfig { name: name.clone(), value: limit.value, cells: cells.into_iter().collect() });
        by_name.insert(name, limit.clone());
    }
    (configs, by_name)
}

/// A quarter of the descriptors at the most: those who have not said what they want must not take them all.
fn hall_size() -> u64 {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    descriptors.map_or(HALL_SIZE, |all| (all / 4).clamp(16, HALL_SIZE))
}

/// What the ledger calls the cell of a route, at the listener whose cell is `listener`.
fn route_key(listener: &str, route: &ObjectName) -> String {
    format!("{listener}|{route}")
}

/// What the ledger calls a limit.
pub(crate) fn text(name: &LimitName) -> Arc<str> {
    name.to_string().into()
}
