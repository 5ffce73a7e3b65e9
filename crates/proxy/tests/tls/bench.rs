//! A data plane with TLS listeners, and clients of it.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion, crypto};
use weir_model::{
    Attachment, ClientSettings, HostPattern, Limit, LimitName, LimitScope, Listener, ListenerName, Model, ObjectName, Protocol, Route,
    Rule, Tls, TlsVersion,
};

use super::authority::{Authority, Issued};
use super::support::*;

pub fn tls(certificates: &[&Issued]) -> Tls {
    Tls {
        certificates: certificates.iter().enumerate().map(|(at, it)| it.model(&format!("ns/cert-{at}"))).collect(),
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        ciphers: vec![],
        curves: vec![],
        signature_algorithms: vec![],
        fingerprints: vec![],
        alpn: vec!["http/1.1".into()],
        client_validation: None,
        tickets: true,
        sessions: false,
    }
}

pub fn name(listener: &str) -> ListenerName {
    ListenerName::new(gateway(), listener)
}

/// A Model in which these listeners (name, host, TLS) share a port, and host `a.test` and everything below `test` follow `rules` at all.
pub fn secure(listeners: Vec<(&str, &str, Tls)>, rules: Vec<Rule>, backend: std::net::SocketAddr) -> Model {
    let mut all = model(vec![], &[("b", &[backend])]);
    all.listeners.clear();
    let hostnames = vec![HostPattern::parse("a.test").unwrap(), HostPattern::parse("*.test").unwrap()];
    let attachments = listeners.iter().map(|(it, ..)| Attachment { listener: name(it), hostnames: hostnames.clone() });
    let route = Route { name: ObjectName::new("ns", "route"), created: 0, attachments: attachments.collect(), rules };
    all.routes.insert(route.name.clone(), Arc::new(route));
    for (listener, host, tls) in listeners {
        let listener = Listener {
            name: name(listener),
            port: 443,
            container_port: 10080,
            protocol: Protocol::Https(Arc::new(tls)),
            hostname: HostPattern::parse(host).unwrap(),
            client: Arc::<ClientSettings>::default(),
        };
        all.listeners.insert(listener.name.clone(), Arc::new(listener));
    }
    all
}

pub fn limited(mut model: Model, listener: &str, value: u64) -> Model {
    let target = format!("ns/eg/{listener}");
    let limit_name = LimitName { policy: ObjectName::new("ns", "policy"), target: target.into() };
    let limit = Limit {
        name: limit_name.clone(),
        gateway: gateway(),
        scope: LimitScope::Listener,
        value,
        cells: vec![name(listener)],
        route: None,
    };
    model.limits.insert(limit_name, Arc::new(limit));
    model
}

pub static OLD: [&SupportedProtocolVersion; 1] = [&TLS12];
pub static NEW: [&SupportedProtocolVersion; 1] = [&TLS13];
static BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// How a client shakes hands.
pub struct Hand<'a> {
    pub authority: &'a Authority,
    pub versions: &'static [&'static SupportedProtocolVersion],
    pub identity: Option<&'a Issued>,
    pub alpn: &'static [&'static str],
    /// What servers may sign with; empty: all.
    pub signatures: &'static [SignatureScheme],
}

impl<'a> Hand<'a> {
    pub fn new(authority: &'a Authority) -> Self {
        Self { authority, versions: &BOTH, identity: None, alpn: &[], signatures: &[] }
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der()).unwrap();
        let mut provider = crypto::aws_lc_rs::default_provider();
        if !self.signatures.is_empty() {
            let all = provider.signature_verification_algorithms;
            let wanted = all.mapping.iter().filter(|(scheme, _)| self.signatures.contains(scheme)).copied().collect::<Vec<_>>();
            provider.signature_verification_algorithms.mapping = wanted.leak();
        }
        let provider = Arc::new(provider);
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(self.versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let (chain, key) = issued.identity();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

pub type Stream = TlsStream<TcpStream>;

pub async fn connect(bench: &Bench, server_name: &str, config: &Arc<ClientConfig>) -> io::Result<Stream> {
    let tcp = TcpStream::connect(bench.target()).await?;
    let name = ServerName::try_from(server_name.to_owned()).unwrap();
    let handshake = TlsConnector::from(config.clone()).connect(name, tcp);
    tokio::time::timeout(PATIENCE, handshake).await.expect("a handshake in time")
}

/// A request for `host` and the answer to it, up to its body of `ok` or, for other answers, the end of the head.
pub async fn ask(stream: &mut Stream, host: &str) -> io::Result<String> {
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut read = Vec::new();
    let answer = async {
        loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            if text.ends_with("ok") || (text.contains("\r\n\r\n") && !text.starts_with("HTTP/1.1 200")) {
                return Ok(text);
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time")
}

/// A connection that has had an answer.
pub async fn served(bench: &Bench, host: &str, config: &Arc<ClientConfig>) -> io::Result<Stream> {
    let mut stream = connect(bench, host, config).await?;
    let answer = ask(&mut stream, host).await?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    Ok(stream)
}
