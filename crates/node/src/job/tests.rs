//! Jobs against a small stand-in for the API server and the kubelet, one write at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::simulation::merge;

struct World {
    job: Value,
    pods: BTreeMap<String, Value>,
    notes: Vec<String>,
    now: Timestamp,
    made: u32,
}

impl World {
    fn with(spec: Value) -> World {
        let mut full = json!({
            "parallelism": 1, "completions": 1, "backoffLimit": 6, "suspend": false,
            "template": {"metadata": {"labels": {"job-name": "j"}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
        });
        merge(&mut full, &spec);
        let now = "2026-11-23T05:00:00Z".parse().unwrap();
        let job = json!({"metadata": {"name": "j", "namespace": "ns", "uid": "u"}, "spec": full});
        World { job, pods: BTreeMap::new(), notes: Vec::new(), now, made: 0 }
    }

    /// One look, of whose writes `limit` succeed. The wish to be called again comes back.
    fn look(&mut self, limit: usize) -> (usize, Option<Duration>) {
        let job: Job = serde_json::from_value(self.job.clone()).unwrap();
        let pods: Vec<Pod> = self.pods.values().map(|pod| serde_json::from_value(pod.clone()).unwrap()).collect();
        let view = View { job: &job, pods: pods.iter().collect(), node_name: "weir", now: self.now };
        let made = self.made;
        let mut n = made;
        let plan = reconcile(&view, || {
            n += 1;
            format!("{n}")
        });
        self.made = n;
        for write in plan.writes.iter().take(limit) {
            self.apply(&write.name.name, &write.verb);
        }
        if plan.writes.len() <= limit {
            self.notes.extend(plan.notes.into_iter().map(|note| format!("{} {}", note.reason, note.message)));
        }
        (plan.writes.len(), plan.again_after)
    }

    fn settle(&mut self) -> Option<Duration> {
        for _ in 0..100 {
            if let (0, again) = self.look(usize::MAX) {
                return again;
            }
        }
        panic!("never at rest");
    }

    fn apply(&mut self, name: &str, verb: &Verb) {
        match verb {
            Verb::Create(pod) => {
                let mut pod = pod.clone();
                merge(&mut pod, &json!({"metadata": {"uid": format!("uid-{name}")}, "status": {"phase": "Running"}}));
                self.pods.insert(name.to_owned(), pod);
            }
            Verb::Patch(patch) => merge(self.pods.get_mut(name).unwrap(), patch),
            Verb::PatchStatus(patch) => merge(&mut self.job, patch),
            Verb::Delete { .. } if name == "j" => self.job["metadata"]["deletionTimestamp"] = json!(self.now.to_string()),
            Verb::Delete { .. } => self.pods.get_mut(name).unwrap()["metadata"]["deletionTimestamp"] = json!(self.now.to_string()),
            Verb::Bind(_) => panic!(),
        }
    }

    /// The kubelet's part: a pod ends.
    fn end(&mut self, name: &str, code: i32) {
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        let ended = json!({"exitCode": code, "finishedAt": self.now.to_string()});
        let container =
            json!({"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": ended}});
        merge(self.pods.get_mut(name).unwrap(), &json!({"status": {"phase": phase, "containerStatuses": [container]}}));
    }

    /// The API server's part: what is deleted and held by nobody is gone.
    fn sweep(&mut self) {
        self.pods.retain(|_, pod| {
            let held = pod["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
            pod["metadata"]["deletionTimestamp"].is_null() || held
        });
    }

    fn later(&mut self, seconds: i64) {
        self.now += jiff::SignedDuration::from_secs(seconds);
    }

    /// `active ready terminating succeeded failed`, zeros where there is nothing.
    fn numbers(&self) -> [i64; 5] {
        ["active", "ready", "terminating", "succeeded", "failed"].map(|name| self.job["status"][name].as_i64().unwrap_or(0))
    }

    fn conditions(&self) -> Vec<String> {
        let text = |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        let list = self.job["status"]["conditions"].as_array().cloned().unwrap_or_default();
        list.iter().map(|c| format!("{}={} {}", text(c, "type"), text(c, "status"), text(c, "reason"))).collect()
    }
}

#[test]
fn as_many_pods_as_are_wanted_succeed_a_few_at_a_time() {
    let mut world = World::with(json!({"completions": 3, "parallelism": 2}));
    world.settle();
    assert_eq!((world.numbers(), world.pods.len()), ([2, 0, 0, 0, 0], 2));
    world.end("j-1", 0);
    world.settle();
    assert_eq!((world.numbers(), world.pods.len()), ([2, 0, 0, 1, 0], 3));
    world.end("j-2", 0);
    world.end("j-3", 0);
    world.settle();
    assert_eq!(world.numbers(), [0, 0, 0, 3, 0]);
    assert_eq!(world.conditions(), ["SuccessCriteriaMet=True CompletionsReached", "Complete=True CompletionsReached"]);
    assert_eq!(world.job["status"]["completionTime"], "2026-11-23T05:00:00Z");
    assert_eq!(world.job["status"]["uncountedTerminatedPods"], json!({}));
    assert!(world.pods.values().all(|pod| pod["metadata"]["finalizers"] == json!([])));
    assert_eq!(world.notes.last().map(String::as_str), Some("Completed Job completed"));
}

#[test]
fn a_pod_is_counted_once_wherever_the_writes_stop() {
    for limit in 0..4 {
        let mut world = World::with(json!({"completions": 2, "parallelism": 2}));
        world.settle();
        world.end("j-1", 0);
        world.end("j-2", 1);
        world.look(limit);
        world.settle();
        assert_eq!(world.numbers()[3..], [1, 1], "after {limit} writes");
    }
}

#[test]
fn failures_are_followed_by_longer_and_longer_waits_until_the_limit() {
    let mut world = World::with(json!({"backoffLimit": 2}));
    world.settle();
    for (pod, wait) in [("j-1", 10), ("j-2", 20)] {
        world.end(pod, 1);
        assert_eq!(world.settle(), Some(Duration::from_secs(wait)));
        assert_eq!(world.numbers()[0], 0);
        world.later(i64::try_from(wait).unwrap());
        world.settle();
        assert_eq!(world.numbers()[0], 1);
    }
    world.end("j-3", 1);
    world.settle();
    assert_eq!(world.numbers(), [0, 0, 0, 0, 3]);
    assert_eq!(world.conditions(), ["FailureTarget=True BackoffLimitExceeded", "Failed=True BackoffLimitExceeded"]);
    assert_eq!(world.notes.last().map(String::as_str), Some("BackoffLimitExceeded Job has reached the specified backoff limit"));
}

#[test]
fn restarts_in_place_count_against_the_limit() {
    let mut world = World::with(json!({"backoffLimit": 1, "template": {"spec": {"restartPolicy": "OnFailure"}}}));
    world.settle();
    let container = json!({"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 1});
    merge(world.pods.get_mut("j-1").unwrap(), &json!({"status": {"containerStatuses": [container]}}));
    world.settle();
    assert_eq!((world.numbers(), world.conditions()), ([0, 0, 1, 0, 1], vec!["FailureTarget=True BackoffLimitExceeded".to_owned()]));
}

#[test]
fn a_deadline_ends_what_runs_and_waits_for_its_end() {
    let mut world = World::with(json!({"activeDeadlineSeconds": 60}));
    assert_eq!(world.settle(), Some(Duration::from_secs(60)));
    world.later(60);
    world.look(usize::MAX);
    assert_eq!((world.numbers(), world.conditions()), ([0, 0, 1, 0, 0], vec!["FailureTarget=True DeadlineExceeded".to_owned()]));
    world.settle();
    assert_eq!((world.numbers(), world.conditions().len()), ([0, 0, 1, 0, 1], 1), "deleted counts as failed, and runs still");
    world.sweep();
    world.settle();
    assert_eq!((world.numbers(), world.conditions().len()), ([0, 0, 0, 0, 1], 2));
}

#[test]
fn a_suspended_job_loses_its_pods_and_its_time() {
    let mut world = World::with(json!({}));
    world.settle();
    world.job["spec"]["suspend"] = json!(true);
    world.settle();
    world.sweep();
    world.settle();
    assert_eq!((world.numbers(), world.pods.len()), ([0, 0, 0, 0, 0], 0), "no failure");
    assert_eq!(world.conditions(), ["Suspended=True JobSuspended"]);
    assert!(world.job["status"].get("startTime").is_none());
    world.later(5);
    world.job["spec"]["suspend"] = json!(false);
    world.settle();
    assert_eq!((world.numbers()[0], world.conditions()), (1, vec!["Suspended=False JobResumed".to_owned()]));
    assert_eq!(world.job["status"]["startTime"], "2026-11-23T05:00:05Z");
    let told: Vec<&str> = world.notes.iter().filter_map(|note| note.split(' ').next()).collect();
    assert_eq!(told, ["SuccessfulCreate", "SuccessfulDelete", "Suspended", "SuccessfulCreate", "Resumed"]);
}

#[test]
fn without_a_number_of_completions_the_first_success_starts_no_more() {
    let mut world = World::with(json!({"completions": null, "parallelism": 2}));
    world.settle();
    world.end("j-1", 0);
    world.settle();
    assert_eq!((world.numbers(), world.conditions().len()), ([1, 0, 0, 1, 0], 0));
    world.end("j-2", 1);
    world.settle();
    assert_eq!((world.numbers(), world.conditions().len()), ([0, 0, 0, 1, 1], 2));
}

#[test]
fn a_finished_job_is_deleted_when_its_time_is_over() {
    let mut world = World::with(json!({"ttlSecondsAfterFinished": 30}));
    world.settle();
    world.end("j-1", 0);
    assert_eq!(world.settle(), Some(Duration::from_secs(30)));
    world.later(30);
    world.settle();
    assert!(world.job["metadata"].get("deletionTimestamp").is_some());
}

#[test]
fn a_job_that_is_deleted_lets_go_of_its_pods_and_makes_none() {
    let mut world = World::with(json!({"parallelism": 2, "completions": 2}));
    world.settle();
    world.job["metadata"]["deletionTimestamp"] = json!(world.now.to_string());
    world.settle();
    assert_eq!((world.pods.len(), world.numbers()[4]), (2, 0));
    assert!(world.pods.values().all(|pod| !has_tracking(&serde_json::from_value(pod.clone()).unwrap())));
}

#[test]
fn what_is_not_done_is_not_begun() {
    let mut world = World::with(json!({"completionMode": "Indexed", "successPolicy": {"rules": []}}));
    assert_eq!((world.look(usize::MAX), world.pods.len()), ((0, None), 0));
    let job: Job = serde_json::from_value(world.job).unwrap();
    assert_eq!(not_done(&job.spec.unwrap()), ["completionMode: Indexed", "successPolicy"]);
}

#[test]
fn a_pod_that_could_not_be_made_is_not_counted() {
    let mut world = World::with(json!({"completions": 3, "parallelism": 3}));
    // The status with the start, and one of three pods; another is refused.
    world.look(2);
    assert_eq!((world.numbers()[0], world.pods.len()), (0, 1));
    world.settle();
    assert_eq!((world.numbers()[0], world.pods.len()), (3, 3));
}
