use rcgen::{CertificateParams, KeyPair};
use weir_model::{Certificate, ClientValidation, ClientValidationMode, Secret};

use super::*;

fn certificate(name: &str) -> Certificate {
    let key = KeyPair::generate().expect("a key");
    let made = CertificateParams::new(vec!["a.test".to_owned()]).expect("a name").self_signed(&key).expect("a certificate");
    Certificate { name: name.into(), chain: made.pem().into(), key: Secret(key.serialize_pem().into()) }
}

fn tls(certificates: Vec<Certificate>) -> Tls {
    Tls {
        certificates,
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        ciphers: vec![],
        curves: vec![],
        signature_algorithms: vec![],
        fingerprints: vec![],
        alpn: vec!["h2".into(), "http/1.1".into()],
        client_validation: None,
        tickets: true,
        sessions: false,
    }
}

fn validation() -> ClientValidation {
    ClientValidation {
        mode: ClientValidationMode::Require,
        authorities: certificate("ca").chain,
        revoked: None,
        revocation_of_leaf_only: false,
        spki_hashes: vec![],
        certificate_hashes: vec![],
        names: vec![],
        other_names: vec![],
        allow_expired: false,
    }
}

fn refusal(tls: &Tls) -> String {
    build(tls).map(|_| ()).expect_err("it cannot be used").to_string()
}

#[test]
fn only_what_is_spoken_is_offered() {
    let terms = build(&tls(vec![certificate("ns/a")])).expect("usable");
    assert_eq!(terms.config.alpn_protocols, [b"http/1.1".to_vec()]);
    assert!(!terms.asks && terms.config.ticketer.enabled());
    let terms = build(&Tls { tickets: false, ..tls(vec![certificate("ns/a")]) }).expect("usable");
    assert!(!terms.config.ticketer.enabled() && terms.config.send_tls13_tickets == 0);
}

#[test]
fn a_bad_part_is_named() {
    let (good, other) = (certificate("ns/good"), certificate("ns/other"));
    let bad =
        |chain: &str, key: &Secret| tls(vec![good.clone(), Certificate { name: "ns/bad".into(), chain: chain.into(), key: key.clone() }]);
    for (tls, expected) in [
        (bad(&good.chain, &other.key), "certificate ns/bad: the key is not the certificate's"),
        (bad("", &good.key), "certificate ns/bad: the chain holds no certificate"),
        (bad("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", &good.key), "certificate ns/bad: the chain is not PEM"),
        (bad("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", &good.key), "certificate ns/bad: the leaf cannot be read"),
        (bad(&good.chain, &Secret("".into())), "certificate ns/bad: the key is not PEM"),
        (tls(vec![]), "there is no certificate"),
        (Tls { min_version: TlsVersion::V1_3, max_version: TlsVersion::V1_2, ..tls(vec![good.clone()]) }, "TLS versions and ciphers"),
    ] {
        let text = refusal(&tls);
        assert!(text.starts_with(expected), "{text}");
        assert!(!text.contains("PRIVATE"), "{text}");
    }
}

#[test]
fn client_validation_is_checked_before_a_client_comes() {
    for (validation, expected) in [
        (ClientValidation { authorities: " ".into(), ..validation() }, "client validation: there is no authority"),
        (ClientValidation { spki_hashes: vec!["x".into()], ..validation() }, "client validation: `x` is not a SHA-256 in base64"),
        (
            ClientValidation { certificate_hashes: vec!["00".into()], ..validation() },
            "client validation: `00` is not a SHA-256 in hexadecimal",
        ),
    ] {
        let text = refusal(&Tls { client_validation: Some(validation), ..tls(vec![certificate("ns/a")]) });
        assert!(text.starts_with(expected), "{text}");
    }
    let pinned = ClientValidation { authorities: "".into(), certificate_hashes: vec!["00".repeat(32).into()], ..validation() };
    assert!(build(&Tls { client_validation: Some(pinned), ..tls(vec![certificate("ns/a")]) }).is_ok());
}
