//! What workers read: immutable parts that the control thread replaces, each behind a version number that is cheap to compare.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use smallvec::SmallVec;
use weir_limits::Cell;
use weir_model::{BackendName, FailReason, GatewayName, HostPattern, Listener, Route, Rule};
use weir_route::{Slots, Table};

use crate::LogSink;
use crate::client::Client;
use crate::stats::{ClusterStats, HttpStats, ListenerStats};
use crate::tls::Terms;

/// A value that is replaced as a whole.
pub(crate) struct Versioned<T> {
    version: AtomicU64,
    value: ArcSwap<T>,
}

impl<T> Versioned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { version: AtomicU64::new(1), value: ArcSwap::from_pointee(value) }
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        self.value.store(value);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Grows with every [`Self::store`]. Read it before [`Self::load`]: then a value that is replaced in between is loaded once more.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn load(&self) -> Arc<T> {
        self.value.load_full()
    }
}

/// What identifies a port: all listeners of a gateway that share one are one to the data plane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PortKey {
    pub(crate) gateway: GatewayName,
    pub(crate) container_port: u16,
}

/// A port of a gateway, for as long as it is served.
pub(crate) struct Port {
    pub(crate) key: PortKey,
    /// `http-10080`
    pub(crate) stat_prefix: String,
    pub(crate) config: Versioned<PortConfig>,
    /// One for each worker.
    pub(crate) stats: Vec<HttpStats>,
    /// Connections that were refused, ever.
    pub(crate) refused: AtomicU64,
    /// Of those the ones that are not closed yet.
    pub(crate) held: AtomicU64,
}

/// What a port does.
pub(crate) struct PortConfig {
    pub(crate) table: Arc<Table>,
    /// By [`weir_route::Matched::id`].
    pub(crate) rules: Slots<RuleConfig>,
    /// Whether requests are logged.
    pub(crate) access_log: bool,
    /// The port that clients know.
    pub(crate) public_port: u16,
    /// Where its connections count, unless it speaks TLS.
    pub(crate) cell: Cell,
    /// Its listeners that speak TLS, by name; then all do, and a client's first message says which of them it means.
    pub(crate) secure: Vec<Arc<SecureListener>>,
    /// How the clients of each of `listeners` are treated, in the same order.
    pub(crate) clients: Vec<Arc<Client>>,
    /// The listeners of `table`, by name.
    pub(crate) listeners: Vec<Arc<Listener>>,
}

/// A listener that speaks TLS.
pub(crate) struct SecureListener {
    pub(crate) listener: Arc<Listener>,
    pub(crate) terms: Arc<Terms>,
    /// Where its connections count.
    pub(crate) cell: Cell,
}

/// What the control thread adds to a rule of the Model.
pub(crate) struct RuleConfig {
    /// No other has the same, so that a worker can tell whether what it keeps for a rule is for this one.
    pub(crate) stamp: u64,
    pub(crate) route: Arc<Route>,
    /// Its place among the route's rules.
    pub(crate) index: usize,
    pub(crate) cluster: Arc<Cluster>,
    /// Where connections count that have carried a request for the route, by the place of their listener among the port's; where one
    /// counter is for all of them there is only the first.
    pub(crate) cells: SmallVec<[(usize, Arc<Cell>); 1]>,
    /// As many as the rule's action has, in the same order.
    pub(crate) targets: Vec<TargetConfig>,
}

/// Where a share of the requests goes.
pub(crate) enum TargetConfig {
    Backend { weight: u32, backend: Arc<BackendState> },
    Fail { weight: u32, reason: FailReason },
}

impl RuleConfig {
    /// Where connections of the listener at `place` count.
    pub(crate) fn cell(&self, place: usize) -> Option<&Cell> {
        self.cells.iter().find(|(at, _)| *at == place).map(|(_, cell)| &**cell)
    }
}

impl TargetConfig {
    pub(crate) fn weight(&self) -> u32 {
        match self {
            Self::Backend { weight, .. } | Self::Fail { weight, .. } => *weight,
        }
    }
}

/// What Envoy calls a cluster: a rule's destinations, by the rule's name. Lives while a rule of that name does.
pub(crate) struct Cluster {
    pub(crate) name: Arc<str>,
    /// One for each worker.
    pub(crate) stats: Vec<ClusterStats>,
}

/// A backend's endpoints as they are now.
pub(crate) struct BackendState {
    pub(crate) name: BackendName,
    pub(crate) endpoints: Versioned<Vec<SocketAddr>>,
}

/// A bound socket, one address of a port; every worker listens on it.
pub(crate) struct Socket {
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    /// The container's own port was bound, so a Service stands before it and clients know another port.
    pub(crate) via_service: bool,
    pub(crate) port: Arc<Port>,
    /// One for each worker.
    pub(crate) stats: Vec<ListenerStats>,
    /// Where requests are logged; the same for all sockets of an attachment, which `log_id` tells apart.
    pub(crate) log: Arc<dyn LogSink>,
    pub(crate) log_id: u64,
    /// How many workers listen on it.
    pub(crate) listening: AtomicUsize,
}

impl PortConfig {
    /// How clients are treated whose listener is not known: as the first one says.
    pub(crate) fn client(&self) -> &Client {
        self.client_of(0)
    }

    /// How the clients of the listener at `place` are treated.
    pub(crate) fn client_of(&self, place: usize) -> &Client {
        static NONE: OnceLock<Client> = OnceLock::new();
        let client = self.clients.get(place).or(self.clients.first());
        client.map_or_else(|| NONE.get_or_init(|| Client::new(&Arc::default())), |client| &**client)
    }

    /// The TLS listener for `name`, the most specific one; without a name, the one for all hosts.
    pub(crate) fn secure(&self, name: Option<&str>) -> Option<&Arc<SecureListener>> {
        let specificity = |pattern: &HostPattern| match pattern {
            HostPattern::Any => 0,
            HostPattern::Suffix(domain) => 1 + domain.len(),
            HostPattern::Exact(_) => usize::MAX,
        };
        let fits = |it: &&Arc<SecureListener>| match (&it.listener.hostname, name) {
            (HostPattern::Any, _) => true,
            (pattern, Some(name)) => pattern.matches(name),
            (_, None) => false,
        };
        self.secure.iter().filter(fits).max_by_key(|it| specificity(&it.listener.hostname))
    }

    /// A rule by its [`weir_route::Matched::id`], with the route it is of.
    pub(crate) fn rule(&self, id: usize) -> Option<(&Route, &Rule)> {
        let RuleConfig { route, index, .. } = &**self.rules.get(id)?;
        Some((route, route.rules.get(*index)?))
    }
}
