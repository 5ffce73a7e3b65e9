//! What comes before TLS, and what a request that came by it says of its way.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use weir_model::{ClientSettings, Model, ProxyProtocol};

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
