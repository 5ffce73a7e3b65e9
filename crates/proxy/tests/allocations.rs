//! How often a worker allocates while it serves requests on connections that are kept alive: not at all. Counted over the whole exchange,
//! from the client's socket to the backend and back, in the worker's thread alone.

#[path = "../../../benches/allocator.rs"]
#[allow(dead_code, unreachable_pub, reason = "benchmarks use the rest")]
mod allocator;
#[path = "tls/authority.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use the rest")]
mod authority;
mod support;
#[path = "tls/bench.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use the rest")]
mod tls;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use support::*;
use tokio::sync::{Mutex, watch};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConnection, StreamOwned};
use weir_model::{
    ClientIp, Filter, HeaderEdit, HeaderMatch, HeaderMutation, HeaderName, HostPattern, Limit, LimitName, LimitScope, Model, ObjectName,
    PathRewrite, Route, StringMatch, ValueMatch,
};
use weir_proxy::{BindPlan, DataPlane, LogSink, Settings};

/// Clients, each with a connection of its own.
const CLIENTS: usize = 4;
/// Requests of each before anything is counted: pools and buffers have their size then.
const WARM_UP: usize = 250;
/// Requests of each that are counted.
const COUNTED: usize = 2500;
const REQUESTS: u64 = (CLIENTS * COUNTED) as u64;

/// What a client says and gets, again and again.
#[derive(Clone, Copy)]
struct Exchange {
    request: &'static str,
    /// How the backend knows that the request is here.
    request_end: &'static str,
    /// What the backend says.
    answer: &'static str,
    /// How the client knows that the answer is here.
    answer_end: &'static str,
}

const PLAIN: Exchange = Exchange {
    request: "GET /shop/orders/42?page=2 HTTP/1.1\r\nHost: Shop.a.test\r\nUser-Agent: test\r\nAccept: */*\r\nX-Old: 1\r\n\
              X-Forwarded-For: 10.1.2.3, 192.0.2.7\r\nVersion: two\r\n\r\n",
    request_end: "\r\n\r\n",
    answer: "HTTP/1.1 200 OK\r\nServer: origin\r\nX-Powered-By: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok",
    answer_end: "\r\n\r\nok",
};

const BODIES: Exchange = Exchange {
    request: "POST /shop/orders HTTP/1.1\r\nHost: shop.a.test\r\nContent-Length: 5\r\n\r\norder",
    request_end: "order",
    answer: "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmade\r\n0\r\n\r\n",
    answer_end: "\r\n0\r\n\r\n",
};

/// A log that counts what it is given.
#[derive(Default)]
struct Sink {
    writes: AtomicU64,
    lines: AtomicU64,
}

impl LogSink for Sink {
    fn write(&self, lines: &[u8]) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.lines.fetch_add(lines.iter().filter(|byte| **byte == b'\n').count() as u64, Ordering::Relaxed);
    }
}

/// The worker threads of this process, by the kernel's numbers.
fn workers() -> BTreeSet<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap());
    let name = |path: std::path::PathBuf| std::fs::read_to_string(path.join("comm")).unwrap_or_default();
    let workers = tasks.filter(|task| name(task.path()).starts_with("weir-worker-"));
    workers.map(|task| task.file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// A backend that answers as `exchange` says. The first answers wait for each other, so that there are as many connections to it as
/// clients from the start.
fn backend(exchange: Exchange) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let all_here = Arc::new(Barrier::new(CLIENTS));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, all_here) = (stream.unwrap(), all_here.clone());
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || {
                let mut first = true;
                while read_to(&mut stream, exchange.request_end) {
                    if std::mem::take(&mut first) {
                        all_here.wait();
                    }
                    stream.write_all(exchange.answer.as_bytes()).unwrap();
                }
            });
        }
    });
    address
}

/// Reads until what was read ends with `end`. False: the peer has closed.
fn read_to(stream: &mut impl Read, end: &str) -> bool {
    let (mut bytes, mut filled) = ([0; 2048], 0);
    while !bytes[..filled].ends_with(end.as_bytes()) {
        match stream.read(&mut bytes[filled..]) {
            Ok(count) if count > 0 => filled += count,
            _ => return false,
        }
    }
    true
}

trait Talk: Read + Write + Send {}

