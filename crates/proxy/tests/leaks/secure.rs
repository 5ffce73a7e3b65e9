//! Ends before, in and after TLS handshakes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection};
use weir_model::{ClientValidation, ClientValidationMode, Model, Tls};

use super::authority::Authority;
use super::bench::*;
use super::crowd::Step::{Hold, Reset, Rest, Send};
use super::crowd::*;
use super::origin;
use super::support::*;

/// Connections through each way that costs little, unless asked otherwise.
const USUAL: usize = 2000;
/// Through each way that costs a handshake at both ends.
const USUAL_HANDSHAKES: usize = 1000;

/// Listener `http` for `a.test`, and `strict` for `b.test`, which wants certificates of its clients. Both are limited.
pub async fn world(ca: &Authority) -> Model {
    let (backend, _) = origin::start().await;
    let (a, b) = (ca.issue(&["a.test"]), ca.issue(&["b.test"]));
    let validation = ClientValidation {
        mode: ClientValidationMode::Require,
        authorities: ca.pem(),
        revoked: None,
        revocation_of_leaf_only: false,
        spki_hashes: vec![],
        certificate_hashes: vec![],
        names: vec![],
        other_names: vec![],
        allow_expired: false,
    };
    let strict = Tls { client_validation: Some(validation), ..tls(&[&b]) };
    let model = secure(vec![("http", "a.test", tls(&[&a])), ("strict", "b.test", strict)], vec![forward("b")], backend);
    limited(limited(model, "http", LIMIT), "strict", LIMIT)
}

