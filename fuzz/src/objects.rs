//! Objects to Model. The input is a list of edits of a golden case's objects. Promised: no panic; the same objects give the same result,
//! whether they come at once or one after the other; and a neighbour, who shares nothing with them, gets what he gets alone.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};
use weir_translate::{Observed, Output, Resources, Settings, Translator};

use crate::choices::Choices;

/// The neighbour's namespace and class, which no edit names.
const NEIGHBOUR: &str = "neighbour";

pub(crate) fn objects(data: &[u8]) {
    let mut choices = Choices(data);
    let cases = cases();
    let mut objects = cases[choices.below(cases.len())].clone();
    for _ in 0..=choices.below(6) {
        if objects.is_empty() {
            break;
        }
        let at = choices.below(objects.len());
        match choices.below(8) {
            0 => drop(objects.remove(at)),
            1 => objects.push(objects[at].clone()),
            2 => {
                let other = &cases[choices.below(cases.len())];
                objects.extend(other.get(choices.below(other.len().max(1))).cloned());
            }
            _ => edit(&mut objects[at], &mut choices),
        }
    }
    // What names the neighbour by chance is not one who shares nothing with him.
    objects.retain(|object| !object.to_string().contains(NEIGHBOUR));

    let settings = Settings { enable_backend: choices.below(4) > 0, ..Settings::default() };
    let observed = Observed { loopback_backends: choices.below(2) == 1, ..Observed::default() };
    let at_once = |objects: &[Value]| Translator::new().translate(&resources(objects), &settings, &observed);
    let output = at_once(&objects);
    same(&output, &at_once(&objects), "a second time");

    let (mut growing, mut translator) = (Resources::default(), Translator::new());
    let mut last = translator.translate(&growing, &settings, &observed);
    for object in &objects {
        drop(growing.upsert(object.clone()));
        last = translator.translate(&growing, &settings, &observed);
    }
    same(&output, &last, "one after the other");

    let alone = at_once(neighbours());
    let beside = at_once(&[objects.as_slice(), neighbours()].concat());
    for (object, status) in &alone.statuses {
        assert_eq!(beside.statuses.get(object), Some(status), "the status of {object} is another beside {objects:#?}");
    }
    macro_rules! unchanged {
        ($($part:ident),*) => { $(for (name, it) in &alone.model.$part {
            assert_eq!(beside.model.$part.get(name), Some(it), "{} of the neighbour changed beside {objects:#?}", stringify!($part));
        })* };
    }
    unchanged!(gateways, listeners, routes, backends, limits);
    assert!(!alone.model.routes.is_empty() && !alone.model.limits.is_empty(), "the neighbour has something to lose");
}

fn same(left: &Output, right: &Output, how: &str) {
    assert_eq!(left.model, right.model, "{how}: the Models differ");
    assert_eq!(left.statuses, right.statuses, "{how}: the statuses differ");
    assert_eq!(left.proxies, right.proxies, "{how}: the proxies differ");
}

fn resources(objects: &[Value]) -> Resources {
    let mut resources = Resources::default();
    for object in objects {
        drop(resources.upsert(object.clone()));
    }
    resources
}

/// The objects of each golden case of `weir-translate`.
fn cases() -> &'static [Vec<Value>] {
    static CASES: OnceLock<Vec<Vec<Value>>> = OnceLock::new();
    CASES.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/translate/testdata");
        let mut files: Vec<_> = folder.read_dir().expect("the golden cases are there").map(|it| it.expect("readable").path()).collect();
        files.retain(|file| file.to_string_lossy().ends_with(".in.yaml"));
        files.sort();
        let read = |file: &std::path::PathBuf| {
            let text = std::fs::read_to_string(file).expect("readable");
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
            documents.into_iter().filter(|it| it.get("kind").is_some()).collect()
        };
        files.iter().map(read).collect()
    })
}

