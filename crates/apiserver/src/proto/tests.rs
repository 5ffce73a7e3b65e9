use serde_json::json;

use super::{messages::Kind, *};

/// Length-delimited field.
fn bytes(number: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = varint(number << 3 | 2);
    out.extend(varint(payload.len() as u64));
    out.extend(payload);
    out
}

fn int(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), bytes(1, &meta), bytes(2, raw), bytes(3, b""), bytes(4, b"")].concat()
}

#[test]
fn a_namespace_as_kubectl_sends_it() {
    // Empty strings, a zero time and zero numbers are on the wire, and not in the JSON.
    let metadata = [bytes(1, b"team-a"), bytes(2, b""), bytes(3, b""), bytes(5, b""), bytes(6, b""), int(7, 0), bytes(8, b"")].concat();
    let raw = [bytes(1, &metadata), bytes(2, b""), bytes(3, &bytes(1, b""))].concat();
    assert_eq!(
        decode(&body("v1", "Namespace", &raw)).unwrap(),
        json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "team-a"}, "spec": {}, "status": {}})
    );
}

#[test]
fn maps_bytes_and_special_forms() {
    let pair = |key: &[u8], value: &[u8]| [bytes(1, key), bytes(2, value)].concat();
    let raw = [bytes(1, &bytes(1, b"c")), bytes(2, &pair(b"k", b"v")), bytes(2, &bytes(1, b"empty")), bytes(3, &pair(b"b", b"\x00\xff"))]
        .concat();
    assert_eq!(
        decode(&body("v1", "ConfigMap", &raw)).unwrap(),
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": {"k": "v", "empty": ""}, "binaryData": {"b": "AP8="}})
    );
    let port =
        [bytes(1, b""), bytes(2, b"TCP"), int(3, 80), bytes(4, &[int(1, 1), int(2, 0), bytes(3, b"http")].concat()), int(5, 0)].concat();
    let other = [bytes(1, b"x"), int(3, 81), bytes(4, &[int(1, 0), int(2, 8081), bytes(3, b"")].concat())].concat();
    let raw = bytes(2, &[bytes(1, &port), bytes(1, &other)].concat());
    assert_eq!(
        decode(&body("v1", "Service", &raw)).unwrap()["spec"]["ports"],
        json!([{"protocol": "TCP", "port": 80, "targetPort": "http"}, {"name": "x", "port": 81, "targetPort": 8081}])
    );
    let lease = bytes(2, &[bytes(1, b"me"), int(2, 15), bytes(3, &[int(1, 1_700_000_000), int(2, 120_000)].concat())].concat());
    assert_eq!(
        decode(&body("coordination.k8s.io/v1", "Lease", &lease)).unwrap()["spec"],
        json!({"holderIdentity": "me", "leaseDurationSeconds": 15, "acquireTime": "2023-11-14T22:13:20.000120Z"})
    );
}

