//! The server's own certificate authority, kept in the data directory, and the certificate it issues at each start.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::auth::write_private;

/// Authority and TLS configuration.
pub(crate) struct Identity {
    pub(crate) ca_pem: String,
    pub(crate) tls: Arc<rustls::ServerConfig>,
}

impl Identity {
    /// Loads or makes the authority, and issues a certificate for this address.
    pub(crate) fn load(folder: &Path, address: IpAddr) -> io::Result<Self> {
        let (ca_pem, ca_key) = authority(folder)?;
        let issuer = Issuer::new(authority_params(), ca_key);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), address.to_string()];
        let mut params = CertificateParams::new(names).map_err(damaged)?;
        params.distinguished_name.push(DnType::CommonName, "weir-api");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(damaged)?;
        let certificate = params.signed_by(&key, &issuer).map_err(damaged)?;
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(damaged)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(damaged)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { ca_pem, tls: Arc::new(tls) })
    }
}

fn damaged(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

fn authority(folder: &Path) -> io::Result<(String, KeyPair)> {
    let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
    match (fs::read_to_string(&certificate), fs::read_to_string(&key)) {
        (Ok(pem), Ok(key)) => return Ok((pem, KeyPair::from_pem(&key).map_err(damaged)?)),
        (Err(error), _) | (_, Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let pair = KeyPair::generate().map_err(damaged)?;
    let pem = authority_params().self_signed(&pair).map_err(damaged)?.pem();
    write_private(&key, &pair.serialize_pem())?;
    write_private(&certificate, &pem)?;
    Ok((pem, pair))
}

/// The same at every start: with the kept key they are all that issuing needs to know of the authority's certificate.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "weir-api-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
