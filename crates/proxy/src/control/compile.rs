//! From the Model to what workers read. What did not change is shared with what was there before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use smallvec::SmallVec;
use weir_limits::{Cell, Ledger, LimitConfig};
use weir_model::{Action, BackendName, Limit, LimitName, Listener, ListenerName, Model, ObjectName, Protocol, Route, Rule, Target, Tls};
use weir_route::Table;

use crate::client::Client;
use crate::config::{BackendState, Cluster, PortConfig, PortKey, RuleConfig, SecureListener, TargetConfig, Versioned};
use crate::stats::per_worker;
use crate::tls::{self, Terms};

/// The cell of connections whose TLS listener is not known yet, and its limit.
pub(crate) const HALL: &str = "process/handshakes";
/// The most of them, if there are descriptors for ten times as many.
const HALL_SIZE: u64 = 1024;

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
}

/// A route's cells: see [`RuleConfig::cells`].
type Cells = SmallVec<[(usize, Arc<Cell>); 1]>;

/// What a port is compiled from.
pub(crate) struct Inputs {
    /// In the order of their names.
    pub(crate) listeners: Vec<Arc<Listener>>,
    pub(crate) routes: Vec<Arc<Route>>,
    pub(crate) access_log: bool,
}

impl Registry {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, tls: BTreeMap::new(), clusters: HashMap::new(), route_cells: HashMap::new(), backends: BTreeMap::new() }
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
        let mut port =
            model.listeners.values().filter(|it| it.name.gateway == listener.name.gateway && it.container_port == listener.container_port);
        let first = port.next()?;
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

    /// Takes the endpoints away from backends that the Model does not have any more.
    pub(crate) fn empty_gone(&self, model: &Model) {
        for (name, state) in &self.backends {
            if !model.backends.contains_key(name) && !state.endpoints.load().is_empty() {
                state.endpoints.store(Arc::default());
            }
        }
    }

    /// Forgets what nobody uses any more. A backend of the Model stays even before a port uses it: its endpoints are set when it comes, not
    /// when a gateway that routes to it is attached.
    pub(crate) fn prune(&mut self, model: &Model) {
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
        RuleConfig { route: route.clone(), index, cluster: self.cluster(&rule.name), cells, targets }
    }
}

fn is_secure(listener: &Listener) -> bool {
    matches!(listener.protocol, Protocol::Https(_))
}

/// What `key` would be compiled from now; none if it has no listener that can be served.
pub(crate) fn inputs(model: &Model, key: &PortKey, registry: &Registry) -> Option<Inputs> {
    let of_gateway = |name: &ListenerName| name.gateway == key.gateway;
    let listeners = model.listeners.values().filter(|it| of_gateway(&it.name) && it.container_port == key.container_port);
    let listeners: Vec<_> = listeners.filter(|it| registry.failure(model, it).is_none()).cloned().collect();
    if listeners.is_empty() {
        return None;
    }
    let names: BTreeSet<&ListenerName> = listeners.iter().map(|it| &it.name).collect();
    let attached = |route: &&Arc<Route>| route.attachments.iter().any(|it| names.contains(&it.listener));
    let routes = model.routes.values().filter(attached).cloned().collect();
    let access_log = model.gateways.get(&key.gateway).is_none_or(|gateway| gateway.access_log);
    Some(Inputs { listeners, routes, access_log })
}

/// Compiles a port; none if it would be as `before`.
pub(crate) fn port(inputs: Inputs, before: Option<&PortConfig>, registry: &mut Registry, ledger: &Ledger) -> Option<PortConfig> {
    let Inputs { listeners, routes, access_log } = inputs;
    let same_routing = before.is_some_and(|before| same(&before.listeners, &listeners) && same(&before.routes, &routes));
    if same_routing && before.is_some_and(|before| before.access_log == access_log) {
        return None;
    }
    let table = match before {
        Some(before) if same_routing => before.table.clone(),
        Some(before) => Arc::new(before.table.recompile(listeners.iter().map(|it| &**it), &routes)),
        None => Arc::new(Table::compile(listeners.iter().map(|it| &**it), &routes)),
    };
    let first = listeners.first()?;
    let mut place: HashMap<&ObjectName, (usize, Cells)> = HashMap::new();
    let rules = table.rules().map(|(route, rule)| {
        // A table lists a route's rules one after the other, from the first.
        let fresh = || (0, registry.route_cells(&listeners, route, ledger));
        let (index, cells) = place.entry(&route.name).or_insert_with(fresh);
        *index += 1;
        registry.rule(route, *index - 1, rule, cells.clone())
    });
    let rules = rules.collect();
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
    Some(PortConfig { table, rules, access_log, public_port, cell, secure, clients, listeners, routes })
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
    let first = model.listeners.values().find(|it| it.name.gateway == name.gateway && Some(it.container_port) == port);
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

/// A tenth of the descriptors at the most: those who have not said what they want must not take them all.
fn hall_size() -> u64 {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    descriptors.map_or(HALL_SIZE, |all| (all / 10).clamp(16, HALL_SIZE))
}

/// What the ledger calls the cell of a route, at the listener whose cell is `listener`.
fn route_key(listener: &str, route: &ObjectName) -> String {
    format!("{listener}|{route}")
}

/// What the ledger calls a limit.
pub(crate) fn text(name: &LimitName) -> Arc<str> {
    name.to_string().into()
}
