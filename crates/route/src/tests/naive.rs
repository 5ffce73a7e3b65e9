//! The table against the precedence as the crate's documentation says it, tried on every match in turn.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use weir_model::{HostPattern, Listener, Match, ObjectName, PathMatch, Pattern, Route, ValueMatch};

use super::fixture::{Request, answer, listener, route};
use crate::{RequestView, Table};

const HOSTS: [&str; 8] = ["*", "a.com", "b.com", "*.com", "*.a.com", "x.a.com", "*.x.a.com", "y.x.a.com"];
const ASKED: [&str; 8] = ["", "com", "a.com", "b.com", "c.com", "x.a.com", "z.a.com", "y.x.a.com"];
const PATHS: [&str; 12] = ["/", "=/", "/a", "=/a", "=/a/", "/a/b", "=/a/b", "~/a.*", "~/a/b", "~/[ab]/?", "~/.*b", "/b"];
const TARGETS: [&str; 8] = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/c/b"];
const REST: [&str; 8] = ["", "GET", "PUT", "h:x=1", "h:x=1 h:y=2", "h~x=.*", "q:a=1", "q:a=1 q~b=.*"];

/// SplitMix64: a seed gives the same routes everywhere.
struct Seeded(u64);

impl Seeded {
    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn specificity(pattern: &HostPattern) -> (u8, usize) {
    match pattern {
        HostPattern::Any => (0, 0),
        HostPattern::Suffix(domain) => (1, domain.len()),
        HostPattern::Exact(_) => (2, 0),
    }
}

/// Kind and length of the path match: the smaller goes first.
fn path_rank(path: &PathMatch) -> (u8, Reverse<usize>) {
    match path {
        PathMatch::Exact(_) => (0, Reverse(0)),
        PathMatch::Regex(pattern) => (1, Reverse(pattern.as_str().len())),
        PathMatch::Prefix(path) => (2, Reverse(if **path == *"/" { 0 } else { path.len() })),
    }
}

fn is_match(pattern: &Pattern, text: &[u8]) -> bool {
    thread_local!(static COMPILED: RefCell<HashMap<String, regex::bytes::Regex>> = RefCell::default());
    let compile = || pattern.compile().expect("it compiled before");
    COMPILED.with_borrow_mut(|compiled| compiled.entry(pattern.as_str().to_owned()).or_insert_with(compile).is_match(text))
}

fn value_holds(expected: &ValueMatch, value: &[u8]) -> bool {
    match expected {
        ValueMatch::Exact(text) => text.as_bytes() == value,
        ValueMatch::Regex(pattern) => is_match(pattern, value),
    }
}

fn holds(it: &Match, request: &Request<'_>) -> bool {
    let path = match &it.path {
        PathMatch::Exact(path) => **path == *request.path,
        PathMatch::Regex(pattern) => is_match(pattern, request.path.as_bytes()),
        PathMatch::Prefix(path) => {
            let rest = request.path.strip_prefix(path.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    };
    let parameter = |name: &str| request.query?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    path && it.method.as_deref().is_none_or(|method| method == request.method)
        && it.headers.iter().all(|header| request.header(header.name.as_str()).is_some_and(|value| value_holds(&header.value, &value)))
        && it.query.iter().all(|query| parameter(&query.name).is_some_and(|value| value_holds(&query.value, value.as_bytes())))
}

fn counts<'a>(values: impl Iterator<Item = &'a ValueMatch>) -> Reverse<(usize, usize)> {
    let values: Vec<_> = values.collect();
    Reverse((values.len(), values.iter().filter(|value| matches!(value, ValueMatch::Exact(_))).count()))
}

fn expected(listeners: &[Listener], routes: &[Arc<Route>], request: &Request<'_>) -> String {
    let answers = |pattern: &&HostPattern| pattern.matches(request.host);
    let listener = listeners.iter().filter(|it| answers(&&it.hostname)).max_by_key(|it| specificity(&it.hostname));
    let Some(listener) = listener else { return "404".to_owned() };
    let attached = |route: &Arc<Route>| {
        route.attachments.iter().filter(|it| it.listener == listener.name).flat_map(|it| it.hostnames.clone()).collect::<Vec<_>>()
    };
    let hostname = routes.iter().flat_map(attached).filter(|pattern| answers(&pattern)).max_by_key(specificity);
    let Some(hostname) = hostname else { return "404".to_owned() };

    let mut best = None;
    for route in routes.iter().filter(|route| attached(route).contains(&hostname)) {
        for (index, rule) in route.rules.iter().enumerate() {
            for (position, it) in rule.matches.iter().enumerate().filter(|(_, it)| holds(it, request)) {
                let headers = counts(it.headers.iter().map(|header| &header.value));
                let query = counts(it.query.iter().map(|query| &query.value));
                let rank =
                    (path_rank(&it.path), Reverse(it.method.is_some()), headers, query, route.created, route.name.clone(), index, position);
                if best.as_ref().is_none_or(|before| rank < *before) {
                    best = Some(rank);
                }
            }
        }
    }
    best.map_or("404".to_owned(), |(_, _, _, _, _, name, rule, _)| format!("{}/{rule}", name.name))
}

fn random_routes(random: &mut Seeded, listeners: &[Listener]) -> Vec<Arc<Route>> {
    let mut routes = Vec::new();
    for number in 0..random.below(12) {
        let on = &listeners[random.below(listeners.len())];
        let wanted = HostPattern::parse(random.of(&HOSTS)).expect("a host");
        let Some(hostname) = on.hostname.intersect(&wanted) else { continue };
        let texts: Vec<Vec<String>> = (0..1 + random.below(3))
            .map(|_| (0..1 + random.below(2)).map(|_| format!("{} {}", random.of(&PATHS), random.of(&REST))).collect())
            .collect();
        let rules: Vec<Vec<&str>> = texts.iter().map(|rule| rule.iter().map(String::as_str).collect()).collect();
        let rules: Vec<&[&str]> = rules.iter().map(Vec::as_slice).collect();
        let created = random.below(2) as i64;
        routes.push(route(&format!("r{number}"), created, &on.name.listener, &[&hostname.to_string()], &rules));
    }
    routes
}

#[test]
fn the_table_answers_as_the_documentation_says() {
    let mut found = 0;
    for seed in 0..400 {
        let mut random = Seeded(seed);
        let all = [listener("any", ""), listener("wide", "*.a.com"), listener("exact", "x.a.com")];
        let listeners = &all[..1 + random.below(all.len())];
        let routes = random_routes(&mut random, listeners);
        let table = Table::compile(listeners, &routes);
        found += compare(&mut random, listeners, &routes, &table, &format!("seed {seed}"));
    }
    assert!(found > 10_000, "{found} requests found a rule; others prove little");
}

#[test]
fn an_edited_table_answers_like_one_compiled_anew() {
    let mut found = 0;
    for seed in 0..40 {
        let mut random = Seeded(seed);
        let all = [listener("any", ""), listener("wide", "*.a.com"), listener("exact", "x.a.com")];
        let listeners = &all[..1 + random.below(all.len())];
        let mut routes = random_routes(&mut random, listeners);
        let mut table = Table::compile(listeners, &routes);
        for step in 0..6 {
            let next = random_routes(&mut random, listeners);
            let mut changes: BTreeMap<&ObjectName, Option<&Arc<Route>>> = routes.iter().map(|it| (&it.name, None)).collect();
            changes.extend(next.iter().map(|it| (&it.name, Some(it))));
            // Some routes stay as they are; so the routes after this step are a mixture of both.
            changes.retain(|_, _| random.below(3) > 0);
            let before = table.clone();
            table = table.edit(changes.iter().map(|(name, route)| (*name, *route)));
            let mut mixed: Vec<_> = routes.iter().filter(|it| !changes.contains_key(&it.name)).cloned().collect();
            mixed.extend(changes.values().copied().flatten().cloned());
            found += compare(&mut random, listeners, &mixed, &table, &format!("seed {seed}, step {step}"));
            compare(&mut random, listeners, &routes, &before, "the table that was edited is as it was");
            let ids: BTreeSet<u32> = table.rules().map(|(id, ..)| id).collect();
            assert_eq!(ids.len(), mixed.iter().map(|it| it.rules.len()).sum::<usize>(), "no two rules have one number");
            routes = mixed;
        }
    }
    assert!(found > 5_000, "{found} requests found a rule; others prove little");
}

/// Asks `table` and tries every match; how many requests found a rule.
fn compare(random: &mut Seeded, listeners: &[Listener], routes: &[Arc<Route>], table: &Table, what: &str) -> usize {
    let mut found = 0;
    for _ in 0..100 {
        let request = Request {
            method: random.of(&["GET", "PUT"]),
            host: random.of(&ASKED),
            path: random.of(&TARGETS),
            query: [None, Some("a=1"), Some("b=2&a=1")][random.below(3)],
            headers: [&[][..], &[("x", "1")], &[("x", "2")], &[("x", "1"), ("y", "2")]][random.below(4)],
        };
        let expected = expected(listeners, routes, &request);
        assert_eq!(answer(table, &request), expected, "{what}: {request:?} among {routes:#?}");
        found += usize::from(expected != "404");
    }
    found
}
