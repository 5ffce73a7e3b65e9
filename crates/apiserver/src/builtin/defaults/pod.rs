//! Defaults of pods and pod templates.

use serde_json::{Map, Value, json};

use super::{child, each, missing};

/// What holds for pods and for templates of pods.
pub(super) fn spec(spec: &mut Map<String, Value>) {
    if let Some(account) = spec.get("serviceAccountName").or(spec.get("serviceAccount")).cloned() {
        missing(spec, "serviceAccountName", || account.clone());
        spec.insert("serviceAccount".to_owned(), account);
    }
    missing(spec, "dnsPolicy", || json!("ClusterFirst"));
    missing(spec, "restartPolicy", || json!("Always"));
    missing(spec, "securityContext", || json!({}));
    missing(spec, "terminationGracePeriodSeconds", || json!(30));
    missing(spec, "schedulerName", || json!("default-scheduler"));
    let host_network = spec.get("hostNetwork").is_some_and(|v| v == true);
    for list in ["containers", "initContainers"] {
        for container in each(spec, list) {
            self::container(container, host_network);
        }
    }
    for volume in each(spec, "volumes") {
        self::volume(volume);
    }
}

/// What only pods get, from the API server and its admission.
pub(super) fn of_pod(spec: &mut Map<String, Value>) {
    missing(spec, "enableServiceLinks", || json!(true));
    missing(spec, "preemptionPolicy", || json!("PreemptLowerPriority"));
    missing(spec, "priority", || json!(0));
    for list in ["containers", "initContainers"] {
        for container in each(spec, list) {
            let resources = child(container, "resources");
            let limits = resources.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
            for (name, limit) in limits {
                missing(child(resources, "requests"), &name, || limit);
            }
        }
    }
    tolerations(spec);
}

/// A node that is not ready keeps its pods for five minutes.
fn tolerations(spec: &mut Map<String, Value>) {
    let list = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Value::Array(list) = list else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = |t: &Value| {
            let key_matches = t["key"] == key || (t["key"].is_null() && t["operator"] == "Exists");
            key_matches && (t["effect"].is_null() || t["effect"] == "NoExecute")
        };
        if !list.iter().any(tolerated) {
            list.push(json!({"effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300}));
        }
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(super) fn quality_of_service(spec: &Map<String, Value>) -> &'static str {
    let lists = ["containers", "initContainers"].into_iter().filter_map(|list| spec.get(list)?.as_array());
    let containers: Vec<&Value> = lists.flatten().collect();
    let sums = |c: &&Value| {
        let resources = &c["resources"];
        ["cpu", "memory"].iter().all(|r| !resources["limits"][r].is_null() && resources["limits"][r] == resources["requests"][r])
    };
    let none = |c: &&Value| {
        let resources = &c["resources"];
        ["limits", "requests"].iter().all(|kind| resources[kind].as_object().is_none_or(Map::is_empty))
    };
    if containers.iter().all(none) {
        "BestEffort"
    } else if containers.iter().all(sums) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn container(container: &mut Map<String, Value>, host_network: bool) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default().to_owned();
    missing(container, "imagePullPolicy", || json!(if is_latest(&image) { "Always" } else { "IfNotPresent" }));
    missing(container, "resources", || json!({}));
    missing(container, "terminationMessagePath", || json!("/dev/termination-log"));
    missing(container, "terminationMessagePolicy", || json!("File"));
    for port in each(container, "ports") {
        missing(port, "protocol", || json!("TCP"));
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            missing(port, "hostPort", || number);
        }
    }
    for variable in each(container, "env") {
        if let Some(Value::Object(from)) = variable.get_mut("valueFrom")
            && let Some(Value::Object(field)) = from.get_mut("fieldRef")
        {
            missing(field, "apiVersion", || json!("v1"));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(Value::Object(probe)) = container.get_mut(probe) {
            missing(probe, "timeoutSeconds", || json!(1));
            missing(probe, "periodSeconds", || json!(10));
            missing(probe, "successThreshold", || json!(1));
            missing(probe, "failureThreshold", || json!(3));
            http_get(probe);
            if let Some(Value::Object(grpc)) = probe.get_mut("grpc") {
                grpc.entry("service").or_insert_with(|| json!(""));
            }
        }
    }
    if let Some(Value::Object(lifecycle)) = container.get_mut("lifecycle") {
        lifecycle.values_mut().filter_map(Value::as_object_mut).for_each(http_get);
    }
}

fn http_get(action: &mut Map<String, Value>) {
    if let Some(Value::Object(get)) = action.get_mut("httpGet") {
        missing(get, "path", || json!("/"));
        missing(get, "scheme", || json!("HTTP"));
    }
}

/// No tag and no digest is `latest` too.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn volume(volume: &mut Map<String, Value>) {
    if volume.keys().all(|key| key == "name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(Value::Object(source)) = volume.get_mut(source) {
            missing(source, "defaultMode", || json!(0o644));
            field_refs(source);
            for part in each(source, "sources") {
                for part in part.values_mut().filter_map(Value::as_object_mut) {
                    field_refs(part);
                }
                if let Some(Value::Object(token)) = part.get_mut("serviceAccountToken") {
                    missing(token, "expirationSeconds", || json!(3600));
                }
            }
        }
    }
    if let Some(Value::Object(path)) = volume.get_mut("hostPath") {
        path.entry("type").or_insert_with(|| json!(""));
    }
}

fn field_refs(source: &mut Map<String, Value>) {
    for item in each(source, "items") {
        if let Some(Value::Object(field)) = item.get_mut("fieldRef") {
            missing(field, "apiVersion", || json!("v1"));
        }
    }
}
