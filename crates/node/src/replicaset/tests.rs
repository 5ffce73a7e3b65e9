use serde_json::{Value, json};

use super::*;

fn set(replicas: i32) -> ReplicaSet {
    serde_json::from_value(json!({
        "metadata": {"name": "app-abc", "namespace": "ns", "uid": "set", "generation": 2},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
    }))
    .unwrap()
}

fn pod(name: &str, ready_at: Option<&str>, extra: Value) -> Pod {
    let mut pod = json!({"metadata": {"name": name, "namespace": "ns", "uid": name, "labels": {"app": "a"},
        "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}});
    if let Some(at) = ready_at {
        pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True", "lastTransitionTime": at}]);
    }
    crate::simulation::merge(&mut pod, &extra);
    serde_json::from_value(pod).unwrap()
}

fn plan(set: &ReplicaSet, pods: &[Pod]) -> Plan {
    let now = "2026-01-01T01:00:00Z".parse().unwrap();
    let view = View { set, pods: pods.iter().collect(), node_name: "weir", now };
    let mut n = 0;
    reconcile(&view, || {
        n += 1;
        format!("x{n}")
    })
}

fn deleted(plan: &Plan) -> Vec<&str> {
    plan.writes.iter().filter(|w| matches!(w.verb, Verb::Delete { .. })).map(|w| w.name.name.as_str()).collect()
}

#[test]
fn missing_pods_are_made_and_named_after_the_set() {
    let plan = plan(&set(2), &[]);
    let created: Vec<&Value> = plan.writes.iter().filter_map(|w| if let Verb::Create(o) = &w.verb { Some(o) } else { None }).collect();
    assert_eq!(created.len(), 2);
    assert_eq!(created[0]["metadata"]["name"], "app-abc-x1");
    assert_eq!(created[0]["metadata"]["generateName"], "app-abc-");
    assert_eq!(created[0]["spec"]["nodeName"], "weir");
    let owner = &created[0]["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["uid"], &owner["controller"], &owner["blockOwnerDeletion"]),
        (&json!("ReplicaSet"), &json!("set"), &json!(true), &json!(true))
    );
    assert_eq!(plan.notes[0].message, "Created pod: app-abc-x1");
}

#[test]
fn terminating_and_ended_pods_do_not_count() {
    let pods = [
        pod("a", None, json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})),
        pod("b", None, json!({"status": {"phase": "Failed"}})),
        pod("c", Some("2026-01-01T00:00:00Z"), json!({})),
    ];
    let plan = plan(&set(2), &pods);
    assert_eq!(plan.writes.iter().filter(|w| matches!(w.verb, Verb::Create(_))).count(), 1);
    let Verb::PatchStatus(status) = &plan.writes[0].verb else { panic!("{plan:?}") };
    assert_eq!(
        status["status"],
        json!({"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "fullyLabeledReplicas": 1, "terminatingReplicas": 1, "observedGeneration": 2})
    );
}

#[test]
fn the_least_useful_pods_go_first() {
    let pods = [
        pod("old", Some("2026-01-01T00:00:00Z"), json!({})),
        pod("young", Some("2026-01-01T00:30:00Z"), json!({})),
        pod("unready", None, json!({})),
        pod("pending", None, json!({"status": {"phase": "Pending"}})),
    ];
    assert_eq!(deleted(&plan(&set(3), &pods)), ["pending"]);
    assert_eq!(deleted(&plan(&set(2), &pods)), ["pending", "unready"]);
    assert_eq!(deleted(&plan(&set(1), &pods)), ["pending", "unready", "young"]);
}

#[test]
fn available_means_ready_for_long_enough() {
    let mut set = set(1);
    set.spec.as_mut().unwrap().min_ready_seconds = Some(30);
    let status = |plan: &Plan| {
        let Verb::PatchStatus(status) = &plan.writes[0].verb else { panic!("{plan:?}") };
        status["status"]["availableReplicas"].clone()
    };
    let young = plan(&set, &[pod("a", Some("2026-01-01T00:59:50Z"), json!({}))]);
    assert_eq!((status(&young), young.again_after), (Value::Null, Some(Duration::from_secs(20))));
    let old = plan(&set, &[pod("a", Some("2026-01-01T00:59:30Z"), json!({}))]);
    assert_eq!((status(&old), old.again_after), (json!(1), None));
}