#[test]
fn a_deployment_keeps_pointers_to_zero_and_inlines() {
    let selector = bytes(1, &[bytes(1, &bytes(1, b"key-name")), bytes(2, b"k")].concat());
    let from = bytes(4, &[bytes(1, &bytes(1, b"secret")), bytes(2, b"k")].concat());
    let env = bytes(7, &[bytes(1, b"E"), bytes(2, b""), bytes(3, &from)].concat());
    let quantity = [bytes(1, b"cpu"), bytes(2, &bytes(1, b"100m"))].concat();
    let container = [bytes(1, b"c"), bytes(2, b"i:1"), env, bytes(8, &bytes(1, &quantity))].concat();
    let volume = bytes(1, &[bytes(1, b"v"), bytes(2, &bytes(2, b""))].concat());
    let template = bytes(2, &[volume, bytes(2, &container)].concat());
    let spec = [int(1, 0), bytes(2, &selector), bytes(3, &template), int(5, 0)].concat();
    let decoded = decode(&body("apps/v1", "Deployment", &bytes(2, &spec))).unwrap();
    assert_eq!(decoded["spec"]["replicas"], 0);
    assert_eq!(decoded["spec"].get("minReadySeconds"), None);
    let pod = &decoded["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"], json!([{"name": "v", "emptyDir": {}}]));
    assert_eq!(
        pod["containers"],
        json!([{"name": "c", "image": "i:1", "resources": {"limits": {"cpu": "100m"}},
            "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "k"}}}]}])
    );
}

#[test]
fn every_message_of_the_table_is_there() {
    let special = [
        "meta.Time",
        "meta.MicroTime",
        "resource.Quantity",
        "intstr.IntOrString",
        "runtime.RawExtension",
        "meta.FieldsV1",
        "apiextensions.JSON",
        "apiextensions.JSONSchemaPropsOrArray",
        "apiextensions.JSONSchemaPropsOrBool",
        "apiextensions.JSONSchemaPropsOrStringArray",
    ];
    for line in include_str!("messages.txt").lines() {
        let name = line.split(' ').next().unwrap();
        for entry in messages::find(name).unwrap().values() {
            if let Kind::Message(field) = entry.kind {
                assert!(special.contains(&field) || messages::find(field).is_some(), "{name} needs {field}");
            }
        }
    }
    for kind in crate::builtin::all() {
        assert!(messages::root(&kind.api_version(), kind.kind).is_some(), "{}", kind.kind);
    }
    assert!(messages::root("apps/v1", "DeleteOptions").is_some());
    assert!(messages::root("authorization.k8s.io/v1", "SelfSubjectAccessReview").is_some());
}

#[test]
fn hostile_bodies_are_errors() {
    let good = body("v1", "ConfigMap", &bytes(1, &bytes(1, b"c")));
    for len in 0..good.len() {
        let _ = decode(&good[..len]);
    }
    assert!(decode(b"{}").unwrap_err().contains("protobuf"));
    assert!(decode(&body("v1", "Nope", b"")).unwrap_err().contains("application/json"));
    assert!(decode(&body("v1", "ConfigMap", &int(1, 1))).is_err());
    assert!(decode(&body("v1", "ConfigMap", &[0xff; 16])).is_err());
    assert!(decode(&body("v1", "ConfigMap", &bytes(1, &bytes(1, &[0xff])))).is_err());
    assert!(decode(&body("v1", "ConfigMap", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])).is_err());
}

/// What goes out comes back as it was, where JSON has one way to say it.
fn round(object: &Value) {
    assert_eq!(&decode(&encode(object).unwrap()).unwrap(), object);
}

#[test]
fn objects_come_back_as_they_were() {
    round(&json!({"kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-11-23T12:00:00Z",
            "labels": {"a": "b", "empty": ""}, "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": false}],
            "managedFields": [{"manager": "m", "operation": "Apply", "apiVersion": "v1", "time": "2026-11-23T12:00:00Z", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:data": {".": {}, "f:k": {}}}}]},
        "data": {"k": "v"}, "binaryData": {"b": "AP8="}, "immutable": false}));
    round(&json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "d", "generation": 3},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                "volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "p"}], "defaultMode": 420}}],
                "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}, "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
                    "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]}}},
        "status": {"observedGeneration": 2, "conditions": [{"type": "Available", "status": "True", "lastUpdateTime": "2026-11-23T12:00:00Z"}]}}));
    round(&json!({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": "l"},
        "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2026-11-23T12:00:00.000120Z"}}));
    round(&json!({"kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": {"name": "e"}, "reason": "R", "note": "n",
        "regarding": {"kind": "Pod", "name": "p"}, "series": {"count": 2, "lastObservedTime": "1969-12-31T23:59:59.500000Z"}}));
    let schema = json!({"type": "object", "required": ["a"], "properties": {
        "a": {"type": "integer", "minimum": -1.5, "default": 5, "enum": [5, {"x": null}], "nullable": true},
        "b": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]},
        "c": {"type": "object", "additionalProperties": {"type": "string"}},
        "d": {"type": "object", "additionalProperties": true, "x-kubernetes-preserve-unknown-fields": true},
        "e": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "not": {"pattern": "x"}},
    }, "x-kubernetes-validations": [{"rule": "self.a > 1", "reason": "FieldValueForbidden", "optionalOldSelf": false}]});
    round(&json!({"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1", "metadata": {"name": "things.e.x"},
        "spec": {"group": "e.x", "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]}, "scope": "Namespaced", "versions": [
            {"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.a"}]}]},
        "status": {"storedVersions": ["v1"]}}));
}