impl<T: Read + Write + Send> Talk for T {}

/// How a client gets its connection.
type Connect = Arc<dyn Fn() -> Box<dyn Talk> + Send + Sync>;

fn connect_to(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What was counted over [`REQUESTS`].
struct Counted {
    allocations: u64,
    /// Buffers that the log was given.
    writes: u64,
}

/// Serves `model` with one worker and counts.
async fn count(model: Model, exchange: Exchange, connect: impl FnOnce(SocketAddr) -> Connect) -> Counted {
    // One at a time, so that it is known whose worker is whose.
    static START: Mutex<()> = Mutex::const_new(());
    let starting = START.lock().await;
    let before = workers();
    let plane = DataPlane::start(Settings { workers: 1, ..Settings::default() }).expect("threads");
    let address = address();
    let (_plan, plans) = watch::channel(BindPlan { addresses: vec![address], ports: [(10080, PORT)].into(), pod_ip: None });
    let sink = Arc::new(Sink::default());
    let _attachment = plane.attach(gateway(), plans, sink.clone());
    let (publish, mut answers) = plane.connect();
    publish.send(weir_model::Publish { epoch: 1, version: 1, base: 0, delta: Model::default().diff(&model) }).await.unwrap();
    let bound = |report: &weir_model::Report| report.listeners.values().any(|it| matches!(it.state, weir_model::ListenerState::Bound(_)));
    while !matches!(answers.recv().await.expect("a control thread"), weir_model::Answer::Report(report) if bound(&report)) {}
    // A thread has its name a moment after it has begun.
    let worker = loop {
        match workers().difference(&before).next() {
            Some(worker) => break *worker,
            None => std::thread::yield_now(),
        }
    };
    drop(starting);

    let connect = connect(SocketAddr::new(address, PORT));
    let stages = Arc::new(Barrier::new(CLIENTS + 1));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (connect, stages) = (connect.clone(), stages.clone());
            std::thread::spawn(move || {
                let mut stream = connect();
                let mut ask = || {
                    stream.write_all(exchange.request.as_bytes()).unwrap();
                    stream.flush().unwrap();
                    assert!(read_to(&mut stream, exchange.answer_end), "an answer");
                };
                (0..WARM_UP).for_each(|_| ask());
                stages.wait();
                stages.wait();
                (0..COUNTED).for_each(|_| ask());
                stages.wait();
                // Ending a connection is not what is counted.
                stages.wait();
            })
        })
        .collect();
    let logged = Model::clone(&model).gateways.values().any(|gateway| gateway.access_log);
    let counted = tokio::task::spawn_blocking(move || {
        let all = stages.clone();
        let stage = |requests: usize| {
            all.wait();
            // All that the clients have had answered is in the log now, so that each of its buffers belongs to one side.
            while logged && sink.lines.load(Ordering::Relaxed) < (CLIENTS * requests) as u64 {
                std::thread::yield_now();
            }
            (allocator::allocations(worker), sink.writes.load(Ordering::Relaxed))
        };
        let before = stage(WARM_UP);
        stages.wait();
        let after = stage(WARM_UP + COUNTED);
        stages.wait();
        Counted { allocations: after.0 - before.0, writes: after.1 - before.1 }
    });
    let counted = counted.await.unwrap();
    clients.into_iter().for_each(|client| client.join().expect("a client that is served"));
    counted
}

fn in_the_clear(address: SocketAddr) -> Connect {
    Arc::new(move || Box::new(connect_to(address)))
}

fn header(name: &str) -> HeaderName {
    HeaderName::new(name).unwrap()
}

