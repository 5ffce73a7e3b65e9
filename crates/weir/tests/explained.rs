//! Whoever is refused is explained everywhere alike: the client's own experience, the metrics, the controller's log, the access log, the
//! Events and the live columns say the same number.

mod common;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use common::{Weir, isolated, repository, text};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

const NAMESPACE: &str = "envoy-gateway-system";
const OF_GATEWAY: &str = "envoy-gateway-system/connection-limit-app-client-traffic-policy@envoy-gateway-system/eg";
const OF_HTTPS: &str = "envoy-gateway-system/connection-limit-app-client-traffic-policy@envoy-gateway-system/eg/secure";
const OF_SECTION: &str = "envoy-gateway-system/section@envoy-gateway-system/eg/alt";
const OF_ROUTE: &str = "default/route@envoy-gateway-system/eg/httproute:default/reports";

/// Beside the example's HTTP listener: one with a policy of its own, one with TLS, and a route with a policy.
fn objects(certificate: &str, key: &str) -> String {
    let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "eg", "namespace": NAMESPACE},
        "spec": {"gatewayClassName": "eg", "listeners": [
            {"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}},
            {"name": "alt", "protocol": "HTTP", "port": 8080, "allowedRoutes": {"namespaces": {"from": "All"}}},
            {"name": "secure", "protocol": "HTTPS", "port": 443, "hostname": "secure.test", "tls": {"certificateRefs": [{"name": "secure"}]},
             "allowedRoutes": {"namespaces": {"from": "All"}}}]}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secure", "namespace": NAMESPACE},
        "type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate, "tls.key": key}});
    let backend = json!([{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "connection-limit-app-backend"}]);
    let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "reports", "namespace": "default"},
        "spec": {"parentRefs": [{"name": "eg", "namespace": NAMESPACE}], "hostnames": ["reports.test"], "rules": [{"backendRefs": backend}]}});
    let other = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "secure", "namespace": "default"},
        "spec": {"parentRefs": [{"name": "eg", "namespace": NAMESPACE}], "hostnames": ["secure.test"], "rules": [{"backendRefs": backend}]}});
    let policy = |namespace: &str, name: &str, target: Value, value: u32| {
        json!({"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "ClientTrafficPolicy", "metadata": {"name": name, "namespace": namespace},
            "spec": {"targetRefs": [target], "connection": {"connectionLimit": {"value": value}}}})
    };
    let section = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "eg", "sectionName": "alt"});
    let of_route = json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "reports"});
    let all = [gateway, secret, route, other, policy(NAMESPACE, "section", section, 4), policy("default", "route", of_route, 1)];
    all.map(|object| object.to_string()).join("\n---\n")
}

/// A client that was let in.
#[expect(dead_code, reason = "they are held open")]
enum Held {
    Plain(TcpStream),
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Where clients go.
struct Place {
    limit: &'static str,
    port: u16,
    host: &'static str,
    tls: Option<Arc<ClientConfig>>,
}

enum Outcome {
    In(Held),
    /// A limit refused it.
    Refused,
}

/// Between clients, so that there is no storm, in which the kernel refuses and only estimates are told.
const PACE: Duration = Duration::from_millis(1);

impl Place {
    fn attempt(&self, address: &str) -> Outcome {
        let mut tcp = match TcpStream::connect((address, self.port)) {
            Ok(tcp) => tcp,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => panic!("{}: nobody listens: {error}", self.limit),
            // It was accepted and reset before this could be told.
            Err(_) => return Outcome::Refused,
        };
        tcp.set_read_timeout(Some(common::PATIENCE)).expect("settable");
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        let mut answer = [0; 12];
        let held = match &self.tls {
            None => {
                let answered = tcp.write_all(request.as_bytes()).and_then(|()| tcp.read_exact(&mut answer));
                answered.map(|()| Held::Plain(tcp))
            }
            Some(config) => {
                let name = ServerName::try_from(self.host).expect("a name");
                let session = ClientConnection::new(config.clone(), name).expect("a session");
                let mut stream = StreamOwned::new(session, tcp);
                let answered = stream.write_all(request.as_bytes()).and_then(|()| stream.read_exact(&mut answer));
                answered.map(|()| Held::Secure(Box::new(stream)))
            }
        };
        match (held, &answer[9..]) {
            (Ok(_), b"503") => Outcome::Refused,
            (Ok(held), b"200") => Outcome::In(held),
            (Ok(_), status) => panic!("{}: {}", self.limit, text(status)),
            (Err(_), _) => Outcome::Refused,
        }
    }

