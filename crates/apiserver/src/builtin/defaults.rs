//! What the server fills in, by kind.

mod pod;

use serde_json::{Map, Value, json};

use super::Builtin;

/// Sets the defaults of one kind.
pub(super) fn set(kind: &Builtin, object: &mut Value) {
    let Value::Object(object) = object else { return };
    match (kind.group, kind.kind) {
        ("", "Namespace") => namespace(object),
        ("", "Secret") => secret(object),
        ("", "Service") => service(object),
        ("", "Pod") => pod_object(object),
        (_, "Event") => event(object),
        ("", "Endpoints") => endpoints(object),
        ("apps", "Deployment") => deployment(object),
        ("apps", "ReplicaSet") => {
            let spec = child(object, "spec");
            missing(spec, "replicas", || json!(1));
            template(spec);
        }
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("batch", "Job") => job(object),
        ("discovery.k8s.io", "EndpointSlice") => endpoint_slice(object),
        ("apiextensions.k8s.io", _) => crd(object),
        _ => {}
    }
}

/// The object below `key`, made when it is not there.
fn child<'m>(map: &'m mut Map<String, Value>, key: &str) -> &'m mut Map<String, Value> {
    let value = map.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("made an object above")
}

/// Sets `key` unless it has a value; an empty string is no value, as in Go.
fn missing(map: &mut Map<String, Value>, key: &str, value: impl FnOnce() -> Value) {
    if map.get(key).is_none_or(|v| v.is_null() || v == "") {
        map.insert(key.to_owned(), value());
    }
}

/// The objects in the list below `key`.
fn each<'m>(map: &'m mut Map<String, Value>, key: &str) -> impl Iterator<Item = &'m mut Map<String, Value>> {
    map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

fn namespace(object: &mut Map<String, Value>) {
    let name = object.get("metadata").and_then(|m| m.get("name")).and_then(Value::as_str).unwrap_or_default().to_owned();
    if !name.is_empty() {
        child(child(object, "metadata"), "labels").insert("kubernetes.io/metadata.name".to_owned(), name.into());
    }
    let deleting = object.get("metadata").is_some_and(|m| m.get("deletionTimestamp").is_some());
    let spec = child(object, "spec");
    if !deleting {
        missing(spec, "finalizers", || json!(["kubernetes"]));
    }
    missing(child(object, "status"), "phase", || json!("Active"));
}

fn secret(object: &mut Map<String, Value>) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    missing(object, "type", || json!("Opaque"));
    // stringData is for writing only: it goes into data and is never stored.
    if let Some(Value::Object(plain)) = object.shift_remove("stringData")
        && !plain.is_empty()
    {
        let data = child(object, "data");
        for (key, value) in plain {
            data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
        }
    }
}

fn service(object: &mut Map<String, Value>) {
    let spec = child(object, "spec");
    missing(spec, "sessionAffinity", || json!("None"));
    missing(spec, "type", || json!("ClusterIP"));
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    for port in each(spec, "ports") {
        missing(port, "protocol", || json!("TCP"));
        let number = port.get("port").cloned().unwrap_or_default();
        if port.get("targetPort").is_none_or(|t| t == 0 || t == "") {
            port.insert("targetPort".to_owned(), number);
        }
    }
    if spec.get("sessionAffinity").is_some_and(|a| a == "ClientIP") {
        let client = child(child(spec, "sessionAffinityConfig"), "clientIP");
        missing(client, "timeoutSeconds", || json!(10800));
    }
    let external = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && external) {
        missing(spec, "externalTrafficPolicy", || json!("Cluster"));
    }
    if kind != "ExternalName" {
        missing(spec, "internalTrafficPolicy", || json!("Cluster"));
        // Whose endpoints nobody selects, and which has no address itself, may have endpoints of both families.
        let selects = spec.get("selector").and_then(Value::as_object).is_some_and(|selector| !selector.is_empty());
        if !selects && spec.get("clusterIP").is_some_and(|ip| ip == "None") && !spec.contains_key("ipFamilies") {
            missing(spec, "ipFamilyPolicy", || json!("RequireDualStack"));
            let both = spec.get("ipFamilyPolicy").is_some_and(|policy| policy != "SingleStack");
            missing(spec, "ipFamilies", || if both { json!(["IPv4", "IPv6"]) } else { json!(["IPv4"]) });
        }
        missing(spec, "ipFamilies", || json!(["IPv4"]));
        missing(spec, "ipFamilyPolicy", || json!("SingleStack"));
        // The address itself is given by the server that allocates; the two spellings of it go together.
        if let Some(address) = spec.get("clusterIP").filter(|ip| ip.as_str().is_some_and(|ip| !ip.is_empty())).cloned() {
            missing(spec, "clusterIPs", || json!([address]));
        }
    }
    if kind == "LoadBalancer" {
        missing(spec, "allocateLoadBalancerNodePorts", || json!(true));
    }
    let status = child(object, "status");
    let balancer = child(status, "loadBalancer");
    if kind == "LoadBalancer" {
        for ingress in each(balancer, "ingress") {
            if ingress.contains_key("ip") {
                missing(ingress, "ipMode", || json!("VIP"));
            }
        }
    }
}

