//! The kubelet: runs the containers of the pods that are bound to this node, each under a supervisor task of its own.
//!
//! ```text
//!  pod bound ──► PodRun (address, log, bind plan) ──► one supervisor per container ──► reports ──► pod status
//!  deletionTimestamp ──► stop ──► containers end, or grace passes ──► ended ──► DELETE with gracePeriodSeconds 0
//! ```

mod container;
pub(crate) mod env;
pub(crate) mod probe;
pub(crate) mod status;
pub(crate) mod volume;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::address::Claim;
use crate::driver::Input;
use crate::events::Recorder;
use crate::logs::LogStore;
use crate::meta::ObjectName;
use crate::workload::{NodeBindPlan, Workload};
use status::{ContainerView, Facts, State, Terminated, final_status};

/// What every supervisor needs.
pub(crate) struct Shared {
    pub(crate) client: kube::Client,
    pub(crate) workloads: Vec<Arc<dyn Workload>>,
    pub(crate) logs: LogStore,
    pub(crate) recorder: Recorder,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) host_ip: Ipv4Addr,
}

/// A pod that runs, or is being stopped.
pub(crate) struct PodRun {
    pub(crate) uid: String,
    pub(crate) claim: Claim,
    pub(crate) started: Timestamp,
    /// What each container last reported. None until it has.
    pub(crate) views: Vec<Option<ContainerView>>,
    pub(crate) plan: watch::Sender<NodeBindPlan>,
    /// All containers have ended after a stop.
    pub(crate) ended: bool,
    stop: CancellationToken,
    grace: watch::Sender<Duration>,
}

/// All pods of the node.
pub(crate) struct Kubelet {
    pub(crate) shared: Arc<Shared>,
    pub(crate) runs: HashMap<ObjectName, PodRun>,
    /// Of all runs.
    places: usize,
}

impl Kubelet {
    pub(crate) fn new(shared: Shared) -> Kubelet {
        Kubelet { shared: Arc::new(shared), runs: HashMap::new(), places: 0 }
    }

    /// How many places the pods that run take.
    pub(crate) fn places(&self) -> usize {
        self.places
    }

    /// Lets go of a pod that has ended.
    pub(crate) fn forget(&mut self, pod: &ObjectName) -> Option<PodRun> {
        let run = self.runs.remove(pod)?;
        self.places -= run.views.len().max(1);
        Some(run)
    }

    /// Starts a pod's containers. Those that a previous run of the process left running count as restarted.
    pub(crate) fn start(&mut self, pod: &Arc<Pod>, claim: Claim, plan: NodeBindPlan, now: Timestamp) {
        let name = ObjectName::of(&pod.metadata);
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let containers = pod.spec.as_ref().map(|s| s.containers.clone()).unwrap_or_default();
        let names: Vec<String> = containers.iter().map(|c| c.name.clone()).collect();
        self.shared.logs.declare(&name, &uid, &names);
        let stop = CancellationToken::new();
        let (plan, plan_receiver) = watch::channel(plan);
        let (grace, grace_receiver) = watch::channel(grace_period(pod));
        let mut supervisors = JoinSet::new();
        for (index, spec) in containers.into_iter().enumerate() {
            let before =
                pod.status.as_ref().and_then(|s| s.container_statuses.as_ref()).and_then(|c| c.iter().find(|c| c.name == spec.name));
            let container = container::Container {
                shared: self.shared.clone(),
                pod: pod.clone(),
                name: name.clone(),
                uid: uid.clone(),
                index,
                spec,
                ip: claim.ip,
                stop: stop.clone(),
                grace: grace_receiver.clone(),
                plan: plan_receiver.clone(),
                view: taken_over(before, now),
            };
            supervisors.spawn(container.run());
        }
        let (inputs, ended) = (self.shared.inputs.clone(), (name.clone(), uid.clone()));
        let stopped = stop.clone();
        tokio::spawn(async move {
            while supervisors.join_next().await.is_some() {}
            // Containers that have completed leave the pod in place until it is deleted.
            stopped.cancelled().await;
            let (pod, uid) = ended;
            let _ = inputs.send(Input::PodEnded { pod, uid }).await;
        });
        let started = pod.status.as_ref().and_then(|s| s.start_time.as_ref()).map_or(now, |t| t.0);
        let views = vec![None; names.len()];
        self.places += places(pod);
        self.runs.insert(name, PodRun { uid, claim, started, views, plan, ended: false, stop, grace });
    }

    /// Tells all containers of a pod to end within `grace`. May be told again with a shorter one.
    pub(crate) fn stop(&self, pod: &ObjectName, grace: Duration) {
        if let Some(run) = self.runs.get(pod) {
            run.grace.send_if_modified(|g| {
                let shorter = grace < *g;
                *g = (*g).min(grace);
                shorter
            });
            run.stop.cancel();
        }
    }

    /// Whether every container has reported, so that statuses tell what is.
    pub(crate) fn has_reported(&self) -> bool {
        self.runs.values().all(|run| run.views.iter().all(Option::is_some))
    }
}

/// How many places a pod takes: each container has files and sockets of its own.
pub(crate) fn places(pod: &Pod) -> usize {
    pod.spec.as_ref().map_or(1, |spec| spec.containers.len().max(1))
}

/// A grace may be any number of seconds; added to a time it must still be one.
const LONGEST_GRACE: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) fn grace_period(pod: &Pod) -> Duration {
    let asked = pod.metadata.deletion_grace_period_seconds;
    let seconds = asked.or_else(|| pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds)).unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default()).min(LONGEST_GRACE)
}

/// How a pod ended that is being deleted and ran in an earlier process only.
pub(crate) fn lost_status(pod: &Pod, host_ip: Ipv4Addr, now: Timestamp) -> PodStatus {
    let before = pod.status.clone().unwrap_or_default();
    let containers = pod.spec.as_ref().map(|s| s.containers.as_slice()).unwrap_or_default();
    let known = before.container_statuses.as_deref().unwrap_or_default();
    let views: Vec<ContainerView> = containers.iter().map(|c| taken_over(known.iter().find(|k| k.name == c.name), now)).collect();
    let started = before.start_time.as_ref().map_or(now, |time| time.0);
    let facts = Facts { views: &views, ip: Ipv4Addr::UNSPECIFIED, host_ip, started, now };
    // It has no other address than the one it had.
    PodStatus { pod_ip: before.pod_ip, pod_ips: before.pod_ips, ..final_status(pod, &facts) }
}

/// Where a container stands that another process ran before: whatever ran then has ended with it.
fn taken_over(before: Option<&ContainerStatus>, now: Timestamp) -> ContainerView {
    let mut view = ContainerView::default();
    let Some(before) = before else { return view };
    view.restarts = before.restart_count;
    let last = before.last_state.as_ref().and_then(|s| s.terminated.as_ref());
    view.last = last.map(Terminated::from_api);
    view.id = before.container_id.clone();
    let state = before.state.as_ref();
    if let Some(running) = state.and_then(|s| s.running.as_ref()) {
        view.state = State::Terminated(Terminated {
            exit_code: 255,
            reason: "Unknown",
            message: None,
            started: running.started_at.as_ref().map_or(now, |t| t.0),
            finished: now,
            id: before.container_id.clone().unwrap_or_default(),
        });
    } else if let Some(ended) = state.and_then(|s| s.terminated.as_ref()) {
        view.state = State::Terminated(Terminated::from_api(ended));
    } else if view.last.is_some() {
        // It waited to be started again.
        view.restarts += 1;
    }
    view
}
