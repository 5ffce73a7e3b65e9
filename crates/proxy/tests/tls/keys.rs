//! Keys of several kinds, what they sign with, and keys that change; and what is agreed on besides.

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256};
use tokio_rustls::rustls::{AlertDescription, Error, SignatureScheme};
use weir_model::{ListenerState, Tls};

use super::authority::Authority;
use super::bench::*;
use super::clients::required;
use super::support::*;

const RSA: &[SignatureScheme] = &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
const BOTH: &[SignatureScheme] = &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256];

#[tokio::test]
async fn of_two_keys_the_client_is_shown_the_one_that_it_can_verify() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let rsa = ca.issue_for(KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(), &["a.test"], |_| {});
    let ecdsa = ca.issue(&["a.test"]);
    let bench = Bench::start(secure(vec![("http", "", tls(&[&rsa, &ecdsa]))], vec![forward("b")], origin.address)).await;
    for versions in [&OLD, &NEW] {
        for (signatures, expected) in [(RSA, &rsa), (ECDSA, &ecdsa), (BOTH, &rsa)] {
            let config = Hand { versions, signatures, ..Hand::new(&ca) }.config();
            let stream = served(&bench, "a.test", &config).await.unwrap();
            assert!(stream.get_ref().1.peer_certificates().unwrap()[0] == expected.der, "{signatures:?}");
        }
    }
}

#[tokio::test]
async fn both_sides_sign_with_what_is_allowed_alone() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let rsa = ca.issue_for(KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(), &["a.test", "b.test"], |_| {});
    let (p256, p384) = (ca.issue(&["c"]), ca.issue_for(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(), &["c"], |_| {}));
    let allowed = |names: &[&str]| names.iter().map(|it| (*it).into()).collect();
    let listeners = vec![
        ("http", "a.test", Tls { signature_algorithms: allowed(&["rsa_pss_rsae_sha384", "rsa_pkcs1_sha384"]), ..tls(&[&rsa]) }),
        (
            "clients",
            "b.test",
            Tls {
                signature_algorithms: allowed(&["rsa_pss_rsae_sha256", "ecdsa_secp256r1_sha256"]),
                client_validation: Some(required(&ca)),
                ..tls(&[&rsa])
            },
        ),
    ];
    let mut bench = Bench::start(secure(listeners, vec![forward("b")], origin.address)).await;
    for versions in [&OLD, &NEW] {
        let hand = |signatures| Hand { versions, signatures, ..Hand::new(&ca) };
        assert!(served(&bench, "a.test", &hand(&[]).config()).await.is_ok());
        assert!(served(&bench, "a.test", &hand(RSA).config()).await.is_err(), "SHA-256 is not allowed");
        for (identity, is_fine) in [(&p256, true), (&p384, false)] {
            let config = Hand { identity: Some(identity), ..hand(&[]) }.config();
            assert_eq!(served(&bench, "b.test", &config).await.is_ok(), is_fine, "{versions:?}");
        }
    }
    // A key that can sign with nothing that is allowed: said at once, not to each client.
    let unfit = Tls { signature_algorithms: allowed(&["ecdsa_secp384r1_sha384"]), ..tls(&[&p256]) };
    bench.apply(secure(vec![("http", "a.test", unfit)], vec![forward("b")], origin.address)).await;
    let told = "certificate ns/cert-0: the key signs with none of the signature algorithms";
    let failed = |state: &ListenerState| matches!(state, ListenerState::Failed(why) if why.contains(told));
    bench.report(|report| report.listeners.get(&name("http")).is_some_and(|it| failed(&it.state))).await;
}

#[tokio::test]
async fn keys_may_be_changed_at_any_time() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let leaf = ca.issue(&["a.test"]);
    let bench = Bench::start(secure(vec![("http", "", tls(&[&leaf]))], vec![forward("b")], origin.address)).await;
    let config = Hand { versions: &NEW, ..Hand::new(&ca) }.config();
    let mut stream = served(&bench, "a.test", &config).await.unwrap();
    // Each asks the other side to change its keys, too (RFC 8446, section 4.6.3).
    for _ in 0..20 {
        stream.get_mut().1.refresh_traffic_keys().unwrap();
        assert!(ask(&mut stream, "a.test").await.unwrap().starts_with("HTTP/1.1 200 "));
    }
    // While it is idle, too: what is woken for nothing goes on waiting.
    for _ in 0..3 {
        stream.get_mut().1.refresh_traffic_keys().unwrap();
        tokio::io::AsyncWriteExt::flush(&mut stream).await.unwrap();
    }
    assert!(ask(&mut stream, "a.test").await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn who_speaks_nothing_that_is_served_is_told_so() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let leaf = ca.issue(&["a.test"]);
    let bench = Bench::start(secure(vec![("http", "", tls(&[&leaf]))], vec![forward("b")], origin.address)).await;
    for versions in [&OLD, &NEW] {
        let config = Hand { versions, alpn: &["h2"], ..Hand::new(&ca) }.config();
        let error = connect(&bench, "a.test", &config).await.expect_err("there is no protocol");
        let error = error.get_ref().and_then(|it| it.downcast_ref::<Error>()).expect("an alert");
        // RFC 7301, section 3.2.
        assert_eq!(*error, Error::AlertReceived(AlertDescription::NoApplicationProtocol));
    }
}
