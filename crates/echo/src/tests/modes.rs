//! The modes other than HTTP/1, each with a client of its own kind.

use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use simple_dns::{CLASS, Name, Packet, QCLASS, QTYPE, Question, TYPE};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UdpSocket;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::Tls;

/// An authority, with a certificate of its own making for `app.example`.
struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["app.example".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &authority).expect("signed");
        Self { authority, certificate, key }
    }

    fn server(&self, clients: bool, protocols: &[&str]) -> Tls {
        let authorities = clients.then(|| self.authority.pem());
        let authorities = authorities.as_ref().map(|it| it.as_bytes());
        Tls::new(self.certificate.pem().as_bytes(), self.key.serialize_pem().as_bytes(), authorities, protocols).expect("usable")
    }

    /// A client that presents the server's own certificate, or none.
    fn client(&self, presents: bool, protocols: &[&str]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let builder = builder.with_root_certificates(roots);
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let chain: Vec<CertificateDer<'static>> = vec![self.certificate.der().clone()];
        let mut config = if presents { builder.with_client_auth_cert(chain, key).expect("fits") } else { builder.with_no_client_auth() };
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        Arc::new(config).into()
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from("app.example").expect("a name")
}

#[tokio::test]
async fn https_tells_what_was_agreed_on() {
    let pki = Pki::new();
    let backend = start(Kind::Https(pki.server(true, &["h2", "http/1.1"]))).await;
    for presents in [false, true] {
        let mut stream = pki.client(presents, &["http/1.1"]).connect(name(), backend.connect().await).await.expect("a handshake");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n").await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let tls = serde_json::from_str::<Value>(body).expect("JSON")["tls"].clone();
        let mut expected = json!({"version": "TLSv1.3", "serverName": "app.example", "negotiatedProtocol": "http/1.1",
            "cipherSuite": "TLS_AES_256_GCM_SHA384"});
        if presents {
            // The same text as in the Secret: the suite compares them.
            expected["peerCertificates"] = json!([pki.certificate.pem().replace('\r', "")]);
        }
        assert_eq!(tls, expected);
    }
}

#[tokio::test]
async fn a_tcp_backend_speaks_first_and_answers_line_by_line() {
    let pki = Pki::new();
    for tls in [None, Some(pki.server(false, &[]))] {
        let is_tls = tls.is_some();
        let backend = start(Kind::Tcp(tls)).await;
        let tcp = backend.connect().await;
        let stream: Box<dyn crate::server::Stream> = match is_tls {
            true => Box::new(pki.client(false, &[]).connect(name(), tcp).await.expect("a handshake")),
            false => Box::new(tcp),
        };
        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        for line in ["", "PING\n", "what?\nIS_TLS\n", "TEST\n"] {
            stream.write_all(line.as_bytes()).await.expect("it reads");
            let mut answer = String::new();
            stream.read_line(&mut answer).await.expect("it answers");
            lines.push(answer);
        }
        assert_eq!(&lines[..3], ["Gateway API Test TCP Server\n".to_owned(), "PONG\n".to_owned(), format!("{is_tls}\n")]);
        let known: Value = serde_json::from_str(&lines[3]).expect("JSON");
        assert_eq!((&known["pod"], &known["isTLS"], &known["tcpport"]), (&json!("app-1"), &json!(is_tls), &json!("3000")));
        assert_eq!(known["tls"]["serverName"], if is_tls { json!("app.example") } else { Value::Null });
        backend.stop.cancel();
        backend.task.await.expect("it ends");
    }
}

#[tokio::test]
async fn datagrams_are_answered_one_by_one() {
    let (socket, client) = (udp().await, udp().await);
    client.connect(socket.local_addr().expect("an address")).await.expect("connects");
    let stop = CancellationToken::new();
    let identity = Identity { pod: "udp-1".into(), ..Identity::default() };
    let task = tokio::spawn(crate::serve_udp(socket, identity, Arc::new(|_: &str| {}), stop.clone()));
    let mut buffer = [0; 1024];
    client.send(b"<hello>").await.expect("sent");
    let length = client.recv(&mut buffer).await.expect("an answer");
    let answer: Value = serde_json::from_slice(&buffer[..length]).expect("JSON");
    assert_eq!(answer, json!({"request": "<hello>", "namespace": "", "ingress": "", "service": "", "pod": "udp-1"}));
    stop.cancel();
    task.await.expect("it ends");
}

#[tokio::test]
async fn dns_queries_get_answers_and_other_datagrams_none() {
    let (socket, client) = (udp().await, udp().await);
    client.connect(socket.local_addr().expect("an address")).await.expect("connects");
    let stop = CancellationToken::new();
    let task = tokio::spawn(crate::serve_dns(socket, Arc::new(|_: &str| {}), stop.clone()));
    let mut query = Packet::new_query(4711);
    let question = Question::new(Name::new_unchecked("foo.bar.com"), QTYPE::TYPE(TYPE::A), QCLASS::CLASS(CLASS::IN), false);
    query.questions.push(question);
    client.send(b"no DNS at all").await.expect("sent");
    client.send(&query.build_bytes_vec().expect("bytes")).await.expect("sent");
    let mut buffer = [0; 1024];
    let length = client.recv(&mut buffer).await.expect("an answer");
    let reply = Packet::parse(&buffer[..length]).expect("DNS");
    assert_eq!((reply.id(), reply.questions.len(), reply.rcode()), (4711, 1, simple_dns::RCODE::NoError));
    assert!(reply.has_flags(simple_dns::PacketFlag::RESPONSE));
    stop.cancel();
    task.await.expect("it ends");
}

async fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.expect("a free port")
}

#[tokio::test]
async fn grpc_echoes_what_it_saw() {
    let backend = start(Kind::Grpc).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(backend.connect().await)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(0);
    for (method, status) in [("Echo", "0"), ("EchoTwo", "0"), ("EchoThree", "12"), ("Other", "12")] {
        let path = format!("/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/{method}");
        let request = Request::post(format!("http://grpc.example{path}")).header("content-type", "application/grpc").header("x-one", "1");
        let request = request.body(Full::new(message.clone().freeze())).expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        let body = answer.into_body().collect().await.expect("a body");
        let trailers = body.trailers().expect("trailers");
        assert_eq!(trailers["grpc-status"], status, "{method}");
        let bytes: Bytes = body.to_bytes();
        if status == "0" {
            let echoed = <crate::grpc::EchoResponse as prost::Message>::decode(&bytes[5..]).expect("a message");
            let assertions = echoed.assertions.expect("assertions");
            assert_eq!((assertions.fully_qualified_method, assertions.authority), (path, "grpc.example".to_owned()));
            assert!(assertions.headers.iter().any(|it| it.key == "x-one" && it.value == "1"));
            assert_eq!(assertions.context.map(|it| it.pod), Some("app-1".to_owned()));
        } else {
            assert!(bytes.is_empty());
        }
    }
}

#[tokio::test]
async fn web_socket_messages_come_back_as_text() {
    let backend = start(Kind::Http).await;
    let mut stream = backend.connect().await;
    let head = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://a.example\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.expect("a head"));
    }
    let answer = String::from_utf8(answer).expect("text").to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    // The example of RFC 6455, section 1.3.
    assert!(answer.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    for message in [Message::text("hello"), Message::binary(Bytes::from_static(b"bytes"))] {
        let expected = String::from_utf8(message.clone().into_data().to_vec()).expect("text");
        socket.send(message).await.expect("sent");
        assert_eq!(socket.next().await.expect("a message").expect("no error"), Message::text(expected));
    }
    socket.close(None).await.expect("closes");
}
