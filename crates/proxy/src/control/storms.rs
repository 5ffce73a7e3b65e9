//! Watches for storms at ports, and lets the kernel refuse while they last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::kernel::{Estimate, resets};
use crate::config::{Port, PortConfig, PortKey};
use crate::mailbox::Flow;
use crate::storm::{Step, Storm};
use crate::worker::{Order, Team};

/// How often storms are looked at while there are any. A slot that becomes free is looked at at once.
pub(crate) const WATCH: Duration = Duration::from_millis(5);

/// The storms at all ports.
#[derive(Default)]
pub(crate) struct Storms {
    ports: BTreeMap<PortKey, Watched>,
    estimate: Estimate,
}

struct Watched {
    storm: Storm,
    /// What the kernel had refused altogether when this storm began.
    began: u64,
}

impl Storms {
    /// Looks at `ports`, whose sockets are given by their numbers, and tells the workers what to do.
    pub(crate) fn look(&mut self, now: Instant, team: &Team, ports: &BTreeMap<PortKey, Arc<Port>>, sockets: impl Fn(&PortKey) -> Vec<u64>) {
        self.ports.retain(|key, _| ports.contains_key(key));
        let was_refusing = self.is_refusing();
        let mut orders = Vec::new();
        for (key, port) in ports {
            let refused = port.refused.load(Ordering::Relaxed);
            let watched = self
                .ports
                .entry(key.clone())
                .or_insert_with(|| Watched { storm: Storm::new(now, refused, team.settings.storm_rate), began: team.process.by_kernel() });
            let was_on = watched.storm.is_on();
            match watched.storm.step(now, may_be_left_to_the_kernel(team, &port.config.load()), refused) {
                Step::Stay => {}
                Step::Unlisten => {
                    orders.push((key, Flow::Stopped));
                    if !was_on {
                        watched.began = team.process.by_kernel();
                        let why =
                            "clients come faster than they can be refused one by one: the kernel refuses them while nobody could come in";
                        tracing::warn!(gateway = %key.gateway, port = key.container_port, "{why}");
                    }
                }
                Step::Listen => orders.push((key, Flow::Open)),
                Step::Over(time) => {
                    let estimate = team.process.by_kernel() - watched.began;
                    let seconds = time.as_secs_f64();
                    tracing::info!(gateway = %key.gateway, port = key.container_port, seconds, estimate, "the storm is over");
                }
            }
        }
        self.count(team, ports, was_refusing);
        for (key, flow) in orders {
            for socket in sockets(key) {
                for member in &team.members {
                    member.orders.send(Order::Turn(socket, flow));
                }
            }
        }
    }

    /// Estimates what the kernel refuses, from before the first sockets stop listening until just before the last listen again.
    fn count(&mut self, team: &Team, ports: &BTreeMap<PortKey, Arc<Port>>, was_refusing: bool) {
        let refuses = self.is_refusing();
        team.process.set_storm(refuses);
        if was_refusing == refuses {
            return;
        }
        let own = ports.values().map(|port| port.refused.load(Ordering::Relaxed)).sum();
        if refuses {
            self.estimate.begin(resets(), own);
        } else {
            team.process.refused_by_kernel(self.estimate.count(resets(), own));
            self.estimate.end();
        }
    }

    /// Whether there is a storm somewhere.
    pub(crate) fn is_any(&self) -> bool {
        self.ports.values().any(|watched| watched.storm.is_on())
    }

    /// Whether the kernel refuses somewhere.
    fn is_refusing(&self) -> bool {
        self.ports.values().any(|watched| !watched.storm.is_listening())
    }
}

/// Whether nobody could come in at a port, and nobody need be seen.
fn may_be_left_to_the_kernel(team: &Team, config: &PortConfig) -> bool {
    // Where the address is told by a PROXY header, it is the only rule that must see more of a client than that it comes: the kernel would
    // refuse the load balancer, which would then think that nobody is here. What headers of requests tell (X-Forwarded-For) is not known
    // of any client that is refused, whoever refuses it.
    if config.clients.iter().any(|client| client.settings.proxy_protocol.is_some()) {
        return false;
    }
    let is_full = |cell| team.ledger.fullness(cell) >= 100;
    if team.process.is_scarce() {
        return true;
    }
    if config.secure.is_empty() {
        return is_full(&config.cell);
    }
    // Which listener a client wants is known after its first bytes: all must be full, or the hall where it would say so.
    is_full(&team.hall) || config.secure.iter().all(|listener| is_full(&listener.cell))
}
