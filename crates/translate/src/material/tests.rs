use serde_json::json;

use super::*;

const A: &str = include_str!("../../testdata/pem/a.crt");
const A_KEY: &str = include_str!("../../testdata/pem/a.key");
const A_SEC1: &str = include_str!("../../testdata/pem/a-sec1.key");
const B: &str = include_str!("../../testdata/pem/b.crt");
const CA: &str = include_str!("../../testdata/pem/ca.crt");
const CRL: &str = include_str!("../../testdata/pem/ca.crl");
const RSA: &str = include_str!("../../testdata/pem/rsa.crt");
const RSA_KEY: &str = include_str!("../../testdata/pem/rsa.key");

fn secret(chain: &str, key: &str) -> Secret {
    let object = json!({ "type": "kubernetes.io/tls", "stringData": { "tls.crt": chain, "tls.key": key } });
    Secret::read(&ObjectName::new("ns", "cert"), &object)
}

fn key(secret: &Secret) -> &str {
    match &secret.pair {
        Pair::Good { certificate, .. } => &certificate.key.0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_of_each_format_are_read() {
    assert_eq!(key(&secret(A, A_KEY)), A_KEY);
    assert_eq!(key(&secret(RSA, RSA_KEY)), RSA_KEY);
    let sec1 = secret(A, A_SEC1);
    assert!(A_SEC1.contains("EC PARAMETERS") && !key(&sec1).contains("EC PARAMETERS"), "nothing but the key is kept");
    assert!(key(&sec1).starts_with("-----BEGIN EC PRIVATE KEY-----\n"));
}

#[test]
fn data_is_base64() {
    let object = json!({ "type": "kubernetes.io/tls", "data": { "tls.crt": STANDARD.encode(A), "tls.key": STANDARD.encode(A_KEY) } });
    let name = ObjectName::new("ns", "cert");
    assert_eq!(Secret::read(&name, &object), secret(A, A_KEY));
    let lines = |text: &str| {
        STANDARD.encode(text).as_bytes().chunks(76).flat_map(|line| [line, b"\r\n"].concat()).map(char::from).collect::<String>()
    };
    let object = json!({ "type": "kubernetes.io/tls", "data": { "tls.crt": lines(A), "tls.key": lines(A_KEY) } });
    assert_eq!(Secret::read(&name, &object), secret(A, A_KEY), "Go passes over line breaks in base64");
    let object = json!({ "type": "kubernetes.io/tls", "data": { "tls.crt": "not base64!", "tls.key": "?" } });
    assert!(matches!(Secret::read(&name, &object).pair, Pair::Unusable(_)));
}

#[test]
fn a_chain_is_kept_whole_and_the_leaf_counts() {
    let chain = format!("{A}{CA}");
    let Pair::Good { certificate, dns_names } = secret(&format!("comment\n{chain}"), A_KEY).pair else { panic!("unusable") };
    assert_eq!((&*certificate.chain, &*certificate.name), (&*chain, "ns/cert"));
    assert_eq!(dns_names.iter().map(|it| &**it).collect::<Vec<_>>(), ["a.example.com"]);
}

#[test]
fn what_cannot_be_used_says_why_and_shows_nothing() {
    let broken = A.replacen("MII", "MIJ", 1);
    for (chain, key, why) in [
        (B, A_KEY, "must contain a matching tls.crt and tls.key"),
        (&*format!("{CA}{A}"), A_KEY, "must contain a matching tls.crt and tls.key"),
        (&*broken, A_KEY, "unable to parse certificate in tls.crt"),
        (&*format!("{A}{broken}"), A_KEY, "unable to parse certificate in tls.crt"),
        (A, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "unable to parse private key in tls.key"),
        (A, &A_KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "unable to decode pem data in tls.key"),
        (A_KEY, A, "unable to decode pem data in tls.crt"),
    ] {
        let Pair::Unusable(message) = secret(chain, key).pair else { panic!("{why}: taken") };
        assert!(message.starts_with("Secret ns/cert must contain") && message.contains(why), "{message}");
        assert!(!A_KEY.lines().any(|line| message.contains(line)), "{message}");
    }
}

#[test]
fn of_authorities_nothing_but_certificates_is_kept() {
    let trust = |data: Value| Trust::of_config_map(&json!({ "data": data }));
    let mixed = format!("{A_KEY}{CA}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_eq!(trust(json!({ "ca.crt": mixed })).authorities, Some(Ok(CA.into())));
    assert!(matches!(trust(json!({ "ca.crt": A_KEY })).authorities, Some(Err(_))));
    assert_eq!(trust(json!({ "other": CA, "more": CA })), Trust::default());
    let sole = trust(json!({ "other": CA }));
    assert_eq!(sole, Trust { authorities: Some(Ok(CA.into())), revoked: None }, "the only key there is will do");
    assert_eq!(trust(json!({ "password": "hunter2" })), Trust::default());
    assert_eq!(trust(json!({ "ca.crl": CRL })).revoked, Some(Ok(CRL.into())));
    for bad in [
        CA,
        "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        &format!("{CRL}-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
    ] {
        assert!(matches!(trust(json!({ "ca.crl": bad })).revoked, Some(Err(_))), "one list that is passed over would let the revoked in");
    }
}

#[test]
fn other_secrets_leave_nothing() {
    let object = json!({ "type": "Opaque", "stringData": { "tls.crt": A, "tls.key": A_KEY, "password": "hunter2" } });
    let secret = Secret::read(&ObjectName::new("ns", "cert"), &object);
    assert_eq!(secret, Secret { pair: Pair::OtherType, trust: Trust::default() });
}
