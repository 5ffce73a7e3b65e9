//! What the Gateway API conformance suite (1.6) asks and expects.

use super::fixture::{expect, listener, route, table};
use crate::Table;

#[test]
fn http_route_matching() {
    let table = table(&[route("m", 0, "http", &["*"], &[&["/", "h:version=one"], &["/v2", "h:version=two"]])]);
    expect(
        &table,
        &[
            ("GET /", &[], "m/0"),
            ("GET /example", &[], "m/0"),
            ("GET /", &[("version", "one")], "m/0"),
            ("GET /v2", &[], "m/1"),
            ("GET /v2/example", &[], "m/1"),
            ("GET /", &[("version", "two")], "m/1"),
            ("GET /v2/", &[], "m/1"),
            ("GET /v2example", &[], "m/0"),
            ("GET /foo/v2/example", &[], "m/0"),
        ],
    );
}

#[test]
fn http_route_path_match_order() {
    let rules: [&[&str]; 6] =
        [&["=/match"], &["=/match/exact"], &["=/match/exact/one"], &["/match/"], &["/match/prefix/"], &["/match/prefix/one"]];
    expect(
        &table(&[route("m", 0, "http", &["*"], &rules)]),
        &[
            ("GET /match/exact/one", &[], "m/2"),
            ("GET /match/exact", &[], "m/1"),
            ("GET /match", &[], "m/0"),
            ("GET /match/prefix/one/any", &[], "m/5"),
            ("GET /match/prefix/any", &[], "m/4"),
            ("GET /match/any", &[], "m/3"),
        ],
    );
}

#[test]
fn http_route_exact_path_matching() {
    let table = table(&[route("m", 0, "http", &["*"], &[&["=/one"], &["=/two"]])]);
    expect(
        &table,
        &[
            ("GET /one", &[], "m/0"),
            ("GET /two", &[], "m/1"),
            ("GET /", &[], "404"),
            ("GET /one/example", &[], "404"),
            ("GET /one/", &[], "404"),
            ("GET /two/", &[], "404"),
            ("GET /Two", &[], "404"),
        ],
    );
}

#[test]
fn http_route_method_matching() {
    let rules: [&[&str]; 9] = [
        &["POST"],
        &["GET"],
        &["/path1 GET"],
        &["h:version=one PUT"],
        &["/path2 h:version=two POST"],
        &["/path3 PATCH", "/path4 h:version=three DELETE"],
        &["/path5"],
        &["PATCH"],
        &["h:version=four"],
    ];
    expect(
        &table(&[route("m", 0, "http", &["*"], &rules)]),
        &[
            ("POST /", &[], "m/0"),
            ("GET /", &[], "m/1"),
            ("HEAD /", &[], "404"),
            ("GET /path1", &[], "m/2"),
            ("PUT /", &[("version", "one")], "m/3"),
            ("POST /path2", &[("version", "two")], "m/4"),
            ("PATCH /path3", &[], "m/5"),
            ("DELETE /path4", &[("version", "three")], "m/5"),
            ("PUT /", &[], "404"),
            ("DELETE /path4", &[], "404"),
            ("PATCH /path5", &[], "m/6"),
            ("PATCH /", &[("version", "four")], "m/7"),
        ],
    );
}

#[test]
fn http_route_header_matching() {
    let rules: [&[&str]; 5] = [
        &["h:version=one"],
        &["h:version=two"],
        &["h:version=two h:color=orange"],
        &["h:color=blue", "h:color=green"],
        &["h:color=red", "h:color=yellow"],
    ];
    expect(
        &table(&[route("m", 0, "http", &["*"], &rules)]),
        &[
            ("GET /", &[("version", "one")], "m/0"),
            ("GET /", &[("version", "two")], "m/1"),
            ("GET /", &[("version", "two"), ("color", "orange")], "m/2"),
            ("GET /", &[("version", "two"), ("color", "blue")], "m/1"),
            ("GET /", &[("color", "orange")], "404"),
            ("GET /", &[("some-other-header", "one")], "404"),
            ("GET /", &[("color", "blue")], "m/3"),
            ("GET /", &[("color", "green")], "m/3"),
            ("GET /", &[("color", "red")], "m/4"),
            ("GET /", &[("color", "yellow")], "m/4"),
            ("GET /", &[("color", "purple")], "404"),
        ],
    );
}

