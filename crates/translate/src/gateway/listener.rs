//! One listener: whether it can be served, and which routes it lets in.

use std::sync::Arc;

use weir_api::gateway::{AllowedRoutes, FromNamespaces, Listener, Protocol, RouteGroupKind, RouteNamespaces, TlsMode};
use weir_model::{Certificate, ClientValidation, GatewayName, HostPattern, ListenerName};

use super::certificate;
use crate::envoy_proxy::Parameters;
use crate::memo::Reader;
use crate::naming;
use crate::resources::Kind;
use crate::selector::Selector;

/// What a listener's conditions say when it is wrong: reason and message.
pub(crate) type Fault = (&'static str, String);

/// What a Programmed condition says when another one says more.
pub(super) const SEE_OTHERS: &str = "Listener is invalid, see other Conditions for details.";

/// The ports of a proxy that are not for listeners: metrics and readiness.
const RESERVED_PORTS: [u16; 2] = [19001, 19003];

/// A listener, judged.
pub(crate) struct ListenerState<'a> {
    pub(crate) name: ListenerName,
    pub(crate) spec: &'a Listener,
    pub(crate) port: u16,
    pub(crate) container_port: u16,
    pub(crate) hostname: HostPattern,
    /// The kinds of routes that it lets in, as the user wrote them.
    pub(crate) supported_kinds: Vec<RouteGroupKind>,
    pub(crate) namespaces: Namespaces,
    pub(crate) not_accepted: Option<Fault>,
    pub(crate) not_programmed: Option<Fault>,
    pub(crate) not_resolved: Option<Fault>,
    pub(crate) conflicted: Option<Fault>,
    /// How it overlaps with another listener that ends TLS.
    pub(crate) overlapping: Option<Fault>,
    /// What a listener that ends TLS presents; empty for others.
    pub(crate) certificates: Vec<Certificate>,
    /// The DNS names that these are for.
    pub(super) dns_names: Vec<HostPattern>,
    /// How clients must prove who they are, by the Gateway.
    pub(crate) client_validation: Option<ClientValidation>,
    /// Whether it takes part in the search for conflicts: one that is wrong in itself must not spoil others.
    pub(super) sound: bool,
}

/// The namespaces that routes may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Namespaces {
    All,
    Same,
    Selected(Selector),
    /// The selector cannot be read.
    None,
}

impl ListenerState<'_> {
    /// Whether it goes to the data plane.
    pub(crate) fn is_served(&self) -> bool {
        self.not_accepted.is_none() && self.not_programmed.is_none() && self.conflicted.is_none()
    }

    pub(super) fn is_accepted(&self) -> bool {
        self.not_accepted.is_none() && self.conflicted.is_none()
    }

    /// Whether HTTPRoutes may attach.
    pub(crate) fn takes_http_routes(&self) -> bool {
        self.supported_kinds.iter().any(is_http_route)
    }

    /// Something about it is wrong in itself.
    pub(super) fn wrong(&mut self, message: String) {
        self.sound = false;
        self.not_accepted.get_or_insert(("UnsupportedValue", message.clone()));
        self.not_programmed.get_or_insert(("Invalid", message));
    }
}

fn is_http_route(kind: &RouteGroupKind) -> bool {
    kind.group == Kind::HttpRoute.group() && kind.kind == Kind::HttpRoute.as_str()
}

/// Judges one listener by itself.
pub(super) fn judge<'a>(reader: &Reader<'_>, gateway: &GatewayName, spec: &'a Listener, parameters: &Parameters) -> ListenerState<'a> {
    let Listener { name, hostname, port, protocol, tls, allowed_routes: AllowedRoutes { namespaces, kinds } } = spec;
    let number = u16::try_from(*port).unwrap_or_default();
    let mut state = ListenerState {
        name: ListenerName::new(gateway.clone(), Arc::<str>::from(name.as_str())),
        spec,
        port: number,
        container_port: if parameters.same_container_ports { number } else { naming::container_port(number) },
        hostname: HostPattern::Any,
        supported_kinds: Vec::new(),
        namespaces: Namespaces::Same,
        not_accepted: None,
        not_programmed: None,
        not_resolved: None,
        conflicted: None,
        overlapping: None,
        certificates: Vec::new(),
        dns_names: Vec::new(),
        client_validation: None,
        sound: true,
    };
    if number == 0 {
        state.wrong(format!("Port {port} is not between 1 and 65535."));
    }
    if RESERVED_PORTS.contains(&state.container_port) {
        let message = format!("Port {} is the proxy's own, for metrics and readiness: choose another one.", state.container_port);
        state.not_accepted = Some(("PortUnavailable", message));
        state.sound = false;
    }
    judge_namespaces(&mut state, namespaces);
    judge_kinds(&mut state, protocol, kinds);
    judge_hostname(&mut state, protocol, hostname.as_deref());
    let has_tls = tls.is_some();
    match protocol {
        Protocol::Http | Protocol::Tcp | Protocol::Udp if has_tls => {
            state.wrong(format!("Listener must not have TLS set when protocol is {}.", protocol.as_str()));
        }
        Protocol::Https | Protocol::Tls if !has_tls => {
            state.wrong(format!("Listener must have TLS set when protocol is {}.", protocol.as_str()));
        }
        _ => {}
    }
    if let (Protocol::Https | Protocol::Tls, Some(tls)) = (protocol, tls) {
        match (&tls.mode, protocol) {
            (TlsMode::Terminate, _) => certificate::judge(reader, gateway, tls, &mut state),
            (TlsMode::Passthrough, Protocol::Tls) => {}
            (mode, _) => {
                state.not_programmed =
                    Some(("UnsupportedTLSMode", format!("TLS {mode} mode is not supported, TLS mode must be Terminate.")));
                state.sound = false;
            }
        }
    }
    judge_protocol(&mut state, protocol);
    state
}

