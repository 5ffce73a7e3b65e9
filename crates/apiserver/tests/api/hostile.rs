//! Clients that mean harm: what they send is refused with the right status, costs little, and leaves others alone.

use std::sync::Arc;

use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::client::{MAPS, WIDGETS, World, map, widget};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const YAML: [(&str, &str); 1] = [("content-type", "application/yaml")];
const APPLY: [(&str, &str); 1] = [("content-type", "application/apply-patch+yaml")];

/// The server still answers.
async fn serves(world: &World) {
    world.get("/api/v1/namespaces").await.expect(200);
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() {
    let world = World::new().await;
    let large = map("a", json!({"k": "x".repeat(10 << 20)})).to_string();
    for (method, path, kind) in [
        ("POST", MAPS, "application/json"),
        ("POST", MAPS, "application/yaml"),
        ("PATCH", &format!("{MAPS}/a?fieldManager=m"), "application/apply-patch+yaml"),
        ("PATCH", &format!("{MAPS}/a"), "application/json-patch+json"),
        ("PUT", &format!("{MAPS}/a"), "application/vnd.kubernetes.protobuf"),
        ("DELETE", &format!("{MAPS}/a"), "application/json"),
    ] {
        let answer = world.send(method, path, &[("content-type", kind)], large.clone()).await.expect(413);
        assert_eq!(answer.at("/reason"), "RequestEntityTooLarge");
    }
    serves(&world).await;
}

#[tokio::test]
async fn deep_bodies_are_refused() {
    let world = World::new().await;
    for depth in [100, 10_000, 100_000] {
        let list = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let object = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let block: String = (0..depth.min(1000)).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        for body in [&list, &object, &block] {
            for (method, path, headers) in [("POST", MAPS, &YAML), ("PATCH", &format!("{MAPS}/a?fieldManager=m"), &APPLY)] {
                let answer = world.send(method, path, headers, body.as_str()).await;
                assert!((400..500).contains(&answer.code), "{}: {}", answer.code, answer.text);
            }
            let answer = world.send("POST", MAPS, &[("content-type", "application/json")], body.as_str()).await;
            assert!((400..500).contains(&answer.code), "{}: {}", answer.code, answer.text);
        }
    }
    serves(&world).await;
}

#[tokio::test]
async fn alias_bombs_do_not_go_off() {
    let world = World::new().await;
    let mut bomb = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", "));
    }
    world.send("POST", MAPS, &YAML, bomb.as_str()).await.expect(400);
    world.send("PATCH", &format!("{MAPS}/a?fieldManager=m"), &APPLY, bomb.as_str()).await.expect(400);
    serves(&world).await;
}

#[tokio::test]
async fn odd_names_name_nothing() {
    let world = World::new().await;
    for name in ["a%2Fb", "%25", "%00", "%2e%2e", "..%2f..%2fetc%2fpasswd", "a%0d%0ab", "%zz", "%", "%C3%28", &"x".repeat(4000)] {
        let answer = world.get(&format!("{MAPS}/{name}")).await.expect(404);
        assert_eq!(answer.at("/reason"), "NotFound", "{name}");
        world.delete(&format!("{MAPS}/{name}"), json!({})).await.expect(404);
    }
    for name in ["a/b", "a%b", "..", ".", "A", "a\u{0}", "a b", "-a", &"x".repeat(254), "\u{202e}a"] {
        world.post(MAPS, &map(name, json!({}))).await.expect(422);
        world.post(WIDGETS, &widget(name, json!({"size": 1}))).await.expect(422);
    }
    let space = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    for name in ["a/b", "a.b", "..", &"x".repeat(64)] {
        world.post("/api/v1/namespaces", &space(name)).await.expect(422);
    }
    // A path out of the namespace is a name like any other.
    let outside = world.get("/api/v1/namespaces/..%2fkube-system/configmaps").await.expect(200);
    assert_eq!(outside.at("/items"), &json!([]));
    serves(&world).await;
}

/// A request that carries what a browser sends and no token.
#[tokio::test]
async fn a_web_page_gets_nothing() {
    let world = World::new().await;
    let mut connection = connect(&world).await;
    let foreign = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("cookie", "a=b")];
    for (method, path) in [("GET", "/api/v1/secrets"), ("POST", MAPS), ("OPTIONS", MAPS), ("DELETE", MAPS)] {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", world.server.url()));
        for (name, value) in foreign.iter().chain(&[("content-type", "text/plain"), ("access-control-request-method", "POST")]) {
            request = request.header(*name, *value);
        }
        let response = connection.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 403, "{method}");
        assert!(response.headers().keys().all(|name| !name.as_str().starts_with("access-control-")), "{method}");
    }
    // With the token too, no page may read the answer.
    let answer = world.send("GET", "/api/v1/secrets", &foreign, "").await.expect(200);
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
}

/// An HTTP/2 connection, over which many requests go at once.
async fn connect(world: &World) -> SendRequest<Empty<bytes::Bytes>> {
    let mut roots = rustls::RootCertStore::empty();
    let pem = world.server.ca_pem().as_bytes();
    roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(world.server.address()).await.unwrap();
    let name = rustls::pki_types::ServerName::from(world.server.address().ip());
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_watches_that_nobody_reads_hold_up_nobody() {
    let world = World::new().await;
    let mut watches = Vec::new();
    for _ in 0..5 {
        let mut connection = connect(&world).await;
        for _ in 0..200 {
            let request = Request::get(format!("{}{MAPS}?watch=true&timeoutSeconds=60", world.server.url()))
                .header("authorization", format!("Bearer {}", world.server.token()))
                .body(Empty::new())
                .unwrap();
            let response = connection.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            watches.push(response.into_body());
        }
    }
    // Sockets that never say a word.
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(world.server.address()).await.unwrap());
    }
    for n in 0..20 {
        world.post(MAPS, &map(&format!("m{n}"), json!({"k": "1"}))).await.expect(201);
    }
    serves(&world).await;
    for watch in &mut watches {
        let frame = watch.frame().await.unwrap().unwrap().into_data().unwrap();
        let line = frame.split(|b| *b == b'\n').next().unwrap();
        let event: Value = serde_json::from_slice(line).unwrap();
        assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("m0")));
    }
    drop((watches, silent));
    serves(&world).await;
}

