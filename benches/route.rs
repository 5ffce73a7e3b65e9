//! What it costs to find a request's rule, with one route and with ten thousand. Run by `cargo xtask bench`.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measures")]

mod measure;

use std::borrow::Cow;
use std::sync::Arc;

use weir_model::{
    Action, Attachment, GatewayName, HeaderMatch, HeaderName, HostPattern, Listener, ListenerName, Match, ObjectName, PathMatch, Protocol,
    Route, Rule, Timeouts, ValueMatch,
};
use weir_route::{Found, RequestView, Table, path};

struct Request {
    host: &'static str,
    path: &'static str,
}

impl RequestView for Request {
    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.path
    }

    fn method(&self) -> &str {
        "GET"
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        (name == "version").then_some(Cow::Borrowed(b"two"))
    }

    fn query(&self) -> Option<&str> {
        None
    }
}

fn listener() -> Listener {
    let name = ListenerName::new(GatewayName::new("default", "eg"), "http");
    Listener { name, port: 80, container_port: 10080, protocol: Protocol::Http, hostname: HostPattern::Any, client: Arc::default() }
}

fn route(number: usize, host: &str, path: &str, version: Option<&str>) -> Arc<Route> {
    let header = |value: &str| HeaderMatch { name: HeaderName::new("version").expect("a name"), value: ValueMatch::Exact(value.into()) };
    let it =
        Match { path: PathMatch::Prefix(path.into()), method: None, headers: version.map(header).into_iter().collect(), query: Vec::new() };
    let rule = Rule {
        name: "rule".into(),
        matches: vec![it],
        filters: Vec::new(),
        action: Action::Forward(Vec::new()),
        timeouts: Timeouts::default(),
    };
    let hostnames = vec![HostPattern::parse(host).expect("a host")];
    let attachments = vec![Attachment { listener: listener().name, hostnames }];
    Arc::new(Route { name: ObjectName::new("default", format!("r{number}")), created: 0, attachments, rules: vec![rule] })
}

fn measure(name: &str, routes: &[Arc<Route>], host: &'static str, path: &'static str) {
    let table = Table::compile([&listener()], routes);
    let request = Request { host, path };
    assert!(matches!(table.find(&request), Found::Rule(_)), "{name}: there is a route");
    measure::operation(&format!("route/find/{name}"), || matches!(table.find(&request), Found::Rule(_)));
}

fn main() {
    measure("one-route", &[route(0, "*", "/", None)], "app.example.com", "/");
    measure("one-host", &[route(0, "app.example.com", "/", None)], "app.example.com", "/orders/42");
    let headers: Vec<_> = ["one", "two", "three"].iter().enumerate().map(|(i, version)| route(i, "*", "/", Some(version))).collect();
    measure("three-headers", &headers, "app.example.com", "/");
    let hosts: Vec<_> = (0..10_000).map(|i| route(i, &format!("h{i}.example.com"), "/", None)).collect();
    measure("10000-hosts", &hosts, "h4711.example.com", "/orders/42");
    let wildcards: Vec<_> = (0..10_000).map(|i| route(i, &format!("*.h{i}.example.com"), "/", None)).collect();
    measure("10000-wildcards", &wildcards, "www.h4711.example.com", "/orders/42");
    let paths: Vec<_> = (0..10_000).map(|i| route(i, "*", &format!("/api/v{i}"), None)).collect();
    measure("10000-paths", &paths, "app.example.com", "/api/v4711/orders/42");
    let options = path::Options::default();
    measure::operation("route/normalise/normal", || path::normalise(b"/api/v1/orders/42", &options).is_ok());
    measure::operation("route/normalise/escaped", || path::normalise(b"/api/%7Ev1/../orders/42", &options).is_ok());
}
