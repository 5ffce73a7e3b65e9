//! What holds for all inputs, tried on the objects of the golden cases and on seeded sequences of edits.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use support::{Case, cases, resources};
use weir_model::{ListenerState, Model};
use weir_translate::{Kind, Observed, Output, ProxyState, Resources, Settings, Translator};

/// A small generator (SplitMix64): the same seed gives the same sequence everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("small")
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

fn assert_same(left: &Output, right: &Output, what: &str) {
    assert_eq!(left.model, right.model, "{what}: the Models differ");
    assert_eq!(left.statuses, right.statuses, "{what}: the statuses differ");
    assert_eq!(left.proxies, right.proxies, "{what}: the proxies differ");
    assert_eq!(left.limits, right.limits, "{what}: the limits differ");
}

fn identity(object: &Value) -> (Kind, String, String) {
    let field = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    (Kind::of(object).expect("a kind that is read"), field("namespace"), field("name"))
}

#[test]
fn the_order_of_the_input_does_not_matter() {
    let mut random = Random(1);
    for case in cases() {
        let expected = case.translate(&case.objects);
        for _ in 0..3 {
            let mut objects = case.objects.clone();
            random.shuffle(&mut objects);
            assert_same(&expected, &case.translate(&objects), &case.name);
        }
    }
}

#[test]
fn what_comes_one_by_one_ends_like_what_comes_at_once() {
    for case in cases() {
        let mut growing = Resources::default();
        let mut translator = Translator::new();
        for object in &case.objects {
            drop(growing.upsert(object.clone()));
            translator.translate(&growing, &case.settings, &Observed::default());
        }
        let observed = case.observed(&resources(&case.objects));
        let grown = translator.translate(&growing, &case.settings, &observed);
        assert_same(&grown, &case.translate(&case.objects), &case.name);
    }
}

#[test]
fn what_is_taken_away_and_added_again_is_as_before() {
    for case in cases() {
        let mut changing = resources(&case.objects);
        let observed = case.observed(&changing);
        let mut translator = Translator::new();
        let before = translator.translate(&changing, &case.settings, &observed);
        for object in &case.objects {
            let (kind, namespace, name) = identity(object);
            changing.remove(kind, if namespace.is_empty() { "default" } else { &namespace }, &name);
            let without = translator.translate(&changing, &case.settings, &observed);
            let fresh = Translator::new().translate(&changing, &case.settings, &observed);
            assert_same(&without, &fresh, &format!("{}: without {name}", case.name));
            drop(changing.upsert(object.clone()));
            let after = translator.translate(&changing, &case.settings, &observed);
            assert_same(&before, &after, &format!("{}: {name}", case.name));
        }
    }
}

/// One edit of a sequence.
fn edit(
    random: &mut Random,
    pool: &[Vec<Value>],
    resources: &mut Resources,
    settings: &mut Settings,
    observed: &mut Observed,
    last: &Model,
) {
    // Kinds first: of some there are few.
    let kind = &pool[random.below(pool.len())];
    let object = &kind[random.below(kind.len())];
    let (kind, namespace, name) = identity(object);
    match random.below(20) {
        0..=9 => drop(resources.upsert(object.clone())),
        10..=13 => resources.remove(kind, if namespace.is_empty() { "default" } else { &namespace }, &name),
        14 => {
            let mut broken = object.clone();
            broken["spec"] = json!(7);
            drop(resources.upsert(broken));
        }
        15 => {
            let mut labelled = object.clone();
            labelled["metadata"]["labels"] = json!({ "web": "yes", "kubernetes.io/service-name": "app" });
            drop(resources.upsert(labelled));
        }
        16 => settings.enable_backend = !settings.enable_backend,
        17 => observed.loopback_backends = !observed.loopback_backends,
        18 => observed.applied = Arc::new(last.clone()),
        _ => {
            let up = random.below(4) > 0;
            let state = |_| if up { ListenerState::Bound(Vec::new()) } else { ListenerState::Failed("taken".into()) };
            observed.listeners = last.listeners.keys().map(|it| (it.clone(), state(it))).collect();
            observed.addresses = last.gateways.keys().map(|it| (it.clone(), vec!["10.0.0.1".to_owned()])).collect();
            observed.proxies = last.gateways.keys().map(|it| (it.clone(), ProxyState { replicas: 1, available: u32::from(up) })).collect();
        }
    }
}

