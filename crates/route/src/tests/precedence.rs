//! What the conformance suite leaves open.

use std::sync::Arc;

use super::fixture::{answer, expect, listener, request, route, table};
use crate::{Found, Table};

#[test]
fn expressions_stand_between_exact_paths_and_prefixes_and_the_longer_goes_first() {
    let rules: [&[&str]; 5] = [&["/a/b/c/d"], &["~/a/.*"], &["~/a/b/.*"], &["=/a/b/c/d"], &["~/[0-9]+"]];
    expect(
        &table(&[route("m", 0, "http", &["*"], &rules)]),
        &[
            ("GET /a/b/c/d", &[], "m/3"),
            ("GET /a/b/c/d/e", &[], "m/2"),
            ("GET /a/x", &[], "m/1"),
            ("GET /42", &[], "m/4"),
            ("GET /42x", &[], "404"),
            ("GET /x/42", &[], "404"),
        ],
    );
}

#[test]
fn among_equal_paths_method_then_headers_then_query_decide() {
    let rules: [&[&str]; 6] = [&["/"], &["q:a=1 q:b=2 q:c=3"], &["h~x=.*"], &["h:x=1"], &["h:x=1 h:y=2"], &["GET"]];
    let headers = [("x", "1"), ("y", "2")];
    let table = table(&[route("m", 0, "http", &["*"], &rules)]);
    expect(
        &table,
        &[
            ("GET /?a=1&b=2&c=3", &headers, "m/5"),
            ("PUT /?a=1&b=2&c=3", &headers, "m/4"),
            ("PUT /?a=1&b=2&c=3", &[("x", "1")], "m/3"),
            ("PUT /?a=1&b=2&c=3", &[("x", "2")], "m/2"),
            ("PUT /?a=1&b=2&c=3", &[], "m/1"),
            ("PUT /?a=1&b=2", &[], "m/0"),
        ],
    );
}

#[test]
fn of_equal_matches_the_oldest_route_wins_then_the_first_name_then_the_first_rule() {
    let young = route("a", 20, "http", &["*"], &[&["/"]]);
    let old = route("c", 10, "http", &["*"], &[&["/"], &["/"]]);
    let as_old = route("b", 10, "http", &["*"], &[&["/"]]);
    let mut routes: Vec<Arc<_>> = vec![young, old.clone(), as_old];
    for _ in 0..3 {
        routes.rotate_left(1);
        assert_eq!(answer(&table(&routes), &request("GET /", &[])), "b/0");
    }
    assert_eq!(answer(&table(&[old]), &request("GET /", &[])), "c/0");
}

#[test]
fn a_more_specific_path_wins_over_an_older_route_and_a_method() {
    let old = route("old", 0, "http", &["*"], &[&["/a GET h:x=1"]]);
    let new = route("new", 9, "http", &["*"], &[&["/a/b"]]);
    expect(&table(&[old, new]), &[("GET /a/b", &[("x", "1")], "new/0"), ("GET /a/c", &[("x", "1")], "old/0")]);
}

#[test]
fn the_most_specific_hostname_answers_alone() {
    let wide = route("wide", 0, "http", &["*"], &[&["/"]]);
    let below = route("below", 0, "http", &["*.example.com"], &[&["/"]]);
    let longer = route("longer", 0, "http", &["*.a.example.com"], &[&["/"]]);
    let exact = route("exact", 0, "http", &["x.a.example.com"], &[&["/only"]]);
    expect(
        &table(&[wide, below, longer, exact]),
        &[
            ("GET x.a.example.com/only", &[], "exact/0"),
            ("GET x.a.example.com/", &[], "404"),
            ("GET y.a.example.com/", &[], "longer/0"),
            ("GET y.x.a.example.com/", &[], "longer/0"),
            ("GET a.example.com/", &[], "below/0"),
            ("GET example.com/", &[], "wide/0"),
            ("GET .example.com/", &[], "wide/0"),
            ("GET /", &[], "wide/0"),
        ],
    );
}

