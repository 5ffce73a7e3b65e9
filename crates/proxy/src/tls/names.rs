//! What a certificate says about its holder. rustls reads certificates to verify them and shows little of what is in them; this reads the
//! rest, only ever of certificates that rustls could read.

use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate's subject alternative names. A certificate that cannot be read has none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AlternativeNames {
    pub(crate) dns: Vec<String>,
    pub(crate) email: Vec<String>,
    pub(crate) ip: Vec<IpAddr>,
    pub(crate) uri: Vec<String>,
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
                _ => {}
            }
        }
        this
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
