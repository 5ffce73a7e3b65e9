//! From the Model's [`Tls`] to what rustls needs. Everything that can be wrong is found here, before a client comes.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use weir_model::{Tls, TlsVersion};

use super::{Unusable, certificates, signing, suites, verify};

/// What is spoken behind TLS.
const SPOKEN: [&str; 1] = ["http/1.1"];

/// How many sessions a listener keeps for clients that resume them.
const SESSIONS: usize = 1024;

/// The terms on which a listener shakes hands. Shared by all snapshots in which the listener's [`Tls`] is the same.
pub(crate) struct Terms {
    /// For the library.
    pub(crate) config: Arc<ServerConfig>,
    /// Whether clients are asked for a certificate.
    pub(crate) asks: bool,
    verifier: Option<Arc<verify::Verifier>>,
    certificates: Arc<certificates::Certificates>,
}

impl Terms {
    /// The URIs in the certificate that is shown to who asks for `name`.
    pub(crate) fn own_uris(&self, name: Option<&str>) -> &[String] {
        self.certificates.uris(name)
    }

    /// Whether a client with this certificate chain, leaf first, is still to be served, who has proved it before and resumes a session.
    pub(crate) fn still_trusts(&self, chain: Option<&[CertificateDer<'static>]>) -> bool {
        match (&self.verifier, chain) {
            (None, _) => true,
            (Some(verifier), None | Some([])) => !verifier.client_auth_mandatory(),
            (Some(verifier), Some([leaf, rest @ ..])) => verifier.verify_client_cert(leaf, rest, UnixTime::now()).is_ok(),
        }
    }
}

/// Makes a listener's terms.
///
/// Each has tickets of its own key, and keeps sessions of its own: a ticket from a listener with other client validation, or from before its
/// authorities or revocation lists changed, opens nothing here (CVE-2025-23419 is what happens otherwise).
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
    let allowed = signing::schemes(&tls.signature_algorithms)?;
    let certificates = Arc::new(certificates::Certificates::load(&tls.certificates, &provider, &allowed)?);
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(tls)?)
        .map_err(|error| Unusable::Versions(error.to_string()))?;
    let verifier = tls.client_validation.as_ref().map(|it| verify::Verifier::new(it, &provider, &allowed).map(Arc::new)).transpose()?;
    let builder = match &verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
    };
    let mut config = builder.with_cert_resolver(certificates.clone());
    // Our order, which prefers what is cheap and safe; a client that cannot do a suite does not offer it.
    config.ignore_client_order = true;
    config.session_storage = if tls.sessions { ServerSessionMemoryCache::new(SESSIONS) } else { Arc::new(NoServerSessionStorage {}) };
    if tls.tickets {
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(library)?;
    } else if !tls.sessions {
        config.send_tls13_tickets = 0;
    }
    let offered = tls.alpn.iter().filter(|name| SPOKEN.contains(&&***name));
    config.alpn_protocols = offered.map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(Terms { config: Arc::new(config), asks: verifier.is_some(), verifier, certificates }))
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