pub fn hello(authority: &Authority, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Hand::new(authority).config(), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// What a series says about how connections ended: its name, or the reason in it.
type Counted = &'static str;

/// These ways; each is counted as what it is, and nothing is left.
async fn run(bench: &Bench, count: usize, ways: Vec<(Counted, Way)>) {
    for (counted, way) in ways {
        let name = way.0;
        nothing_is_left(bench, count, counted, vec![way]).await;
        assert_eq!(series(bench, &["envoy_listener_downstream_pre_cx_active{"]).await, 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_around_a_hello() {
    let ca = Authority::new();
    let mut bench = Bench::start(world(&ca).await).await;
    let (named, unknown) = (hello(&ca, "a.test"), hello(&ca, "unknown.example"));
    let say = |bytes: &[u8]| Send(bytes.to_vec().into());
    let half = || say(&named[..named.len() / 2]);
    let left = "reason=\"gone\"";
    let failed = "envoy_listener_ssl_connection_error{";
    let ways = vec![
        (left, ("FIN without a hello", vec![])),
        (left, ("RST without a hello", vec![Reset])),
        (left, ("FIN in a hello", vec![half()])),
        (left, ("RST in a hello", vec![half(), Reset])),
        ("reason=\"not_tls\"", ("garbage", vec![send("GET / HTTP/1.1\r\n\r\n"), Rest])),
        ("no_filter_chain_match{", ("no such host", vec![say(&unknown), Rest])),
        (failed, ("FIN after a hello", vec![say(&named)])),
        (failed, ("RST after a hello", vec![say(&named), Reset])),
        (failed, ("garbage after a hello", vec![say(&named), say(&[23, 3, 3, 0, 5, 1, 2, 3, 4, 5]), Rest])),
        (failed, ("an alert after a hello", vec![say(&named), say(&[21, 3, 3, 0, 2, 2, 40]), Rest])),
    ];
    run(&bench, connections(USUAL), ways).await;

    let patient = bench.model.clone();
    let mut hasty = patient.clone();
    for listener in hasty.listeners.values_mut() {
        let mut changed = (**listener).clone();
        let client = Arc::make_mut(&mut changed.client);
        client.timeouts.inspection = Some(Duration::from_millis(100));
        client.timeouts.tls_handshake = Some(Duration::from_millis(100));
        *listener = Arc::new(changed);
    }
    bench.apply(hasty).await;
    let ways = vec![
        ("pre_cx_timeout{", ("silence", vec![Hold])),
        ("pre_cx_timeout{", ("a hello that stops", vec![half(), Hold])),
        ("reason=\"timeout\"", ("silence after a hello", vec![say(&named), Hold])),
    ];
    run(&bench, connections(USUAL), ways).await;
    bench.apply(patient).await;
    refill(&bench, &ca).await;
}

/// A full limit of listener `http`.
pub async fn refill(bench: &Bench, ca: &Authority) {
    let (target, config) = (bench.target(), Hand::new(ca).config());
    let held = all(LIMIT as usize, |_| {
        let config = config.clone();
        async move {
            let mut stream = shake(target, "a.test", config).await.expect("room");
            assert!(ask(&mut stream, "a.test").await.expect("an answer").starts_with("HTTP/1.1 200 "));
            stream.get_ref().0.set_zero_linger().unwrap();
            stream
        }
    });
    let held = held.await;
    assert!(shake(target, "a.test", config).await.is_err(), "as many as the limit, and no more");
    assert_eq!(counted(bench), LIMIT);
    drop(held);
    gone(bench, "a full limit").await;
}

pub async fn shake(target: SocketAddr, name: &'static str, config: Arc<ClientConfig>) -> std::io::Result<Stream> {
    let tcp = TcpStream::connect(target).await?;
    TlsConnector::from(config).connect(ServerName::try_from(name).unwrap(), tcp).await
}

/// How a client of a whole handshake ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It is refused, or refuses.
    Refused,
    Fin,
    CloseNotify,
    Reset,
    /// In the middle of a record.
    Torn,
    /// In the middle of an answer.
    Amid,
}

async fn end(target: SocketAddr, host: &'static str, config: Arc<ClientConfig>, end: End) {
    let outcome = shake(target, host, config).await;
    let mut read = [0; 256];
    if matches!(end, End::Refused) {
        // In TLS 1.3 a client has ended its part before the server has seen its certificate.
        if let Ok(mut stream) = outcome {
            assert!(!matches!(stream.read(&mut read).await, Ok(count) if count > 0), "it is refused");
        }
        return;
    }
    let mut stream = outcome.expect("a handshake");
    if matches!(end, End::Amid) {
        stream.write_all(b"GET /half-stalled HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut read).await.unwrap() > 0);
    } else {
        assert!(ask(&mut stream, host).await.unwrap().starts_with("HTTP/1.1 200 "));
    }
    match end {
        End::Refused | End::Fin => {}
        End::CloseNotify => {
            stream.shutdown().await.unwrap();
            while matches!(stream.read(&mut read).await, Ok(count) if count > 0) {}
        }
        End::Reset | End::Amid => stream.get_ref().0.set_zero_linger().unwrap(),
        End::Torn => stream.get_mut().0.write_all(&[23, 3, 3, 0, 50, 1, 2]).await.unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_in_and_after_a_handshake() {
    let (ca, others) = (Authority::new(), Authority::new());
    let bench = Bench::start(world(&ca).await).await;
    let stranger = others.issue(&["client.example"]);
    let distrusting = [&OLD, &NEW].map(|versions| Hand { versions, ..Hand::new(&others) }.config());
    let nobody = [&OLD, &NEW].map(|versions| Hand { versions, ..Hand::new(&ca) }.config());
    let strangers = [&OLD, &NEW].map(|versions| Hand { versions, identity: Some(&stranger), ..Hand::new(&ca) }.config());
    let [old, new] = nobody.clone();
    let none = "envoy_listener_ssl_fail_verify_no_cert{";
    let wrong = "envoy_listener_ssl_fail_verify_error{";
    let failed = "envoy_listener_ssl_connection_error{";
    let done = "envoy_listener_ssl_handshake{";
    let (count, target) = (connections(USUAL_HANDSHAKES), bench.target());
    for (name, counted, host, config, how) in [
        ("an alert by the client, TLS 1.2", failed, "a.test", &distrusting[0], End::Refused),
        ("an alert by the client, TLS 1.3", failed, "a.test", &distrusting[1], End::Refused),
        ("no client certificate, TLS 1.2", none, "b.test", &nobody[0], End::Refused),
        ("no client certificate, TLS 1.3", none, "b.test", &nobody[1], End::Refused),
        ("a client certificate refused, TLS 1.2", wrong, "b.test", &strangers[0], End::Refused),
        ("a client certificate refused, TLS 1.3", wrong, "b.test", &strangers[1], End::Refused),
        ("FIN after an answer, TLS", done, "a.test", &new, End::Fin),
        ("close_notify after an answer", done, "a.test", &new, End::CloseNotify),
        ("RST after an answer, TLS", done, "a.test", &old, End::Reset),
        ("FIN in a record", done, "a.test", &new, End::Torn),
        ("RST in an answer, TLS", done, "a.test", &new, End::Amid),
    ] {
        let client = |_| end(target, host, config.clone(), how);
        crowds(&bench, count, counted, name, client).await;
    }
    refill(&bench, &ca).await;
}
