//! Listeners of one Gateway that cannot be told apart.

use std::collections::{BTreeMap, BTreeSet};

use weir_api::gateway::Protocol;
use weir_model::GatewayName;

use super::listener::ListenerState;

/// Marks listeners that share a port in ways that do not work. Of those that conflict none wins (Envoy Gateway does the same, except
/// that of several TCP or UDP listeners on a port the first wins).
pub(super) fn judge(gateway: &GatewayName, listeners: &mut [ListenerState<'_>]) {
    judge_names(listeners);
    let mut ports: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (at, listener) in listeners.iter().enumerate().filter(|(_, it)| it.sound) {
        ports.entry(listener.port).or_default().push(at);
    }
    for on_port in ports.values() {
        if !judge_protocols(gateway, listeners, on_port) {
            judge_hostnames(gateway, listeners, on_port);
            judge_streams(listeners, on_port, &Protocol::Tcp);
        }
        judge_streams(listeners, on_port, &Protocol::Udp);
    }
    judge_container_ports(listeners);
}

/// Inside a pod 80 becomes 10080, where a listener of that very port would be too: it gives way.
fn judge_container_ports(listeners: &mut [ListenerState<'_>]) {
    let shifted: BTreeMap<u16, u16> =
        listeners.iter().filter(|it| it.is_served() && it.port != it.container_port).map(|it| (it.container_port, it.port)).collect();
    for listener in listeners.iter_mut().filter(|it| it.port == it.container_port && it.is_served()) {
        if let Some(other) = shifted.get(&listener.port) {
            let message = format!("Port {} is where the proxy listens for port {other}: choose another one.", listener.port);
            listener.not_accepted = Some(("PortUnavailable", message));
        }
    }
}

/// The schema keeps names unique; a file need not.
fn judge_names(listeners: &mut [ListenerState<'_>]) {
    let mut seen = BTreeSet::new();
    for listener in listeners {
        if !seen.insert(listener.name.clone()) {
            listener.sound = false;
            let message = format!("Another listener has the name {} already.", listener.name.listener);
            listener.not_accepted.get_or_insert(("UnsupportedValue", message.clone()));
            listener.not_programmed.get_or_insert(("Invalid", message));
        }
    }
}

/// What must be the same on one port. HTTPS and TLS are told apart by server name, UDP has ports of its own.
fn protocol_family(protocol: &Protocol) -> Option<&str> {
    match protocol {
        Protocol::Udp => None,
        Protocol::Https | Protocol::Tls => Some("https/tls"),
        other => Some(other.as_str()),
    }
}

fn judge_protocols(gateway: &GatewayName, listeners: &mut [ListenerState<'_>], on_port: &[usize]) -> bool {
    let family = |listeners: &[ListenerState<'_>], at: usize| protocol_family(&listeners[at].spec.protocol).map(str::to_owned);
    let families: BTreeSet<String> = on_port.iter().filter_map(|at| family(listeners, *at)).collect();
    if families.len() < 2 {
        return false;
    }
    let concerned: Vec<usize> = on_port.iter().copied().filter(|at| family(listeners, *at).is_some()).collect();
    let message = format!(
        "All listeners for a given port must use a compatible protocol, conflicting listeners: {}",
        names(gateway, listeners, &concerned)
    );
    for at in concerned {
        listeners[at].conflicted = Some(("ProtocolConflict", message.clone()));
    }
    true
}

fn judge_hostnames(gateway: &GatewayName, listeners: &mut [ListenerState<'_>], on_port: &[usize]) {
    let mut by_host: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for at in on_port.iter().copied().filter(|at| !matches!(listeners[*at].spec.protocol, Protocol::Tcp | Protocol::Udp)) {
        by_host.entry(listeners[at].hostname.clone()).or_default().push(at);
    }
    for same in by_host.values().filter(|it| it.len() > 1) {
        let message = format!(
            "All listeners for a given port must use a unique hostname, conflicting listeners: {}",
            names(gateway, listeners, same)
        );
        for at in same {
            listeners[*at].conflicted = Some(("HostnameConflict", message.clone()));
        }
    }
}

/// Of several TCP or UDP listeners on a port the first one stays.
fn judge_streams(listeners: &mut [ListenerState<'_>], on_port: &[usize], protocol: &Protocol) {
    for at in on_port.iter().filter(|at| listeners[**at].spec.protocol == *protocol).skip(1).copied().collect::<Vec<_>>() {
        let message = format!("Only one {} listener is allowed in a given port", protocol.as_str());
        listeners[at].conflicted = Some(("ProtocolConflict", message));
    }
}

fn names(gateway: &GatewayName, listeners: &[ListenerState<'_>], which: &[usize]) -> String {
    let mut names: Vec<String> = which.iter().map(|at| format!("{gateway}/{}", listeners[*at].name.listener)).collect();
    names.sort_unstable();
    names.join(", ")
}