#[test]
fn what_is_remembered_is_what_would_be_made_anew() {
    // Objects of all cases together: many share a name, so that they replace each other.
    let mut by_kind: BTreeMap<Kind, Vec<Value>> = BTreeMap::new();
    for object in cases().into_iter().flat_map(|it| it.objects) {
        by_kind.entry(identity(&object).0).or_default().push(object);
    }
    let pool: Vec<Vec<Value>> = by_kind.into_values().collect();
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut resources = Resources::default();
        let mut settings = Settings { enable_backend: true, ..Settings::default() };
        let mut observed = Observed::default();
        let mut translator = Translator::new();
        resources.upsert(class()).expect("good");
        let mut last = Model::default();
        for step in 0..150 {
            edit(&mut random, &pool, &mut resources, &mut settings, &mut observed, &last);
            let kept = translator.translate(&resources, &settings, &observed);
            let fresh = Translator::new().translate(&resources, &settings, &observed);
            assert_same(&kept, &fresh, &format!("seed {seed}, step {step}"));
            let mut applied = last.clone();
            applied.apply(last.diff(&kept.model));
            assert_eq!(applied, kept.model, "seed {seed}, step {step}: the delta leads to the Model");
            last = kept.model;
        }
    }
}

/// A small world in namespace `ns`, with all that can be in one.
fn world(ns: &str) -> Vec<Value> {
    let group = "gateway.networking.k8s.io";
    let envoy = "gateway.envoyproxy.io";
    vec![
        json!({ "apiVersion": format!("{group}/v1"), "kind": "Gateway", "metadata": { "name": "eg", "namespace": ns }, "spec": {
            "gatewayClassName": "eg",
            "infrastructure": { "parametersRef": { "group": envoy, "kind": "EnvoyProxy", "name": "proxy" } },
            "listeners": [
                { "name": "http", "protocol": "HTTP", "port": 80 },
                { "name": "alt", "protocol": "HTTP", "port": 81 },
                { "name": "https", "protocol": "HTTPS", "port": 443, "tls": { "certificateRefs": [{ "name": "cert" }] } }] } }),
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "cert", "namespace": ns }, "type": "kubernetes.io/tls",
            "stringData": { "tls.crt": pem("a.crt"), "tls.key": pem("a.key") } }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "ca", "namespace": ns }, "data": { "ca.crt": pem("ca.crt") } }),
        json!({ "apiVersion": format!("{envoy}/v1alpha1"), "kind": "EnvoyProxy", "metadata": { "name": "proxy", "namespace": ns }, "spec": {} }),
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "app", "namespace": ns },
            "spec": { "ports": [{ "name": "http", "port": 80 }] } }),
        json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": "app-1", "namespace": ns, "labels": { "kubernetes.io/service-name": "app" } },
            "endpoints": [{ "addresses": ["10.0.0.1"] }], "ports": [{ "name": "http", "port": 3000 }] }),
        json!({ "apiVersion": format!("{envoy}/v1alpha1"), "kind": "Backend", "metadata": { "name": "b", "namespace": ns },
            "spec": { "endpoints": [{ "ip": { "address": "10.9.9.9", "port": 80 } }] } }),
        json!({ "apiVersion": format!("{group}/v1beta1"), "kind": "ReferenceGrant", "metadata": { "name": "g", "namespace": ns },
            "spec": { "from": [{ "group": group, "kind": "HTTPRoute", "namespace": "x" }], "to": [{ "group": "", "kind": "Service" }] } }),
        json!({ "apiVersion": format!("{group}/v1"), "kind": "HTTPRoute", "metadata": { "name": "app", "namespace": ns }, "spec": {
            "parentRefs": [{ "name": "eg" }],
            "rules": [{ "backendRefs": [{ "name": "app", "port": 80 }, { "group": envoy, "kind": "Backend", "name": "b" }] }] } }),
        json!({ "apiVersion": format!("{envoy}/v1alpha1"), "kind": "ClientTrafficPolicy", "metadata": { "name": "limit", "namespace": ns },
            "spec": { "targetRefs": [{ "group": group, "kind": "Gateway", "name": "eg" }], "connection": { "connectionLimit": { "value": 5 } } } }),
        json!({ "apiVersion": format!("{envoy}/v1alpha1"), "kind": "ClientTrafficPolicy", "metadata": { "name": "mutual", "namespace": ns },
            "spec": { "targetRefs": [{ "group": group, "kind": "Gateway", "name": "eg", "sectionName": "https" }],
                "tls": { "clientValidation": { "caCertificateRefs": [{ "kind": "ConfigMap", "name": "ca" }] } } } }),
        json!({ "apiVersion": format!("{envoy}/v1alpha1"), "kind": "ClientTrafficPolicy", "metadata": { "name": "route", "namespace": ns },
            "spec": { "targetRefs": [{ "group": group, "kind": "HTTPRoute", "name": "app" }], "connection": { "connectionLimit": { "value": 3 } } } }),
    ]
}

