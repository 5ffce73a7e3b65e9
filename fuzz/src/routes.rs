//! Route matching. Promised: the compiled table answers as trying every match in turn does, with the precedence that `weir_route` documents.

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use weir_model::{
    Action, Attachment, GatewayName, HeaderMatch, HeaderName, HostPattern, Listener, ListenerName, Match, ObjectName, PathMatch, Pattern,
    Protocol, QueryMatch, Route, Rule, Timeouts, ValueMatch,
};
use weir_route::{Found, RequestView, Table};

use crate::choices::Choices;

const PATTERNS: [&str; 8] = ["*", "a.com", "*.com", "*.a.com", "x.a.com", "*.x.a.com", "b.org", "y.x.a.com"];
const HOSTS: [&str; 9] = ["a.com", "", "com", "x.a.com", "y.x.a.com", "z.y.x.a.com", "b.org", "c.b.org", "xa.com"];
const PATHS: [&str; 9] = ["/", "/a", "/a/b", "/a/b/c", "/a/", "/ab", "/b", "/a%20b", "/a/b/"];
const TARGETS: [&str; 10] = ["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c/d", "/ab", "/abc", "/b/a", "/a%20b/c"];
const EXPRESSIONS: [&str; 6] = ["/a.*", "/[ab]", "/a/b|/b.*", "/", ".*c.*", "(?i)/A"];
const METHODS: [&str; 3] = ["GET", "PUT", "get"];
const VALUES: [&str; 4] = ["1", "2", "", "1,2"];

pub(crate) fn routes(data: &[u8]) {
    let mut choices = Choices(data);
    let hostnames = ["*", "*.com", "*.a.com", "x.a.com"];
    let listeners: Vec<Listener> =
        (0..=choices.below(hostnames.len())).map(|at| listener(at, hostnames[at.min(hostnames.len() - 1)])).collect();
    let listeners = &listeners[..listeners.len().min(hostnames.len())];
    let routes: Vec<Arc<Route>> = (0..choices.below(8)).filter_map(|number| route(&mut choices, number, listeners)).collect();
    let table = Table::compile(listeners, &routes);
    for _ in 0..8 {
        let request = Request {
            host: choices.of(&HOSTS),
            path: choices.of(&TARGETS),
            method: choices.of(&METHODS),
            header: [None, Some(choices.of(&VALUES))][choices.below(2)],
            query: [None, Some(choices.of(&["a=1", "a=2&a=1", "b=1", "a", "", "a=1&b=2"]))][choices.below(2)],
        };
        let found = match table.find(&request) {
            Found::Rule(it) => {
                if let Some(length) = it.prefix_len {
                    assert!(request.path[length..].is_empty() || request.path[length..].starts_with('/'), "{length} of {}", request.path);
                }
                Some((it.route.name.name.to_string(), it.rule_index))
            }
            Found::NoRoute { .. } => None,
        };
        assert_eq!(found, expected(listeners, &routes, &request), "{request:?} among {routes:#?}");
    }
}

#[derive(Debug)]
struct Request<'a> {
    host: &'a str,
    path: &'a str,
    method: &'a str,
    /// The value of `x`.
    header: Option<&'a str>,
    query: Option<&'a str>,
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
        self.header.filter(|_| name == "x").map(|value| Cow::Borrowed(value.as_bytes()))
    }

    fn query(&self) -> Option<&str> {
        self.query
    }
}

fn listener(at: usize, hostname: &str) -> Listener {
    let name = ListenerName::new(GatewayName::new("ns", "gw"), format!("l{at}"));
    let hostname = HostPattern::parse(hostname).expect("a host");
    Listener { name, port: 80, container_port: 10080, protocol: Protocol::Http, hostname, client: Arc::default() }
}

fn route(choices: &mut Choices<'_>, number: usize, listeners: &[Listener]) -> Option<Arc<Route>> {
    let on = &listeners[choices.below(listeners.len())];
    let wanted = (0..=choices.below(2)).map(|_| HostPattern::parse(choices.of(&PATTERNS)).expect("a host"));
    let mut hostnames: Vec<_> = wanted.filter_map(|wanted| on.hostname.intersect(&wanted)).collect();
    hostnames.dedup();
    if hostnames.is_empty() {
        return None;
    }
    let rules = (0..=choices.below(3)).map(|index| Rule {
        name: format!("{number}/{index}").into(),
        matches: (0..=choices.below(2)).map(|_| one_match(choices)).collect(),
        filters: Vec::new(),
        action: Action::Forward(Vec::new()),
        timeouts: Timeouts::default(),
    });
    let rules = rules.collect();
    let attachments = vec![Attachment { listener: on.name.clone(), hostnames }];
    Some(Arc::new(Route { name: ObjectName::new("ns", format!("r{number}")), created: choices.below(2) as i64, attachments, rules }))
}

