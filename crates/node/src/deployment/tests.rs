use k8s_openapi::api::apps::v1::DeploymentSpec;
use serde_json::json;

use super::*;
use crate::simulation::{Simulation, app};

/// Name, wanted replicas, revision of each ReplicaSet, oldest revision first.
fn sets(simulation: &Simulation) -> Vec<(String, i32, i64)> {
    let mut sets: Vec<_> = simulation
        .all::<ReplicaSet>(Kind::ReplicaSet)
        .into_iter()
        .map(|s| {
            let revision = sets::revision_of(&s).unwrap();
            (s.metadata.name.unwrap(), s.spec.unwrap().replicas.unwrap(), revision)
        })
        .collect();
    sets.sort_by_key(|s| s.2);
    sets
}

#[test]
fn percentages() {
    let numbers = |replicas: i32, surge: serde_json::Value, unavailable: serde_json::Value| {
        let spec: DeploymentSpec = serde_json::from_value(json!({
            "replicas": replicas, "selector": {}, "template": {},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
        }))
        .unwrap();
        let numbers = rollout::numbers(&spec);
        (numbers.max_surge, numbers.max_unavailable)
    };
    assert_eq!(numbers(1, json!("25%"), json!("25%")), (1, 0));
    assert_eq!(numbers(4, json!("25%"), json!("25%")), (1, 1));
    assert_eq!(numbers(10, json!("25%"), json!("25%")), (3, 2));
    assert_eq!(numbers(3, json!(0), json!("10%")), (0, 1), "one of them must be possible");
    assert_eq!(numbers(2, json!(5), json!(9)), (5, 2));
    assert_eq!(numbers(0, json!("25%"), json!("25%")), (0, 0));
    let (surge, unavailable) = numbers(i32::MAX, json!(i32::MAX), json!("100%"));
    assert!(surge.checked_add(unavailable).is_some_and(|sum| sum.checked_mul(8).is_some()), "sums must not overflow");
}

#[test]
fn a_new_deployment_becomes_available() {
    let mut simulation = Simulation::with(json!({}));
    simulation.settle();
    let name = sets(&simulation)[0].0.clone();
    let hash = name.strip_prefix("app-").unwrap().to_owned();
    let set = simulation.all::<ReplicaSet>(Kind::ReplicaSet).remove(0);
    let annotations = set.metadata.annotations.unwrap();
    let annotation = |key: &str| annotations.get(&format!("deployment.kubernetes.io/{key}")).map(String::as_str);
    assert_eq!((annotation("revision"), annotation("desired-replicas"), annotation("max-replicas")), (Some("1"), Some("1"), Some("2")));
    let selector = set.spec.as_ref().unwrap().selector.match_labels.clone().unwrap();
    assert_eq!(selector.get("pod-template-hash"), Some(&hash));
    assert_eq!(set.spec.unwrap().template.unwrap().metadata.unwrap().labels.unwrap(), selector);
    assert_eq!(simulation.condition("Available").1, "MinimumReplicasUnavailable");
    assert_eq!(simulation.condition("Progressing").2, format!("ReplicaSet \"{name}\" is progressing."));
    assert_eq!(simulation.history[0]["conditions"][1]["message"], format!("Created new replica set \"{name}\""));
    let pod = simulation.all::<Pod>(Kind::Pod).remove(0);
    assert_eq!(pod.metadata.generate_name, Some(format!("{name}-")));
    assert_eq!(pod.metadata.labels.unwrap().get("pod-template-hash"), Some(&hash));
    simulation.run();
    assert_eq!(
        simulation.condition("Available"),
        ("True".into(), "MinimumReplicasAvailable".into(), "Deployment has minimum availability.".into())
    );
    let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
    assert_eq!(simulation.condition("Progressing"), ("True".into(), "NewReplicaSetAvailable".into(), message));
    let status = simulation.deployment().status.unwrap();
    let counts = [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas];
    assert_eq!((counts, status.unavailable_replicas, status.observed_generation), ([Some(1); 4], None, Some(1)));
    assert_eq!(simulation.deployment().metadata.annotations.unwrap().get(REVISION).map(String::as_str), Some("1"));
    assert_eq!(simulation.messages()[0], format!("Scaled up replica set {name} from 0 to 1"));
}

