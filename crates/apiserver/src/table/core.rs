//! Cells of the core kinds and of a few small ones.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{age, created, labels, list, name, number, or, text};

/// Only the age, after the name.
pub(super) fn only_age(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), created(object, now)]
}

pub(super) fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), (size(&object["data"]) + size(&object["binaryData"])).into(), created(object, now)]
}

pub(super) fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(object, "type").into(), size(&object["data"]).into(), created(object, now)]
}

fn size(map: &Value) -> usize {
    map.as_object().map_or(0, Map::len)
}

pub(super) fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(&object["status"], "phase").into(), created(object, now)]
}

pub(super) fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(&object["spec"], "holderIdentity").into(), created(object, now)]
}

/// The date itself, not an age.
pub(super) fn role(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![name(object), object["metadata"]["creationTimestamp"].clone()]
}

pub(super) fn role_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = format!("{}/{}", text(&object["roleRef"], "kind"), text(&object["roleRef"], "name"));
    let subjects = |kind: &str| {
        let of_kind = list(object, "subjects").iter().filter(|subject| text(subject, "kind") == kind);
        let names: Vec<String> = of_kind
            .map(|subject| match text(subject, "namespace") {
                "" => text(subject, "name").to_owned(),
                namespace => format!("{namespace}/{}", text(subject, "name")),
            })
            .collect();
        Value::from(names.join(", "))
    };
    vec![name(object), role.into(), created(object, now), subjects("User"), subjects("Group"), subjects("ServiceAccount")]
}

pub(super) fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let address = list(spec, "clusterIPs").first().and_then(Value::as_str).unwrap_or_default();
    let ports: Vec<String> = list(spec, "ports")
        .iter()
        .map(|port| match number(port, "nodePort") {
            0 => format!("{}/{}", number(port, "port"), text(port, "protocol")),
            node => format!("{}:{node}/{}", number(port, "port"), text(port, "protocol")),
        })
        .collect();
    vec![
        name(object),
        text(spec, "type").into(),
        or(or(address, text(spec, "clusterIP")), "<none>").into(),
        external_address(object).into(),
        or(&ports.join(","), "<none>").into(),
        created(object, now),
        labels(&spec["selector"]).into(),
    ]
}

fn external_address(object: &Value) -> String {
    let spec = &object["spec"];
    let mut addresses: Vec<&str> = Vec::new();
    match text(spec, "type") {
        "ExternalName" => return text(spec, "externalName").to_owned(),
        "LoadBalancer" => {
            let ingress = list(&object["status"]["loadBalancer"], "ingress").iter();
            addresses.extend(ingress.map(|ingress| or(text(ingress, "ip"), text(ingress, "hostname"))).filter(|a| !a.is_empty()));
        }
        _ => {}
    }
    // A load balancer may answer on the externalIPs it was given: no address is said twice.
    for given in list(spec, "externalIPs").iter().filter_map(Value::as_str) {
        if !addresses.contains(&given) {
            addresses.push(given);
        }
    }
    match (addresses.is_empty(), text(spec, "type")) {
        (false, _) => addresses.join(","),
        (true, "LoadBalancer") => "<pending>".to_owned(),
        (true, _) => "<none>".to_owned(),
    }
}

/// The first three, and how many more there are.
fn first_three(all: &[String], none: &str) -> String {
    match all {
        [] => none.to_owned(),
        [a, b, c, rest @ ..] if !rest.is_empty() => format!("{a},{b},{c} + {} more...", rest.len()),
        few => few.join(","),
    }
}

pub(super) fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in list(object, "subsets") {
        let addresses = list(subset, "addresses").iter().map(|address| text(address, "ip"));
        let ports = list(subset, "ports");
        if ports.is_empty() {
            all.extend(addresses.map(str::to_owned));
            continue;
        }
        for port in ports {
            all.extend(addresses.clone().map(|ip| {
                let port = number(port, "port");
                if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
            }));
        }
    }
    vec![name(object), first_three(&all, "<none>").into(), created(object, now)]
}

