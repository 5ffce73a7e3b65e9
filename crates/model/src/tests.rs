use std::sync::Arc;

use super::*;

fn host(text: &str) -> HostPattern {
    HostPattern::parse(text).expect("a host pattern")
}

#[test]
fn hosts_are_read_and_matched() {
    assert_eq!(host(""), HostPattern::Any);
    assert_eq!(host("A.Example.com"), HostPattern::Exact("a.example.com".into()));
    assert!(host("*.example.com").matches("a.b.example.com"));
    assert!(!host("*.example.com").matches("example.com"));
    assert!(!host("*.example.com").matches("badexample.com"));
    assert!(!host("*.example.com").matches(".example.com"));
    for bad in ["a..b", "-a.com", "a_b.com", "*.*.com", "*a.com", "a b"] {
        assert_eq!(HostPattern::parse(bad), Err(Invalid::Host(bad.into())));
    }
}

#[test]
fn the_intersection_of_hosts_is_the_narrower_one() {
    for (a, b, both) in [
        ("*", "a.com", Some("a.com")),
        ("*.a.com", "x.a.com", Some("x.a.com")),
        ("*.a.com", "a.com", None),
        ("*.a.com", "*.b.a.com", Some("*.b.a.com")),
        ("*.a.com", "*.a.com", Some("*.a.com")),
        ("*.a.com", "*.ba.com", None),
        ("a.com", "b.com", None),
    ] {
        assert_eq!(host(a).intersect(&host(b)), both.map(host), "{a} and {b}");
        assert_eq!(host(b).intersect(&host(a)), both.map(host), "{b} and {a}");
    }
}

#[test]
fn patterns_match_whole_texts_and_stay_small() {
    let pattern = Pattern::new("/a|/b").expect("usable").compile().expect("compiles");
    assert!(pattern.is_match(b"/b") && !pattern.is_match(b"/bc") && !pattern.is_match(b"x/a"));
    assert!(Pattern::new("a)(b").is_err(), "a parenthesis must not escape the anchoring group");
    assert!(Pattern::new("((a{100}){100}){100}").is_err(), "memory is bounded");
}

fn listener(name: &str, port: u16) -> Arc<Listener> {
    let name = ListenerName::new(GatewayName::new("ns", "eg"), name);
    Arc::new(Listener {
        name,
        port,
        container_port: port + 10000,
        protocol: Protocol::Http,
        hostname: HostPattern::Any,
        client: Arc::default(),
    })
}

#[test]
fn a_delta_turns_one_model_into_the_next_and_survives_the_wire() {
    let gateway = Arc::new(Gateway { name: GatewayName::new("ns", "eg"), access_log: true });
    let mut old = Model::default();
    old.gateways.insert(gateway.name.clone(), gateway.clone());
    for it in [listener("a", 80), listener("b", 81)] {
        old.listeners.insert(it.name.clone(), it);
    }
    let mut new = old.clone();
    new.listeners.remove(&listener("a", 80).name);
    for it in [listener("b", 82), listener("c", 83)] {
        new.listeners.insert(it.name.clone(), it);
    }
    let delta = old.diff(&new);
    assert_eq!(delta.put.len(), 2, "the gateway is unchanged: {delta:?}");
    assert_eq!(delta.remove.len(), 1);
    let wire = serde_json::to_string(&delta).expect("serialises");
    let mut there = old.clone();
    there.apply(serde_json::from_str(&wire).expect("parses"));
    assert_eq!(there, new);
    assert!(new.diff(&there).is_empty());
}

#[test]
fn a_report_survives_the_wire() {
    let mut report = Report { epoch: 1, version: 2, ..Report::default() };
    let state = ListenerState::Failed("port 80 is taken".into());
    report.listeners.insert(listener("a", 80).name.clone(), ListenerReport { state, connections: 3 });
    let wire = serde_json::to_string(&Answer::Report(Arc::new(report.clone()))).expect("serialises");
    assert_eq!(serde_json::from_str::<Answer>(&wire).expect("parses"), Answer::Report(Arc::new(report)));
}

#[test]
fn ranges_of_addresses_are_read_and_hold_what_they_say() {
    let range = |text: &str| IpRange::parse(text).expect("a range");
    let ip = |text: &str| text.parse().expect("an address");
    assert!(range("10.0.0.0/8").contains(ip("10.255.0.1")) && !range("10.0.0.0/8").contains(ip("11.0.0.1")));
    assert!(range("0.0.0.0/0").contains(ip("1.2.3.4")) && !range("0.0.0.0/0").contains(ip("::1")));
    assert!(range("192.0.2.7").contains(ip("::ffff:192.0.2.7")), "mapped addresses are IPv4");
    assert!(range("fd00::/8").contains(ip("fd12::1")) && !range("fd00::/8").contains(ip("fe80::1")));
    for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/+8", "10.0.0.0/", "x"] {
        assert_eq!(IpRange::parse(bad), Err(Invalid::Range(bad.into())));
    }
}

fn secure_listener() -> Listener {
    let tls = Tls {
        certificates: vec![Certificate { name: "ns/cert".into(), chain: "CHAIN".into(), key: Secret("KEY".into()) }],
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        ciphers: Vec::new(),
        curves: Vec::new(),
        signature_algorithms: Vec::new(),
        fingerprints: Vec::new(),
        alpn: vec!["http/1.1".into()],
        client_validation: None,
        tickets: false,
        sessions: false,
    };
    let mut client = ClientSettings::default();
    client.timeouts.idle = None;
    client.headers.early_request.remove = vec![HeaderName::new("x-gone").expect("a name")];
    Listener { protocol: Protocol::Https(Arc::new(tls)), client: Arc::new(client), ..(*listener("https", 443)).clone() }
}

#[test]
fn keys_are_never_shown() {
    let listener = secure_listener();
    assert!(!format!("{listener:?}").contains("KEY"));
    let mut model = Model::default();
    model.listeners.insert(listener.name.clone(), Arc::new(listener));
    let shown = Model::default().diff(&model.redacted());
    let shown = serde_json::to_string(&shown).expect("serialises");
    assert!(shown.contains("(secret)") && !shown.contains("KEY"), "{shown}");
}

#[test]
fn what_is_left_out_on_the_wire_is_as_by_default_there() {
    let listener = secure_listener();
    let wire = serde_json::to_string(&listener).expect("serialises");
    assert!(wire.contains("KEY"), "the data plane needs it");
    assert!(!wire.contains("http1\""), "as by default: {wire}");
    let there: Listener = serde_json::from_str(&wire).expect("parses");
    assert_eq!(there, listener);
}