/// Times that are not known and names that are not given are shown nevertheless, as Go shows what it cannot leave out. Events are kept under the
/// names of the core group.
fn event(object: &mut Map<String, Value>) {
    missing(object, "source", || json!({}));
    for time in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        object.entry(time).or_insert(Value::Null);
    }
    for name in ["reportingComponent", "reportingInstance"] {
        object.entry(name).or_insert_with(|| json!(""));
    }
}

fn endpoints(object: &mut Map<String, Value>) {
    for subset in each(object, "subsets") {
        for port in each(subset, "ports") {
            missing(port, "protocol", || json!("TCP"));
        }
    }
}

fn endpoint_slice(object: &mut Map<String, Value>) {
    for endpoint in each(object, "endpoints") {
        missing(endpoint, "conditions", || json!({}));
    }
    for port in each(object, "ports") {
        missing(port, "name", || json!(""));
        missing(port, "protocol", || json!("TCP"));
    }
}

fn template(spec: &mut Map<String, Value>) {
    let template = child(spec, "template");
    pod::spec(child(template, "spec"));
}

fn pod_object(object: &mut Map<String, Value>) {
    let spec = child(object, "spec");
    pod::spec(spec);
    pod::of_pod(spec);
    let qos = pod::quality_of_service(spec);
    let status = child(object, "status");
    missing(status, "phase", || json!("Pending"));
    missing(status, "qosClass", || json!(qos));
}

fn deployment(object: &mut Map<String, Value>) {
    let spec = child(object, "spec");
    missing(spec, "replicas", || json!(1));
    let strategy = child(spec, "strategy");
    missing(strategy, "type", || json!("RollingUpdate"));
    if strategy.get("type").is_some_and(|t| t == "RollingUpdate") {
        let rolling = child(strategy, "rollingUpdate");
        missing(rolling, "maxUnavailable", || json!("25%"));
        missing(rolling, "maxSurge", || json!("25%"));
    }
    missing(spec, "revisionHistoryLimit", || json!(10));
    missing(spec, "progressDeadlineSeconds", || json!(600));
    template(spec);
    child(object, "status");
}

fn stateful_set(object: &mut Map<String, Value>) {
    let spec = child(object, "spec");
    missing(spec, "podManagementPolicy", || json!("OrderedReady"));
    missing(spec, "replicas", || json!(1));
    missing(spec, "revisionHistoryLimit", || json!(10));
    let strategy = child(spec, "updateStrategy");
    missing(strategy, "type", || json!("RollingUpdate"));
    if strategy.get("type").is_some_and(|t| t == "RollingUpdate") {
        missing(child(strategy, "rollingUpdate"), "partition", || json!(0));
    }
    let retention = child(spec, "persistentVolumeClaimRetentionPolicy");
    missing(retention, "whenDeleted", || json!("Retain"));
    missing(retention, "whenScaled", || json!("Retain"));
    template(spec);
}

fn daemon_set(object: &mut Map<String, Value>) {
    let spec = child(object, "spec");
    missing(spec, "revisionHistoryLimit", || json!(10));
    let strategy = child(spec, "updateStrategy");
    missing(strategy, "type", || json!("RollingUpdate"));
    if strategy.get("type").is_some_and(|t| t == "RollingUpdate") {
        let rolling = child(strategy, "rollingUpdate");
        missing(rolling, "maxUnavailable", || json!(1));
        missing(rolling, "maxSurge", || json!(0));
    }
    template(spec);
}

fn job(object: &mut Map<String, Value>) {
    let spec = child(object, "spec");
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        missing(spec, "completions", || json!(1));
    }
    missing(spec, "parallelism", || json!(1));
    missing(spec, "backoffLimit", || json!(6));
    missing(spec, "completionMode", || json!("NonIndexed"));
    missing(spec, "suspend", || json!(false));
    missing(spec, "manualSelector", || json!(false));
    missing(spec, "podReplacementPolicy", || json!("TerminatingOrFailed"));
    template(spec);
}

fn crd(object: &mut Map<String, Value>) {
    let spec = child(object, "spec");
    missing(child(spec, "conversion"), "strategy", || json!("None"));
    let names = child(spec, "names");
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    missing(names, "singular", || json!(kind.to_lowercase()));
    missing(names, "listKind", || json!(format!("{kind}List")));
}
