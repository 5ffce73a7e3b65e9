//! What a certificate says about its holder. rustls reads certificates to verify them and shows little of what is in them; this reads the
//! rest, only ever of certificates that rustls could read.

use std::net::IpAddr;

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate's subject alternative names. A certificate that cannot be read has none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AlternativeNames {
    pub(crate) dns: Vec<String>,
    pub(crate) email: Vec<String>,
    pub(crate) ip: Vec<IpAddr>,
    pub(crate) uri: Vec<String>,
    /// Of other kinds: the kind's object identifier, and the text.
    pub(crate) other: Vec<(String, String)>,
}

impl AlternativeNames {
    pub(crate) fn of(der: &[u8]) -> Self {
        let mut this = Self::default();
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return this };
        let Ok(Some(names)) = certificate.subject_alternative_name() else { return this };
        for name in &names.value.general_names {
            match name {
                // A NUL has no place in a name (CVE-2009-2408 and many since).
                GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) if name.contains('\0') => {}
                GeneralName::DNSName(name) => this.dns.push((*name).to_owned()),
                GeneralName::RFC822Name(name) => this.email.push((*name).to_owned()),
                GeneralName::URI(name) => this.uri.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => this.ip.extend(address(bytes)),
                GeneralName::OtherName(kind, value) => this.other.extend(other(value).map(|text| (kind.to_id_string(), text))),
                _ => {}
            }
        }
        this
    }
}

/// The text in a name of another kind: `[0] EXPLICIT` and one of ASN.1's kinds of text. What is none is no name that could be compared.
fn other(value: &[u8]) -> Option<String> {
    let (_, explicit) = Any::from_der(value).ok()?;
    let (rest, inner) = Any::from_der(explicit.data).ok()?;
    if explicit.tag() != Tag(0) || !rest.is_empty() {
        return None;
    }
    let text = match inner.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::VisibleString | Tag::T61String | Tag::OctetString => {
            std::str::from_utf8(inner.data).ok()?.to_owned()
        }
        Tag::BmpString => {
            let (units, []) = inner.data.as_chunks::<2>() else { return None };
            String::from_utf16(&units.iter().map(|it| u16::from_be_bytes(*it)).collect::<Vec<_>>()).ok()?
        }
        _ => return None,
    };
    (!text.contains('\0')).then_some(text)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, OtherNameValue, SanType};

    use super::*;

    #[test]
    fn a_name_with_a_nul_is_none() {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).expect("a name");
        let text = |text: &str| text.try_into().expect("ASCII");
        let other = |text: &str| SanType::OtherName((vec![1, 2, 3], OtherNameValue::Utf8String(text.to_owned())));
        params.subject_alt_names.extend([
            SanType::DnsName(text("a.test\0.evil.test")),
            SanType::Rfc822Name(text("me@a.test\0")),
            SanType::URI(text("spiffe://a/b\0c")),
            other("me\0"),
            other("me"),
        ]);
        let made = params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
        let names = AlternativeNames::of(made.der());
        let expected =
            AlternativeNames { dns: vec!["a.test".into()], other: vec![("1.2.3".into(), "me".into())], ..AlternativeNames::default() };
        assert_eq!(names, expected);
    }
}