    /// Takes all places, and then is refused `count` times.
    fn crowd(&self, address: &str, count: u64) -> Vec<Held> {
        let (mut held, mut refused) = (Vec::new(), 0);
        while refused < count {
            std::thread::sleep(PACE);
            match self.attempt(address) {
                Outcome::In(one) => held.push(one),
                Outcome::Refused => refused += 1,
            }
        }
        held
    }
}

type Numbers = BTreeMap<String, u64>;

fn metrics(weir: &Weir, address: &str) -> String {
    let url = format!("http://{address}:19001/stats/prometheus");
    text(&weir.command("curl").args(["-sS", &url]).output().expect("curl runs").stdout)
}

fn counters(page: &str) -> Numbers {
    let lines = page.lines().filter_map(|line| line.strip_prefix("weir_connection_limit_refused_total{limit=\""));
    let number = |line: &str| {
        let (name, rest) = line.split_once('"')?;
        assert!(rest.contains("reason=\"over_connection_limit\""), "{line}");
        Some((name.to_owned(), rest.rsplit_once(' ')?.1.parse().ok()?))
    };
    lines.filter_map(number).collect()
}

/// The sums of a log's records about refused connections, and how many records there are, for each limit.
fn sums(log: &str, is_one: impl Fn(&Value) -> bool) -> (Numbers, Numbers) {
    let (mut sums, mut records) = (Numbers::new(), Numbers::new());
    for record in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(is_one) {
        let name = record["limit_name"].as_str().expect("a limit").to_owned();
        *sums.entry(name.clone()).or_default() += record["refused"].as_u64().expect("a number");
        *records.entry(name).or_default() += 1;
    }
    (sums, records)
}

fn controller_log(weir: &Weir) -> (Numbers, Numbers) {
    let log = weir.kubectl(&["logs", "-n", NAMESPACE, "deployment/envoy-gateway", "--tail=-1"]);
    let is_one = |record: &Value| {
        let message = record["message"].as_str().or_else(|| record["msg"].as_str()).unwrap_or_default();
        let said = message.strip_prefix("over_connection_limit: ").and_then(|rest| rest.split_once(" refused for "));
        if let Some((count, _)) = said {
            assert_eq!(count.parse().ok(), record["refused"].as_u64(), "the text and the field: {message}");
        }
        said.is_some()
    };
    sums(&log, is_one)
}

fn access_log(weir: &Weir) -> Numbers {
    let label = "gateway.envoyproxy.io/owning-gateway-name=eg";
    let log = weir.kubectl(&["logs", "-n", NAMESPACE, "-l", label, "-c", "envoy", "--tail=-1"]);
    sums(&log, |record| record["connection_termination_details"] == "over_connection_limit").0
}

/// What the Events of policies say was refused, and how often it was said, for each limit's subject.
fn events(weir: &Weir) -> (Numbers, Numbers) {
    let list: Value = serde_json::from_str(&weir.kubectl(&["get", "events", "-A", "-o", "json"])).expect("JSON");
    let (mut refused, mut counts) = (Numbers::new(), Numbers::new());
    for event in list["items"].as_array().expect("a list") {
        if event["reason"] != "LimitReached" || event["involvedObject"]["kind"] != "ClientTrafficPolicy" {
            continue;
        }
        let message = event["message"].as_str().expect("text");
        let (subject, rest) = message.split_once(": ").expect("a subject");
        let number = rest.split_once(", ").and_then(|(_, rest)| rest.split_once(" refused")).expect(message).0;
        let place = refused.entry(subject.to_owned()).or_default();
        *place = number.parse::<u64>().expect("a number").max(*place);
        *counts.entry(subject.to_owned()).or_default() += event["count"].as_u64().expect("a number");
    }
    (refused, counts)
}

/// What the live column REFUSED says, for each policy.
fn columns(weir: &Weir) -> Numbers {
    let table = weir.kubectl(&["get", "clienttrafficpolicy", "-A", "--no-headers"]);
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        Some((format!("{}/{}", words.first()?, words.get(1)?), words.get(5)?.parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}

/// By the names that Events have for limits.
fn by_subject(limits: &Numbers) -> Numbers {
    let subject = |name: &str| match name {
        OF_GATEWAY => "Gateway envoy-gateway-system/eg",
        OF_HTTPS => "Listener envoy-gateway-system/eg/secure",
        OF_SECTION => "Listener envoy-gateway-system/eg/alt",
        OF_ROUTE => "HTTPRoute default/reports at Gateway envoy-gateway-system/eg",
        other => panic!("a limit of which nobody knows: {other}"),
    };
    limits.iter().map(|(name, count)| (subject(name).to_owned(), *count)).collect()
}

fn by_policy(limits: &Numbers) -> Numbers {
    let mut sums = Numbers::new();
    for (name, count) in limits {
        *sums.entry(name.split_once('@').expect("a name").0.to_owned()).or_default() += count;
    }
    sums
}

/// Waits until `said` is what is `expected`: what is said follows what happens.
fn agree(weir: &Weir, what: &str, expected: &Numbers, said: impl Fn() -> Numbers) {
    let mut last = Numbers::new();
    let start = std::time::Instant::now();
    while start.elapsed() < common::PATIENCE {
        last = said();
        if last == *expected {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what} says {last:?}; it was {expected:?} (process {})", weir.id());
}

fn all_agree(weir: &Weir, address: &str, expected: &Numbers, since_start: bool) {
    agree(weir, "the metric", expected, || counters(&metrics(weir, address)));
    agree(weir, "the live column", &by_policy(expected), || columns(weir));
    agree(weir, "the access log", expected, || access_log(weir));
    agree(weir, "the Event", &by_subject(expected), || events(weir).0);
    // A restarted controller has a log, and Events, of its own.
    if since_start {
        agree(weir, "the controller's log", expected, || controller_log(weir).0);
        agree(weir, "the Event's count", &by_subject(&controller_log(weir).1), || events(weir).1);
    }
}

/// No label's value is a client's address.
fn nobody_is_named(page: &str) {
    assert!(page.lines().count() > 50, "{page}");
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        assert!(!line.contains("127.0.0.1"), "{line}");
    }
}

#[test]
fn what_is_refused_is_told_alike_everywhere() {
    isolated("what_is_refused_is_told_alike_everywhere", || {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["secure.test".to_owned()]).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()));
        let config = builder.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots).with_no_client_auth();
        let example = repository().join("examples/connection-limit").display().to_string();
        let mut weir = Weir::start(&["-f", &example]);
        weir.wait_for("curl -H");
        let address = weir.kubectl(&["get", "gateway/eg", "-n", NAMESPACE, "-o", "jsonpath={.status.addresses[0].value}"]);
        let (ok, said) = weir.apply(&objects(&cert.pem(), &signing_key.serialize_pem()));
        assert!(ok, "{said}");
        let limits = [OF_GATEWAY, OF_HTTPS, OF_SECTION, OF_ROUTE];
        weir.until("all limits in force", || {
            let page = metrics(&weir, &address);
            limits.iter().all(|limit| page.contains(&format!("weir_connection_limit_max{{limit=\"{limit}\""))).then_some(())
        });
        let app = "connection-limit-app.alfabytes.xyz";
        let plain = |limit, port, host| Place { limit, port, host, tls: None };
        // The route first, through a listener that has room then.
        let places = [
            plain(OF_ROUTE, 8080, "reports.test"),
            plain(OF_GATEWAY, 80, app),
            plain(OF_SECTION, 8080, app),
            Place { tls: Some(Arc::new(config)), ..plain(OF_HTTPS, 443, "secure.test") },
        ];
        let names = ["http", "alt", "secure"].map(|name| {
            format!("--for=jsonpath={{.status.listeners[?(@.name==\"{name}\")].conditions[?(@.type==\"Programmed\")].status}}=True")
        });
        for name in &names {
            let waited = weir
                .command("kubectl")
                .args(["wait", "--timeout=20s", "-n", NAMESPACE, "gateway/eg", name])
                .status()
                .expect("kubectl runs");
            assert!(waited.success(), "{}", weir.kubectl(&["get", "-n", NAMESPACE, "gateway/eg", "-o", "yaml"]));
        }
        let mut expected: Numbers = limits.iter().map(|limit| ((*limit).to_owned(), 0)).collect();
        let refuse = |expected: &mut Numbers, counts: [u64; 4]| {
            let mut held = Vec::new();
            for (place, count) in places.iter().zip(counts) {
                held.extend(place.crowd(&address, count));
                *expected.entry(place.limit.to_owned()).or_default() += count;
            }
            held
        };
        let held = refuse(&mut expected, [7, 151, 83, 40]);
        all_agree(&weir, &address, &expected, true);
        nobody_is_named(&metrics(&weir, &address));
        drop(held);
        weir.until("room again", || {
            let page = metrics(&weir, &address);
            let mut current = page.lines().filter(|line| line.starts_with("weir_connection_limit_current"));
            current.all(|line| line.ends_with(" 0")).then_some(())
        });
        let _held = refuse(&mut expected, [14, 302, 166, 80]);
        all_agree(&weir, &address, &expected, true);

        // Who is refused while there is no controller is not forgotten.
        weir.restart_controller();
        // Nobody gets as far as the route: its listener is full.
        let _more = refuse(&mut expected, [0, 151, 83, 40]);
        weir.kubectl(&["wait", "--timeout=60s", "-n", NAMESPACE, "deployment/envoy-gateway", "--for=condition=Available"]);
        all_agree(&weir, &address, &expected, false);
    });
}
