//! HTTPS on real sockets.
#![allow(unreachable_pub, reason = "the modules of a test have no other readers")]

mod authority;
mod before;
mod bench;
mod clients;
mod keys;
mod limits;
mod resuming;
mod storm;
#[path = "../support/mod.rs"]
mod support;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use authority::Authority;
use bench::*;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConnection, HandshakeKind, ProtocolVersion};
use weir_model::{Action, ListenerState, Redirect, Tls, TlsVersion};

/// All bytes that the server says to a hello for `server_name`, until it closes.
async fn reply_to_hello(bench: &Bench, authority: &Authority, server_name: &str) -> Vec<u8> {
    let name = ServerName::try_from(server_name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Hand::new(authority).config(), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    reply_to(bench, &hello).await
}

async fn reply_to(bench: &Bench, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(bench.target()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut reply = Vec::new();
    // A reset is an end, too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut reply)).await.expect("an end");
    reply
}

#[tokio::test]
async fn the_server_name_chooses_the_listener() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let names =
        [("http", "", "any.test"), ("exact", "a.test", "a.test"), ("below", "*.w.test", "*.w.test"), ("inner", "x.w.test", "x.w.test")];
    let issued: Vec<_> = names.iter().map(|(.., san)| ca.issue(&[san, "any.test"])).collect();
    let listeners = names.iter().zip(&issued).map(|((listener, host, _), issued)| (*listener, *host, tls(&[issued]))).collect();
    let mut bench = Bench::start(secure(listeners, vec![forward("b")], origin.address)).await;
    let config = Hand::new(&ca).config();
    for (server_name, place) in [("any.test", 0), ("a.test", 1), ("y.w.test", 2), ("x.w.test", 3)] {
        let stream = connect(&bench, server_name, &config).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], issued[place].der, "{server_name}");
    }
    let mut model = bench.model.clone();
    model.listeners.remove(&name("http"));
    bench.apply(model).await;
    for unknown in ["other.test", "192.0.2.1", "deep.x.a.test"] {
        assert_eq!(reply_to_hello(&bench, &ca, unknown).await, b"", "{unknown}: no alert, the connection just ends");
    }
    assert_eq!(reply_to(&bench, b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await, b"");
    served(&bench, "a.test", &config).await.unwrap();
    let metrics = bench.metrics().await;
    let label = format!("{{envoy_listener_address=\"{}_{PORT}\"", bench.address);
    assert!(metrics.contains(&format!("envoy_listener_no_filter_chain_match{label}}} 3\n")), "{metrics}");
    assert!(metrics.contains(&format!("weir_listener_tls_ended_total{label},reason=\"not_tls\"}} 1\n")), "{metrics}");
    assert!(metrics.contains(&format!("envoy_listener_ssl_handshake{label}}} 5\n")), "{metrics}");
}

#[tokio::test]
async fn of_several_certificates_the_most_specific_is_shown() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let issued = [ca.issue(&["first.v.test", "*.v.test"]), ca.issue(&["*.w.test"]), ca.issue(&["x.w.test"]), ca.issue(&["x.w.test"])];
    let listener = ("http", "", tls(&issued.iter().collect::<Vec<_>>()));
    let bench = Bench::start(secure(vec![listener], vec![forward("b")], origin.address)).await;
    let config = Hand::new(&ca).config();
    for (server_name, place) in [("first.v.test", 0), ("z.v.test", 0), ("y.w.test", 1), ("x.w.test", 2), ("X.W.TEST", 2)] {
        let stream = connect(&bench, server_name, &config).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], issued[place].der, "{server_name}");
    }
}

#[tokio::test]
async fn versions_and_protocols_are_as_configured() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let leaf = ca.issue(&["a.test", "b.test", "c.test"]);
    let plain = tls(&[&leaf]);
    let listeners = vec![
        ("http", "a.test", Tls { alpn: vec!["h2".into(), "http/1.1".into()], ..plain.clone() }),
        ("new", "b.test", Tls { min_version: TlsVersion::V1_3, ..plain.clone() }),
        ("old", "c.test", Tls { max_version: TlsVersion::V1_2, ciphers: vec!["ECDHE-ECDSA-CHACHA20-POLY1305".into()], ..plain }),
    ];
    let bench = Bench::start(secure(listeners, vec![forward("b")], origin.address)).await;
    let both = Hand { alpn: &["h2", "http/1.1"], ..Hand::new(&ca) }.config();
    let old = Hand { versions: &OLD, ..Hand::new(&ca) }.config();
    let new = Hand { versions: &NEW, ..Hand::new(&ca) }.config();
    let stream = served(&bench, "a.test", &both).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert!(connect(&bench, "b.test", &old).await.is_err());
    let stream = served(&bench, "b.test", &new).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let stream = served(&bench, "c.test", &old).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let suite = stream.get_ref().1.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite.as_str(), Some("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"));
    assert!(connect(&bench, "c.test", &new).await.is_err());
}