#[test]
fn a_rolling_update_stays_within_its_bounds() {
    let mut simulation = Simulation::with(json!({"replicas": 4}));
    simulation.run();
    simulation.check = |s| {
        let pods: Vec<Pod> = s.all(Kind::Pod);
        let alive = pods.iter().filter(|p| crate::replicaset::is_active(p)).count();
        let ready = pods.iter().filter(|p| crate::replicaset::is_active(p) && crate::replicaset::ready_since(p).is_some()).count();
        assert!(alive <= 5, "{alive} pods are more than replicas and surge");
        assert!(ready >= 3, "{ready} ready pods are less than allowed");
    };
    simulation.restart("1");
    simulation.run();
    let sets = sets(&simulation);
    assert_eq!((sets.len(), sets[0].1, sets[1].1, sets[1].2), (2, 0, 4, 2));
    assert!(
        simulation
            .history
            .iter()
            .all(|s| s["conditions"][0]["type"] != "Available" || s["observedGeneration"] == 1 || s["conditions"][0]["status"] == "True")
    );
    assert_eq!(simulation.condition("Progressing").1, "NewReplicaSetAvailable");
}

#[test]
fn recreate_is_unavailable_from_the_write_that_observes_the_restart_until_the_new_pod_is_ready() {
    let mut simulation = Simulation::with(json!({"strategy": {"type": "Recreate"}}));
    simulation.run();
    let before = simulation.history.len();
    simulation.check = |s| {
        let sets = s.all::<ReplicaSet>(Kind::ReplicaSet).len();
        assert!(sets == 1 || s.all::<Pod>(Kind::Pod).len() <= 1, "old and new pods at once");
    };
    simulation.restart("1");
    simulation.settle();
    assert_eq!(sets(&simulation).len(), 1, "the old pod is still there");
    let available = |s: &Simulation| s.condition("Available").0;
    assert_eq!((available(&simulation).as_str(), simulation.deployment().status.unwrap().observed_generation), ("False", Some(2)));
    simulation.end_terminating();
    simulation.settle();
    assert_eq!((sets(&simulation).len(), available(&simulation).as_str()), (2, "False"));
    simulation.run();
    assert_eq!(available(&simulation), "True");
    let after = &simulation.history[before..];
    assert!(after.iter().all(|s| s["observedGeneration"] == 2));
    let statuses: Vec<&str> = after.iter().map(|s| s["conditions"][0]["status"].as_str().unwrap()).collect();
    assert_eq!((statuses.first(), statuses.last()), (Some(&"False"), Some(&"True")));
    assert!(statuses.windows(2).all(|w| w != ["True", "False"]), "{statuses:?}");
}

#[test]
fn scaling_does_not_roll_out() {
    let mut simulation = Simulation::with(json!({}));
    simulation.run();
    simulation.edit(json!({"spec": {"replicas": 3}}));
    simulation.run();
    let name = sets(&simulation)[0].0.clone();
    assert_eq!(sets(&simulation), [(name.clone(), 3, 1)]);
    assert_eq!(simulation.pod_names().len(), 3);
    simulation.edit(json!({"spec": {"replicas": 0}}));
    simulation.run();
    assert_eq!(simulation.pod_names().len(), 0);
    assert_eq!(simulation.condition("Available").0, "True");
    assert!(simulation.messages().contains(&format!("Scaled down replica set {name} from 3 to 0").as_str()));
}

#[test]
fn scaling_in_the_middle_of_a_rollout_is_proportional() {
    let mut simulation = Simulation::with(json!({"replicas": 4}));
    simulation.run();
    simulation.restart("1");
    simulation.settle();
    assert_eq!(sets(&simulation).iter().map(|s| s.1).collect::<Vec<_>>(), [3, 2], "stuck: the new pods do not get ready");
    simulation.edit(json!({"spec": {"replicas": 8}}));
    simulation.settle();
    let wanted: Vec<i32> = sets(&simulation).iter().map(|s| s.1).collect();
    assert_eq!(wanted.iter().sum::<i32>(), 10);
    assert!(wanted[0] >= 5, "{wanted:?}");
    simulation.run();
    assert_eq!(sets(&simulation).iter().map(|s| s.1).collect::<Vec<_>>(), [0, 8]);
}

