//! TLS for the backends, and what they tell of it.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ProtocolVersion, RootCertStore, ServerConfig};
use serde::Serialize;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::server::Stream;

/// What a TLS backend serves with.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
}

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificates or the key are no PEM.
    #[error("the certificate, its key or the client authorities cannot be read: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The key does not fit the certificate, or neither is usable.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The client authorities are none.
    #[error("the client authorities cannot be used: {0}")]
    Clients(#[from] rustls::server::VerifierBuilderError),
}

impl Tls {
    /// From PEM texts. With `client_authorities`, a client that presents a certificate must have one of theirs; it need not present any.
    /// `protocols` are offered by ALPN.
    ///
    /// # Errors
    /// [`TlsError`] for texts that are not what they should be.
    pub fn new(certificate: &[u8], key: &[u8], client_authorities: Option<&[u8]>, protocols: &[&str]) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key)?;
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = match client_authorities {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for authority in CertificateDer::pem_slice_iter(pem) {
                    roots.add(authority?)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated().build()?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        Ok(Self { acceptor: Arc::new(config).into() })
    }

    pub(crate) async fn accept<S: Stream>(&self, stream: S) -> std::io::Result<(TlsStream<S>, Arc<Facts>)> {
        let stream = self.acceptor.accept(stream).await?;
        let facts = Facts::of(stream.get_ref().1);
        Ok((stream, Arc::new(facts)))
    }
}

/// What was agreed on. Fields in the order of the image's JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    /// `TLSv1.3`.
    pub(crate) version: &'static str,
    /// The client's, leaf first, as PEM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) peer_certificates: Vec<String>,
    pub(crate) server_name: String,
    pub(crate) negotiated_protocol: String,
    pub(crate) cipher_suite: String,
    /// The key exchange group, by its name in Go.
    #[serde(skip)]
    pub(crate) group: String,
}

impl Facts {
    fn of(connection: &rustls::ServerConnection) -> Self {
        let suite = connection.negotiated_cipher_suite().and_then(|it| it.suite().as_str()).unwrap_or_default();
        let group = connection.negotiated_key_exchange_group().and_then(|it| it.name().as_str()).unwrap_or_default();
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        let pem = |der: &CertificateDer<'_>| pem::encode_config(&pem::Pem::new("CERTIFICATE", der.to_vec()), config);
        Self {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "unknown",
            },
            peer_certificates: connection.peer_certificates().unwrap_or_default().iter().map(pem).collect(),
            server_name: connection.server_name().unwrap_or_default().to_owned(),
            negotiated_protocol: String::from_utf8_lossy(connection.alpn_protocol().unwrap_or_default()).into_owned(),
            // Go names the suites of TLS 1.3 without its version.
            cipher_suite: suite.replacen("TLS13_", "TLS_", 1),
            group: group.to_owned(),
        }
    }
}
