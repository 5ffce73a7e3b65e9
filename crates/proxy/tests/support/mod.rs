//! What the wire tests share: a Model by hand, a data plane on an address of its own, an origin that records, a client of raw bytes.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod kernel;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use weir_model::{
    Action, Answer, Backend, BackendName, ClientSettings, Endpoints, Gateway, GatewayName, HostPattern, Limit, LimitName, LimitScope,
    Listener, ListenerName, ListenerState, Match, Model, ObjectName, PathMatch, Protocol, Publish, Report, Route, Rule, Target, Timeouts,
    Weighted,
};
use weir_proxy::{Attachment, BindPlan, DataPlane, LogSink, Settings};

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An address of this process and test alone in 127.0.0.0/8, so that fixed ports do not collide.
pub fn address() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [.., a, b] = std::process::id().to_be_bytes();
    let n = NEXT.fetch_add(1, Ordering::Relaxed) as u8;
    IpAddr::V4(Ipv4Addr::new(127, 20 + n, a, b.clamp(1, 254)))
}

/// A log that keeps its lines.
#[derive(Default)]
pub struct Log {
    text: Mutex<String>,
    written: Notify,
}

impl LogSink for Log {
    fn write(&self, lines: &[u8]) {
        self.text.lock().unwrap().push_str(std::str::from_utf8(lines).unwrap());
        self.written.notify_one();
    }
}

impl Log {
    /// Waits for a line that `wanted` likes.
    pub async fn line(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let found = async {
            loop {
                let text = self.text.lock().unwrap().clone();
                let lines = text.lines().map(|line| serde_json::from_str(line).expect(line));
                if let Some(line) = lines.into_iter().find(&wanted) {
                    return line;
                }
                self.written.notified().await;
            }
        };
        let seen = || panic!("no such line in the log:\n{}", self.text.lock().unwrap());
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| seen())
    }
}

/// A data plane with one gateway, `ns/eg`, whose listener `http` (port 80, container port 10080) is served on `address`:8080.
pub struct Bench {
    pub plane: DataPlane,
    pub address: IpAddr,
    pub log: Arc<Log>,
    pub model: Model,
    pub attachment: Option<Attachment>,
    pub plan: watch::Sender<BindPlan>,
    pub publish: mpsc::Sender<Publish>,
    pub answers: mpsc::Receiver<Answer>,
    version: u64,
}

pub const PORT: u16 = 8080;

pub fn gateway() -> GatewayName {
    GatewayName::new("ns", "eg")
}

pub fn listener_name() -> ListenerName {
    ListenerName::new(gateway(), "http")
}

pub fn backend_name(name: &str) -> BackendName {
    BackendName(name.into())
}

/// A rule for everything below `/`.
pub fn rule(action: Action) -> Rule {
    Rule {
        name: "httproute/ns/route/rule/0".into(),
        matches: vec![Match { path: PathMatch::Prefix("/".into()), method: None, headers: vec![], query: vec![] }],
        filters: vec![],
        action,
        timeouts: Timeouts::default(),
    }
}

pub fn to(name: &str) -> Weighted {
    Weighted { weight: 1, target: Target::Backend(backend_name(name)), filters: vec![] }
}

pub fn forward(name: &str) -> Rule {
    rule(Action::Forward(vec![to(name)]))
}

/// A Model in which host `a.test` follows `rules`.
pub fn model(rules: Vec<Rule>, backends: &[(&str, &[SocketAddr])]) -> Model {
    let mut model = Model::default();
    model.gateways.insert(gateway(), Arc::new(Gateway { name: gateway(), access_log: true }));
    let listener = Listener {
        name: listener_name(),
        port: 80,
        container_port: 10080,
        protocol: Protocol::Http,
        hostname: HostPattern::Any,
        client: Arc::default(),
    };
    model.listeners.insert(listener_name(), Arc::new(listener));
    let hostnames = vec![HostPattern::parse("a.test").unwrap()];
    let attachments = vec![weir_model::Attachment { listener: listener_name(), hostnames }];
    let route = Route { name: ObjectName::new("ns", "route"), created: 0, attachments, rules };
    model.routes.insert(route.name.clone(), Arc::new(route));
    for (name, addresses) in backends {
        let backend = Backend { name: backend_name(name), endpoints: Endpoints::Addresses(addresses.to_vec()) };
        model.backends.insert(backend.name.clone(), Arc::new(backend));
    }
    model
}