#[test]
fn a_prefix_hit_says_what_it_covers() {
    let table = table(&[route("m", 0, "http", &["*"], &[&["/"], &["/a/b"], &["=/a/c"], &["/with/"]])]);
    for (path, covered) in
        [("/", Some("")), ("/x/y", Some("")), ("/a/b", Some("/a/b")), ("/a/b/c", Some("/a/b")), ("/a/c", None), ("/with/x", Some("/with"))]
    {
        let text = format!("GET {path}");
        let request = request(&text, &[]);
        let Found::Rule(it) = table.find(&request) else { panic!("{path} is found") };
        assert_eq!(it.prefix_len.map(|len| &path[..len]), covered, "{path}");
    }
}

#[test]
fn a_request_without_a_route_still_has_its_listener() {
    let listeners = [listener("exact", "a.com")];
    let table = Table::compile(&listeners, &[]);
    let Found::NoRoute { listener } = table.find(&request("GET a.com/", &[])) else { panic!("no routes at all") };
    assert_eq!(listener, Some(&listeners[0].name));
    assert!(matches!(table.find(&request("GET b.com/", &[])), Found::NoRoute { listener: None }));
}

#[test]
fn what_is_not_a_path_meets_nothing() {
    let table = table(&[route("m", 0, "http", &["*"], &[&["/"]])]);
    let options = crate::tests::fixture::Request { method: "OPTIONS", host: "a.com", path: "*", query: None, headers: &[] };
    assert_eq!(answer(&table, &options), "404");
}

#[test]
fn routes_of_other_listeners_are_left_out() {
    let here = route("here", 0, "http", &["*"], &[&["/"]]);
    let elsewhere = route("elsewhere", 0, "https", &["*"], &[&["/"], &["/x"]]);
    let table = table(&[elsewhere, here]);
    assert_eq!(table.rules().count(), 1);
    expect(&table, &[("GET /x", &[], "here/0")]);
}

#[test]
fn query_parameters_are_decoded_and_the_first_of_a_name_counts() {
    let rules: [&[&str]; 4] = [&["q:na=wal"], &["q~re=a.c"], &["q:sp=%25"], &["q:empty="]];
    let table = table(&[route("m", 0, "http", &["*"], &rules)]);
    expect(
        &table,
        &[
            ("GET /?n%61=w%61l", &[], "m/0"),
            ("GET /?na=other&na=wal", &[], "404"),
            ("GET /?x&&na=wal&na=other", &[], "m/0"),
            ("GET /?re=a+c", &[], "m/1"),
            ("GET /?re=a%62c", &[], "m/1"),
            ("GET /?re=ac", &[], "404"),
            ("GET /?sp=%2525", &[], "m/2"),
            ("GET /?sp=%25", &[], "404"),
            ("GET /?empty", &[], "m/3"),
            ("GET /?empty=", &[], "m/3"),
            ("GET /?na=%", &[], "404"),
            ("GET /?na=%zz", &[], "404"),
        ],
    );
}

#[test]
fn expressions_match_whole_values() {
    let table = table(&[route("m", 0, "http", &["*"], &[&["h~agent=curl/[0-9.]+"]])]);
    expect(
        &table,
        &[
            ("GET /", &[("agent", "curl/8.5.0")], "m/0"),
            ("GET /", &[("agent", "my curl/8.5.0")], "404"),
            ("GET /", &[("agent", "curl/8.5.0-DEV")], "404"),
        ],
    );
}

#[test]
fn a_routes_own_path_is_normalised_too() {
    let table = table(&[route("m", 0, "http", &["*"], &[&["=/%7euser"], &["/caf%c3%a9"]])]);
    expect(&table, &[("GET /~user", &[], "m/0"), ("GET /caf%C3%A9/x", &[], "m/1")]);
}
