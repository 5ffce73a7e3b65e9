//! `spec.tls.frontend` of a Gateway: which clients its HTTPS listeners let in.

use weir_api::gateway::{FrontendTls, FrontendTlsPort, FrontendTlsSettings, FrontendTlsValidation, FrontendValidationMode, Protocol};
use weir_api::reference::ObjectReference;
use weir_model::{ClientValidation, ClientValidationMode, GatewayName};

use super::listener::{Fault, ListenerState, SEE_OTHERS};
use crate::grants;
use crate::memo::Reader;
use crate::resources::Kind;
use crate::trust::{self, Part, Reference};

/// Judges what a Gateway says of clients' certificates, for one of its listeners. A listener whose clients cannot be validated is not
/// served.
pub(super) fn judge(reader: &Reader<'_>, gateway: &GatewayName, frontend: &FrontendTls, state: &mut ListenerState<'_>) {
    if state.spec.protocol != Protocol::Https {
        return;
    }
    let FrontendTls { default, per_port } = frontend;
    let own = per_port.iter().find(|FrontendTlsPort { port, tls: _ }| i32::from(state.port) == *port);
    let FrontendTlsSettings { validation } = own.map_or(default, |it| &it.tls);
    let Some(FrontendTlsValidation { ca_certificate_refs, mode }) = validation else { return };
    let mut faults: Vec<Fault> = Vec::new();
    let mode = match mode {
        FrontendValidationMode::AllowValidOnly => ClientValidationMode::Require,
        FrontendValidationMode::AllowInsecureFallback => ClientValidationMode::Request,
        FrontendValidationMode::Unknown(word) => {
            state.wrong(format!("spec.tls.frontend validation mode {word} is not supported."));
            return;
        }
    };
    let mut authorities = String::new();
    for reference in ca_certificate_refs {
        match load(reader, gateway, reference) {
            Ok(text) => authorities.push_str(&text),
            Err(fault) => faults.push(fault),
        }
    }
    if let Some((reason, _)) = faults.first() {
        let texts: Vec<&str> = faults.iter().map(|(_, message)| message.as_str()).collect();
        let message = format!("Listener has invalid caCertificateRef for frontend TLS validation: {}", texts.join("\n"));
        state.not_resolved.get_or_insert((*reason, message));
    }
    if authorities.is_empty() {
        state.sound = false;
        state.not_accepted.get_or_insert(("NoValidCACertificate", "No caCertificateRef leads to a certificate that can be read.".into()));
        state.not_programmed.get_or_insert(("Invalid", SEE_OTHERS.into()));
        return;
    }
    state.client_validation = Some(ClientValidation {
        mode,
        authorities: authorities.into(),
        revoked: None,
        revocation_of_leaf_only: false,
        spki_hashes: Vec::new(),
        certificate_hashes: Vec::new(),
        names: Vec::new(),
        other_names: Vec::new(),
        allow_expired: false,
    });
}

/// Whether it lets clients in without a valid certificate, at any port.
pub(super) fn is_insecure(frontend: &FrontendTls) -> bool {
    let mut all = frontend.per_port.iter().map(|it| &it.tls).chain([&frontend.default]).filter_map(|it| it.validation.as_ref());
    all.any(|it| it.mode == FrontendValidationMode::AllowInsecureFallback)
}

fn load(reader: &Reader<'_>, gateway: &GatewayName, reference: &ObjectReference) -> Result<std::sync::Arc<str>, Fault> {
    let ObjectReference { group, kind, name, namespace } = reference;
    let from = grants::From { group: Kind::Gateway.group(), kind: Kind::Gateway.as_str(), namespace: &gateway.namespace };
    let reference = Reference { group, kind, namespace: namespace.as_deref(), name };
    trust::load(reader, &from, reference, Part::Authorities).map_err(|fault| {
        let reason = match fault {
            trust::Fault::Kind(_) => "InvalidCACertificateKind",
            trust::Fault::NotPermitted { .. } => "RefNotPermitted",
            trust::Fault::Content(_) => "InvalidCACertificateRef",
        };
        (reason, fault.to_string())
    })
}