pub fn limit_name() -> LimitName {
    LimitName { policy: ObjectName::new("ns", "policy"), target: "ns/eg".into() }
}

pub fn with_limit(mut model: Model, value: u64) -> Model {
    let limit =
        Limit { name: limit_name(), gateway: gateway(), scope: LimitScope::Gateway, value, cells: vec![listener_name()], route: None };
    model.limits.insert(limit_name(), Arc::new(limit));
    model
}

/// The Model whose listener treats its clients as `change` says.
pub fn with_client(mut model: Model, change: impl FnOnce(&mut ClientSettings)) -> Model {
    let mut listener = Listener::clone(&model.listeners[&listener_name()]);
    let mut settings = ClientSettings::clone(&listener.client);
    change(&mut settings);
    listener.client = Arc::new(settings);
    model.listeners.insert(listener_name(), Arc::new(listener));
    model
}

impl Bench {
    /// Starts it and waits until the listener is bound.
    pub async fn start(model: Model) -> Self {
        Self::with_settings(model, Settings { workers: 2, ..Settings::default() }).await
    }

    pub async fn with_settings(model: Model, settings: Settings) -> Self {
        let address = address();
        let plane = DataPlane::start(settings).expect("threads");
        let (plan, plans) = watch::channel(BindPlan { addresses: vec![address], ports: [(10080, PORT)].into(), pod_ip: None });
        let log = Arc::new(Log::default());
        let attachment = Some(plane.attach(gateway(), plans, log.clone()));
        let (publish, answers) = plane.connect();
        let mut bench = Self { plane, address, log, model: Model::default(), attachment, plan, publish, answers, version: 0 };
        bench.apply(model).await;
        bench.bound().await;
        bench
    }

    /// Publishes what changed and waits for the acknowledgement.
    pub async fn apply(&mut self, model: Model) {
        let delta = self.model.diff(&model);
        self.version += 1;
        let publish = Publish { epoch: 1, version: self.version, base: self.version - 1, delta };
        self.publish.send(publish).await.expect("a control thread");
        let version = self.version;
        self.answer(|answer| match answer {
            Answer::Acknowledgement(it) if it.version == version => {
                assert_eq!(it.refused, None);
                Some(())
            }
            _ => None,
        })
        .await;
        self.model = model;
    }

    /// Waits for an answer that `wanted` likes.
    pub async fn answer<T>(&mut self, wanted: impl Fn(Answer) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = wanted(self.answers.recv().await.expect("a control thread")) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("an answer")
    }

    /// Waits for a report that `wanted` likes.
    pub async fn report(&mut self, wanted: impl Fn(&Report) -> bool) -> Arc<Report> {
        self.answer(|answer| match answer {
            Answer::Report(report) if wanted(&report) => Some(report),
            _ => None,
        })
        .await
    }

