//! Watches for storms at ports, and lets the kernel refuse while they last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::config::{Port, PortKey};
use crate::mailbox::Flow;
use crate::storm::{Step, Storm};
use crate::worker::{Order, Team};

/// How often it is looked whether a slot is free while the kernel refuses.
pub(crate) const WATCH: Duration = Duration::from_millis(2);

/// The storms at all ports.
#[derive(Default)]
pub(crate) struct Storms(BTreeMap<PortKey, Storm>);

impl Storms {
    /// Looks at `ports`, whose sockets are given by their numbers, and tells the workers what to do.
    pub(crate) fn look(&mut self, now: Instant, team: &Team, ports: &BTreeMap<PortKey, Arc<Port>>, sockets: impl Fn(&PortKey) -> Vec<u64>) {
        self.0.retain(|key, _| ports.contains_key(key));
        for (key, port) in ports {
            let config = port.config.load();
            // Which listener of a port that speaks TLS is full is known after the first bytes only, and those must be accepted.
            if !config.secure.is_empty() {
                continue;
            }
            let refused = port.refused.load(Ordering::Relaxed);
            let storm = self.0.entry(key.clone()).or_insert_with(|| Storm::new(now, refused));
            let full = team.ledger.fullness(&config.cell) >= 100;
            let flow = match storm.step(now, full, refused) {
                Step::Stay => continue,
                Step::Unlisten => Flow::Stopped,
                Step::Listen => Flow::Open,
            };
            for socket in sockets(key) {
                for member in &team.members {
                    member.orders.send(Order::Turn(socket, flow));
                }
            }
        }
    }

    /// Whether the kernel refuses somewhere.
    pub(crate) fn is_any(&self) -> bool {
        self.0.values().any(|storm| !storm.is_listening())
    }
}
