//! The data plane without a control plane: one gateway that sends everything to one backend. For measuring it and for trying it out.
//!
//! ```text
//! cargo run -p weir-proxy --example standalone -- LISTEN BACKEND [--workers N] [--limit N] [--log FILE] [--certificate FILE --key FILE]
//! cargo run -p weir-proxy --example standalone -- 127.0.0.1:8080 127.0.0.1:9000 --workers 1
//! ```
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use weir_model::{
    Action, Answer, Attachment, Backend, BackendName, Certificate, Endpoints, Gateway, GatewayName, HostPattern, Limit, LimitName,
    LimitScope, Listener, ListenerName, Match, Model, PathMatch, Protocol, Publish, Route, Rule, Secret, Target, Timeouts, Tls, TlsVersion,
    Weighted,
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| arguments.iter().position(|it| it == name).and_then(|at| arguments.get(at + 1));
    let [listen, backend, ..] = arguments.as_slice() else {
        return Err("usage: standalone LISTEN BACKEND [--workers N] [--limit N] [--log FILE] [--certificate FILE --key FILE]".into());
    };
    let listen: SocketAddr = listen.parse()?;
    let limit = option("--limit").map(|it| it.parse()).transpose()?;
    let workers = option("--workers").map_or(Ok(1), |it| it.parse())?;
    let log = option("--log").map_or("/dev/null", String::as_str);
    let file = |name| option(name).map(std::fs::read_to_string).transpose();
    let protocol = match (file("--certificate")?, file("--key")?) {
        (Some(chain), Some(key)) => Protocol::Https(Arc::new(tls(&chain, &key))),
        _ => Protocol::Http,
    };
    let sink = File(Mutex::new(std::fs::File::create(log)?));

    let plane = DataPlane::start(Settings { workers, ..Settings::default() })?;
    let plan = BindPlan { addresses: vec![listen.ip()], ports: [(listen.port(), listen.port())].into(), pod_ip: None };
    let (_plan, plan) = watch::channel(plan);
    let gateway = GatewayName::new("default", "standalone");
    let _attachment = plane.attach(gateway.clone(), plan, Arc::new(sink));
    let (publish, mut answers) = plane.connect();
    let delta = Model::default().diff(&model(&gateway, listen.port(), protocol, backend.parse()?, limit, option("--log").is_some()));
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
        alpn: vec!["http/1.1".into()],
        client_validation: None,
        // As with a policy that says nothing of sessions.
        tickets: false,
        sessions: false,
    }
}

fn model(gateway: &GatewayName, port: u16, protocol: Protocol, backend: SocketAddr, limit: Option<u64>, access_log: bool) -> Model {
    let mut model = Model::default();
    let listener = ListenerName::new(gateway.clone(), "http");
    let name = BackendName("backend".into());
    let rule = Rule {
        name: "httproute/default/all/rule/0".into(),
        matches: vec![Match { path: PathMatch::Prefix("/".into()), method: None, headers: vec![], query: vec![] }],
        filters: vec![],
        action: Action::Forward(vec![Weighted { weight: 1, target: Target::Backend(name.clone()), filters: vec![] }]),
        timeouts: Timeouts::default(),
    };
    let attachments = vec![Attachment { listener: listener.clone(), hostnames: vec![HostPattern::Any] }];
    let route = Route { name: GatewayName::new("default", "all"), created: 0, attachments, rules: vec![rule] };
    model.gateways.insert(gateway.clone(), Arc::new(Gateway { name: gateway.clone(), access_log }));
    model.listeners.insert(
        listener.clone(),
        Arc::new(Listener {
            name: listener.clone(),
            port,
            container_port: port,
            protocol,
            hostname: HostPattern::Any,
            client: Arc::default(),
        }),
    );
    model.backends.insert(name.clone(), Arc::new(Backend { name, endpoints: Endpoints::Addresses(vec![backend]) }));
    model.routes.insert(route.name.clone(), Arc::new(route));
    if let Some(value) = limit {
        let name = LimitName { policy: GatewayName::new("default", "limit"), target: "default/standalone".into() };
        let limit =
            Limit { name: name.clone(), gateway: gateway.clone(), scope: LimitScope::Gateway, value, cells: vec![listener], route: None };
        model.limits.insert(name, Arc::new(limit));
    }
    model
}