#[test]
fn failures_and_metadata_have_messages_too() {
    let details = json!({"name": "n", "kind": "K", "causes": [{"reason": "FieldValueInvalid", "message": "x", "field": "spec.a"}]});
    round(&json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "m", "reason": "Invalid",
        "code": 422, "details": details}));
    round(&json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "n"}}));
    assert!(encode(&json!({"kind": "Thing", "apiVersion": "e.x/v1"})).unwrap_err().contains("no kind \"Thing\""));
    assert!(encode(&json!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": 5}})).is_err());
}

#[test]
fn lists_and_events_hold_their_objects() {
    let mut list = List::new("v1", "PodList", &json!({"resourceVersion": "9", "continue": "c", "remainingItemCount": 3})).unwrap();
    list.push(&json!({"metadata": {"name": "a"}})).unwrap();
    list.push(&json!({"metadata": {"name": "b"}})).unwrap();
    let item = |name: &[u8]| bytes(2, &bytes(1, &bytes(1, name)));
    let raw = [bytes(1, &[bytes(2, b"9"), bytes(3, b"c"), int(4, 3)].concat()), item(b"a"), item(b"b")].concat();
    let meta = [bytes(1, b"v1"), bytes(2, b"PodList")].concat();
    assert_eq!(list.finish(), [MAGIC.to_vec(), bytes(1, &meta), bytes(2, &raw)].concat());

    let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}});
    let event = [bytes(1, b"ADDED"), bytes(2, &bytes(1, &encode(&pod).unwrap()))].concat();
    assert_eq!(watch_event("ADDED", &pod).unwrap(), [&u32::try_from(event.len()).unwrap().to_be_bytes()[..], &event].concat());
}

/// The entry of a field, also of one whose message stands in its parent's JSON.
fn entry_of(message: &messages::Message, name: &str) -> Option<messages::Entry> {
    message.values().find_map(|entry| match (entry.shape, entry.kind) {
        (messages::Shape::Inline, Kind::Message(inner)) => entry_of(messages::find(inner)?, name),
        _ => (entry.name == name).then_some(*entry),
    })
}

fn missing(node: &crate::schema::Node, message: &str, seen: &mut std::collections::BTreeSet<String>, gaps: &mut Vec<String>) {
    let Some(fields) = messages::find(message).filter(|_| seen.insert(message.to_owned())) else { return };
    for (name, child) in &node.properties {
        match entry_of(fields, name) {
            Some(messages::Entry { kind: Kind::Message(inner), .. }) => {
                let below = child.items.as_deref().or(child.additional.schema()).unwrap_or(child);
                missing(below, inner, seen, gaps);
            }
            Some(_) => {}
            None => gaps.push(format!("{message} has no {name}")),
        }
    }
}

#[test]
fn no_field_of_a_built_in_kind_is_left_out() {
    let (mut seen, mut gaps) = (std::collections::BTreeSet::new(), Vec::new());
    for kind in crate::builtin::all() {
        let package = kind.group.split('.').next().unwrap();
        let package = if package.is_empty() { "core" } else { package };
        missing(&kind.schema().root, &format!("{package}.{}", kind.kind), &mut seen, &mut gaps);
    }
    gaps.retain(|gap| !gap.ends_with(" apiVersion") && !gap.ends_with(" kind"));
    assert!(gaps.is_empty(), "{gaps:#?}");
    assert!(seen.len() > 150, "the kinds have more messages than {}", seen.len());
}

#[test]
fn what_older_versions_kept_has_a_form_too() {
    let again = |object: Value| decode(&encode(&object).unwrap()).unwrap();
    let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"a": "QUJD\r\nREVG\n"}});
    assert_eq!(again(secret)["data"], json!({"a": "QUJDREVG"}));
    let spec = json!({"containers": [{"name": "c", "args": ["-c", null]}, null], "securityContext": {"supplementalGroups": [null, 5]}});
    let pod = again(json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": spec}));
    assert_eq!(
        pod["spec"],
        json!({"containers": [{"name": "c", "args": ["-c", ""]}, {}], "securityContext": {"supplementalGroups": [0, 5]}})
    );
}
