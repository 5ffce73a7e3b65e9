//! Sessions that go on: by what they may, and what is asked of their clients then.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::date_time_ymd;
use tokio_rustls::rustls::HandshakeKind;
use weir_model::{ClientValidation, ClientValidationMode, Tls};

use super::authority::Authority;
use super::bench::*;
use super::clients::required;
use super::support::*;

#[tokio::test]
async fn sessions_are_kept_where_wanted_and_each_listener_has_its_own() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let leaf = ca.issue(&["a.test", "b.test"]);
    let kept = Tls { tickets: false, sessions: true, ..tls(&[&leaf]) };
    let listeners = vec![("http", "a.test", kept.clone()), ("other", "b.test", Tls { alpn: vec![], ..kept })];
    let mut bench = Bench::start(secure(listeners, vec![forward("b")], origin.address)).await;
    for versions in [&OLD, &NEW] {
        let config = Hand { versions, ..Hand::new(&ca) }.config();
        for (host, kind) in [("a.test", HandshakeKind::Full), ("a.test", HandshakeKind::Resumed), ("b.test", HandshakeKind::Full)] {
            let stream = served(&bench, host, &config).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{host}, {versions:?}");
        }
        // What clients must prove has changed: what was kept is worth nothing, at once.
        let mut model = bench.model.clone();
        let mut listener = (*model.listeners[&name("http")]).clone();
        let validation = ClientValidation { mode: ClientValidationMode::VerifyIfGiven, ..required(&ca) };
        listener.protocol = weir_model::Protocol::Https(std::sync::Arc::new(Tls {
            client_validation: Some(validation),
            tickets: false,
            sessions: true,
            ..tls(&[&leaf])
        }));
        let before = model.listeners.insert(listener.name.clone(), std::sync::Arc::new(listener)).unwrap();
        bench.apply(model.clone()).await;
        let stream = served(&bench, "a.test", &config).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full), "{versions:?}");
        model.listeners.insert(before.name.clone(), before);
        bench.apply(model).await;
    }
}

#[tokio::test]
async fn a_ticket_does_not_outlive_its_clients_certificate() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let server = ca.issue(&["a.test", "b.test"]);
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(3);
    let client = ca.issue_with(&["client"], |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(1970, 1, 1) + end);
    });
    let asks = |allow_expired| Tls { client_validation: Some(ClientValidation { allow_expired, ..required(&ca) }), ..tls(&[&server]) };
    let listeners = vec![("http", "a.test", asks(false)), ("lenient", "b.test", asks(true))];
    let bench = Bench::start(secure(listeners, vec![forward("b")], origin.address)).await;
    let configs = [&OLD, &NEW].map(|versions| Hand { versions, identity: Some(&client), ..Hand::new(&ca) }.config());
    for config in &configs {
        for host in ["a.test", "b.test"] {
            served(&bench, host, config).await.unwrap();
            let again = served(&bench, host, config).await.unwrap();
            assert_eq!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed), "{host}");
        }
    }
    for config in &configs {
        let refused = async { while served(&bench, "a.test", config).await.is_ok() {} };
        tokio::time::timeout(PATIENCE, refused).await.expect("its end comes");
        let lenient = served(&bench, "b.test", config).await.unwrap();
        assert_eq!(lenient.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    }
}