fn pem(name: &str) -> String {
    std::fs::read_to_string(support::testdata().join("pem").join(name)).expect("readable")
}

fn class() -> Value {
    json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": { "name": "eg" },
        "spec": { "controllerName": "gateway.envoyproxy.io/gatewayclass-controller" } })
}

/// What concerns namespace `ns` in an output.
fn part(output: &Output, ns: &str) -> String {
    let of = |name: &str| name.contains(&format!("{ns}/"));
    let statuses: BTreeMap<String, Value> =
        output.statuses.iter().filter(|(it, _)| *it.namespace == *ns).map(|(it, status)| (it.to_string(), status.status.value())).collect();
    let model = &output.model;
    let mut lines: Vec<String> = vec![serde_json::to_string(&statuses).expect("JSON")];
    lines.extend(model.gateways.values().filter(|it| of(&it.name.to_string())).map(|it| format!("{it:?}")));
    lines.extend(model.listeners.values().filter(|it| of(&it.name.to_string())).map(|it| format!("{it:?}")));
    lines.extend(model.backends.values().filter(|it| of(&it.name.to_string())).map(|it| format!("{it:?}")));
    lines.extend(model.routes.values().filter(|it| of(&it.name.to_string())).map(|it| format!("{it:?}")));
    lines.extend(model.limits.values().filter(|it| of(&it.name.to_string())).map(|it| format!("{it:?}")));
    lines.extend(output.proxies.iter().filter(|it| *it.gateway.namespace == *ns).map(|it| format!("{it:?}")));
    lines.join("\n")
}