    /// Waits until the limit counts so many.
    pub async fn counts(&self, current: u64) {
        let reached = async {
            while self.plane.report().limits[&limit_name()].current != current {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let state = || panic!("{current} wanted: {:?}", self.plane.report().limits);
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| state());
    }

    pub async fn bound(&mut self) {
        let names: Vec<_> = self.model.listeners.keys().cloned().collect();
        let is_bound = |report: &Report, name| matches!(report.listeners.get(name).map(|it| &it.state), Some(ListenerState::Bound(_)));
        self.report(|report| names.iter().all(|name| is_bound(report, name))).await;
    }

    pub fn target(&self) -> SocketAddr {
        SocketAddr::new(self.address, PORT)
    }

    pub async fn client(&self) -> Client {
        Client::to(self.target()).await
    }

    /// Whether a connection is refused by a reset; that may come before the connection is known to be open.
    pub async fn refuses(&self) -> bool {
        match TcpStream::connect(self.target()).await {
            Ok(stream) => Client { stream, read: Vec::new() }.is_reset().await,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Sends a request on a connection of its own and reads to the end.
    pub async fn once(&self, request: &str) -> String {
        let mut client = self.client().await;
        client.send(request).await;
        client.rest().await
    }

    pub async fn metrics(&self) -> String {
        let mut client = Client::to(SocketAddr::new(self.address, 19001)).await;
        client.send("GET /stats/prometheus HTTP/1.1\r\nHost: x\r\n\r\n").await;
        client.rest().await
    }

    pub async fn ready(&self) -> String {
        let mut client = Client::to(SocketAddr::new(self.address, 19003)).await;
        client.send("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").await;
        client.rest().await
    }
}

/// A client that sends and reads raw bytes.
pub struct Client {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    /// Connects, patiently: the admin thread binds on its own time.
    pub async fn to(address: SocketAddr) -> Self {
        let connected = async {
            loop {
                match TcpStream::connect(address).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        Self { stream: tokio::time::timeout(PATIENCE, connected).await.expect("a listener"), read: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.expect("the peer reads");
    }

    /// Reads until `end` has come; gives all up to there.
    pub async fn until(&mut self, end: &str) -> String {
        let read = async {
            loop {
                if let Some(at) = self.read.windows(end.len()).position(|window| window == end.as_bytes()) {
                    let rest = self.read.split_off(at + end.len());
                    return String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
                }
                let count = self.stream.read_buf(&mut self.read).await.expect("readable");
                assert!(count > 0, "closed before {end:?}: {:?}", String::from_utf8_lossy(&self.read));
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an answer in time")
    }

    /// Reads to the end. A reset is an end, too.
    pub async fn rest(&mut self) -> String {
        let read = async { while matches!(self.stream.read_buf(&mut self.read).await, Ok(count) if count > 0) {} };
        tokio::time::timeout(PATIENCE, read).await.expect("an end in time");
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// How the connection ends: whether by a reset.
    async fn is_reset(&mut self) -> bool {
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut byte)).await.expect("an end in time");
        matches!(read, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset)
    }
}

/// A backend that records what it reads and answers as it is told.
pub struct Origin {
    pub address: SocketAddr,
    pub seen: mpsc::UnboundedReceiver<String>,
    pub connections: Arc<AtomicU64>,
}

impl Origin {
    /// For each connection, in order, the answers to its requests; the last connection's script is repeated. A request ends at `\r\n\r\n`
    /// (tests with bodies read those themselves). An answer that is empty closes the connection.
    pub async fn start(scripts: Vec<Vec<&'static str>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (report, seen) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicU64::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let at = count.fetch_add(1, Ordering::Relaxed) as usize;
                let (script, report) = (scripts[at.min(scripts.len() - 1)].clone(), report.clone());
                tokio::spawn(async move {
                    let mut read = Vec::new();
                    for answer in script {
                        while !read.windows(4).any(|window| window == b"\r\n\r\n") {
                            match stream.read_buf(&mut read).await {
                                Ok(count) if count > 0 => {}
                                _ => return,
                            }
                        }
                        let _ = report.send(String::from_utf8(std::mem::take(&mut read)).unwrap());
                        if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, seen, connections }
    }

    /// One that answers every request with 200 and `body`.
    pub async fn plain() -> Self {
        Self::start(vec![vec!["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"; 1000]]).await
    }

    pub async fn request(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.seen.recv()).await.expect("a request in time").expect("a running origin")
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

pub const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
