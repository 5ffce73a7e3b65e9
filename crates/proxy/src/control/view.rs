//! What the control thread shows to others: enough to report and to write metrics at any moment, without asking it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use weir_limits::Ledger;
use weir_model::{GatewayName, Limit, LimitReport, ListenerName, ListenerReport, ListenerState, Refusals, Report};

use crate::config::{Port, Socket};

/// How things are arranged. Numbers are read where they are counted.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) epoch: u64,
    pub(crate) version: u64,
    /// Each listener that is bound or should be, and the cell its connections are counted in, if it is its own.
    pub(crate) listeners: BTreeMap<ListenerName, (ListenerState, Option<Arc<str>>)>,
    /// By what the ledger calls them.
    pub(crate) limits: BTreeMap<Arc<str>, Arc<Limit>>,
    pub(crate) ports: Vec<Arc<Port>>,
    pub(crate) sockets: Vec<Arc<Socket>>,
    pub(crate) gateways: BTreeMap<GatewayName, Readiness>,
    /// Which gateways' numbers are shown at an address.
    pub(crate) addresses: BTreeMap<IpAddr, BTreeSet<GatewayName>>,
}

/// Whether a gateway can be sent traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It has no Model yet.
    Waiting,
    /// Its listeners are bound, or known to fail.
    Ready,
    /// It is being drained.
    Draining,
}

impl View {
    /// How things stand now.
    pub(crate) fn report(&self, ledger: &Ledger) -> Report {
        let listener = |(name, (state, cell)): (&ListenerName, &(ListenerState, Option<Arc<str>>))| {
            let connections = cell.as_deref().map_or(0, |cell| ledger.cell_count(cell));
            (name.clone(), ListenerReport { state: state.clone(), connections })
        };
        let limits = ledger.snapshot().into_iter().filter_map(|state| {
            let limit = self.limits.get(&state.name)?;
            let report = LimitReport {
                gateway: limit.gateway.clone(),
                scope: limit.scope,
                current: state.current,
                max: state.value,
                refused: Refusals { over_connection_limit: state.refused },
            };
            Some((limit.name.clone(), report))
        });
        let limits = limits.collect();
        Report { epoch: self.epoch, version: self.version, listeners: self.listeners.iter().map(listener).collect(), limits }
    }
}
