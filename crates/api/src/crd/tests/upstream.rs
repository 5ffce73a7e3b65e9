//! Our definitions against upstream's, whose structure without descriptions is in `testdata/upstream`: a first line for the definition,
//! then a line per schema node, its path and its facts.

use serde_json::{Map, Value, json};

use super::super::crds;

const UPSTREAM: [&str; 7] = [
    include_str!("../../../testdata/upstream/gateway_class.txt"),
    include_str!("../../../testdata/upstream/gateway.txt"),
    include_str!("../../../testdata/upstream/http_route.txt"),
    include_str!("../../../testdata/upstream/reference_grant.txt"),
    include_str!("../../../testdata/upstream/backend.txt"),
    include_str!("../../../testdata/upstream/client_traffic_policy.txt"),
    include_str!("../../../testdata/upstream/envoy_proxy.txt"),
];

fn facts(node: &Value, path: String, lines: &mut Vec<(String, Value)>) {
    let Value::Object(fields) = node else { panic!("{path} is no schema") };
    let child = |key: &str, value: &Value| match key {
        "description" | "properties" | "items" => true,
        "additionalProperties" => value.is_object(),
        _ => false,
    };
    let own: Map<String, Value> =
        fields.iter().filter(|(key, value)| !child(key, value)).map(|(key, value)| (key.clone(), value.clone())).collect();
    lines.push((if path.is_empty() { ".".to_owned() } else { path.clone() }, Value::Object(own)));
    let mut properties: Vec<_> = fields.get("properties").and_then(Value::as_object).into_iter().flatten().collect();
    properties.sort_by_key(|(name, _)| name.as_str());
    for (name, property) in properties {
        facts(property, format!("{path}.{name}"), lines);
    }
    if let Some(items) = fields.get("items") {
        facts(items, format!("{path}[]"), lines);
    }
    if let Some(values) = fields.get("additionalProperties").filter(|values| values.is_object()) {
        facts(values, format!("{path}{{}}"), lines);
    }
}

fn head(crd: &Value) -> Value {
    let mut versions = crd["spec"]["versions"].clone();
    for version in versions.as_array_mut().unwrap() {
        version.as_object_mut().unwrap().remove("schema");
    }
    json!({
        "annotations": crd["metadata"].get("annotations").cloned().unwrap_or(json!({})),
        "group": crd["spec"]["group"],
        "name": crd["metadata"]["name"],
        "names": crd["spec"]["names"],
        "scope": crd["spec"]["scope"],
        "versions": versions,
    })
}

/// Our only difference: a ClientTrafficPolicy may target HTTPRoutes.
const WIDENED: [(&str, &str); 2] = [
    ("kind of Gateway or ListenerSet", "kind of Gateway, ListenerSet or HTTPRoute"),
    ("in ['Gateway', 'ListenerSet']", "in ['Gateway', 'ListenerSet', 'HTTPRoute']"),
];

/// What upstream's line says with our difference.
fn widened(crd: &Value, line: &str) -> String {
    if crd["spec"]["names"]["kind"] != "ClientTrafficPolicy" {
        return line.to_owned();
    }
    WIDENED.iter().fold(line.to_owned(), |line, (theirs, ours)| line.replace(theirs, ours))
}

#[test]
fn the_one_difference_is_about_targets_of_policies() {
    let changed: Vec<(usize, &str)> = crds()
        .iter()
        .zip(UPSTREAM)
        .flat_map(|(crd, upstream)| {
            let changed: Vec<_> = upstream.lines().enumerate().filter(|(_, line)| widened(crd, line) != **line).collect();
            changed
        })
        .collect();
    assert!(matches!(changed[..], [(_, line)] if line.starts_with(".spec\t")), "{changed:#?}");
}

#[test]
fn the_definitions_are_upstreams() {
    for (crd, upstream) in crds().iter().zip(UPSTREAM) {
        let mut upstream = upstream.lines();
        let expected: Value = serde_json::from_str(upstream.next().unwrap()).unwrap();
        assert_eq!(head(crd), expected);
        let expected: Vec<(String, Value)> = upstream
            .map(|line| widened(crd, line))
            .map(|line| {
                let (path, facts) = line.split_once('\t').unwrap();
                (path.to_owned(), serde_json::from_str(facts).unwrap())
            })
            .collect();
        for version in crd["spec"]["versions"].as_array().unwrap() {
            let mut ours = Vec::new();
            facts(&version["schema"]["openAPIV3Schema"], String::new(), &mut ours);
            let missing: Vec<_> = expected.iter().filter(|line| !ours.contains(line)).collect();
            let surplus: Vec<_> = ours.iter().filter(|line| !expected.contains(line)).collect();
            assert!(missing.is_empty() && surplus.is_empty(), "{}: missing {missing:#?}, surplus {surplus:#?}", crd["metadata"]["name"]);
        }
    }
}