#[tokio::test]
async fn requests_are_those_of_https() {
    let (mut origin, ca) = (Origin::plain().await, Authority::new());
    let (a, b) = (ca.issue(&["a.test"]), ca.issue(&["b.test"]));
    let to = Redirect { scheme: None, hostname: Some("new.test".into()), port: None, path: None, status: 302 };
    let mut redirect = rule(Action::Redirect(to));
    redirect.matches[0].method = Some("DELETE".into());
    let listeners = vec![("http", "a.test", tls(&[&a])), ("below", "*.test", tls(&[&b]))];
    let bench = Bench::start(secure(listeners, vec![redirect, forward("b")], origin.address)).await;
    let config = Hand::new(&ca).config();
    let mut stream = served(&bench, "a.test", &config).await.unwrap();
    assert!(origin.request().await.contains("\r\nx-forwarded-proto: https\r\n"));
    let line = bench.log.line(|line| line["response_code"] == 200).await;
    assert_eq!(line["requested_server_name"], "a.test");

    // By this connection only what its listener answers for; a host that nobody answers for is not found.
    for (host, status) in [("b.test", "421"), ("a.test", "200"), ("elsewhere.example", "404")] {
        let answer = ask(&mut stream, host).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
        if status == "421" {
            stream = served(&bench, "a.test", &config).await.unwrap();
        }
    }
    let mut stream = connect(&bench, "b.test", &config).await.unwrap();
    assert!(ask(&mut stream, "a.test").await.unwrap().starts_with("HTTP/1.1 421 "));

    let mut stream = connect(&bench, "a.test", &config).await.unwrap();
    stream.write_all(b"DELETE /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    // The end is said: without close_notify this is an error.
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(&format!("\r\nlocation: https://new.test:{PORT}/x\r\n")), "{answer}");
}

#[tokio::test]
async fn bodies_of_any_size_pass_both_ways() {
    let ca = Authority::new();
    let leaf = ca.issue(&["a.test"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    const SIZE: usize = 3_000_001;
    let body: Arc<Vec<u8>> = Arc::new((0..SIZE).map(|at| (at * 7 + at / 251) as u8).collect());
    let sent = body.clone();
    // An origin that gives back what it gets.
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            let head = loop {
                stream.read_buf(&mut read).await.unwrap();
                if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                    break at + 4;
                }
            };
            let mut got = read.split_off(head);
            got.reserve(SIZE);
            while got.len() < SIZE {
                stream.read_buf(&mut got).await.unwrap();
            }
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes()).await.unwrap();
            stream.write_all(&got).await.unwrap();
        }
    });
    let bench = Bench::start(secure(vec![("http", "", tls(&[&leaf]))], vec![forward("b")], address)).await;
    for versions in [&OLD, &NEW] {
        let config = Hand { versions, ..Hand::new(&ca) }.config();
        let stream = connect(&bench, "a.test", &config).await.unwrap();
        let (mut read, mut write) = tokio::io::split(stream);
        let sent = sent.clone();
        let upload = tokio::spawn(async move {
            let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n");
            write.write_all(head.as_bytes()).await.unwrap();
            write.write_all(&sent).await.unwrap();
            write.flush().await.unwrap();
            write
        });
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, read.read_to_end(&mut answer)).await.expect("in time").unwrap();
        upload.await.unwrap();
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert!(answer[head..] == body[..], "{} bytes of another body", answer.len() - head);
    }
}