#[test]
fn http_route_query_param_matching() {
    let rules: [&[&str]; 10] = [
        &["q:animal=whale"],
        &["q:animal=dolphin"],
        &["q:animal=dolphin q:color=blue", "q:ANIMAL=Whale"],
        &["/path1 q:animal=whale"],
        &["h:version=one q:animal=whale"],
        &["/path2 h:version=two q:animal=whale"],
        &["/path3 q:animal=shark", "/path4 h:version=three q:animal=kraken"],
        &["/path5"],
        &["q:animal=hydra"],
        &["h:version=four"],
    ];
    expect(
        &table(&[route("m", 0, "http", &["*"], &rules)]),
        &[
            ("GET /?animal=whale", &[], "m/0"),
            ("GET /?animal=dolphin", &[], "m/1"),
            ("GET /?animal=dolphin&color=blue", &[], "m/2"),
            ("GET /?ANIMAL=Whale", &[], "m/2"),
            ("GET /?animal=whale&otherparam=irrelevant", &[], "m/0"),
            ("GET /?animal=dolphin&color=yellow", &[], "m/1"),
            ("GET /?color=blue", &[], "404"),
            ("GET /?animal=dog", &[], "404"),
            ("GET /?animal=whaledolphin", &[], "404"),
            ("GET /", &[], "404"),
            ("GET /path1?animal=whale", &[], "m/3"),
            ("GET /?animal=whale", &[("version", "one")], "m/4"),
            ("GET /path2?animal=whale", &[("version", "two")], "m/5"),
            ("GET /path3?animal=shark", &[], "m/6"),
            ("GET /path4?animal=kraken", &[("version", "three")], "m/6"),
            ("GET /?animal=shark", &[], "404"),
            ("GET /path4?animal=kraken", &[], "404"),
            ("GET /path5?animal=hydra", &[], "m/7"),
            ("GET /?animal=hydra", &[("version", "four")], "m/9"),
        ],
    );
}

#[test]
fn http_route_matching_across_routes() {
    let one = route("one", 0, "http", &["example.com", "example.net"], &[&["/", "h:version=one"]]);
    let two = route("two", 1, "http", &["example.com"], &[&["/v2", "h:version=two"]]);
    expect(
        &table(&[two, one]),
        &[
            ("GET example.com/", &[], "one/0"),
            ("GET example.com/example", &[], "one/0"),
            ("GET example.net/example", &[], "one/0"),
            ("GET example.com/example", &[("version", "one")], "one/0"),
            ("GET example.com/v2", &[], "two/0"),
            ("GET example.net/v2", &[], "one/0"),
            ("GET example.com/v2/example", &[], "two/0"),
            ("GET example.com/", &[("version", "two")], "two/0"),
            ("GET example.org/", &[], "404"),
        ],
    );
}

#[test]
fn gateway_http_listener_isolation() {
    let listeners = [("any", ""), ("wide", "*.example.com"), ("narrow", "*.foo.example.com"), ("exact", "abc.foo.example.com")];
    let routes = listeners.map(|(name, hostname)| route(name, 0, name, &[hostname], &[&[&format!("/{name}")]]));
    let listeners = listeners.map(|(name, hostname)| listener(name, hostname));
    let table = Table::compile(&listeners, &routes);
    let hosts = [("bar.com", "any"), ("bar.example.com", "wide"), ("bar.foo.example.com", "narrow"), ("abc.foo.example.com", "exact")];
    for (host, answers) in hosts {
        for (name, _) in hosts.map(|(_, name)| (name, ())) {
            let expected = if name == answers { format!("{name}/0") } else { "404".to_owned() };
            expect(&table, &[(&format!("GET {host}/{name}"), &[], &expected)]);
        }
    }
}

#[test]
fn http_route_hostname_intersection() {
    let listeners = [listener("l1", "very.specific.com"), listener("l2", "*.wildcard.io"), listener("l3", "*.anotherwildcard.io")];
    let routes = [
        route("s1", 0, "l1", &["very.specific.com"], &[&["/s1"]]),
        route("s2", 0, "l2", &["foo.wildcard.io", "bar.wildcard.io", "foo.bar.wildcard.io"], &[&["/s2"]]),
        route("s3", 0, "l1", &["very.specific.com"], &[&["/s3"]]),
        route("s4", 0, "l3", &["*.anotherwildcard.io"], &[&["/s4"]]),
    ];
    expect(
        &Table::compile(&listeners, &routes),
        &[
            ("GET very.specific.com/s1", &[], "s1/0"),
            ("GET very.specific.com/s3", &[], "s3/0"),
            ("GET non.matching.com/s1", &[], "404"),
            ("GET foo.nonmatchingwildcard.io/s1", &[], "404"),
            ("GET foo.wildcard.io/s2", &[], "s2/0"),
            ("GET foo.bar.wildcard.io/s2", &[], "s2/0"),
            ("GET baz.wildcard.io/s2", &[], "404"),
            ("GET wildcard.io/s2", &[], "404"),
            ("GET one.anotherwildcard.io/s4", &[], "s4/0"),
            ("GET one.two.anotherwildcard.io/s4", &[], "s4/0"),
            ("GET anotherwildcard.io/s4", &[], "404"),
            ("GET very.specific.com/non-matching-prefix", &[], "404"),
        ],
    );
}
