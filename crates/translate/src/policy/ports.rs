//! What listeners that share a port must agree on: what takes effect before the server name tells which of them is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_model::{ClientSettings, ListenerName};

use super::{Gateways, Outcome, Policy};

/// Makes the listeners of each port agree: those of the first, by name, are in force. Policies that differ are told.
pub(super) fn agree(gateways: &Gateways<'_>, policies: &mut [Policy<'_>], outcome: &mut Outcome) {
    for gateway in gateways.values() {
        let mut ports: BTreeMap<u16, BTreeSet<ListenerName>> = BTreeMap::new();
        for listener in gateway.served() {
            ports.entry(listener.container_port).or_default().insert(listener.name.clone());
        }
        for names in ports.into_values() {
            agree_on_port(&names, policies, outcome);
        }
    }
}

fn agree_on_port(names: &BTreeSet<ListenerName>, policies: &mut [Policy<'_>], outcome: &mut Outcome) {
    let settings = |name: &ListenerName, outcome: &Outcome| outcome.settings.get(name).cloned().unwrap_or_default();
    let Some(first) = names.first() else { return };
    let leading = settings(first, outcome);
    let mut differ = false;
    for name in names.iter().skip(1) {
        let own = settings(name, outcome);
        let agreed = agreed(&own, &leading);
        if *own != agreed {
            differ = true;
            outcome.settings.insert(name.clone(), Arc::new(agreed));
        }
    }
    if differ {
        let all: Vec<String> = names.iter().map(|it| it.listener.to_string()).collect();
        let message = format!(
            "proxyProtocol, connection.maxAcceptPerSocketEvent and timeout.tcp.connectionInspectionTimeout hold for a whole port; of listeners {} what holds at {} is in force",
            all.join(", "),
            first.listener
        );
        for policy in policies {
            let told: Vec<_> = policy.covers.iter().filter(|(_, name)| names.contains(name)).map(|(target, _)| target.clone()).collect();
            for target in told.into_iter().collect::<BTreeSet<_>>() {
                policy.ancestors.at(&target, policy.generation).warn("PortWideSettings", &message);
            }
        }
    }
}

fn agreed(own: &ClientSettings, leading: &ClientSettings) -> ClientSettings {
    let mut agreed = own.clone();
    agreed.proxy_protocol = leading.proxy_protocol;
    agreed.connection.max_accept_per_socket_event = leading.connection.max_accept_per_socket_event;
    agreed.timeouts.inspection = leading.timeouts.inspection;
    agreed.timeouts.chosen.inspection = leading.timeouts.chosen.inspection;
    agreed
}
