//! Signature algorithms by the names that configurations use, and keys that sign with no others.

use std::sync::Arc;

use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::Unusable;

/// All that is served, in Envoy's order of preference, by their names in IANA's registry.
const SCHEMES: [(&str, SignatureScheme); 10] = [
    ("ecdsa_secp256r1_sha256", SignatureScheme::ECDSA_NISTP256_SHA256),
    ("rsa_pss_rsae_sha256", SignatureScheme::RSA_PSS_SHA256),
    ("rsa_pkcs1_sha256", SignatureScheme::RSA_PKCS1_SHA256),
    ("ecdsa_secp384r1_sha384", SignatureScheme::ECDSA_NISTP384_SHA384),
    ("rsa_pss_rsae_sha384", SignatureScheme::RSA_PSS_SHA384),
    ("rsa_pkcs1_sha384", SignatureScheme::RSA_PKCS1_SHA384),
    ("ecdsa_secp521r1_sha512", SignatureScheme::ECDSA_NISTP521_SHA512),
    ("rsa_pss_rsae_sha512", SignatureScheme::RSA_PSS_SHA512),
    ("rsa_pkcs1_sha512", SignatureScheme::RSA_PKCS1_SHA512),
    ("ed25519", SignatureScheme::ED25519),
];

/// The schemes that a listener allows, in its order. Empty: all.
pub(super) fn schemes(names: &[impl AsRef<str>]) -> Result<Vec<SignatureScheme>, Unusable> {
    let find = |name: &str| {
        let known = SCHEMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, scheme)| *scheme);
        let supported = || SCHEMES.map(|(name, _)| name).join(", ");
        known.ok_or_else(|| Unusable::SignatureAlgorithm(name.to_owned(), supported()))
    };
    names.iter().map(|name| find(name.as_ref())).collect()
}

/// The same certificate with a key that signs with these schemes alone; none: it cannot.
pub(super) fn restricted(key: CertifiedKey, allowed: &[SignatureScheme]) -> Option<CertifiedKey> {
    if allowed.is_empty() {
        return Some(key);
    }
    key.key.choose_scheme(allowed)?;
    let restricted = Restricted { key: key.key.clone(), allowed: allowed.into() };
    Some(CertifiedKey { key: Arc::new(restricted), ..key })
}

/// A key that signs with some schemes alone, the first that the client takes.
#[derive(Debug)]
struct Restricted {
    key: Arc<dyn SigningKey>,
    allowed: Box<[SignatureScheme]>,
}

impl SigningKey for Restricted {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.allowed.iter().filter(|scheme| offered.contains(scheme)).find_map(|scheme| self.key.choose_scheme(&[*scheme]))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}
