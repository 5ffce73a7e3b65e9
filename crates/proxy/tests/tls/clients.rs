//! Clients that must prove who they are.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{OtherNameValue, PublicKeyData, SanType, SerialNumber, date_time_ymd};
use sha2::{Digest, Sha256};
use weir_model::{
    ClientCertDetail, ClientSettings, ClientValidation, ClientValidationMode, ForwardedClientCert, HeaderSettings, NameKind, StringMatch,
    Tls,
};

use super::authority::{Authority, Issued};
use super::bench::*;
use super::support::*;

pub fn required(authority: &Authority) -> ClientValidation {
    ClientValidation {
        mode: ClientValidationMode::Require,
        authorities: authority.pem(),
        revoked: None,
        revocation_of_leaf_only: false,
        spki_hashes: vec![],
        certificate_hashes: vec![],
        names: vec![],
        other_names: vec![],
        allow_expired: false,
    }
}

#[tokio::test]
async fn a_backend_is_told_who_the_client_is_as_the_listener_says() {
    use ForwardedClientCert::{AlwaysForwardOnly, AppendForward, ForwardOnly, Sanitize, SanitizeSet};
    let (mut origin, ca) = (Origin::plain().await, Authority::new());
    let modes = [Sanitize, ForwardOnly, AppendForward, SanitizeSet, AlwaysForwardOnly];
    let hosts: Vec<_> = (0..modes.len()).map(|at| format!("l{at}.test")).collect();
    let server = ca.issue_with(&hosts.iter().map(String::as_str).collect::<Vec<_>>(), |params| {
        params.subject_alt_names.push(SanType::URI("spiffe://example/gateway".try_into().unwrap()));
    });
    let client = ca.issue(&["client.example"]);
    let terms =
        Tls { client_validation: Some(ClientValidation { mode: ClientValidationMode::VerifyIfGiven, ..required(&ca) }), ..tls(&[&server]) };
    let listeners = hosts.iter().map(|host| (host.trim_end_matches(".test"), host.as_str(), terms.clone()));
    let mut model = secure(listeners.collect(), vec![forward("b")], origin.address);
    for (host, mode) in hosts.iter().zip(modes) {
        let listener = model.listeners.get_mut(&name(host.trim_end_matches(".test"))).unwrap();
        let mut changed = (**listener).clone();
        let headers =
            HeaderSettings { forwarded_client_cert: mode, client_cert_details: vec![ClientCertDetail::Dns], ..HeaderSettings::default() };
        changed.client = Arc::new(ClientSettings { headers, ..ClientSettings::default() });
        *listener = Arc::new(changed);
    }
    let bench = Bench::start(model).await;
    let own = format!("By=spiffe://example/gateway;Hash={};DNS=client.example", hex::encode(Sha256::digest(&client.der)));
    let both = format!("said,{own}");
    for (identity, expected) in [
        (Some(&client), [None, Some("said"), Some(both.as_str()), Some(own.as_str()), Some("said")]),
        (None, [None, None, None, None, Some("said")]),
    ] {
        for (host, expected) in hosts.iter().zip(expected) {
            let config = Hand { identity, ..Hand::new(&ca) }.config();
            let mut stream = connect(&bench, host, &config).await.unwrap();
            ask(&mut stream, &format!("{host}\r\nX-Forwarded-Client-Cert: said")).await.unwrap();
            let request = origin.request().await;
            let told = request.lines().find_map(|line| line.strip_prefix("x-forwarded-client-cert: "));
            assert_eq!(told, expected, "{host}");
        }
    }
}

