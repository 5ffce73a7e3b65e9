//! From the Model's [`Tls`] to what rustls needs. Everything that can be wrong is found here, before a client comes.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use weir_model::{Tls, TlsVersion};

use super::{Unusable, certificates, suites, verify};

/// What is spoken behind TLS.
const SPOKEN: [&str; 1] = ["http/1.1"];

/// The terms on which a listener shakes hands. Shared by all snapshots in which the listener's [`Tls`] is the same.
pub(crate) struct Terms {
    /// For the library.
    pub(crate) config: Arc<ServerConfig>,
    /// Whether clients are asked for a certificate.
    pub(crate) asks: bool,
}

/// Makes a listener's terms.
///
/// Each has tickets of its own key: a ticket from a listener with other client validation, or from before its authorities or revocation
/// lists changed, opens nothing here (CVE-2025-23419 is what happens otherwise).
///
/// # Errors
/// [`Unusable`], with the certificate's name if it is that.
pub(crate) fn build(tls: &Tls) -> Result<Arc<Terms>, Unusable> {
    let library = |error: rustls::Error| Unusable::Library(error.to_string());
    let provider = CryptoProvider {
        cipher_suites: suites::suites(&tls.ciphers)?,
        kx_groups: suites::groups(&tls.curves)?,
        ..aws_lc_rs::default_provider()
    };
    let provider = Arc::new(provider);
    let certificates = certificates::Certificates::load(&tls.certificates, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(tls)?)
        .map_err(|error| Unusable::Versions(error.to_string()))?;
    let builder = match &tls.client_validation {
        None => builder.with_no_client_auth(),
        Some(validation) => builder.with_client_cert_verifier(Arc::new(verify::Verifier::new(validation, &provider)?)),
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    // Our order, which prefers what is cheap and safe; a client that cannot do a suite does not offer it.
    config.ignore_client_order = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if tls.tickets {
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(library)?;
    } else {
        config.send_tls13_tickets = 0;
    }
    let offered = tls.alpn.iter().filter(|name| SPOKEN.contains(&&***name));
    config.alpn_protocols = offered.map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(Terms { config: Arc::new(config), asks: tls.client_validation.is_some() }))
}

fn versions(tls: &Tls) -> Result<Vec<&'static SupportedProtocolVersion>, Unusable> {
    let all = [(TlsVersion::V1_2, &TLS12), (TlsVersion::V1_3, &TLS13)];
    let versions: Vec<_> = all.iter().filter(|(it, _)| (tls.min_version..=tls.max_version).contains(it)).map(|(_, it)| *it).collect();
    if versions.is_empty() {
        return Err(Unusable::Versions("the lowest version is above the highest".into()));
    }
    Ok(versions)
}

#[cfg(test)]
mod tests;
