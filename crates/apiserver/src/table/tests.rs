use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::builtin;

fn now() -> Timestamp {
    "2026-11-23T05:00:00Z".parse().unwrap()
}

fn layout(kind: &str) -> Layout {
    Layout::builtin(builtin::all().iter().find(|b| b.kind == kind).unwrap())
}

fn row(kind: &str, mut object: Value) -> Value {
    object["metadata"] = json!({"name": "x", "creationTimestamp": "2026-11-23T04:58:45Z"});
    Value::Array(layout(kind).cells(&object, now()))
}

#[test]
fn ages() {
    let (minute, hour, day) = (60, 3600, 86400);
    for (seconds, text) in [
        (-3, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (206, "3m26s"),
        (10 * minute + 5, "10m"),
        (179 * minute, "179m"),
        (3 * hour, "3h"),
        (5 * hour + 30 * minute, "5h30m"),
        (30 * hour, "30h"),
        (2 * day, "2d"),
        (3 * day + 4 * hour, "3d4h"),
        (400 * day, "400d"),
        (3 * 365 * day + 10 * day, "3y10d"),
        (9 * 365 * day, "9y"),
    ] {
        assert_eq!(age::human(seconds), text, "{seconds}");
    }
    assert_eq!(age::since(&Value::Null, now()), "<unknown>");
}

#[test]
fn every_kind_has_as_many_cells_as_columns() {
    for kind in builtin::all() {
        let layout = Layout::builtin(kind);
        assert_eq!(layout.columns().len(), layout.cells(&json!({}), now()).len(), "{}", kind.kind);
    }
    let names: Vec<String> = layout("Deployment").columns().iter().map(|c| format!("{} {}", c.name, c.priority)).collect();
    assert_eq!(names, ["Name 0", "Ready 0", "Up-to-date 0", "Available 0", "Age 0", "Containers 1", "Images 1", "Selector 1"]);
    assert_eq!(
        layout("Pod").columns()[0].to_json(),
        json!({"name": "Name", "type": "string", "format": "name", "priority": 0,
            "description": "The object's name, unique among objects of its kind in its namespace."})
    );
}

#[test]
fn workloads() {
    let template = json!({"spec": {"containers": [{"name": "echo", "image": "img"}]}});
    let spec = json!({"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "template": template});
    let status = json!({"readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "replicas": 1});
    assert_eq!(row("Deployment", json!({"spec": spec, "status": status})), json!(["x", "1/1", 1, 1, "75s", "echo", "img", "app=x"]));
    assert_eq!(row("ReplicaSet", json!({"spec": spec, "status": status})), json!(["x", 1, 1, 1, "75s", "echo", "img", "app=x"]));
    assert_eq!(row("StatefulSet", json!({"spec": spec})), json!(["x", "0/1", "75s", "echo", "img"]));
}

#[test]
fn services() {
    let spec =
        json!({"type": "ClusterIP", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 3000, "protocol": "TCP"}], "selector": {"app": "x"}});
    assert_eq!(row("Service", json!({"spec": spec})), json!(["x", "ClusterIP", "10.96.0.1", "<none>", "3000/TCP", "75s", "app=x"]));
    let mut balancer = json!({"spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80, "nodePort": 32608, "protocol": "TCP"}]}});
    assert_eq!(row("Service", balancer.clone()), json!(["x", "LoadBalancer", "10.96.0.1", "<pending>", "80:32608/TCP", "75s", "<none>"]));
    balancer["status"] = json!({"loadBalancer": {"ingress": [{"ip": "127.0.0.2"}]}});
    balancer["spec"]["externalIPs"] = json!(["127.0.0.3", "127.0.0.2"]);
    assert_eq!(row("Service", balancer)[3], "127.0.0.2,127.0.0.3");
    assert_eq!(
        row("Service", json!({"spec": {"type": "ExternalName", "externalName": "a.b"}})),
        json!(["x", "ExternalName", "<none>", "a.b", "<none>", "75s", "<none>"])
    );
    assert_eq!(row("Service", json!({"spec": {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"]}}))[2], "None");
}

#[test]
fn endpoints() {
    let slice = json!({"addressType": "IPv4", "ports": [{"port": 80}, {"name": "n"}], "endpoints": [{"addresses": ["a", "b"]}, {"addresses": ["c", "d", "e"]}]});
    assert_eq!(row("EndpointSlice", slice), json!(["x", "IPv4", "80,n", "a,b,c + 2 more...", "75s"]));
    assert_eq!(row("EndpointSlice", json!({"addressType": "IPv4"})), json!(["x", "IPv4", "<unset>", "<unset>", "75s"]));
    let subsets = json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "::1"}], "ports": [{"port": 80}]}]});
    assert_eq!(row("Endpoints", subsets), json!(["x", "10.0.0.1:80,[::1]:80", "75s"]));
    assert_eq!(row("Endpoints", json!({}))[1], "<none>");
}

#[test]
fn events() {
    let mut event = json!({"type": "Warning", "reason": "R", "message": " m\n", "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "f"},
        "source": {"component": "kubelet", "host": "node-1"}, "firstTimestamp": "2026-11-23T04:59:00Z", "lastTimestamp": "2026-11-23T04:59:50Z", "count": 3});
    assert_eq!(row("Event", event.clone()), json!(["10s", "Warning", "R", "pod/p", "f", "kubelet, node-1", "m", "60s", 3, "x"]));
    event["series"] = json!({"count": 9, "lastObservedTime": "2026-11-23T04:59:55.000000Z"});
    let cells = row("Event", event);
    assert_eq!((&cells[0], &cells[8]), (&json!("5s"), &json!(9)));
    let modern = json!({"type": "Normal", "reason": "R", "note": "m", "regarding": {"kind": "Gateway", "name": "g"}, "reportingController": "weir",
        "eventTime": "2026-11-23T04:59:30.000000Z"});
    assert_eq!(row("Event", modern), json!(["30s", "Normal", "R", "gateway/g", "", "weir", "m", "30s", 1, "x"]));
}

#[test]
fn pods() {
    let pod =
        |status: Value| row("Pod", json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}], "nodeName": "n"}, "status": status}));
    let running = json!({"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}});
    assert_eq!(
        pod(
            json!({"phase": "Running", "podIPs": [{"ip": "127.1.0.1"}], "containerStatuses": [running, {"name": "b", "ready": false, "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"finishedAt": "2026-11-23T04:59:55Z"}}}]})
        ),
        json!(["x", "1/2", "CrashLoopBackOff", "2 (5s ago)", "75s", "127.1.0.1", "n", "<none>", "<none>"])
    );
    assert_eq!(pod(json!({"phase": "Pending"})), json!(["x", "0/2", "Pending", "0", "75s", "<none>", "n", "<none>", "<none>"]));
    let ended = |reason: &str, code: i64| json!({"phase": "Running", "containerStatuses": [{"state": {"terminated": {"reason": reason, "exitCode": code}}}]});
    assert_eq!(pod(ended("Completed", 0))[2], "Completed");
    assert_eq!(pod(ended("", 3))[2], "ExitCode:3");
    let init = json!({"phase": "Pending", "initContainerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]});
    assert_eq!(pod(init)[2], "Init:0/0");
    let mut deleting = json!({"metadata": {"name": "x", "deletionTimestamp": "2026-11-23T04:59:55Z"}, "status": {"phase": "Running"}});
    assert_eq!(layout("Pod").cells(&deleting, now())[2], "Terminating");
    deleting["status"]["reason"] = json!("NodeLost");
    assert_eq!(layout("Pod").cells(&deleting, now())[2], "Unknown");
}

#[test]
fn small_kinds() {
    assert_eq!(row("ConfigMap", json!({"data": {"a": ""}, "binaryData": {"b": ""}})), json!(["x", 2, "75s"]));
    assert_eq!(row("Secret", json!({"type": "Opaque", "data": {"a": ""}})), json!(["x", "Opaque", 1, "75s"]));
    assert_eq!(row("Namespace", json!({"status": {"phase": "Active"}})), json!(["x", "Active", "75s"]));
    assert_eq!(row("ServiceAccount", json!({})), json!(["x", "75s"]));
    let crd = json!({"spec": {"scope": "Namespaced", "group": "g", "names": {"kind": "K", "shortNames": ["k"]},
        "versions": [{"name": "v1", "storage": true}, {"name": "v1beta1"}]}, "status": {"conditions": [{"type": "Established", "status": "True"}]}});
    assert_eq!(
        row("CustomResourceDefinition", crd),
        json!(["x", "Namespaced", "v1(storage),v1beta1", "2026-11-23T04:58:45Z", "g", "K", "k", true])
    );
    let node = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1", "kernelVersion": "6", "architecture": "amd64"}}});
    assert_eq!(
        row("Node", node),
        json!(["x", "Ready", "<none>", "75s", "v1", "127.0.0.1", "<none>", "<unknown>", "6 (amd64)", "<unknown>"])
    );
}

#[test]
fn custom_columns() {
    let version = json!({"additionalPrinterColumns": [
        {"name": "Hostnames", "type": "string", "jsonPath": ".spec.hostnames"},
        {"name": "Address", "type": "string", "jsonPath": ".status.addresses[*].value"},
        {"name": "Programmed", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Programmed\")].status"},
        {"name": "Count", "type": "integer", "jsonPath": ".spec.count", "priority": 1},
        {"name": "Wrong", "type": "integer", "jsonPath": ".spec.hostnames"},
        {"name": "Last", "type": "string", "jsonPath": ".spec.hostnames[-1]"},
        {"name": "Dotted", "type": "string", "jsonPath": ".metadata.annotations.a\\.b/c"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Bad", "type": "date", "jsonPath": ".metadata.name"},
        {"name": "Missing", "type": "string", "jsonPath": ".spec.nope[0]"},
    ]});
    let layout = Layout::crd(&version);
    let object = json!({"metadata": {"name": "x", "creationTimestamp": "2026-11-23T04:58:45Z", "annotations": {"a.b/c": "d"}},
        "spec": {"hostnames": ["a.example", "b.example"], "count": 5},
        "status": {"addresses": [{"value": "10.0.0.1"}, {"value": "10.0.0.2"}], "conditions": [{"type": "Accepted", "status": "False"}, {"type": "Programmed", "status": "True"}]}});
    assert_eq!(
        Value::Array(layout.cells(&object, now())),
        json!(["x", "[\"a.example\",\"b.example\"]", "10.0.0.1", "True", 5, null, "b.example", "d", "75s", "<invalid>", null])
    );
    assert_eq!(layout.columns()[1].description, "Custom resource definition column (in JSONPath format): .spec.hostnames");
    assert_eq!(layout.columns()[4].priority, 1);
    let plain = Layout::crd(&json!({}));
    assert_eq!(plain.cells(&object, now()), [json!("x"), json!("75s")]);
    assert_eq!((plain.columns()[1].name.as_str(), plain.columns()[1].kind.as_str()), ("Age", "date"));
}

#[test]
fn json_paths() {
    let object = json!({"a": {"b.c": 1, "list": [{"n": "x", "v": 1}, {"n": "y", "v": 2}]}, "empty": []});
    for (path, found) in [
        (".a['b.c']", Some(json!(1))),
        ("{.a.list[1].v}", Some(json!(2))),
        ("$.a.list[-1].n", Some(json!("y"))),
        (".a.list[?(@.n=='y')].v", Some(json!(2))),
        (".a.list[?(@.v!=1)].n", Some(json!("y"))),
        (".a.list[*].v", Some(json!(1))),
        (".a.*.v", None),
        (".empty[0]", None),
        (".a.list[9]", None),
    ] {
        assert_eq!(json_path::JsonPath::parse(path).unwrap().first(&object), found.as_ref(), "{path}");
    }
    for bad in [".a[", ".a[?(@.n)]", ".a[x]", ".a[?(n==1)]"] {
        assert_eq!(json_path::JsonPath::parse(bad), None, "{bad}");
    }
}