#[tokio::test]
async fn each_client_is_judged_by_its_listeners_terms() {
    let (origin, ca, others) = (Origin::plain().await, Authority::new(), Authority::new());
    let hosts: Vec<_> = (0..19).map(|at| format!("l{at:02}.test")).collect();
    let server = ca.issue(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
    let valid = ca.issue_with(&["client.example"], |params| {
        let uri = SanType::URI("spiffe://example/client".try_into().unwrap());
        let email = SanType::Rfc822Name("me@client.example".try_into().unwrap());
        let principal = SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], OtherNameValue::Utf8String("me@ad.example".into())));
        params.subject_alt_names.extend([uri, email, SanType::IpAddress("192.0.2.7".parse().unwrap()), principal]);
    });
    let wildcard = ca.issue(&["*.client.example"]);
    let stranger = others.issue(&["client.example"]);
    let revoked = ca.issue_with(&["client.example"], |params| params.serial_number = Some(SerialNumber::from(7u64)));
    let expired = ca.issue_with(&["client.example"], |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    let base = required(&ca);
    let hash = |issued: &Issued| hex::encode(Sha256::digest(&issued.der));
    let pin = STANDARD.encode(Sha256::digest(valid.key.subject_public_key_info()));
    let exact = |kind, text: &str| (kind, StringMatch::Exact(text.into()));
    let named = |names: Vec<(NameKind, StringMatch)>| ClientValidation { names, ..base.clone() };
    let mode = |mode| ClientValidation { mode, ..base.clone() };
    let other =
        |kind: &str, text: &str| ClientValidation { other_names: vec![(kind.into(), StringMatch::Exact(text.into()))], ..base.clone() };
    // Terms, and which of: nobody, valid, wildcard, stranger, revoked, expired are served.
    let cases = [
        (base.clone(), "-vwxr-".replace('x', "-")),
        (ClientValidation { revoked: Some(ca.revoke(&[7])), ..base.clone() }, "-vw---".into()),
        (ClientValidation { allow_expired: true, ..base.clone() }, "-vw-re".into()),
        (mode(ClientValidationMode::VerifyIfGiven), "nvw-r-".into()),
        (mode(ClientValidationMode::RequireAny), "-vwsre".into()),
        (mode(ClientValidationMode::Request), "nvwsre".into()),
        (ClientValidation { spki_hashes: vec![pin.as_str().into()], ..base.clone() }, "-v----".into()),
        (
            ClientValidation { certificate_hashes: vec![hash(&wildcard).into()], spki_hashes: vec![pin.into()], ..base.clone() },
            "-vw---".into(),
        ),
        (ClientValidation { certificate_hashes: vec![hash(&stranger).into()], ..mode(ClientValidationMode::RequireAny) }, "---s--".into()),
        (ClientValidation { certificate_hashes: vec![hash(&stranger).into()], authorities: "".into(), ..base.clone() }, "---s--".into()),
        (named(vec![exact(NameKind::Uri, "spiffe://example/client")]), "-v----".into()),
        (named(vec![exact(NameKind::Email, "me@client.example")]), "-v----".into()),
        (named(vec![exact(NameKind::Ip, "192.0.2.7")]), "-v----".into()),
        (named(vec![exact(NameKind::Dns, "sub.client.example"), exact(NameKind::Uri, "no")]), "--w---".into()),
        (named(vec![(NameKind::Dns, StringMatch::Suffix("client.example".into()))]), "-vw-r-".into()),
        (named(vec![exact(NameKind::Dns, "other.example")]), "------".into()),
        (other("1.3.6.1.4.1.311.20.2.3", "me@ad.example"), "-v----".into()),
        (other("1.3.6.1.4.1.311.20.2.4", "me@ad.example"), "------".into()),
        (ClientValidation { names: vec![exact(NameKind::Dns, "sub.client.example")], ..other("1.2.3", "x") }, "--w---".into()),
    ];
    let listeners: Vec<_> = hosts.iter().map(|host| (host.trim_end_matches(".test"), host)).collect();
    let made = listeners.iter().zip(&cases).map(|((listener, host), (validation, _))| {
        let tls = Tls { client_validation: Some(validation.clone()), ..tls(&[&server]) };
        (*listener, host.as_str(), tls)
    });
    let bench = Bench::start(secure(made.collect(), vec![forward("b")], origin.address)).await;
    let clients =
        [(None, 'n'), (Some(&valid), 'v'), (Some(&wildcard), 'w'), (Some(&stranger), 's'), (Some(&revoked), 'r'), (Some(&expired), 'e')];
    for ((_, host), (validation, expected)) in listeners.iter().zip(&cases) {
        let mut outcome = String::new();
        for (identity, letter) in clients {
            let config = Hand { identity, ..Hand::new(&ca) }.config();
            outcome.push(if served(&bench, host, &config).await.is_ok() { letter } else { '-' });
        }
        assert_eq!(outcome, *expected, "{validation:?}");
    }
    let metrics = bench.metrics().await;
    let label = format!("{{envoy_listener_address=\"{}_{PORT}\"}}", bench.address);
    let without = cases.iter().filter(|(_, expected)| !expected.starts_with('n')).count();
    assert!(metrics.contains(&format!("envoy_listener_ssl_fail_verify_no_cert{label} {without}\n")), "{metrics}");
    bench.plane.drain(std::time::Duration::ZERO).await;
}
