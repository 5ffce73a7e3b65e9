//! Certificates, keys, authorities and revocation lists: what is kept of Secrets and ConfigMaps, judged once when they come.
//!
//! Nothing else of them is kept, and what is kept is written anew from what was parsed, so that whatever else stood in a text is gone.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde_json::Value;
use weir_model::{Certificate, ObjectName, Secret as Shy};

/// What is kept of a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    /// What it is as a `kubernetes.io/tls` Secret.
    pub(crate) pair: Pair,
    pub(crate) trust: Trust,
}

/// A certificate with its key, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pair {
    Good {
        certificate: Certificate,
        /// The DNS names that the leaf is for.
        dns_names: Arc<[Box<str>]>,
    },
    /// The type is not `kubernetes.io/tls`.
    OtherType,
    /// `tls.crt` or `tls.key` is missing or empty.
    Incomplete,
    /// One of them cannot be read, or they do not belong together; worded for a condition, as Envoy Gateway words it.
    Unusable(String),
}

/// Whom to trust: what is kept of a ConfigMap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trust {
    /// `ca.crt`; those certificates of it that can be read.
    pub(crate) authorities: Option<Result<Arc<str>, String>>,
    /// `ca.crl`.
    pub(crate) revoked: Option<Result<Arc<str>, String>>,
}

impl Secret {
    /// Keeps what may be needed of a Secret.
    pub(crate) fn read(name: &ObjectName, object: &Value) -> Self {
        let field = |key: &str| secret_field(object, key);
        let pair = if object.get("type").and_then(Value::as_str) == Some("kubernetes.io/tls") {
            match (field("tls.crt"), field("tls.key")) {
                (Some(chain), Some(key)) => pair(name, &chain, &key).unwrap_or_else(Pair::Unusable),
                _ => Pair::Incomplete,
            }
        } else {
            Pair::OtherType
        };
        Self { pair, trust: Trust::read(field, sole_key([object.get("data"), object.get("stringData")])) }
    }
}

impl Trust {
    /// Keeps what may be needed of a ConfigMap.
    pub(crate) fn of_config_map(object: &Value) -> Self {
        let field = |key: &str| object.get("data")?.get(key)?.as_str().map(|it| it.as_bytes().to_vec());
        Self::read(field, sole_key([object.get("data")]))
    }

    /// Where the expected key is missing, the only one there is will do, if it holds what is looked for (Envoy Gateway does the same).
    fn read(field: impl Fn(&str) -> Option<Vec<u8>>, sole: Option<&str>) -> Self {
        let sole = sole.and_then(&field).unwrap_or_default();
        let given = |key: &str| field(key).filter(|it| !it.is_empty());
        Self {
            authorities: given("ca.crt").map(|it| authorities(&it)).or_else(|| authorities(&sole).ok().map(Ok)),
            revoked: given("ca.crl").map(|it| revocations(&it)).or_else(|| revocations(&sole).ok().map(Ok)),
        }
    }
}

/// The key of an object that has only one.
fn sole_key<const N: usize>(parts: [Option<&Value>; N]) -> Option<&str> {
    let mut keys = parts.into_iter().flatten().filter_map(Value::as_object).flat_map(|it| it.keys());
    let key = keys.next()?;
    keys.next().is_none().then_some(key)
}

/// A field of a Secret, decoded; `stringData` is what the API server would have put into `data`.
fn secret_field(object: &Value, key: &str) -> Option<Vec<u8>> {
    let text = |part: &str| object.get(part)?.get(key)?.as_str().filter(|it| !it.is_empty());
    match (text("stringData"), text("data")) {
        (Some(plain), _) => Some(plain.as_bytes().to_vec()),
        // Line breaks are no fault in it, to Go. What is not base64 is no PEM either, and will be told as such.
        (None, Some(encoded)) => Some(STANDARD.decode(encoded.replace(['\n', '\r'], "")).unwrap_or_else(|_| b"?".to_vec())),
        (None, None) => None,
    }
}

fn pair(name: &ObjectName, chain: &[u8], key: &[u8]) -> Result<Pair, String> {
    let wrong = |what: String| format!("Secret {name} must contain valid tls.crt and tls.key, {what}");
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| wrong("unable to decode pem data in tls.crt".into()))?;
    let Some(leaf) = chain.first() else { return Err(wrong("unable to decode pem data in tls.crt".into())) };
    let dns_names = webpki::EndEntityCert::try_from(leaf)
        .map_err(|error| wrong(format!("unable to parse certificate in tls.crt: {error}")))?
        .valid_dns_names()
        .map(Into::into)
        .collect();
    for other in chain.iter().skip(1) {
        webpki::anchor_from_trusted_cert(other).map_err(|error| wrong(format!("unable to parse certificate in tls.crt: {error}")))?;
    }
    // The parser's own message may quote what it read.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| wrong("unable to decode pem data in tls.key".into()))?;
    let label = match &key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    let text = pem(label, [key.secret_der()]);
    CertifiedKey::from_der(chain.clone(), key, &aws_lc_rs::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => format!("Secret {name} must contain a matching tls.crt and tls.key"),
        _ => wrong("unable to parse private key in tls.key: it must be an RSA, ECDSA or Ed25519 key in PKCS1, PKCS8 or EC format".into()),
    })?;
    let certificate = Certificate {
        name: name.to_string().into(),
        chain: pem("CERTIFICATE", chain.iter().map(|it| &**it)).into(),
        key: Shy(text.into()),
    };
    Ok(Pair::Good { certificate, dns_names })
}

/// The certificates that can be read; those that cannot are passed over, since each is trusted for itself (Envoy Gateway does the same).
fn authorities(text: &[u8]) -> Result<Arc<str>, String> {
    let good: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(text).filter_map(Result::ok).filter(|it| webpki::anchor_from_trusted_cert(it).is_ok()).collect();
    if good.is_empty() { Err("ca.crt has no certificate in PEM that can be read".into()) } else { Ok(certificates(&good)) }
}

fn certificates(list: &[CertificateDer<'_>]) -> Arc<str> {
    pem("CERTIFICATE", list.iter().map(|it| &**it)).into()
}

/// All lists must be readable: one that is passed over would let the revoked in.
fn revocations(text: &[u8]) -> Result<Arc<str>, String> {
    let lists: Vec<CertificateRevocationListDer<'_>> =
        CertificateRevocationListDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(|_| "ca.crl is not PEM".to_owned())?;
    if lists.is_empty() {
        return Err("ca.crl has no revocation list in PEM".into());
    }
    for list in &lists {
        webpki::BorrowedCertRevocationList::from_der(list).map_err(|error| format!("ca.crl cannot be read: {error}"))?;
    }
    Ok(pem("X509 CRL", lists.iter().map(|it| &**it)).into())
}

/// PEM as RFC 7468 wants it.
fn pem<'d>(label: &str, items: impl IntoIterator<Item = &'d [u8]>) -> String {
    let mut out = String::new();
    for item in items {
        out.push_str(&format!("-----BEGIN {label}-----\n"));
        let text = STANDARD.encode(item);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            out.push_str(line);
            out.push('\n');
            rest = after;
        }
        out.push_str(&format!("-----END {label}-----\n"));
    }
    out
}

#[cfg(test)]
mod tests;
