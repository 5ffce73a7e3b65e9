//! What a backend is told of a client's certificate: an element of `x-forwarded-client-cert`, in Envoy's form.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use weir_model::ClientCertDetail;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::names::AlternativeNames;

/// The element for a client that presented `chain`, leaf first: by whom it was judged (`uris` of our own certificate), the leaf's hash, and
/// what `details` names.
pub(crate) fn element(uris: &[String], chain: &[CertificateDer<'_>], details: &[ClientCertDetail]) -> String {
    let Some(leaf) = chain.first() else { return String::new() };
    let mut out: String = uris.iter().map(|uri| format!("By={};", value(uri))).collect();
    // Writing into a String cannot fail.
    let _ = write!(out, "Hash={}", hex::encode(Sha256::digest(leaf)));
    let names = AlternativeNames::of(leaf);
    for detail in details {
        let _ = match detail {
            ClientCertDetail::Subject => write!(out, ";Subject=\"{}\"", escaped(&subject(leaf))),
            ClientCertDetail::Cert => write!(out, ";Cert=\"{}\"", pem(leaf)),
            ClientCertDetail::Chain => write!(out, ";Chain=\"{}\"", chain.iter().map(|it| pem(it)).collect::<String>()),
            ClientCertDetail::Dns => names.dns.iter().try_for_each(|name| write!(out, ";DNS={}", value(name))),
            ClientCertDetail::Uri => names.uri.iter().try_for_each(|name| write!(out, ";URI={}", value(name))),
        };
    }
    out
}

/// A value, in quotes where it would be taken for more than one.
fn value(text: &str) -> String {
    let text = escaped(text);
    if text.contains([',', ';', '=', '"', '\\']) { format!("\"{text}\"") } else { text }
}

/// Fit to stand in quotes. What has no place in a header does not get there, whatever the certificate says.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            ' '..='~' => out.push(char),
            _ => out.push('?'),
        }
    }
    out
}

/// PEM, with what is special in URLs encoded.
fn pem(der: &[u8]) -> String {
    let mut out = String::from("-----BEGIN%20CERTIFICATE-----%0A");
    let text = STANDARD.encode(der);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        out.push_str(&line.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"));
        out.push_str("%0A");
        rest = more;
    }
    out.push_str("-----END%20CERTIFICATE-----%0A");
    out
}

/// The subject as RFC 2253 writes it: the last part first.
fn subject(der: &[u8]) -> String {
    X509Certificate::from_der(der).map(|(_, certificate)| distinguished(certificate.subject())).unwrap_or_default()
}

fn distinguished(name: &X509Name<'_>) -> String {
    let registry = x509_parser::objects::oid_registry();
    let parts = name.iter_rdn().map(|rdn| {
        let attributes = rdn.iter().map(|attribute| {
            let kind = attribute.attr_type();
            let kind = x509_parser::objects::oid2abbrev(kind, registry).map_or_else(|_| kind.to_id_string(), str::to_owned);
            let mut text = String::new();
            for char in attribute.as_str().unwrap_or_default().chars() {
                if matches!(char, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
                    text.push('\\');
                }
                text.push(char);
            }
            format!("{kind}={text}")
        });
        attributes.collect::<Vec<_>>().join("+")
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn an_element_says_what_is_asked_and_nothing_can_be_slipped_in() {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).expect("a name");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Our, \"Org\"\r\nX-Evil: 1");
        params.distinguished_name.push(DnType::CommonName, "client");
        params.subject_alt_names.push(SanType::URI("spiffe://a/b;URI=c".try_into().expect("a URI")));
        let made = params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
        let chain = [made.der().clone()];
        let hash = hex::encode(Sha256::digest(&chain[0]));
        let details = [ClientCertDetail::Subject, ClientCertDetail::Uri, ClientCertDetail::Dns];
        let expected = r#";Subject="CN=client,O=Our\, \\"Org\\"??X-Evil: 1";URI="spiffe://a/b;URI=c";DNS=a.test"#;
        assert_eq!(element(&[], &chain, &details), format!("Hash={hash}{expected}"));
        let own = ["spiffe://a/gateway".to_owned(), "urn:x,y".to_owned()];
        assert_eq!(element(&own, &chain, &[]), format!("By=spiffe://a/gateway;By=\"urn:x,y\";Hash={hash}"));
        let text = element(&[], &chain, &[ClientCertDetail::Cert]);
        assert!(text.contains(";Cert=\"-----BEGIN%20CERTIFICATE-----%0A") && !text.contains(['\n', '+', ' ']), "{text}");
        assert_eq!(element(&own, &[], &details), "");
    }
}