#[test]
fn a_broken_object_changes_nothing_for_its_neighbours() {
    let settings = Settings { enable_backend: true, ..Settings::default() };
    let observed = Observed::default();
    let translate = |objects: &[Value]| Translator::new().translate(&resources(objects), &settings, &observed);
    let ours = world("ours");
    let mut all = vec![class()];
    all.extend(world("theirs"));
    all.extend(ours.clone());
    let theirs = part(&translate(&all), "theirs");
    assert!(theirs.contains("10.0.0.1:3000") && theirs.contains("10.9.9.9:80"), "the world works: {theirs}");
    assert!(theirs.contains("BEGIN CERTIFICATE") && theirs.contains("scope: Route"), "the world has TLS and routes' limits: {theirs}");
    let breaks: [(&str, Value); 11] = [
        ("/stringData", json!({ "tls.crt": "x", "tls.key": pem("b.key") })),
        ("/stringData", Value::Null),
        ("/data", json!({ "ca.crt": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" })),
        ("/spec/tls", json!({ "clientValidation": { "mode": "X" }, "ciphers": ["X"], "minVersion": "9" })),
        ("/spec", json!(7)),
        ("/spec", json!({})),
        ("/spec", Value::Null),
        ("/metadata/creationTimestamp", json!("yesterday")),
        (
            "/spec/listeners",
            json!([{ "name": "http", "protocol": "NONE", "port": -1, "hostname": "a b", "allowedRoutes": { "kinds": [{ "kind": "X" }] } }]),
        ),
        (
            "/spec/rules",
            json!([{ "filters": [{ "type": "None" }], "matches": [{ "path": { "type": "None" } }], "backendRefs": [{ "name": "none" }] }]),
        ),
        ("/spec/connection", json!({ "connectionLimit": { "value": -1, "closeDelay": "x" } })),
    ];
    for object in &ours {
        for (path, value) in &breaks {
            let mut objects = vec![class()];
            objects.extend(world("theirs"));
            let mut broken = object.clone();
            let (parent, key) = path.rsplit_once('/').expect("a path");
            if let Some(parent) = broken.pointer_mut(parent).and_then(Value::as_object_mut) {
                parent.insert(key.to_owned(), value.clone());
            }
            objects.extend(ours.iter().map(|it| if it == object { broken.clone() } else { it.clone() }));
            assert_eq!(part(&translate(&objects), "theirs"), theirs, "{path} of {}", object["kind"]);
        }
    }
}

fn many_routes(count: usize) -> Vec<Value> {
    let mut objects = vec![class()];
    objects.extend(world("ns").into_iter().filter(|it| it["kind"] != "HTTPRoute"));
    objects.extend((0..count).map(|at| route(at, "app")));
    objects
}

fn route(at: usize, service: &str) -> Value {
    json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": format!("r{at:05}"), "namespace": "ns" },
        "spec": { "parentRefs": [{ "name": "eg" }], "hostnames": [format!("h{at}.example.com")],
            "rules": [{ "matches": [{ "path": { "value": format!("/{at}") } }], "backendRefs": [{ "name": service, "port": 80 }] }] } })
}

#[test]
fn one_changed_route_changes_one_route() {
    let settings = Settings { enable_backend: true, ..Settings::default() };
    let observed = Observed::default();
    let mut resources = resources(&many_routes(200));
    let mut translator = Translator::new();
    let before = translator.translate(&resources, &settings, &observed);
    resources.upsert(route(7, "gone")).expect("good");
    let after = translator.translate(&resources, &settings, &observed);
    let delta = before.model.diff(&after.model);
    assert_eq!((delta.put.len(), delta.remove.len()), (1, 0), "{delta:?}");
    for (name, route) in after.model.routes.iter() {
        let shared = Arc::ptr_eq(route, &before.model.routes[name]);
        assert_eq!(shared, &*name.name != "r00007", "{name}");
    }
    for (object, update) in &after.statuses {
        let same = update.status == before.statuses[object].status;
        assert_eq!(same, &*object.name != "r00007", "{object}");
    }
}

#[test]
fn an_object_that_says_the_same_changes_nothing() {
    let settings = Settings { enable_backend: true, ..Settings::default() };
    let observed = Observed::default();
    let objects = many_routes(20);
    let mut resources = resources(&objects);
    let mut translator = Translator::new();
    let before = translator.translate(&resources, &settings, &observed);
    for mut object in objects {
        object["metadata"]["resourceVersion"] = json!("99");
        object["metadata"]["managedFields"] = json!([{}]);
        object["status"] = json!({ "conditions": [] });
        resources.upsert(object).expect("good");
    }
    let after = translator.translate(&resources, &settings, &observed);
    assert!(before.model.diff(&after.model).is_empty());
    assert!(after.statuses.iter().all(|(object, it)| it.status == before.statuses[object].status));
}

#[test]
fn endpoints_that_come_and_go_change_the_backend_alone() {
    let settings = Settings { enable_backend: true, ..Settings::default() };
    let observed = Observed::default();
    let mut resources = resources(&many_routes(20));
    let mut translator = Translator::new();
    let before = translator.translate(&resources, &settings, &observed);
    let mut slice = world("ns").into_iter().find(|it| it["kind"] == "EndpointSlice").expect("there");
    slice["endpoints"] = json!([{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.2"] }]);
    resources.upsert(slice).expect("good");
    let after = translator.translate(&resources, &settings, &observed);
    let delta = before.model.diff(&after.model);
    assert_eq!((delta.put.len(), delta.remove.len()), (1, 0), "{delta:?}");
    assert!(before.model.routes.iter().all(|(name, it)| Arc::ptr_eq(it, &after.model.routes[name])));
}

#[test]
fn a_limits_number_changes_the_limit_alone() {
    let settings = Settings::default();
    let observed = Observed::default();
    let mut objects = many_routes(20);
    let mut resources = resources(&objects);
    let mut translator = Translator::new();
    let before = translator.translate(&resources, &settings, &observed);
    let policy = objects.iter_mut().find(|it| it["kind"] == "ClientTrafficPolicy").expect("there");
    policy["spec"]["connection"]["connectionLimit"]["value"] = json!(6);
    resources.upsert(policy.clone()).expect("good");
    let after = translator.translate(&resources, &settings, &observed);
    let delta = before.model.diff(&after.model);
    assert_eq!((delta.put.len(), delta.remove.len()), (1, 0), "{delta:?}");
    assert_eq!(after.limits.iter().map(|it| it.value).collect::<Vec<_>>(), [6]);
    assert_eq!(before.limits[0].name, after.limits[0].name, "a limit keeps its name while its number changes");
}

#[test]
fn a_certificate_that_is_renewed_changes_its_listener_alone() {
    let settings = Settings::default();
    let observed = Observed::default();
    let mut resources = resources(&many_routes(20));
    let mut translator = Translator::new();
    let before = translator.translate(&resources, &settings, &observed);
    let mut secret = world("ns").into_iter().find(|it| it["kind"] == "Secret").expect("there");
    secret["stringData"] = json!({ "tls.crt": pem("b.crt"), "tls.key": pem("b.key") });
    resources.upsert(secret.clone()).expect("good");
    let after = translator.translate(&resources, &settings, &observed);
    let delta = before.model.diff(&after.model);
    assert_eq!((delta.put.len(), delta.remove.len()), (1, 0), "{delta:?}");
    assert!(matches!(&delta.put[0], weir_model::Resource::Listener(it) if &*it.name.listener == "https"), "{delta:?}");
    secret["stringData"]["tls.key"] = json!(pem("a.key"));
    resources.upsert(secret).expect("good");
    let broken = translator.translate(&resources, &settings, &observed);
    assert_eq!(broken.model.listeners.len(), 2, "a bad certificate costs its listener alone");
    assert_same(&broken, &Translator::new().translate(&resources, &settings, &observed), "kept and fresh");
}

#[test]
fn a_policy_on_a_route_changes_its_limit_alone_and_fails_its_route_alone() {
    let settings = Settings { enable_backend: true, ..Settings::default() };
    let observed = Observed::default();
    let mut objects = many_routes(20);
    let mut resources = resources(&objects);
    let mut translator = Translator::new();
    let before = translator.translate(&resources, &settings, &observed);
    let policy = objects.iter_mut().find(|it| it["metadata"]["name"] == "route").expect("there");
    policy["spec"]["targetRefs"][0]["name"] = json!("r00007");
    resources.upsert(policy.clone()).expect("good");
    let limited = translator.translate(&resources, &settings, &observed);
    let delta = before.model.diff(&limited.model);
    assert!(matches!(&delta.put[..], [weir_model::Resource::Limit(it)] if it.route.is_some()), "{delta:?}");
    policy["spec"]["healthCheck"] = json!({ "path": "/healthz" });
    resources.upsert(policy.clone()).expect("good");
    let failed = translator.translate(&resources, &settings, &observed);
    let delta = limited.model.diff(&failed.model);
    assert_eq!((delta.put.len(), delta.remove.len()), (1, 2), "the route's double, for the route and its limit: {delta:?}");
    assert_same(&failed, &Translator::new().translate(&resources, &settings, &observed), "kept and fresh");
}

#[test]
fn secrets_are_never_shown() {
    for case in cases() {
        let resources = resources(&case.objects);
        let output = case.translate(&case.objects);
        for text in [format!("{resources:?}"), format!("{output:?}")] {
            // Key material of the test keys, wherever it may stand.
            for key in ["a.key", "b.key", "wildcard.key"] {
                let key = pem(key);
                let line = key.lines().nth(1).expect("a line of the key");
                assert!(!text.contains(line), "{}", case.name);
            }
        }
    }
}

/// Every case names the behaviour that it shows, and says it in its first line.
#[test]
fn every_case_says_what_it_shows() {
    let cases: Vec<Case> = cases();
    assert!(cases.len() >= 60);
    for case in cases {
        let text = std::fs::read_to_string(support::testdata().join(format!("{}.in.yaml", case.name))).expect("readable");
        assert!(text.starts_with("# ") && text.lines().next().is_some_and(|it| it.ends_with('.')), "{}", case.name);
    }
}