fn definition(kind: &str, spec: Value) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.bad.example")},
        "spec": {
            "group": "bad.example", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

#[tokio::test]
async fn patterns_of_definitions_are_bounded() {
    let world = World::new().await;
    let text = |pattern: &str| json!({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}});
    // Large ones are read as long as what they compile to is small.
    let words: Vec<String> = (0..9000).map(|n| format!("w{n:05}")).collect();
    let pattern = format!("^({})$", words.join("|"));
    assert!((60 << 10..64 << 10).contains(&pattern.len()), "{}", pattern.len());
    let answer = world.post(CRDS, &definition("Large", text(&pattern))).await;
    assert!(matches!(answer.code, 201 | 422), "{}", answer.text);
    for pattern in ["(a{1000}){1000}", &"(".repeat(64 << 10), &"(a*)*".repeat(20_000), "[", &"\\pL{900}".repeat(900)] {
        let answer = world.post(CRDS, &definition("Bad", text(pattern))).await.expect(422);
        assert!(answer.message().len() < 300_000 && answer.message().contains("pattern"), "{}", answer.text.len());
    }
    // Exponential elsewhere, linear here.
    world.post(CRDS, &definition("Slow", text("^(a+)+$"))).await.expect(201);
    let object =
        json!({"apiVersion": "bad.example/v1", "kind": "Slow", "metadata": {"name": "s"}, "spec": {"a": "a".repeat(1 << 20) + "b"}});
    world.post("/apis/bad.example/v1/namespaces/default/slows", &object).await.expect(422);
    serves(&world).await;
}

#[tokio::test]
async fn rules_that_would_run_for_hours_do_not_run() {
    let world = World::new().await;
    let list = json!({"type": "array", "items": {"type": "integer"}});
    let rule = "self.a.all(x, self.a.all(y, self.a.all(z, x + y + z >= 0)))";
    let spec = json!({"type": "object", "properties": {"a": list}, "x-kubernetes-validations": [{"rule": rule}]});
    world.post(CRDS, &definition("Loop", spec)).await.expect(201);
    let object =
        |count: usize| json!({"apiVersion": "bad.example/v1", "kind": "Loop", "metadata": {"name": "l"}, "spec": {"a": vec![1; count]}});
    let path = "/apis/bad.example/v1/namespaces/default/loops";
    let refused = world.post(path, &object(100_000)).await.expect(422);
    assert!(refused.message().contains("running out of cost budget"), "{}", refused.message());
    world.post(path, &object(10)).await.expect(201);
    // What a rule makes itself is bounded too: this one would make a text of 64 GiB.
    let rule = format!("['aaaaaaaa']{}.size() == 1", ".map(x, x + x + x + x + x + x + x + x)".repeat(11));
    let spec = json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}]});
    world.post(CRDS, &definition("Growth", spec)).await.expect(201);
    let object = json!({"apiVersion": "bad.example/v1", "kind": "Growth", "metadata": {"name": "g"}, "spec": {}});
    let refused = world.post("/apis/bad.example/v1/namespaces/default/growths", &object).await.expect(422);
    assert!(refused.message().contains("running out of cost budget"), "{}", refused.message());
    serves(&world).await;
}

#[tokio::test]
async fn objects_of_many_fields_cost_no_more_than_their_size() {
    let world = World::new().await;
    // In no order.
    let data: serde_json::Map<String, Value> = (0..30_000_u64).map(|n| (format!("k{}", n * 7919 % 30_000), json!("1"))).collect();
    let many = map("a", Value::Object(data));
    world.post(MAPS, &many).await.expect(201);
    let path = format!("{MAPS}/a?fieldManager=m");
    world.send("PATCH", &path, &APPLY, many.to_string()).await.expect(200);
    world.send("PATCH", &path, &APPLY, map("a", json!({})).to_string()).await.expect(200);
    let mut set = map("b", json!({}));
    set["metadata"]["finalizers"] = (0..30_000_u64).map(|n| json!(format!("x.io/f{}", n * 7919 % 30_000))).collect();
    for _ in 0..2 {
        let answer = world.send("PATCH", &format!("{MAPS}/b?fieldManager=m"), &APPLY, set.to_string()).await;
        assert!(matches!(answer.code, 200 | 201), "{}", answer.text.len());
    }
    serves(&world).await;
}

#[tokio::test]
async fn objects_that_no_cluster_would_keep_are_refused() {
    let world = World::new().await;
    // Only values count for the limit that a ConfigMap has itself.
    let many = |count: usize| -> Value { (0..count).map(|n| (format!("{n:0250}"), json!(""))).collect::<serde_json::Map<_, _>>().into() };
    let refused = world.post(MAPS, &map("a", many(8000))).await.expect(500);
    assert_eq!(refused.message(), "etcdserver: request is too large");
    // What would fit without its owners is kept without them.
    assert!(world.post(MAPS, &map("b", many(4000))).await.expect(201).at("/metadata/managedFields").is_null());
    assert!(world.post(MAPS, &map("c", many(2500))).await.expect(201).at("/metadata/managedFields").is_array());
    serves(&world).await;
}
