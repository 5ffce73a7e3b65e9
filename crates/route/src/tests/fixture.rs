//! Routes and requests written short.
//!
//! A match is a text of parts: `/a` a prefix, `=/a` an exact path, `~/a.*` an expression, `GET` a method, `h:name=value` and `h~name=value` a
//! header, `q:name=value` and `q~name=value` a query parameter.

use std::borrow::Cow;
use std::sync::Arc;

use weir_model::{
    Action, Attachment, GatewayName, HeaderMatch, HeaderName, HostPattern, Listener, ListenerName, Match, ObjectName, PathMatch, Pattern,
    Protocol, QueryMatch, Route, Rule, Timeouts, ValueMatch,
};

use crate::{Found, RequestView, Table};

/// A request written short: `GET example.com/path?query`, and headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a [(&'a str, &'a str)],
}

impl RequestView for Request<'_> {
    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.path
    }

    fn method(&self) -> &str {
        self.method
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| Cow::Borrowed(value.as_bytes()))
    }

    fn query(&self) -> Option<&str> {
        self.query
    }
}

/// Reads `GET example.com/path?query`; the host may be empty.
pub(crate) fn request<'a>(text: &'a str, headers: &'a [(&'a str, &'a str)]) -> Request<'a> {
    let (method, target) = text.split_once(' ').expect("a method and a target");
    let (rest, query) = target.split_once('?').map_or((target, None), |(rest, query)| (rest, Some(query)));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Request { method, host, path, query, headers }
}

fn values(text: &str) -> (&str, ValueMatch) {
    let (name, value) = text.get(2..).and_then(|rest| rest.split_once('=')).expect("name=value");
    let is_regex = text.as_bytes().get(1) == Some(&b'~');
    let value = if is_regex { ValueMatch::Regex(Pattern::new(value).expect("an expression")) } else { ValueMatch::Exact(value.into()) };
    (name, value)
}

pub(crate) fn matching(text: &str) -> Match {
    let mut it = Match { path: PathMatch::Prefix("/".into()), method: None, headers: Vec::new(), query: Vec::new() };
    for part in text.split_whitespace() {
        match part.as_bytes() {
            [b'/', ..] => it.path = PathMatch::Prefix(part.into()),
            [b'=', rest @ ..] => it.path = PathMatch::Exact(str::from_utf8(rest).expect("text").into()),
            [b'~', rest @ ..] => it.path = PathMatch::Regex(Pattern::new(str::from_utf8(rest).expect("text")).expect("an expression")),
            [b'h', b':' | b'~', ..] => {
                let (name, value) = values(part);
                it.headers.push(HeaderMatch { name: HeaderName::new(name).expect("a header name"), value });
            }
            [b'q', b':' | b'~', ..] => {
                let (name, value) = values(part);
                it.query.push(QueryMatch { name: name.into(), value });
            }
            _ => it.method = Some(part.into()),
        }
    }
    it
}

fn host(text: &str) -> HostPattern {
    HostPattern::parse(text).expect("a host")
}

fn listener_name(name: &str) -> ListenerName {
    ListenerName::new(GatewayName::new("infra", "gw"), name)
}

pub(crate) fn listener(name: &str, hostname: &str) -> Listener {
    Listener {
        name: listener_name(name),
        port: 80,
        container_port: 10080,
        protocol: Protocol::Http,
        hostname: host(hostname),
        client: Arc::default(),
    }
}

/// A route on one listener. Each rule is a list of matches.
pub(crate) fn route(name: &str, created: i64, on: &str, hostnames: &[&str], rules: &[&[&str]]) -> Arc<Route> {
    let rule = |(index, matches): (usize, &&[&str])| Rule {
        name: format!("httproute/infra/{name}/rule/{index}").into(),
        matches: matches.iter().map(|text| matching(text)).collect(),
        filters: Vec::new(),
        action: Action::Forward(Vec::new()),
        timeouts: Timeouts::default(),
    };
    Arc::new(Route {
        name: ObjectName::new("infra", name),
        created,
        attachments: vec![Attachment { listener: listener_name(on), hostnames: hostnames.iter().map(|text| host(text)).collect() }],
        rules: rules.iter().enumerate().map(rule).collect(),
    })
}

/// A table of one listener for every host.
pub(crate) fn table(routes: &[Arc<Route>]) -> Table {
    Table::compile([&listener("http", "")], routes)
}

/// What was found: `route/rule`, or `404`.
pub(crate) fn answer(table: &Table, request: &Request<'_>) -> String {
    match table.find(request) {
        Found::Rule(it) => {
            let (_, route, rule) = table.rules().find(|(id, ..)| *id == it.id).expect("the id names a rule");
            assert_eq!(table.ids(&route.name).get(it.rule_index), Some(&it.id));
            assert!(Arc::ptr_eq(route, it.route) && rule == it.rule && route.rules[it.rule_index] == *rule);
            format!("{}/{}", it.route.name.name, it.rule_index)
        }
        Found::NoRoute { .. } => "404".to_owned(),
    }
}

/// A request, its headers, and the answer.
pub(crate) type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// Asks for each request and compares.
pub(crate) fn expect(table: &Table, cases: &[Case<'_>]) {
    for (text, headers, expected) in cases {
        assert_eq!(answer(table, &request(text, headers)), *expected, "{text} {headers:?}");
    }
}
