//! Certificates that a listener names: whether they are there and may be used.

use weir_api::gateway::ListenerTls;
use weir_api::reference::SecretObjectReference;
use weir_model::{Certificate, GatewayName, HostPattern, ObjectName};

use super::listener::{Fault, ListenerState, SEE_OTHERS};
use crate::grants;
use crate::material::Pair;
use crate::memo::Reader;
use crate::resources::Kind;

/// Judges the certificates of a listener that ends TLS.
pub(super) fn judge(reader: &Reader<'_>, gateway: &GatewayName, tls: &ListenerTls, state: &mut ListenerState<'_>) {
    // Options belong to other implementations: none is known here, and the Gateway's status names them.
    let ListenerTls { mode: _, certificate_refs, options: _ } = tls;
    let mut faults: Vec<(usize, Fault)> = Vec::new();
    for (at, reference) in certificate_refs.iter().enumerate() {
        match resolve(reader, gateway, reference) {
            Ok((certificate, dns_names)) => {
                state.certificates.push(certificate.clone());
                state.dns_names.extend(dns_names.iter().filter_map(|it| HostPattern::parse(it).ok()));
            }
            Err(fault) => faults.push((at, fault)),
        }
    }
    if faults.is_empty() && !certificate_refs.is_empty() {
        return;
    }
    if certificate_refs.is_empty() {
        state.wrong("Listener must have at least 1 TLS certificate ref".into());
        return;
    }
    let texts: Vec<String> = faults.iter().map(|(at, (_, message))| format!("certificate refs {at}: {message}")).collect();
    let (reason, summary) = if faults.len() < certificate_refs.len() {
        ("PartiallyInvalidCertificateRef", "Some secrets are invalid")
    } else if faults.iter().all(|(_, (reason, _))| *reason == "RefNotPermitted") {
        ("RefNotPermitted", "No valid secrets exist")
    } else {
        ("InvalidCertificateRef", "No valid secrets exist")
    };
    // One that is usable is enough to serve with.
    if state.certificates.is_empty() {
        state.sound = false;
        state.not_programmed.get_or_insert(("Invalid", SEE_OTHERS.into()));
    }
    state.not_resolved.get_or_insert((reason, format!("{summary}: {}", texts.join("\n"))));
}

fn resolve<'a>(
    reader: &Reader<'a>,
    gateway: &GatewayName,
    reference: &SecretObjectReference,
) -> Result<(&'a Certificate, &'a [Box<str>]), Fault> {
    let SecretObjectReference { group, kind, name, namespace } = reference;
    let invalid = |message: String| Err(("InvalidCertificateRef", message));
    if !group.is_empty() {
        return invalid("Listener's TLS certificate ref group must be unspecified/empty.".into());
    }
    if kind != Kind::Secret.as_str() {
        return invalid("Listener's TLS certificate ref kind must be Secret.".into());
    }
    let namespace = namespace.as_deref().filter(|it| !it.is_empty()).unwrap_or(&gateway.namespace);
    let from = grants::From { group: Kind::Gateway.group(), kind: Kind::Gateway.as_str(), namespace: &gateway.namespace };
    if !reader.permitted(&from, &grants::To { group: "", kind, namespace, name }) {
        return Err(("RefNotPermitted", format!("Certificate ref to secret {namespace}/{name} not permitted by any ReferenceGrant.")));
    }
    match reader.secret(&ObjectName::new(namespace, name.as_str())).map(|it| &it.pair) {
        Some(Pair::Good { certificate, dns_names }) => Ok((certificate, dns_names)),
        None => invalid(format!("Secret {namespace}/{name} does not exist.")),
        Some(Pair::OtherType) => invalid(format!("Secret {namespace}/{name} must be of type kubernetes.io/tls.")),
        Some(Pair::Incomplete) => invalid(format!("Secret {namespace}/{name} must contain tls.crt and tls.key.")),
        Some(Pair::Unusable(why)) => invalid(format!("{why}.")),
    }
}
