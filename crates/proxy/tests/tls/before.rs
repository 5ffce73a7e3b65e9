//! What comes before TLS, and what a request that came by it says of its way.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use weir_model::{ClientSettings, Filter, Fingerprint, HeaderEdit, HeaderName, Model, ProxyProtocol, Tls};

use super::authority::Authority;
use super::bench::*;
use super::support::*;

fn with_settings(mut model: Model, settings: ClientSettings) -> Model {
    let settings = Arc::new(settings);
    for listener in model.listeners.values_mut() {
        *listener = Arc::new(weir_model::Listener { client: settings.clone(), ..(**listener).clone() });
    }
    model
}

#[tokio::test]
async fn a_proxy_header_stands_before_the_hello() {
    let (mut origin, ca) = (Origin::plain().await, Authority::new());
    let leaf = ca.issue(&["a.test"]);
    let config = Hand::new(&ca).config();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x13".to_vec();
    // With an extension, as load balancers send it.
    v2.extend([203, 0, 113, 7, 127, 0, 0, 1, 0x12, 0x34, 1, 0xbb, 4, 0, 4, 1, 2, 3, 4]);
    for optional in [false, true] {
        let settings = ClientSettings { proxy_protocol: Some(ProxyProtocol { optional }), ..ClientSettings::default() };
        let model = secure(vec![("http", "a.test", tls(&[&leaf]))], vec![forward("b")], origin.address);
        let bench = Bench::start(limited(with_settings(model, settings), "http", 2)).await;
        for header in [b"PROXY TCP4 203.0.113.7 127.0.0.1 4660 443\r\n".to_vec(), v2.clone()] {
            let mut tcp = TcpStream::connect(bench.target()).await.unwrap();
            tcp.write_all(&header).await.unwrap();
            let name = ServerName::try_from("a.test").unwrap();
            let mut stream = TlsConnector::from(config.clone()).connect(name, tcp).await.unwrap();
            assert!(ask(&mut stream, "a.test").await.unwrap().starts_with("HTTP/1.1 200 "));
            let seen = origin.request().await;
            assert!(seen.contains("x-forwarded-for: 203.0.113.7\r\n") && seen.contains("x-forwarded-proto: https\r\n"), "{seen}");
            bench.log.line(|line| line["downstream_remote_address"] == "203.0.113.7:4660").await;
        }
        // Within TLS it is no header, and without one it is as the listener says.
        assert_eq!(served(&bench, "a.test", &config).await.is_ok(), optional);
        let mut tcp = TcpStream::connect(bench.target()).await.unwrap();
        tcp.write_all(b"PROXY TCP4 203.0.113.7\r\n").await.unwrap();
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.expect("an end");
        assert_eq!(rest, b"", "a bad one ends the connection without a word");
    }
}

#[tokio::test]
async fn backends_of_http_1_are_told_what_the_client_speaks() {
    let (mut origin, ca) = (Origin::plain().await, Authority::new());
    let leaf = ca.issue(&["a.test"]);
    for scheme_matches_backend in [false, true] {
        let settings = ClientSettings { scheme_matches_backend, ..ClientSettings::default() };
        let model = secure(vec![("http", "a.test", tls(&[&leaf]))], vec![forward("b")], origin.address);
        let bench = Bench::start(with_settings(model, settings)).await;
        served(&bench, "a.test", &Hand::new(&ca).config()).await.unwrap();
        assert!(origin.request().await.contains("x-forwarded-proto: https\r\n"));
    }
}

#[tokio::test]
async fn filters_tell_of_a_clients_software_where_the_listener_wants_to_know() {
    let (mut origin, ca) = (Origin::plain().await, Authority::new());
    let leaf = ca.issue(&["a.test", "b.test"]);
    let set = |names: [&str; 2]| HeaderEdit {
        set: names
            .iter()
            .zip(["3-%TLS_JA3_FINGERPRINT%", "%TLS_JA4_FINGERPRINT%"])
            .map(|(name, value)| (HeaderName::new(name).unwrap(), value.into()))
            .collect(),
        add: vec![],
        remove: vec![],
    };
    let mut rule = forward("b");
    rule.filters = vec![Filter::RequestHeaders(set(["x-ja3", "x-ja4"])), Filter::ResponseHeaders(set(["y-ja3", "y-ja4"]))];
    let listeners = vec![
        ("http", "a.test", Tls { fingerprints: vec![Fingerprint::Ja3, Fingerprint::Ja4], ..tls(&[&leaf]) }),
        ("other", "b.test", Tls { fingerprints: vec![Fingerprint::Ja3], ..tls(&[&leaf]) }),
    ];
    let bench = Bench::start(secure(listeners, vec![rule], origin.address)).await;
    let value = |text: &str, name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned);
    for (host, has_ja4) in [("a.test", true), ("b.test", false)] {
        let config = Hand { alpn: &["http/1.1"], ..Hand::new(&ca) }.config();
        let mut stream = connect(&bench, host, &config).await.unwrap();
        let answer = ask(&mut stream, host).await.unwrap();
        let seen = origin.request().await;
        let ja3 = value(&seen, "x-ja3").expect("JA3");
        assert!(ja3.starts_with("3-") && ja3.len() == 2 + 32 && ja3[2..].bytes().all(|it| it.is_ascii_hexdigit()), "{ja3}");
        assert_eq!(value(&answer, "y-ja3"), Some(ja3));
        let ja4 = value(&seen, "x-ja4");
        // By TCP, TLS 1.3, with a server name, http/1.1.
        assert_eq!(ja4.as_deref().is_some_and(|it| it.starts_with("t13d") && it.contains("h1_") && it.len() == 36), has_ja4, "{ja4:?}");
        assert_eq!(value(&answer, "y-ja4"), ja4);
    }
}