fn neighbours() -> &'static [Value] {
    static NEIGHBOURS: OnceLock<Vec<Value>> = OnceLock::new();
    NEIGHBOURS.get_or_init(|| {
        let named = |api: &str, kind: &str, spec: Value| {
            let namespace = if kind == "GatewayClass" { "" } else { NEIGHBOUR };
            json!({"apiVersion": api, "kind": kind, "metadata": {"name": NEIGHBOUR, "namespace": namespace, "generation": 1}, "spec": spec})
        };
        let (gateway, ours) = ("gateway.networking.k8s.io/v1", "gateway.envoyproxy.io/v1alpha1");
        let target = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": NEIGHBOUR});
        let backend = json!({"group": "gateway.envoyproxy.io", "kind": "Backend", "name": NEIGHBOUR});
        vec![
            named(gateway, "GatewayClass", json!({"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"})),
            named(
                gateway,
                "Gateway",
                json!({"gatewayClassName": NEIGHBOUR, "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]}),
            ),
            named(gateway, "HTTPRoute", json!({"parentRefs": [{"name": NEIGHBOUR}], "rules": [{"backendRefs": [backend]}]})),
            named(ours, "Backend", json!({"endpoints": [{"fqdn": {"hostname": "a.example.com", "port": 80}}]})),
            named(ours, "ClientTrafficPolicy", json!({"targetRefs": [target], "connection": {"connectionLimit": {"value": 5}}})),
        ]
    })
}

/// Puts something odd somewhere.
fn edit(object: &mut Value, choices: &mut Choices<'_>) {
    let mut here = object;
    // Steps down; not into the identity first, which is where little happens.
    for _ in 0..choices.below(8) {
        let count = match &*here {
            Value::Object(fields) => fields.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        if count == 0 {
            break;
        }
        let at = choices.below(count);
        here = match here {
            Value::Object(fields) => fields.iter_mut().nth(at).map(|(_, value)| value).expect("counted"),
            Value::Array(items) => &mut items[at],
            _ => return,
        };
    }
    match (choices.below(4), here) {
        (0, Value::Object(fields)) if !fields.is_empty() => {
            let key = fields.keys().nth(choices.below(fields.len())).cloned().unwrap_or_default();
            let value = fields.shift_remove(&key);
            if choices.below(2) == 1 {
                fields.insert(format!("{key}x"), value.unwrap_or_default());
            }
        }
        (1, Value::Object(fields)) => drop(fields.insert(choices.of(&KEYS).to_owned(), odd(choices))),
        (0, Value::Array(items)) if !items.is_empty() => drop(items.remove(choices.below(items.len()))),
        (1, Value::Array(items)) => {
            let again = items.first().cloned().unwrap_or_default();
            (0..choices.below(20)).for_each(|_| items.push(again.clone()));
        }
        (_, here) => *here = odd(choices),
    }
}

const KEYS: [&str; 12] =
    ["namespace", "name", "kind", "group", "port", "sectionName", "hostname", "value", "weight", "matches", "filters", "deletionTimestamp"];

fn odd(choices: &mut Choices<'_>) -> Value {
    const TEXTS: [&str; 28] = [
        "",
        "a",
        "default",
        "eg",
        "*",
        "*.",
        "*.example.com",
        "a.example.com",
        ".",
        "..",
        "/",
        "%",
        "a/b",
        "HTTP",
        "HTTPS",
        "Exact",
        "RegularExpression",
        "(",
        "(a*)*",
        "[",
        "5s",
        "999999999999h",
        "-1s",
        "1e9",
        "127.0.0.1",
        "::1",
        "\u{0}",
        "\u{1F980}\u{fffd}",
    ];
    match choices.below(10) {
        0 => Value::Null,
        1 => json!([0, 1, -1, 80, 65535, 65536, i64::MIN, i64::MAX][choices.below(8)]),
        2 => json!(u64::MAX),
        3 => json!(1.5e300),
        4 => json!(choices.below(2) == 1),
        5 => json!([]),
        6 => json!({}),
        7 => json!("x".repeat(choices.below(5000))),
        _ => json!(choices.of(&TEXTS)),
    }
}
