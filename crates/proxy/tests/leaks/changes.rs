//! Ends by what happens around connections: changes of the configuration, listeners and gateways that go, drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection};
use weir_model::{ListenerState, Model};
use weir_proxy::{BindPlan, Settings};

use super::authority::Authority;
use super::bench::*;
use super::crowd::*;
use super::plain::world;
use super::support::*;
use super::{origin, secure};

/// Connections through each of these ways, unless asked otherwise.
const USUAL: usize = 2000;

fn settings() -> Settings {
    Settings { workers: 2, drain_timeout: Duration::from_millis(100), ..Settings::default() }
}

/// What connections are doing when something happens to them.
const AMID: [(&str, &str); 8] = [
    ("", ""),
    ("GET / HT", ""),
    ("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "ok"),
    ("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nabc", ""),
    ("GET /stalled HTTP/1.1\r\nHost: a.test\r\n\r\n", ""),
    ("GET /half-stalled HTTP/1.1\r\nHost: a.test\r\n\r\n", "half"),
    ("GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "hi"),
    ("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", "100"),
];

/// As many connections as the limit admits, each in the middle of something.
async fn amid(target: SocketAddr) -> Vec<TcpStream> {
    let client = move |at: usize| async move {
        let (sent, awaited) = AMID[at % AMID.len()];
        let mut stream = TcpStream::connect(target).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        assert!(until(&mut stream, &mut Vec::new(), awaited).await, "{sent:?} is answered");
        stream
    };
    all(AT_ONCE, client).await
}

/// Waits until all of them are counted.
async fn counted_all(bench: &Bench) {
    let state = || format!("{:?}", bench.plane.report().limits);
    eventually("all are in", state, async || counted(bench) == AT_ONCE as u64).await;
}

/// All have ended, and not by their clients.
async fn ended(bench: &Bench, held: Vec<TcpStream>, name: &'static str) {
    let sockets = || (kernel::open(bench.target()), kernel::listening(bench.target()));
    // A worker that is late with the news still listens; who came to it would end with the old listener.
    eventually(name, || format!("{:?} sockets", sockets()), async || sockets() == (0, 0)).await;
    let mut held = held.into_iter().map(Some).collect::<Vec<_>>();
    let streams = std::sync::Mutex::new(&mut held);
    all(AT_ONCE, |at| {
        let mut stream = streams.lock().unwrap()[at].take().unwrap();
        async move { rest(&mut stream, &mut Vec::new()).await }
    })
    .await;
}

fn said(name: &str, since: Instant) {
    println!("{:>6} in {:>6} ms: {name}", rounds() * AT_ONCE, since.elapsed().as_millis());
}

/// How many times a thousand.
fn rounds() -> usize {
    connections(USUAL).div_ceil(AT_ONCE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_and_gateways_that_go_and_come_back() {
    let (backend, _gate) = origin::start().await;
    let model = world(backend, origin::nowhere().await);
    let mut bench = Bench::with_settings(model.clone(), settings()).await;
    let mut without = model.clone();
    without.listeners.clear();
    let start = Instant::now();
    for _ in 0..rounds() {
        let held = amid(bench.target()).await;
        counted_all(&bench).await;
        bench.apply(without.clone()).await;
        ended(&bench, held, "listener removed").await;
        gone(&bench, "listener removed").await;
        bench.apply(model.clone()).await;
        bound(&bench).await;
    }
    said("listener removed", start);
    refill(&bench, "listener removed").await;
    let start = Instant::now();
    for _ in 0..rounds() {
        let held = amid(bench.target()).await;
        counted_all(&bench).await;
        bench.apply(Model::default()).await;
        bench.attachment.take().unwrap().detach(Duration::from_millis(100)).await;
        ended(&bench, held, "Gateway deleted").await;
        attach(&mut bench);
        bench.apply(model.clone()).await;
        bound(&bench).await;
        gone(&bench, "Gateway deleted").await;
    }
    said("Gateway deleted", start);
    refill(&bench, "Gateway deleted").await;
    let start = Instant::now();
    for _ in 0..rounds() {
        let held = amid(bench.target()).await;
        counted_all(&bench).await;
        bench.plane.drain(Duration::from_millis(100)).await;
        ended(&bench, held, "drain").await;
        gone(&bench, "drain").await;
        attach(&mut bench);
        bound(&bench).await;
    }
    said("drain", start);
    refill(&bench, "drain").await;
}

/// Waits until the listeners are bound: now, whatever was reported before.
async fn bound(bench: &Bench) {
    let report = || bench.plane.report().listeners.clone();
    let is_bound = |state: &ListenerState| matches!(state, ListenerState::Bound(addresses) if !addresses.is_empty());
    let all_bound = async || !report().is_empty() && report().values().all(|it| is_bound(&it.state));
    eventually("bound", || format!("{:?}", report()), all_bound).await;
}

/// Serves the gateway again.
fn attach(bench: &mut Bench) {
    let plan = BindPlan { addresses: vec![bench.address], ports: [(10080, PORT)].into(), pod_ip: None };
    let (plan, plans) = watch::channel(plan);
    bench.plan = plan;
    bench.attachment = Some(bench.plane.attach(gateway(), plans, bench.log.clone()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_in_mid_request() {
    let ((backend, gate), (other, other_gate)) = (origin::start().await, origin::start().await);
    let model = world(backend, origin::nowhere().await);
    let mut bench = Bench::start(model.clone()).await;
    // Other backends, other settings.
    let changed = with_client(world(other, backend), |client| client.connection.buffer_limit = 16 << 10);
    let start = Instant::now();
    for round in 0..rounds() {
        gate.send_replace(false);
        other_gate.send_replace(false);
        let target = bench.target();
        let clients = tokio::spawn(all(AT_ONCE, move |at| async move {
            let mut stream = TcpStream::connect(target).await.unwrap();
            stream.write_all(b"GET /gate HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
            assert!(until(&mut stream, &mut Vec::new(), "ok").await, "an answer of the configuration before");
            // And one of that after.
            stream.write_all(GET.as_bytes()).await.unwrap();
            assert!(until(&mut stream, &mut Vec::new(), "ok").await);
            if at % 2 == 0 {
                stream.set_zero_linger().unwrap();
            }
        }));
        let all_ask = async || series(&bench, &["envoy_http_downstream_rq_active{"]).await == AT_ONCE as u64;
        eventually("all ask", String::new, all_ask).await;
        bench.apply(if round % 2 == 0 { changed.clone() } else { model.clone() }).await;
        gate.send_replace(true);
        other_gate.send_replace(true);
        clients.await.unwrap();
        gone(&bench, "reload in mid-request").await;
    }
    said("reload in mid-request", start);
    bench.apply(model).await;
    refill(&bench, "reload in mid-request").await;
}

/// A client that stops in the middle of a handshake until it is told to go on.
async fn halting(target: SocketAddr, config: Arc<ClientConfig>, at: usize, mut gate: watch::Receiver<bool>) {
    let mut tls = ClientConnection::new(config, ServerName::try_from("a.test").unwrap()).unwrap();
    let mut stream = TcpStream::connect(target).await.unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    // In the middle of its hello, or behind it.
    let (now, later) = hello.split_at(if at.is_multiple_of(2) { hello.len() / 2 } else { hello.len() });
    stream.write_all(now).await.unwrap();
    gate.wait_for(|open| *open).await.unwrap();
    if at.is_multiple_of(5) {
        return;
    }
    stream.write_all(later).await.unwrap();
    let mut bytes = Vec::new();
    while tls.is_handshaking() {
        let count = stream.read_buf(&mut bytes).await.unwrap();
        assert!(count > 0, "a handshake outlives changes");
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            tls.read_tls(&mut rest).unwrap();
            tls.process_new_packets().unwrap();
        }
        bytes.clear();
        let mut out = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut out).unwrap();
        }
        stream.write_all(&out).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_in_mid_handshake() {
    let ca = Authority::new();
    let first = secure::world(&ca).await;
    let mut bench = Bench::with_settings(first.clone(), settings()).await;
    let (config, start) = (Hand::new(&ca).config(), Instant::now());
    for _ in 0..rounds() {
        let (target, (gate, opened), config) = (bench.target(), watch::channel(false), config.clone());
        let clients = tokio::spawn(all(AT_ONCE, move |at| halting(target, config.clone(), at, opened.clone())));
        waiting(&bench, AT_ONCE / 2).await;
        // Other certificates, other settings.
        bench.apply(secure::world(&ca).await).await;
        gate.send_replace(true);
        clients.await.unwrap();
        gone(&bench, "reload in mid-handshake").await;
    }
    said("reload in mid-handshake", start);
    let start = Instant::now();
    for _ in 0..rounds() {
        let (target, bytes) = (bench.target(), Arc::new(secure::hello(&ca, "a.test")));
        let held = all(AT_ONCE, |at| {
            let bytes = bytes.clone();
            async move {
                let mut stream = TcpStream::connect(target).await.unwrap();
                stream.write_all(&bytes[..bytes.len() * (at % 3) / 2]).await.unwrap();
                stream
            }
        });
        let held = held.await;
        waiting(&bench, AT_ONCE - AT_ONCE / 3).await;
        let mut without = bench.model.clone();
        without.listeners.clear();
        bench.apply(without).await;
        ended(&bench, held, "listener removed in mid-handshake").await;
        bench.apply(first.clone()).await;
        bound(&bench).await;
        gone(&bench, "listener removed in mid-handshake").await;
    }
    said("listener removed in mid-handshake", start);
    secure::refill(&bench, &ca).await;
}

/// Waits until so many wait in the hall, and all others are in the middle of their handshake.
async fn waiting(bench: &Bench, hall: usize) {
    let state = || format!("{} sockets, {} named", kernel::open(bench.target()), counted(bench));
    let so = async || {
        let in_hall = series(bench, &["envoy_listener_downstream_pre_cx_active{"]).await;
        in_hall == hall as u64 && counted(bench) == (AT_ONCE - hall) as u64
    };
    eventually("all wait", state, so).await;
}