#[test]
fn paused_deployments_scale_and_do_not_roll_out() {
    let mut simulation = Simulation::with(json!({}));
    simulation.run();
    simulation.edit(json!({"spec": {"paused": true}}));
    simulation.restart("1");
    simulation.edit(json!({"spec": {"replicas": 2}}));
    simulation.run();
    assert_eq!(sets(&simulation).iter().map(|s| s.1).collect::<Vec<_>>(), [2]);
    assert_eq!(simulation.condition("Progressing").1, "DeploymentPaused");
    simulation.edit(json!({"spec": {"paused": false}}));
    simulation.run();
    assert_eq!(sets(&simulation).iter().map(|s| s.1).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(simulation.condition("Progressing").1, "NewReplicaSetAvailable");
}

#[test]
fn a_paused_recreate_stays_available_until_it_is_resumed() {
    let mut simulation = Simulation::with(json!({"strategy": {"type": "Recreate"}}));
    simulation.run();
    simulation.edit(json!({"spec": {"paused": true}}));
    simulation.restart("1");
    simulation.run();
    assert_eq!(simulation.condition("Available").0, "True");
    simulation.edit(json!({"spec": {"paused": false}}));
    simulation.settle();
    assert_eq!(simulation.condition("Available").0, "False");
    simulation.run();
    assert_eq!(simulation.condition("Available").0, "True");
}

#[test]
fn undo_finds_the_old_set_and_gives_it_a_new_revision() {
    let mut simulation = Simulation::with(json!({}));
    simulation.run();
    let first = sets(&simulation)[0].0.clone();
    simulation.edit(json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}}));
    simulation.run();
    simulation.edit(json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": null}}}}));
    simulation.run();
    let sets = sets(&simulation);
    assert_eq!((sets.len(), &sets[1]), (2, &(first.clone(), 1, 3)));
    let annotations = simulation.objects[&(Kind::ReplicaSet, ObjectName::new("ns", first))]["metadata"]["annotations"].clone();
    assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(simulation.deployment().metadata.annotations.unwrap().get(REVISION).map(String::as_str), Some("3"));
}

#[test]
fn old_sets_beyond_the_history_limit_go() {
    let mut simulation = Simulation::with(json!({"revisionHistoryLimit": 1}));
    for n in 0..4 {
        simulation.run();
        simulation.restart(&n.to_string());
    }
    simulation.run();
    assert_eq!(sets(&simulation).iter().map(|s| (s.1, s.2)).collect::<Vec<_>>(), [(0, 4), (1, 5)]);
}

#[test]
fn annotations_follow_the_deployment() {
    let mut simulation = Simulation::with(json!({}));
    simulation.run();
    simulation.edit(json!({"metadata": {"annotations": {"team": "a", "kubectl.kubernetes.io/last-applied-configuration": "{}"}}}));
    simulation.run();
    let set = simulation.all::<ReplicaSet>(Kind::ReplicaSet).remove(0);
    let annotations = set.metadata.annotations.unwrap();
    assert_eq!(annotations.get("team").map(String::as_str), Some("a"));
    assert!(!annotations.contains_key("kubectl.kubernetes.io/last-applied-configuration"));
}

#[test]
fn no_progress_is_said_when_the_deadline_has_passed() {
    let mut simulation = Simulation::with(json!({}));
    let again = simulation.settle().unwrap();
    assert_eq!(again.as_secs(), 600);
    simulation.now = simulation.now.checked_add(again).unwrap();
    simulation.settle();
    let name = sets(&simulation)[0].0.clone();
    let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
    assert_eq!(simulation.condition("Progressing"), ("False".into(), "ProgressDeadlineExceeded".into(), message));
    simulation.run();
    assert_eq!(simulation.condition("Progressing").1, "NewReplicaSetAvailable");
}

#[test]
fn transition_times_stay_while_the_status_does() {
    let mut simulation = Simulation::with(json!({}));
    simulation.settle();
    let start = simulation.now;
    simulation.now = start.checked_add(std::time::Duration::from_secs(5)).unwrap();
    simulation.run();
    let conditions = simulation.deployment().status.unwrap().conditions.unwrap();
    let times = |type_: &str| {
        let c = conditions.iter().find(|c| c.type_ == type_).unwrap();
        (c.last_transition_time.clone().unwrap().0, c.last_update_time.clone().unwrap().0)
    };
    assert_eq!(times("Progressing"), (start, simulation.now));
    assert_eq!(times("Available"), (simulation.now, simulation.now));
    assert_eq!(app(), ObjectName::of(&simulation.deployment().metadata));
}

#[test]
fn the_hash_is_stable_and_reads_like_one() {
    let template = |image: &str| serde_json::from_value(json!({"spec": {"containers": [{"name": "c", "image": image}]}})).unwrap();
    let (a, b) = (template::hash(&template("a"), 0), template::hash(&template("b"), 0));
    assert_eq!(a, template::hash(&template("a"), 0));
    assert!(a != b && a != template::hash(&template("a"), 1));
    assert!((1..=10).contains(&a.len()) && a.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
}
