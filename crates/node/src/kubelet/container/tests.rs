use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::kubelet::Kubelet;
use crate::{LogOptions, LogStore};

/// Does what its `command` says.
struct Toy;

impl Workload for Toy {
    fn images(&self) -> &'static [&'static str] {
        &["*/toy:*"]
    }

    fn runs(&self, image: &str) -> bool {
        image.starts_with("toy")
    }

    fn start(&self, context: ContainerContext) -> BoxFuture<'static, i32> {
        Box::pin(async move {
            match context.command.first().map(String::as_str) {
                Some("crash") => {
                    context.log.append(b"cannot go on\n");
                    3
                }
                Some("panic") => panic!("the toy panics"),
                Some("stubborn") => std::future::pending().await,
                _ => {
                    context.stop.cancelled().await;
                    0
                }
            }
        })
    }
}

struct Bench {
    kubelet: Kubelet,
    inputs: mpsc::Receiver<Input>,
    notes: mpsc::Receiver<Note>,
    name: ObjectName,
    dir: std::path::PathBuf,
}

impl Bench {
    /// Starts a pod with one container of this spec.
    fn start(container: serde_json::Value, status: serde_json::Value) -> Bench {
        Bench::start_with("Always", container, status)
    }

    fn start_with(policy: &str, container: serde_json::Value, status: serde_json::Value) -> Bench {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("weir-node-kubelet-{}-{number}", std::process::id()));
        let (sender, inputs) = mpsc::channel(64);
        let (recorder, notes) = events::Recorder::channel();
        // Never asked: these containers refer to no other object.
        let client = kube::Client::try_from(kube::Config::new("http://127.0.0.1:9".parse().unwrap())).unwrap();
        let mut kubelet = Kubelet::new(Shared {
            client,
            workloads: vec![Arc::new(Toy)],
            logs: LogStore::open_dir(&dir).unwrap(),
            recorder,
            inputs: sender,
            host_ip: Ipv4Addr::LOCALHOST,
        });
        let mut spec = json!({"name": "c", "image": "toy:1"});
        crate::simulation::merge(&mut spec, &container);
        let pod = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "status": status,
            "spec": {"containers": [spec], "terminationGracePeriodSeconds": 60, "restartPolicy": policy}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let claim = crate::address::Claim::adopt(Ipv4Addr::LOCALHOST);
        kubelet.start(&Arc::new(pod), claim, NodeBindPlan::default(), Timestamp::now());
        Bench { kubelet, inputs, notes, name: ObjectName::new("ns", "p"), dir }
    }

    /// The next report of the container.
    async fn view(&mut self) -> ContainerView {
        loop {
            match self.inputs.recv().await.unwrap() {
                Input::Container { view, .. } => return view,
                Input::PodEnded { .. } => panic!("the pod has ended"),
                _ => {}
            }
        }
    }

    async fn ended(&mut self) {
        while !matches!(self.inputs.recv().await.unwrap(), Input::PodEnded { .. }) {}
    }

    fn messages(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.notes.try_recv().ok()).map(|n| format!("{} {}", n.reason, n.message)).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn terminated(view: &ContainerView) -> &Terminated {
    match &view.state {
        State::Terminated(ended) => ended,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_restart_comes_at_once_and_then_delays_double() {
    let delays: Vec<Option<u64>> = (0..9).map(|crashes| backoff(crashes).map(|d| d.as_secs())).collect();
    assert_eq!(delays, [None, None, Some(10), Some(20), Some(40), Some(80), Some(160), Some(300), Some(300)]);
    assert_eq!(backoff(u32::MAX), Some(LONGEST_BACKOFF));
    assert_eq!((go_duration(Duration::from_secs(40)), go_duration(Duration::from_secs(160))), ("40s".into(), "2m40s".into()));
}

#[tokio::test]
async fn a_crashing_container_is_restarted_and_then_backs_off() {
    let mut bench = Bench::start(json!({"command": ["crash"]}), json!({}));
    let first = bench.view().await;
    assert!(matches!(first.state, State::Running { .. }) && first.ready);
    let ended = bench.view().await;
    let Terminated { exit_code, reason, message, .. } = terminated(&ended);
    assert_eq!((*exit_code, *reason, message.as_deref()), (3, "Error", Some("cannot go on\n")));
    assert!(!ended.ready && ended.last.is_none(), "this was its first run");
    let second = bench.view().await;
    assert_eq!((second.restarts, second.last.as_ref().map(|l| l.exit_code)), (1, Some(3)));
    bench.view().await;
    let waiting = bench.view().await;
    let message = "back-off 10s restarting failed container=c pod=p_ns(u)".to_owned();
    assert_eq!(waiting.state, State::Waiting { reason: "CrashLoopBackOff", message: Some(message) });
    let messages = bench.messages();
    assert_eq!(
        messages[..3],
        ["Pulled Container image \"toy:1\" already present on machine", "Created Created container: c", "Started Started container c"]
    );
    assert_eq!(messages.last().map(String::as_str), Some("BackOff Back-off restarting failed container c in pod p_ns(u)"));
    bench.kubelet.stop(&bench.name, Duration::ZERO);
    bench.ended().await;
}

#[tokio::test]
async fn a_panic_is_the_containers_own() {
    let mut bench = Bench::start(json!({"command": ["panic"]}), json!({}));
    bench.view().await;
    assert_eq!(terminated(&bench.view().await).exit_code, PANIC);
}

#[tokio::test]
async fn a_stopped_pod_ends() {
    let mut bench = Bench::start(json!({}), json!({}));
    bench.view().await;
    bench.kubelet.stop(&bench.name, Duration::from_secs(60));
    assert_eq!(terminated(&bench.view().await).exit_code, 0);
    bench.ended().await;
    assert_eq!(bench.messages().last().map(String::as_str), Some("Killing Stopping container c"));
}

#[tokio::test]
async fn a_shorter_grace_reaches_a_container_that_is_ending() {
    let mut bench = Bench::start(json!({"command": ["stubborn"]}), json!({}));
    bench.view().await;
    bench.kubelet.stop(&bench.name, Duration::from_secs(60));
    bench.kubelet.stop(&bench.name, Duration::from_millis(10));
    assert_eq!(terminated(&bench.view().await).exit_code, ABORTED);
    bench.ended().await;
}

#[tokio::test]
async fn an_unknown_image_says_which_are_known() {
    let mut bench = Bench::start(json!({"image": "nginx:1"}), json!({}));
    let State::Waiting { reason, message } = bench.view().await.state else { panic!() };
    assert_eq!(reason, "ImagePullBackOff");
    assert!(message.unwrap().ends_with("built-in images only: */toy:*"));
    let error = bench.kubelet.shared.logs.open("ns", "p", None, &LogOptions::default()).err().unwrap();
    assert_eq!(error.to_string(), "container \"c\" in pod \"p\" is waiting to start: trying and failing to pull image");
}

#[tokio::test]
async fn a_container_of_the_last_process_counts_as_restarted() {
    let running = json!({"running": {"startedAt": "2026-11-23T05:00:00Z"}});
    let before = json!({"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 2, "state": running});
    let mut bench = Bench::start(json!({}), json!({"containerStatuses": [before]}));
    let view = bench.view().await;
    let last = view.last.unwrap();
    assert_eq!((view.restarts, last.exit_code, last.reason), (3, 255, "Unknown"));
    assert_eq!(last.started.to_string(), "2026-11-23T05:00:00Z");
}

#[tokio::test]
async fn what_an_earlier_process_ended_runs_again_only_where_it_is_to() {
    let running = json!({"running": {"startedAt": "2026-11-23T05:00:00Z"}});
    let done = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    let cases = [("Never", &running, Some(255)), ("OnFailure", &done, Some(0)), ("OnFailure", &running, None), ("Always", &done, None)];
    for (policy, state, stays) in cases {
        let before = json!({"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state});
        let mut bench = Bench::start_with(policy, json!({}), json!({"containerStatuses": [before]}));
        let view = bench.view().await;
        let code = if let State::Terminated(ended) = &view.state { Some(ended.exit_code) } else { None };
        assert_eq!((code, view.restarts), (stays, i32::from(stays.is_none())), "{policy} {state}");
    }
}

#[tokio::test]
async fn probes_decide_on_ready_started_and_restart() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let probe = json!({"tcpSocket": {"port": port}, "periodSeconds": 1, "failureThreshold": 1});
    let mut bench = Bench::start(json!({"startupProbe": probe, "readinessProbe": probe, "livenessProbe": probe}), json!({}));
    let view = bench.view().await;
    assert_eq!((view.started, view.ready), (false, false), "reported without waiting for long");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let view = bench.view().await;
    assert_eq!((view.started, view.ready), (true, false));
    let view = bench.view().await;
    assert_eq!((view.started, view.ready), (true, true));
    drop(listener);
    let mut view = bench.view().await;
    while !matches!(view.state, State::Terminated(_)) {
        assert!(!view.ready);
        view = bench.view().await;
    }
    assert_eq!(bench.view().await.restarts, 1);
    let messages = bench.messages();
    assert!(messages.contains(&"Killing Container c failed liveness probe, will be restarted".to_owned()), "{messages:?}");
    let refused = format!("Unhealthy Liveness probe failed: dial tcp 127.0.0.1:{port}: connect: connection refused");
    assert!(messages.contains(&refused), "{messages:?}");
}

#[tokio::test]
async fn a_container_that_is_ready_quickly_is_reported_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let probe = json!({"tcpSocket": {"port": listener.local_addr().unwrap().port()}});
    let mut bench = Bench::start(json!({"startupProbe": probe, "readinessProbe": probe}), json!({}));
    let view = bench.view().await;
    assert_eq!((view.started, view.ready), (true, true));
}

#[tokio::test]
async fn a_probe_that_cannot_be_asked_says_so_and_does_no_harm() {
    let mut bench = Bench::start(json!({"readinessProbe": {"exec": {"command": ["true"]}}}), json!({}));
    assert!(bench.view().await.ready);
    let messages = bench.messages();
    assert!(messages.iter().any(|m| m.starts_with("Unhealthy Readiness probe is not run: exec probes are not supported")), "{messages:?}");
}

#[test]
fn any_grace_can_be_added_to_a_time() {
    let pod = json!({"metadata": {}, "spec": {"containers": [], "terminationGracePeriodSeconds": i64::MAX}});
    let grace = crate::kubelet::grace_period(&serde_json::from_value(pod).unwrap());
    assert!(Instant::now().checked_add(grace).is_some());
}