pub(super) fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let port = |port: &Value| match port["port"].as_i64() {
        Some(number) => number.to_string(),
        None => port["name"].as_str().unwrap_or("*").to_owned(),
    };
    let ports: Vec<String> = list(object, "ports").iter().map(port).collect();
    let addresses = list(object, "endpoints").iter().flat_map(|endpoint| list(endpoint, "addresses"));
    let addresses: Vec<String> = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
    vec![
        name(object),
        text(object, "addressType").into(),
        first_three(&ports, "<unset>").into(),
        first_three(&addresses, "<unset>").into(),
        created(object, now),
    ]
}

/// Both forms of Event: of the core group, and of events.k8s.io.
pub(super) fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let either = |a: &str, b: &str| if object[a].is_null() { object[b].clone() } else { object[a].clone() };
    let first = either("firstTimestamp", "deprecatedFirstTimestamp");
    let first = age::since(if first.is_null() { &object["eventTime"] } else { &first }, now);
    let last = either("lastTimestamp", "deprecatedLastTimestamp");
    let mut last = if last.is_null() { first.clone() } else { age::since(&last, now) };
    let mut count = either("count", "deprecatedCount").as_i64().unwrap_or_default().max(1);
    if object["series"].is_object() {
        last = age::since(&object["series"]["lastObservedTime"], now);
        count = number(&object["series"], "count");
    }
    let involved = either("involvedObject", "regarding");
    let kind = text(&involved, "kind").to_lowercase();
    let target = if text(&involved, "name").is_empty() { kind } else { format!("{kind}/{}", text(&involved, "name")) };
    let source = either("source", "deprecatedSource");
    let reporter = either("reportingComponent", "reportingController");
    let component = or(text(&source, "component"), reporter.as_str().unwrap_or_default());
    let source = match or(text(&source, "host"), text(object, "reportingInstance")) {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    };
    let message = either("message", "note");
    vec![
        last.into(),
        text(object, "type").into(),
        text(object, "reason").into(),
        target.into(),
        text(&involved, "fieldPath").into(),
        source.into(),
        message.as_str().unwrap_or_default().trim().into(),
        first.into(),
        count.into(),
        name(object),
    ]
}

pub(super) fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    const ROLE: &str = "node-role.kubernetes.io/";
    let status = &object["status"];
    let ready = list(status, "conditions").iter().find(|condition| text(condition, "type") == "Ready");
    let mut state = match ready.map(|condition| text(condition, "status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object["spec"]["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let labels = object["metadata"]["labels"].as_object();
    let mut roles: Vec<&str> =
        labels.into_iter().flatten().filter_map(|(key, _)| key.strip_prefix(ROLE)).filter(|role| !role.is_empty()).collect();
    roles.sort_unstable();
    let address = |kind: &str| {
        let address = list(status, "addresses").iter().find(|address| text(address, "type") == kind);
        Value::from(or(address.map(|address| text(address, "address")).unwrap_or_default(), "<none>"))
    };
    let info = &status["nodeInfo"];
    let mut kernel = or(text(info, "kernelVersion"), "<unknown>").to_owned();
    if !text(info, "architecture").is_empty() {
        kernel = format!("{kernel} ({})", text(info, "architecture"));
    }
    vec![
        name(object),
        state.into(),
        or(&roles.join(","), "<none>").into(),
        created(object, now),
        text(info, "kubeletVersion").into(),
        address("InternalIP"),
        address("ExternalIP"),
        or(text(info, "osImage"), "<unknown>").into(),
        kernel.into(),
        or(text(info, "containerRuntimeVersion"), "<unknown>").into(),
    ]
}

pub(super) fn crd(object: &Value, _now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let version = |version: &Value| {
        let stored = if version["storage"] == true { "(storage)" } else { "" };
        format!("{}{stored}", text(version, "name"))
    };
    let versions: Vec<String> = list(spec, "versions").iter().map(version).collect();
    let short: Vec<&str> = list(&spec["names"], "shortNames").iter().filter_map(Value::as_str).collect();
    let established = |condition: &Value| text(condition, "type") == "Established" && text(condition, "status") == "True";
    vec![
        name(object),
        text(spec, "scope").into(),
        versions.join(",").into(),
        object["metadata"]["creationTimestamp"].clone(),
        text(spec, "group").into(),
        text(&spec["names"], "kind").into(),
        short.join(",").into(),
        list(&object["status"], "conditions").iter().any(established).into(),
    ]
}