fn judge_namespaces(state: &mut ListenerState<'_>, namespaces: &RouteNamespaces) {
    let RouteNamespaces { from, selector } = namespaces;
    state.namespaces = match (from, selector) {
        (FromNamespaces::All, _) => Namespaces::All,
        (FromNamespaces::Same, _) => Namespaces::Same,
        (FromNamespaces::Selector, None) => {
            state.wrong(
                "The allowedRoutes.namespaces.selector field must be specified when allowedRoutes.namespaces.from is set to \"Selector\"."
                    .into(),
            );
            Namespaces::None
        }
        (FromNamespaces::Selector, Some(selector)) => match Selector::read(selector) {
            Ok(selector) => Namespaces::Selected(selector),
            Err(error) => {
                state.wrong(format!("The allowedRoutes.namespaces.selector could not be parsed: {error}."));
                Namespaces::None
            }
        },
        (FromNamespaces::Unknown(word), _) => {
            state.wrong(format!("allowedRoutes.namespaces.from {word} is not supported: All, Selector and Same are."));
            Namespaces::None
        }
    };
}

fn judge_kinds(state: &mut ListenerState<'_>, protocol: &Protocol, kinds: &[RouteGroupKind]) {
    let possible: &[&str] = if matches!(protocol, Protocol::Http | Protocol::Https) { &["HTTPRoute"] } else { &[] };
    let group = Kind::HttpRoute.group();
    if kinds.is_empty() {
        state.supported_kinds = possible.iter().map(|kind| RouteGroupKind { group: group.into(), kind: (*kind).into() }).collect();
        return;
    }
    for kind in kinds {
        if kind.group != group {
            state.not_resolved = Some(("InvalidRouteKinds", format!("Group is not supported, group must be {group}")));
        } else if possible.contains(&kind.kind.as_str()) {
            state.supported_kinds.push(kind.clone());
        } else {
            let fitting = match protocol {
                Protocol::Tls => "TLSRoute",
                Protocol::Tcp => "TCPRoute",
                Protocol::Udp => "UDPRoute",
                _ => "HTTPRoute",
            };
            let message = format!("{} is not supported, kind must be one of [{fitting}]", kind.kind);
            state.not_resolved = Some(("InvalidRouteKinds", message));
        }
    }
    if state.supported_kinds.is_empty() {
        state.sound = false;
        state.not_programmed.get_or_insert(("Invalid", SEE_OTHERS.into()));
    }
}

fn judge_hostname(state: &mut ListenerState<'_>, protocol: &Protocol, hostname: Option<&str>) {
    let Some(hostname) = hostname else { return };
    if matches!(protocol, Protocol::Tcp | Protocol::Udp) {
        state.wrong(format!("Listener must not have hostname set when protocol is {}.", protocol.as_str()));
        return;
    }
    match HostPattern::parse(hostname) {
        Ok(hostname) => state.hostname = hostname,
        Err(error) => state.wrong(format!("Hostname: {error}.")),
    }
}

fn judge_protocol(state: &mut ListenerState<'_>, protocol: &Protocol) {
    let message = match protocol {
        Protocol::Http | Protocol::Https => return,
        Protocol::Tls | Protocol::Tcp | Protocol::Udp => {
            format!("Protocol {} is not served yet, must be HTTP or HTTPS.", protocol.as_str())
        }
        Protocol::Other(name) => {
            state.sound = false;
            format!("Protocol {name} is unsupported, must be HTTP, HTTPS, TCP or UDP.")
        }
    };
    state.not_accepted = Some(("UnsupportedProtocol", message));
    state.not_programmed.get_or_insert(("Invalid", SEE_OTHERS.into()));
}
