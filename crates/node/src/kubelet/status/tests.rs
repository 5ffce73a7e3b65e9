use serde_json::json;

use super::*;

fn pod(policy: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": {"restartPolicy": policy, "containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"}]},
    }))
    .unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn running(ready: bool) -> ContainerView {
    ContainerView { state: State::Running { since: at(1) }, ready, started: true, id: Some("weir://1".into()), ..Default::default() }
}

fn ended(code: i32) -> ContainerView {
    let reason = if code == 0 { "Completed" } else { "Error" };
    let ended = Terminated { exit_code: code, reason, message: None, started: at(1), finished: at(2), id: "weir://1".into() };
    ContainerView { state: State::Terminated(ended.clone()), last: Some(ended), ..Default::default() }
}

fn status(pod: &Pod, views: &[ContainerView], now: i64) -> PodStatus {
    let facts = Facts { views, ip: Ipv4Addr::new(127, 1, 128, 1), host_ip: Ipv4Addr::new(127, 1, 0, 1), started: at(1), now: at(now) };
    pod_status(pod, &facts)
}

fn condition(status: &PodStatus, type_: &str) -> PodCondition {
    status.conditions.iter().flatten().find(|c| c.type_ == type_).unwrap().clone()
}

#[test]
fn a_pod_becomes_ready() {
    let mut pod = pod("Always");
    let first = status(&pod, &[running(true), ContainerView::default()], 10);
    assert_eq!((first.phase.as_deref(), first.qos_class.as_deref()), (Some("Pending"), Some("BestEffort")));
    let ready = condition(&first, "Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_deref()), ("False", Some("ContainersNotReady")));
    assert_eq!(ready.message.as_deref(), Some("containers with unready status: [b]"));
    let waiting = first.container_statuses.as_ref().unwrap()[1].state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("ContainerCreating"));
    pod.status = Some(first);
    let second = status(&pod, &[running(true), running(true)], 20);
    assert_eq!(second.phase.as_deref(), Some("Running"));
    assert_eq!(condition(&second, "Ready").last_transition_time, Some(time(at(20))));
    assert_eq!(condition(&second, "PodScheduled").last_transition_time, Some(time(at(10))), "kept");
    assert_eq!(second.pod_ip.as_deref(), Some("127.1.128.1"));
    pod.status = Some(second.clone());
    assert_eq!(status(&pod, &[running(true), running(true)], 30), second, "nothing changed, nothing changes");
}

#[test]
fn phases() {
    let crash = ContainerView { state: State::Waiting { reason: "CrashLoopBackOff", message: None }, ..ended(1) };
    for (policy, views, expected) in [
        ("Always", [running(true), crash.clone()], "Running"),
        ("Always", [ended(0), ended(0)], "Running"),
        ("Never", [ended(0), ended(0)], "Succeeded"),
        ("Never", [ended(0), ended(1)], "Failed"),
        ("Never", [running(false), ended(1)], "Running"),
        ("OnFailure", [ended(0), ended(1)], "Running"),
        ("OnFailure", [ended(0), ended(0)], "Succeeded"),
    ] {
        assert_eq!(status(&pod(policy), &views, 1).phase.as_deref(), Some(expected), "{policy} {views:?}");
    }
    let done = status(&pod("Never"), &[ended(0), ended(0)], 1);
    assert_eq!(condition(&done, "Ready").reason.as_deref(), Some("PodCompleted"));
}

#[test]
fn foreign_conditions_stay() {
    let mut pod = pod("Always");
    let foreign = PodCondition { type_: "example.com/gate".into(), status: "True".into(), ..Default::default() };
    pod.status = Some(PodStatus { conditions: Some(vec![foreign.clone()]), ..Default::default() });
    assert_eq!(condition(&status(&pod, &[running(true), running(true)], 1), "example.com/gate"), foreign);
}

#[test]
fn quality_of_service() {
    let container = |resources: serde_json::Value| serde_json::from_value(json!({"name": "c", "resources": resources})).unwrap();
    assert_eq!(qos_class(&[container(json!({}))]), "BestEffort");
    assert_eq!(qos_class(&[container(json!({"requests": {"cpu": "1"}}))]), "Burstable");
    assert_eq!(qos_class(&[container(json!({"limits": {"cpu": "1", "memory": "1Gi"}}))]), "Guaranteed");
    assert_eq!(qos_class(&[container(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}))]), "Burstable");
    assert_eq!(qos_class(&[container(json!({"limits": {"cpu": "1", "memory": "1Gi"}})), container(json!({}))]), "Burstable");
}