/// The Model of a gateway as users have it: header edits on both ways, a rewrite, matches on headers, a limit on the gateway and another on
/// the route, clients found behind a proxy, edits by the listener.
fn with_policies(backend: SocketAddr, access_log: bool) -> Model {
    let edit = |set: &str, add: &str, remove: &str| HeaderEdit {
        set: vec![(header(set), "set".into())],
        add: vec![(header(add), "added".into())],
        remove: vec![header(remove)],
    };
    let mut rule = forward("b");
    rule.matches[0].path = weir_model::PathMatch::Prefix("/shop".into());
    let mut other = forward("b");
    other.matches[0].headers = vec![HeaderMatch { name: header("version"), value: ValueMatch::Exact("three".into()) }];
    rule.filters = vec![
        Filter::RequestHeaders(edit("x-tenant", "x-hop", "x-old")),
        Filter::ResponseHeaders(edit("x-frame-options", "x-served-by", "x-powered-by")),
        Filter::Rewrite { hostname: Some("orders.internal".into()), path: Some(PathRewrite::Prefix("/v1".into())) },
    ];
    let mut model = with_limit(model(vec![other, rule], &[("b", &[backend])]), 1000);
    model.gateways.values_mut().for_each(|gateway| Arc::make_mut(gateway).access_log = access_log);
    for route in model.routes.values_mut() {
        let route: &mut Route = Arc::make_mut(route);
        route.attachments[0].hostnames = vec![HostPattern::parse("*.a.test").unwrap(), HostPattern::parse("b.test").unwrap()];
    }
    let route = ObjectName::new("ns", "route");
    let name = LimitName { policy: ObjectName::new("ns", "of-the-route"), target: "ns/route".into() };
    let limit = Limit {
        name: name.clone(),
        gateway: gateway(),
        scope: LimitScope::Route,
        value: 1000,
        cells: vec![listener_name()],
        route: Some(route),
    };
    model.limits.insert(name, Arc::new(limit));
    with_client(model, |settings| {
        settings.client_ip = ClientIp::TrustedHops { hops: 1, append: true };
        settings.headers.envoy_headers = true;
        settings.headers.early_request = HeaderMutation {
            set: vec![(header("x-early"), "1".into())],
            remove_on_match: vec![StringMatch::Prefix("x-internal-".into())],
            ..HeaderMutation::default()
        };
        settings.headers.late_response = HeaderMutation {
            add_if_absent: vec![(header("x-late"), "1".into())],
            remove: vec![header("server")],
            ..HeaderMutation::default()
        };
    })
}

#[tokio::test]
async fn a_request_allocates_nothing() {
    let plain = |access_log| {
        let mut model = model(vec![forward("b")], &[("b", &[backend(PLAIN)])]);
        model.gateways.values_mut().for_each(|gateway| Arc::make_mut(gateway).access_log = access_log);
        for route in model.routes.values_mut() {
            Arc::make_mut(route).attachments[0].hostnames = vec![HostPattern::Any];
        }
        model
    };
    let cases = [
        ("plain", plain(false), PLAIN),
        ("policies", with_policies(backend(PLAIN), false), PLAIN),
        ("bodies", with_policies(backend(BODIES), false), BODIES),
        ("logged", plain(true), PLAIN),
        ("policies, logged", with_policies(backend(PLAIN), true), PLAIN),
    ];
    for (name, model, exchange) in cases {
        let Counted { allocations, writes } = count(model, exchange, in_the_clear).await;
        // The log: a buffer for each that is handed over, many lines, and room for 32 of them in the queue to its thread.
        let log = writes + writes.div_ceil(32);
        println!("{name}: {allocations} allocations in {REQUESTS} requests, {writes} buffers of log lines");
        assert!(allocations <= log, "{name}: {allocations} allocations in {REQUESTS} requests, of which {log} for the log");
    }
}

#[tokio::test]
async fn a_request_over_tls_allocates_once_for_each_record() {
    let ca = authority::Authority::new();
    let leaf = ca.issue(&["a.test"]);
    let mut model = tls::secure(vec![("http", "", tls::tls(&[&leaf]))], vec![forward("b")], backend(PLAIN));
    model.gateways.values_mut().for_each(|gateway| Arc::make_mut(gateway).access_log = false);
    let config = tls::Hand::new(&ca).config();
    let connect = move |address| -> Connect {
        Arc::new(move || {
            let session = ClientConnection::new(config.clone(), ServerName::try_from("a.test").unwrap()).unwrap();
            Box::new(StreamOwned::new(session, connect_to(address)))
        })
    };
    let counted = count(model, PLAIN, connect).await;
    println!("over TLS: {} allocations in {REQUESTS} requests", counted.allocations);
    // rustls 0.23 has no other way: it copies what a record decrypts to, and what it encrypts for one.
    assert!(counted.allocations <= 2 * REQUESTS, "{} allocations in {REQUESTS} requests", counted.allocations);
}
