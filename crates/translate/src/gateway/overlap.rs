//! HTTPS listeners of one port whose host names or certificates overlap: a client may then reuse a connection for the wrong one
//! (Gateway API, ListenerConditionOverlappingTLSConfig).

use weir_api::gateway::Protocol;
use weir_model::HostPattern;

use super::listener::ListenerState;

/// Says of each HTTPS listener with which other one it overlaps, the first that does; certificates before host names, as the standard
/// wants it.
pub(super) fn judge(listeners: &mut [ListenerState<'_>]) {
    let concerned: Vec<usize> =
        (0..listeners.len()).filter(|at| listeners[*at].spec.protocol == Protocol::Https && listeners[*at].is_served()).collect();
    for at in &concerned {
        let mine = &listeners[*at];
        let mut others = concerned.iter().filter(|it| *it != at).map(|it| &listeners[*it]).filter(|it| it.port == mine.port);
        let certificates = others.clone().find_map(|other| {
            let (own, its) = names_in_common(&mine.dns_names, &other.dns_names)?;
            Some(format!("The certificate SAN {own} overlaps with the certificate SAN {its} in listener {}.", other.name.listener))
        });
        let overlapping = match certificates {
            Some(message) => Some(("OverlappingCertificates", message)),
            None => others.find(|other| mine.hostname.intersect(&other.hostname).is_some()).map(|other| {
                let message = format!(
                    "The hostname {} overlaps with the hostname {} in listener {}.",
                    mine.hostname, other.hostname, other.name.listener
                );
                ("OverlappingHostnames", message)
            }),
        };
        listeners[*at].overlapping = overlapping;
    }
}

fn names_in_common<'n>(mine: &'n [HostPattern], theirs: &'n [HostPattern]) -> Option<(&'n HostPattern, &'n HostPattern)> {
    mine.iter().find_map(|own| theirs.iter().find(|its| same_server(own, its)).map(|its| (own, its)))
}

/// Whether two names of certificates have a server in common: there a wildcard stands for one label (RFC 9525, section 6.3).
fn same_server(a: &HostPattern, b: &HostPattern) -> bool {
    match (a, b) {
        (HostPattern::Exact(name), HostPattern::Suffix(domain)) | (HostPattern::Suffix(domain), HostPattern::Exact(name)) => {
            name.split_once('.').is_some_and(|(_, rest)| *rest == **domain)
        }
        _ => a == b,
    }
}
