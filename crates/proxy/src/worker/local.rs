//! A worker's own view of the configuration: what it has taken from the shared parts, with what it alone keeps beside them.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;
use tokio::sync::Notify;
use weir_model::FailReason;

use super::upstream::{Endpoint, Endpoints};
use crate::access_log::LogBuffer;
use crate::config::{BackendState, PortConfig, RuleConfig, Socket, TargetConfig};
use crate::mailbox::Valve;

/// A socket that this worker listens on.
pub(crate) struct LocalSocket {
    pub(crate) socket: Arc<Socket>,
    pub(crate) log: Rc<LogBuffer>,
    /// Connections that came in by it and are served by this worker.
    pub(crate) connections: Cell<usize>,
    /// Whether the kernel is left to refuse connections.
    pub(crate) valve: Valve,
    /// Rung when `connections` falls to 0.
    emptied: Notify,
    version: Cell<u64>,
    config: RefCell<Rc<LocalConfig>>,
}

/// A port's configuration with this worker's state for each rule.
pub(crate) struct LocalConfig {
    pub(crate) port: Arc<PortConfig>,
    rules: Rc<LocalRules>,
}

/// The state of rules that were met, by their numbers. It outlives a configuration: a rule that stays as it is keeps its place in the round.
#[derive(Default)]
struct LocalRules(RefCell<Vec<Option<Box<LocalRule>>>>);

/// A rule's balancing.
pub(crate) struct LocalRule {
    /// Of the configuration that it is for.
    stamp: u64,
    /// Smooth weighted round robin: each target's credit.
    credits: RefCell<SmallVec<[i64; 2]>>,
    targets: SmallVec<[LocalTarget; 2]>,
}

struct LocalTarget {
    version: Cell<u64>,
    endpoints: RefCell<Vec<Rc<Endpoint>>>,
    next: Cell<usize>,
}

/// Where a request goes.
pub(crate) enum Choice {
    /// To this endpoint of the target with this index.
    Endpoint(usize, Rc<Endpoint>),
    /// The target with this index has none.
    NoEndpoint(usize),
    /// The share of a broken reference.
    Fail(FailReason),
    /// There is no target with a weight.
    NoTarget,
}

impl LocalSocket {
    pub(crate) fn new(socket: Arc<Socket>, log: Rc<LogBuffer>) -> Self {
        let version = socket.port.config.version();
        let config = LocalConfig { port: socket.port.config.load(), rules: Rc::default() };
        Self {
            socket,
            log,
            connections: Cell::new(0),
            valve: Valve::default(),
            emptied: Notify::new(),
            version: Cell::new(version),
            config: RefCell::new(Rc::new(config)),
        }
    }

    /// The configuration in force. A request takes it once.
    #[inline]
    pub(crate) fn config(&self) -> Rc<LocalConfig> {
        let version = self.socket.port.config.version();
        if version != self.version.get() {
            self.version.set(version);
            let rules = self.config.borrow().rules.clone();
            *self.config.borrow_mut() = Rc::new(LocalConfig { port: self.socket.port.config.load(), rules });
        }
        self.config.borrow().clone()
    }

    /// Waits until it has no connections.
    pub(crate) async fn empty(&self) {
        while self.connections.get() > 0 {
            self.emptied.notified().await;
        }
    }

    pub(crate) fn leave(&self) {
        self.connections.set(self.connections.get() - 1);
        if self.connections.get() == 0 {
            self.emptied.notify_waiters();
        }
    }
}

impl LocalConfig {
    /// Chooses where a request that meets rule `id` goes.
    pub(crate) fn choose(&self, id: usize, endpoints: &Endpoints) -> Choice {
        let Some(config) = self.port.rules.get(id) else { return Choice::NoTarget };
        if let Some(Some(rule)) = self.rules.0.borrow().get(id)
            && rule.stamp == config.stamp
        {
            return rule.choose(config, endpoints);
        }
        let rule = Box::new(LocalRule::new(config));
        let choice = rule.choose(config, endpoints);
        self.rules.put(id, rule);
        choice
    }
}

