//! The driver by itself: what it plans for the objects it is told of. No API answers, and no image is known.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::address::Claim;
use crate::events::Recorder;
use crate::kubelet::status::{State, Terminated};
use crate::plan::Verb;

struct Bench {
    driver: Driver,
    inputs: mpsc::Receiver<Input>,
    _notes: mpsc::Receiver<Note>,
    _dir: Dir,
}

struct Dir(std::path::PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn bench(capacity: usize) -> Bench {
    let dir = Dir(std::env::temp_dir().join(format!("weir-driver-{:x}", rand::random::<u64>())));
    let client = kube::Client::try_from(kube::Config::new("http://127.0.0.1:9".parse().unwrap())).unwrap();
    let config = Config::new(client, &dir.0, dir.0.display().to_string());
    let logs = LogStore::open_dir(&dir.0).unwrap();
    let (recorder, notes) = Recorder::channel();
    let (sender, inputs) = mpsc::channel(1024);
    let driver = Driver::new(config, capacity, Vec::new(), logs, Resolver::default(), recorder, sender);
    Bench { driver, inputs, _notes: notes, _dir: dir }
}

fn name(pod: &str) -> ObjectName {
    ObjectName::new("ns", pod)
}

impl Bench {
    /// A pod as the API server would have it, with changes.
    fn pod(&mut self, pod: &str, version: u64, changes: &Value) {
        let mut object = json!({
            "metadata": {"name": pod, "namespace": "ns", "uid": pod, "resourceVersion": version.to_string()},
            "spec": {"nodeName": "weir", "restartPolicy": "Never", "containers": [{"name": "c", "image": "none"}]}
        });
        crate::simulation::merge(&mut object, changes);
        let object: Pod = serde_json::from_value(object).unwrap();
        self.driver.take(Input::Watch(Change::Applied(Object::Pod(Box::new(object)))));
    }

    fn gone(&mut self, pod: &str) {
        let object = self.driver.world.pods.get(&name(pod)).unwrap();
        let object = Object::Pod(Box::new(Pod::clone(object)));
        self.driver.take(Input::Watch(Change::Deleted(object)));
    }

    /// Looks at all that is due; what would be written for each pod.
    fn plans(&mut self) -> Vec<(String, Plan)> {
        let mut plans = Vec::new();
        while let Some(key) = self.driver.queue.next(Instant::now()) {
            if let Key::Pod(name) = &key {
                plans.push((name.name.clone(), self.driver.pod(name)));
            }
            self.driver.queue.done(key);
        }
        plans
    }

    /// Hears of a pod that was told to stop until nothing of it runs.
    async fn ended(&mut self, pod: &str) {
        while !self.driver.kubelet.runs[&name(pod)].ended {
            let input = self.inputs.recv().await.unwrap();
            self.driver.take(input);
        }
    }

    fn running(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.driver.kubelet.runs.keys().map(|name| name.name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

#[tokio::test]
async fn a_full_node_lets_pods_wait_until_there_is_a_place() {
    let mut bench = bench(2);
    for pod in ["a", "b", "c", "d"] {
        bench.pod(pod, 1, &json!({}));
    }
    let plans = bench.plans();
    assert_eq!(bench.running(), ["a", "b"]);
    let (pod, plan) = &plans[2];
    assert_eq!((pod.as_str(), plan.again_after, plan.notes[0].reason), ("c", None, "FailedScheduling"));
    assert!(plan.notes[0].message.starts_with("0/1 nodes are available: 1 Too many pods."));
    let [Write { verb: Verb::PatchStatus(patch), .. }] = plan.writes.as_slice() else { panic!("{plan:?}") };
    let condition = &patch["status"]["conditions"][0];
    assert_eq!((&patch["status"]["phase"], &condition["reason"]), (&json!("Pending"), &json!("Unschedulable")));
    // Told once.
    bench.pod("c", 2, patch);
    assert_eq!(bench.plans(), [("c".to_owned(), Plan::default())]);
    // The place of one that is gone is taken, also if the first who waited is gone, too.
    bench.gone("a");
    bench.plans();
    bench.gone("c");
    bench.ended("a").await;
    bench.plans();
    assert_eq!(bench.running(), ["b", "d"]);
}

#[tokio::test]
async fn what_ran_before_has_its_place_before_what_waited() {
    let mut bench = bench(1);
    bench.pod("a", 1, &json!({}));
    bench.pod("b", 1, &json!({"status": {"phase": "Running", "startTime": "2026-11-23T05:00:00Z"}}));
    bench.driver.begin();
    bench.plans();
    assert_eq!(bench.running(), ["b"]);
}

#[tokio::test]
async fn a_pod_of_many_containers_takes_many_places() {
    let mut bench = bench(3);
    let containers = |count: usize| {
        let all: Vec<Value> = (0..count).map(|n| json!({"name": format!("c{n}"), "image": "none"})).collect();
        json!({"spec": {"containers": all}})
    };
    bench.pod("a", 1, &containers(2));
    bench.pod("b", 1, &containers(2));
    bench.pod("c", 1, &containers(1));
    let plans = bench.plans();
    assert_eq!((bench.running(), plans[1].1.again_after), (vec!["a", "c"], Some(Duration::from_secs(5))));
}

#[tokio::test]
async fn the_driver_hears_while_it_has_work_without_end() {
    let Bench { mut driver, inputs, _notes, _dir } = bench(1);
    driver.listed = [Kind::Deployment, Kind::ReplicaSet, Kind::Job, Kind::Pod, Kind::Service, Kind::Slice].into();
    // Keys that are due at once for longer than the test.
    for n in 0..200_000 {
        driver.queue.add(Key::Pod(name(&n.to_string())));
    }
    let (done, stopped) = oneshot::channel();
    driver.inputs.try_send(Input::Stop { grace: Duration::ZERO, done }).unwrap();
    let (progress, told) = watch::channel(Progress::Listing);
    driver.run(inputs, progress).await;
    stopped.await.unwrap();
    assert_eq!(*told.borrow(), Progress::Listed, "it stopped before all was done");
}

/// What a container reports that ended with this code.
fn ended(exit_code: i32) -> ContainerView {
    let at = "2026-11-23T05:00:00Z".parse().unwrap();
    let ended = Terminated { exit_code, reason: "Completed", message: None, started: at, finished: at, id: "weir://1".to_owned() };
    ContainerView { state: State::Terminated(ended), ..Default::default() }
}

#[tokio::test]
async fn a_completed_pod_gives_its_place_to_another_and_keeps_its_logs() {
    let mut bench = bench(1);
    bench.pod("a", 1, &json!({}));
    bench.pod("b", 1, &json!({}));
    bench.plans();
    bench.driver.take(Input::Container { pod: name("a"), uid: "a".to_owned(), index: 0, view: ended(0) });
    let plans = bench.plans();
    let [Write { verb: Verb::PatchStatus(patch), .. }] = plans[0].1.writes.as_slice() else { panic!("{plans:?}") };
    assert_eq!((&patch["status"]["phase"], bench.running()), (&json!("Succeeded"), vec!["a"]), "it is written down first");
    let ip: std::net::Ipv4Addr = patch["status"]["podIP"].as_str().unwrap().parse().unwrap();
    bench.pod("a", 2, patch);
    bench.plans();
    assert_eq!(bench.running(), ["b"]);
    assert!(Claim::take(ip).is_ok(), "the address is free");
    let log = bench.driver.kubelet.shared.logs.open("ns", "a", Some("other"), &crate::LogOptions::default());
    assert_eq!(log.err().map(|error| error.to_string()).as_deref(), Some("container other is not valid for pod a"), "it is known");
}

#[tokio::test]
async fn a_pod_that_its_job_left_is_released() {
    let held = json!({"finalizers": ["example.com/a", "batch.kubernetes.io/job-tracking"]});
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "j", "controller": true});
    for (owners, released) in [(json!([owner]), false), (json!([]), true)] {
        let mut bench = bench(1);
        bench.pod("a", 1, &json!({"metadata": held}));
        bench.pod("a", 2, &json!({"metadata": {"ownerReferences": owners, "finalizers": held["finalizers"]}}));
        let plans = bench.plans();
        let patches: Vec<_> = plans[0].1.writes.iter().map(|write| write.verb.clone()).collect();
        let patch = Verb::Patch(json!({"metadata": {"uid": "a", "finalizers": ["example.com/a"]}}));
        assert_eq!(patches, if released { vec![patch] } else { vec![] });
    }
}

#[tokio::test]
async fn a_deleted_pod_that_is_held_is_said_to_have_ended_before_it_is_let_go() {
    let deleted = json!({"metadata": {
        "finalizers": ["example.com/a"], "deletionTimestamp": "2026-11-23T05:00:00Z", "deletionGracePeriodSeconds": 30
    }});
    let running = json!({"name": "c", "image": "none", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-11-23T05:00:00Z"}}});
    let before = json!({"status": {"phase": "Running", "podIP": "127.1.128.9", "containerStatuses": [running]}});
    let phase = |plans: &[(String, Plan)]| {
        let [Write { verb: Verb::PatchStatus(patch), .. }, Write { verb: Verb::Delete { .. }, .. }] = plans[0].1.writes.as_slice() else {
            panic!("{plans:?}")
        };
        patch["status"]["phase"].clone()
    };
    // An earlier process ran it.
    let mut lost = bench(1);
    let mut object = deleted.clone();
    crate::simulation::merge(&mut object, &before);
    lost.pod("a", 1, &object);
    assert_eq!(phase(&lost.plans()), "Failed");
    object["status"]["phase"] = json!("Succeeded");
    lost.pod("a", 2, &object);
    assert!(matches!(lost.plans()[0].1.writes.as_slice(), [Write { verb: Verb::Delete { .. }, .. }]), "it had ended");
    // It never came to run.
    let mut waiting = bench(1);
    waiting.pod("a", 1, &json!({}));
    waiting.plans();
    waiting.pod("a", 2, &deleted);
    waiting.plans();
    waiting.ended("a").await;
    assert_eq!(phase(&waiting.plans()), "Failed");
}
