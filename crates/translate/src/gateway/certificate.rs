//! Certificates that a listener names: whether they are there and may be used.

use weir_api::gateway::ListenerTls;
use weir_api::reference::SecretObjectReference;
use weir_model::{GatewayName, ObjectName};

use super::listener::{Fault, ListenerState};
use crate::core::Secret;
use crate::grants;
use crate::memo::Reader;
use crate::resources::Kind;

/// Judges the certificates of a listener that ends TLS.
pub(super) fn judge(reader: &Reader<'_>, gateway: &GatewayName, tls: &ListenerTls, state: &mut ListenerState<'_>) {
    // Options belong to other implementations; those of a protocol that is not served need no warning of their own.
    let ListenerTls { mode: _, certificate_refs, options: _ } = tls;
    let faults: Vec<(usize, Fault)> =
        certificate_refs.iter().enumerate().filter_map(|(at, it)| Some((at, fault(reader, gateway, it)?))).collect();
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
    // One that is usable is enough to tell listeners apart by.
    state.sound &= faults.len() < certificate_refs.len();
    state.not_resolved.get_or_insert((reason, format!("{summary}: {}", texts.join("\n"))));
}

fn fault(reader: &Reader<'_>, gateway: &GatewayName, reference: &SecretObjectReference) -> Option<Fault> {
    let SecretObjectReference { group, kind, name, namespace } = reference;
    let invalid = |message: String| Some(("InvalidCertificateRef", message));
    if !group.is_empty() {
        return invalid("Listener's TLS certificate ref group must be unspecified/empty.".into());
    }
    if kind != Kind::Secret.as_str() {
        return invalid("Listener's TLS certificate ref kind must be Secret.".into());
    }
    let namespace = namespace.as_deref().filter(|it| !it.is_empty()).unwrap_or(&gateway.namespace);
    let from = grants::From { group: Kind::Gateway.group(), kind: Kind::Gateway.as_str(), namespace: &gateway.namespace };
    if !reader.permitted(&from, &grants::To { group: "", kind, namespace, name }) {
        return Some(("RefNotPermitted", format!("Certificate ref to secret {namespace}/{name} not permitted by any ReferenceGrant.")));
    }
    match reader.secret(&ObjectName::new(namespace, name.as_str())) {
        None => invalid(format!("Secret {namespace}/{name} does not exist.")),
        Some(Secret::OtherType) => invalid(format!("Secret {namespace}/{name} must be of type kubernetes.io/tls.")),
        Some(Secret::Incomplete) => invalid(format!("Secret {namespace}/{name} must contain tls.crt and tls.key.")),
        Some(Secret::Malformed) => invalid(format!("Secret {namespace}/{name} must contain valid tls.crt and tls.key in PEM.")),
        Some(Secret::Certificate) => None,
    }
}
