//! Cipher suites and key exchange groups by the names that configurations use.

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, kx_group};

use super::Unusable;

/// Suites of TLS 1.2 by their OpenSSL names, in our order of preference.
const TLS12: [(&str, SupportedCipherSuite); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES256-GCM-SHA384", suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Suites of TLS 1.3; configurations do not choose among them, as in Envoy. AES-128 comes first: it is the cheapest that is safe.
const TLS13: [SupportedCipherSuite; 3] =
    [suite::TLS13_AES_128_GCM_SHA256, suite::TLS13_AES_256_GCM_SHA384, suite::TLS13_CHACHA20_POLY1305_SHA256];

/// Suites for a listener that names these of TLS 1.2. A name may be a group in brackets, `[A|B]`, whose members are equal to Envoy; here
/// they are in order.
pub(super) fn suites(names: &[impl AsRef<str>]) -> Result<Vec<SupportedCipherSuite>, Unusable> {
    let mut all = TLS13.to_vec();
    if names.is_empty() {
        all.extend(TLS12.iter().map(|(_, suite)| *suite));
        return Ok(all);
    }
    for name in names.iter().flat_map(|name| name.as_ref().trim_matches(['[', ']']).split('|')) {
        let known = TLS12.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, suite) = known.ok_or_else(|| Unusable::Cipher(name.to_owned(), list(TLS12.iter().map(|(name, _)| *name))))?;
        if !all.contains(suite) {
            all.push(*suite);
        }
    }
    Ok(all)
}

/// Groups by the names that OpenSSL, IANA and RFC 8446 use for them.
static GROUPS: [(&[&str], &dyn SupportedKxGroup); 4] = [
    (&["X25519"], kx_group::X25519),
    (&["P-256", "prime256v1", "secp256r1"], kx_group::SECP256R1),
    (&["P-384", "secp384r1"], kx_group::SECP384R1),
    (&["X25519MLKEM768"], kx_group::X25519MLKEM768),
];

/// Groups for a listener that names these; the library's own for one that names none.
pub(super) fn groups(names: &[impl AsRef<str>]) -> Result<Vec<&'static dyn SupportedKxGroup>, Unusable> {
    if names.is_empty() {
        return Ok(rustls::crypto::aws_lc_rs::DEFAULT_KX_GROUPS.to_vec());
    }
    let find = |name: &str| {
        let known = GROUPS.iter().find(|(known, _)| known.iter().any(|known| known.eq_ignore_ascii_case(name)));
        let supported = || list(GROUPS.iter().filter_map(|(names, _)| names.first().copied()));
        known.map(|(_, group)| *group).ok_or_else(|| Unusable::Curve(name.to_owned(), supported()))
    };
    names.iter().map(|name| find(name.as_ref())).collect()
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_order_and_unknown_ones_named() {
        let chosen = suites(&["[ECDHE-RSA-CHACHA20-POLY1305|ECDHE-RSA-AES128-GCM-SHA256]", "ECDHE-RSA-CHACHA20-POLY1305"]).expect("known");
        let ours = [suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
        assert_eq!(chosen.get(3..), Some(ours.as_slice()));
        let error = suites(&["AES128-SHA"]).expect_err("not there").to_string();
        assert!(error.starts_with("cipher AES128-SHA is not supported: use ECDHE-ECDSA-AES128-GCM-SHA256, "), "{error}");
        assert_eq!(groups(&["P-256", "x25519"]).expect("known").len(), 2);
        assert!(groups(&["P-521"]).expect_err("not there").to_string().contains("use X25519, P-256, P-384"));
    }
}