#[tokio::test]
async fn a_session_is_resumed_unless_that_is_off() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let leaf = ca.issue(&["a.test", "b.test"]);
    let listeners = vec![("http", "a.test", tls(&[&leaf])), ("off", "b.test", Tls { tickets: false, ..tls(&[&leaf]) })];
    let mut bench = Bench::start(secure(listeners, vec![forward("b")], origin.address)).await;
    for versions in [&OLD, &NEW] {
        let config = Hand { versions, ..Hand::new(&ca) }.config();
        for (host, kind) in [("a.test", HandshakeKind::Resumed), ("b.test", HandshakeKind::Full)] {
            served(&bench, host, &config).await.unwrap();
            let again = served(&bench, host, &config).await.unwrap();
            assert_eq!(again.get_ref().1.handshake_kind(), Some(kind), "{host}");
        }
    }

    // A change of another listener, or of the limits, leaves the tickets alone.
    let config = Hand::new(&ca).config();
    served(&bench, "a.test", &config).await.unwrap();
    let mut model = bench.model.clone();
    model.listeners.remove(&name("off"));
    bench.apply(limited(model.clone(), "http", 100)).await;
    let again = served(&bench, "a.test", &config).await.unwrap();
    assert_eq!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));

    // One of its own TLS makes them worthless: the new terms hold for everybody.
    let mut listener = (*model.listeners[&name("http")]).clone();
    listener.protocol = weir_model::Protocol::Https(Arc::new(Tls { client_validation: Some(clients::required(&ca)), ..tls(&[&leaf]) }));
    model.listeners.insert(listener.name.clone(), Arc::new(listener));
    bench.apply(model).await;
    assert!(served(&bench, "a.test", &config).await.is_err());
}

#[tokio::test]
async fn certificates_are_exchanged_without_a_failed_handshake() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let first = ca.issue(&["a.test"]);
    let mut bench = Bench::start(secure(vec![("http", "", tls(&[&first]))], vec![forward("b")], origin.address)).await;
    let mut old = served(&bench, "a.test", &Hand::new(&ca).config()).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (target, config) = (bench.target(), Hand::new(&ca).config());
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (stop, config) = (stop.clone(), config.clone());
            tokio::spawn(async move {
                let mut done = 0;
                while !stop.load(Ordering::Relaxed) {
                    let tcp = TcpStream::connect(target).await.unwrap();
                    let connector = tokio_rustls::TlsConnector::from(config.clone());
                    let mut stream = connector.connect(ServerName::try_from("a.test").unwrap(), tcp).await.unwrap();
                    assert!(ask(&mut stream, "a.test").await.unwrap().starts_with("HTTP/1.1 200 "));
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut last = first.der.clone();
    for _ in 0..20 {
        let next = ca.issue(&["a.test"]);
        last = next.der.clone();
        bench.apply(secure(vec![("http", "", tls(&[&next]))], vec![forward("b")], origin.address)).await;
        let stream = connect(&bench, "a.test", &Hand::new(&ca).config()).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], last);
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        assert!(task.await.unwrap() > 0);
    }
    assert_ne!(last, first.der);
    assert!(ask(&mut old, "a.test").await.unwrap().starts_with("HTTP/1.1 200 "), "established connections live on");
}

#[tokio::test]
async fn a_bad_certificate_costs_its_listener_alone() {
    let (origin, ca) = (Origin::plain().await, Authority::new());
    let (good, other) = (ca.issue(&["a.test"]), ca.issue(&["b.test"]));
    let good_tls = tls(&[&good]);
    let listeners = vec![("http", "a.test", good_tls.clone()), ("other", "b.test", tls(&[&other]))];
    let mut bench = Bench::start(secure(listeners, vec![forward("b")], origin.address)).await;
    let mut bad = tls(&[&other]);
    bad.certificates[0].key = good.model("x").key;
    bench.apply(secure(vec![("http", "a.test", good_tls), ("other", "b.test", bad)], vec![forward("b")], origin.address)).await;
    let failed =
        |state: &ListenerState| matches!(state, ListenerState::Failed(why) if why.contains("certificate ns/cert-0: the key is not"));
    let report = bench.report(|report| report.listeners.get(&name("other")).is_some_and(|it| failed(&it.state))).await;
    assert!(matches!(report.listeners[&name("http")].state, ListenerState::Bound(_)));
    let config = Hand::new(&ca).config();
    served(&bench, "a.test", &config).await.unwrap();
    assert!(connect(&bench, "b.test", &config).await.is_err_and(|error| error.kind() != io::ErrorKind::InvalidData), "no alert");
}