impl LocalRules {
    fn put(&self, id: usize, rule: Box<LocalRule>) {
        let mut rules = self.0.borrow_mut();
        if rules.len() <= id {
            rules.resize_with(id + 1, || None);
        }
        if let Some(place) = rules.get_mut(id) {
            *place = Some(rule);
        }
    }
}

impl LocalRule {
    fn new(config: &RuleConfig) -> Self {
        let target = |_: &TargetConfig| LocalTarget { version: Cell::new(0), endpoints: RefCell::default(), next: Cell::new(0) };
        let credits = RefCell::new(config.targets.iter().map(|_| 0).collect());
        Self { stamp: config.stamp, credits, targets: config.targets.iter().map(target).collect() }
    }

    fn choose(&self, config: &RuleConfig, endpoints: &Endpoints) -> Choice {
        let index = match config.targets.as_slice() {
            [only] => (only.weight() > 0).then_some(0),
            several => next_weighted(&mut self.credits.borrow_mut(), several.iter().map(TargetConfig::weight)),
        };
        match index.and_then(|index| Some((index, config.targets.get(index)?, self.targets.get(index)?))) {
            None => Choice::NoTarget,
            Some((_, TargetConfig::Fail { reason, .. }, _)) => Choice::Fail(reason.clone()),
            Some((index, TargetConfig::Backend { backend, .. }, target)) => match target.endpoint(backend, endpoints) {
                Some(endpoint) => Choice::Endpoint(index, endpoint),
                None => Choice::NoEndpoint(index),
            },
        }
    }
}

impl LocalTarget {
    fn endpoint(&self, backend: &BackendState, endpoints: &Endpoints) -> Option<Rc<Endpoint>> {
        let version = backend.endpoints.version();
        if version != self.version.get() {
            self.version.set(version);
            *self.endpoints.borrow_mut() = backend.endpoints.load().iter().map(|address| endpoints.at(*address)).collect();
        }
        let list = self.endpoints.borrow();
        match list.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            several => {
                let start = self.next.get() % several.len();
                let active = |at: &usize| several.get(*at).map(|endpoint| endpoint.active.get());
                // The one with the fewest exchanges among a few, from where the last search ended: round robin when all are equal.
                let best = (start..start + several.len().min(8)).map(|at| at % several.len()).min_by_key(active)?;
                self.next.set(best + 1);
                several.get(best).cloned()
            }
        }
    }
}

/// Smooth weighted round robin (as nginx has it): each gets credit by its weight, the one with the most credit is chosen and pays the sum.
/// Over any `sum` choices each is chosen exactly `weight` times, evenly spread.
fn next_weighted(credits: &mut [i64], weights: impl Iterator<Item = u32>) -> Option<usize> {
    let (mut sum, mut best) = (0, None);
    for (index, (credit, weight)) in credits.iter_mut().zip(weights).enumerate() {
        if weight == 0 {
            continue;
        }
        *credit += i64::from(weight);
        sum += i64::from(weight);
        if best.is_none_or(|(_, most)| *credit > most) {
            best = Some((index, *credit));
        }
    }
    let (index, _) = best?;
    *credits.get_mut(index)? -= sum;
    Some(index)
}

/// The port that a redirect names when its rule does not: the one that the client used.
pub(crate) fn redirect_port(socket: &Socket, config: &PortConfig) -> u16 {
    if socket.via_service { config.public_port } else { SocketAddr::port(&socket.address) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_met_exactly_and_evenly() {
        let (mut credits, weights) = ([0; 3], [5, 0, 2]);
        let picks: Vec<_> = (0..7).filter_map(|_| next_weighted(&mut credits, weights.into_iter())).collect();
        assert_eq!(picks, [0, 2, 0, 0, 0, 2, 0]);
        assert_eq!(credits, [0; 3]);
        assert_eq!(next_weighted(&mut [0; 2], [0, 0].into_iter()), None);
    }
}
