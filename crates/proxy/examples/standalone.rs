//! The data plane without a control plane: one gateway that sends everything to one backend. For measuring it (`cargo xtask bench proxy`) and
//! for trying it out.
//!
//! ```text
//! cargo run -p weir-proxy --example standalone -- LISTEN BACKEND [--workers N] [--limit N] [--routes N] [--edits] [--log FILE]
//!     [--certificate FILE --key FILE]
//! cargo run -p weir-proxy --example standalone -- 127.0.0.1:8080 127.0.0.1:9000 --workers 1
//! ```
//!
//! With `--routes` there are so many, each for a host of its own: `r0.test`, `r1.test` and so on. With `--edits` each edits headers on both
//! ways.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use weir_model::{
    Action, Answer, Attachment, Backend, BackendName, Certificate, Endpoints, Filter, Gateway, GatewayName, HeaderEdit, HeaderName,
    HostPattern, Limit, LimitName, LimitScope, Listener, ListenerName, Match, Model, PathMatch, Protocol, Publish, Route, Rule, Secret,
    Target, Timeouts, Tls, TlsVersion, Weighted,
};
use weir_proxy::{BindPlan, DataPlane, LogSink, Settings};

/// Writes to a file.
struct File(Mutex<std::fs::File>);

impl LogSink for File {
    fn write(&self, lines: &[u8]) {
        if let Ok(mut file) = self.0.lock() {
            // There is nobody to tell.
            let _ = file.write_all(lines);
        }
    }
}

const USAGE: &str = "usage: standalone LISTEN BACKEND [--workers N] [--limit N] [--routes N] [--edits] [--log FILE] \
                     [--certificate FILE --key FILE]";

/// What the gateway does.
struct Plan {
    listen: SocketAddr,
    backend: SocketAddr,
    protocol: Protocol,
    limit: Option<u64>,
    /// None: one for all hosts.
    routes: Option<usize>,
    edits: bool,
    access_log: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| arguments.iter().position(|it| it == name).and_then(|at| arguments.get(at + 1));
    let [listen, backend, ..] = arguments.as_slice() else { return Err(USAGE.into()) };
    let file = |name| option(name).map(std::fs::read_to_string).transpose();
    let plan = Plan {
        listen: listen.parse()?,
        backend: backend.parse()?,
        protocol: match (file("--certificate")?, file("--key")?) {
            (Some(chain), Some(key)) => Protocol::Https(Arc::new(tls(&chain, &key))),
            _ => Protocol::Http,
        },
        limit: option("--limit").map(|it| it.parse()).transpose()?,
        routes: option("--routes").map(|it| it.parse()).transpose()?,
        edits: arguments.iter().any(|it| it == "--edits"),
        access_log: option("--log").is_some(),
    };
    let workers = option("--workers").map_or(Ok(1), |it| it.parse())?;
    let log = option("--log").map_or("/dev/null", String::as_str);
    let sink = File(Mutex::new(std::fs::File::create(log)?));

    let plane = DataPlane::start(Settings { workers, ..Settings::default() })?;
    let (address, port) = (plan.listen.ip(), plan.listen.port());
    let (_binds, binds) = watch::channel(BindPlan { addresses: vec![address], ports: [(port, port)].into(), pod_ip: None });
    let gateway = GatewayName::new("default", "standalone");
    let _attachment = plane.attach(gateway.clone(), binds, Arc::new(sink));
    let (publish, mut answers) = plane.connect();
    let delta = Model::default().diff(&model(&gateway, plan));
    publish.send(Publish { epoch: 1, version: 1, base: 0, delta }).await?;
    while let Some(answer) = answers.recv().await {
        match answer {
            Answer::Report(report) => report.listeners.iter().for_each(|(name, it)| println!("{name}: {it:?}")),
            other => println!("{other:?}"),
        }
    }
    Ok(())
}

fn tls(chain: &str, key: &str) -> Tls {
    Tls {
        certificates: vec![Certificate { name: "standalone".into(), chain: chain.into(), key: Secret(key.into()) }],
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        ciphers: vec![],
        curves: vec![],
        signature_algorithms: vec![],
        fingerprints: vec![],
        alpn: vec!["http/1.1".into()],
        client_validation: None,
        // As with a policy that says nothing of sessions.
        tickets: false,
        sessions: false,
    }
}

fn model(gateway: &GatewayName, plan: Plan) -> Model {
    let mut model = Model::default();
    let port = plan.listen.port();
    let listener = ListenerName::new(gateway.clone(), "http");
    let name = BackendName("backend".into());
    model.gateways.insert(gateway.clone(), Arc::new(Gateway { name: gateway.clone(), access_log: plan.access_log }));
    model.listeners.insert(
        listener.clone(),
        Arc::new(Listener {
            name: listener.clone(),
            port,
            container_port: port,
            protocol: plan.protocol,
            hostname: HostPattern::Any,
            client: Arc::default(),
        }),
    );
    model.backends.insert(name.clone(), Arc::new(Backend { name: name.clone(), endpoints: Endpoints::Addresses(vec![plan.backend]) }));
    let hosts: Vec<_> = match plan.routes {
        None => vec![HostPattern::Any],
        Some(count) => (0..count).map(|at| HostPattern::Exact(format!("r{at}.test").into())).collect(),
    };
    for (at, host) in hosts.into_iter().enumerate() {
        let route = route(&format!("r{at}"), &listener, host, &name, plan.edits);
        model.routes.insert(route.name.clone(), Arc::new(route));
    }
    if let Some(value) = plan.limit {
        let name = LimitName { policy: GatewayName::new("default", "limit"), target: "default/standalone".into() };
        let limit =
            Limit { name: name.clone(), gateway: gateway.clone(), scope: LimitScope::Gateway, value, cells: vec![listener], route: None };
        model.limits.insert(name, Arc::new(limit));
    }
    model
}

fn route(name: &str, listener: &ListenerName, host: HostPattern, backend: &BackendName, edits: bool) -> Route {
    let rule = Rule {
        name: format!("httproute/default/{name}/rule/0").into(),
        matches: vec![Match { path: PathMatch::Prefix("/".into()), method: None, headers: vec![], query: vec![] }],
        filters: if edits { vec![Filter::RequestHeaders(edit()), Filter::ResponseHeaders(edit())] } else { vec![] },
        action: Action::Forward(vec![Weighted { weight: 1, target: Target::Backend(backend.clone()), filters: vec![] }]),
        timeouts: Timeouts::default(),
    };
    let attachments = vec![Attachment { listener: listener.clone(), hostnames: vec![host] }];
    Route { name: GatewayName::new("default", name), created: 0, attachments, rules: vec![rule] }
}

fn edit() -> HeaderEdit {
    let field = |name: &str| HeaderName::new(name).map(|name| (name, "standalone".into())).into_iter().collect();
    HeaderEdit { set: field("x-set"), add: field("x-added"), remove: HeaderName::new("x-removed").into_iter().collect() }
}