fn one_match(choices: &mut Choices<'_>) -> Match {
    let value = |choices: &mut Choices<'_>| match choices.below(8) {
        0 => ValueMatch::Regex(Pattern::new("[12]").expect("an expression")),
        _ => ValueMatch::Exact(choices.of(&VALUES).into()),
    };
    // Expressions are costly to compile; few of them leave time for more inputs.
    let path = match choices.below(12) {
        0..4 => PathMatch::Exact(choices.of(&PATHS).into()),
        4 => PathMatch::Regex(Pattern::new(choices.of(&EXPRESSIONS)).expect("an expression")),
        _ => {
            let path = choices.of(&PATHS);
            PathMatch::Prefix(if path == "/" { path } else { path.trim_end_matches('/') }.into())
        }
    };
    let method = (choices.below(3) == 1).then(|| choices.of(&METHODS).into());
    let headers = (choices.below(3) == 1).then(|| HeaderMatch { name: HeaderName::new("x").expect("a name"), value: value(choices) });
    let query = (choices.below(3) == 1).then(|| QueryMatch { name: "a".into(), value: value(choices) });
    Match { path, method, headers: headers.into_iter().collect(), query: query.into_iter().collect() }
}

fn expected(listeners: &[Listener], routes: &[Arc<Route>], request: &Request<'_>) -> Option<(String, usize)> {
    let specificity = |pattern: &HostPattern| match pattern {
        HostPattern::Any => (0, 0),
        HostPattern::Suffix(domain) => (1, domain.len()),
        HostPattern::Exact(_) => (2, 0),
    };
    let listener = listeners.iter().filter(|it| it.hostname.matches(request.host)).max_by_key(|it| specificity(&it.hostname))?;
    let hosts = |route: &Arc<Route>| {
        let attached = route.attachments.iter().filter(|it| it.listener == listener.name);
        attached.flat_map(|it| it.hostnames.clone()).filter(|it| it.matches(request.host)).collect::<Vec<_>>()
    };
    let host = routes.iter().flat_map(hosts).max_by_key(specificity)?;
    let mut candidates = Vec::new();
    for route in routes.iter().filter(|route| hosts(route).contains(&host)) {
        for (index, rule) in route.rules.iter().enumerate() {
            for (position, it) in rule.matches.iter().enumerate().filter(|(_, it)| holds(it, request)) {
                let path = match &it.path {
                    PathMatch::Exact(_) => (0, Reverse(0)),
                    PathMatch::Regex(pattern) => (1, Reverse(pattern.as_str().len())),
                    PathMatch::Prefix(path) => (2, Reverse(path.trim_end_matches('/').len())),
                };
                let exact = |value: &ValueMatch| matches!(value, ValueMatch::Exact(_));
                let headers = Reverse((it.headers.len(), it.headers.iter().filter(|it| exact(&it.value)).count()));
                let query = Reverse((it.query.len(), it.query.iter().filter(|it| exact(&it.value)).count()));
                let age = (route.created, route.name.name.to_string(), index, position);
                candidates.push((path, Reverse(it.method.is_some()), headers, query, age));
            }
        }
    }
    let (.., (_, name, index, _)) = candidates.into_iter().min()?;
    Some((name, index))
}

fn holds(it: &Match, request: &Request<'_>) -> bool {
    let value = |expected: &ValueMatch, text: &str| match expected {
        ValueMatch::Exact(exact) => **exact == *text,
        ValueMatch::Regex(pattern) => is_match(pattern, text),
    };
    let path = match &it.path {
        PathMatch::Exact(path) => **path == *request.path,
        PathMatch::Regex(pattern) => is_match(pattern, request.path),
        PathMatch::Prefix(path) => {
            request.path.strip_prefix(path.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    };
    let parameter = || {
        let pairs = request.query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(name, _)| *name == "a").map(|(_, value)| value).next()
    };
    path && it.method.as_deref().is_none_or(|method| method == request.method)
        && it.headers.iter().all(|it| request.header.is_some_and(|text| value(&it.value, text)))
        && it.query.iter().all(|it| parameter().is_some_and(|text| value(&it.value, text)))
}

fn is_match(pattern: &Pattern, text: &str) -> bool {
    thread_local!(static COMPILED: RefCell<HashMap<String, regex::bytes::Regex>> = RefCell::default());
    let compile = || pattern.compile().expect("it compiled before");
    COMPILED.with_borrow_mut(|compiled| compiled.entry(pattern.as_str().to_owned()).or_insert_with(compile).is_match(text.as_bytes()))
}
