//! A pod's status from what its containers report; pure.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, HostIP, Pod,
    PodCondition, PodIP, PodStatus,
};

use crate::meta::time;

/// One container as its supervisor sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ContainerView {
    pub(crate) state: State,
    pub(crate) last: Option<Terminated>,
    pub(crate) restarts: i32,
    pub(crate) ready: bool,
    pub(crate) started: bool,
    pub(crate) id: Option<String>,
}

/// ```text
///  Waiting ──► Running ──► Terminated ──► (restart) Waiting CrashLoopBackOff ──► Running
///     └── ImagePullBackOff, CreateContainerConfigError: until deleted, or resolved
/// ```
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    Waiting { reason: &'static str, message: Option<String> },
    Running { since: Timestamp },
    Terminated(Terminated),
}

impl Default for State {
    fn default() -> Self {
        State::Waiting { reason: "ContainerCreating", message: None }
    }
}

/// How a run of a container ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terminated {
    pub(crate) exit_code: i32,
    pub(crate) reason: &'static str,
    pub(crate) message: Option<String>,
    pub(crate) started: Timestamp,
    pub(crate) finished: Timestamp,
    pub(crate) id: String,
}

impl Terminated {
    pub(crate) fn from_api(state: &ContainerStateTerminated) -> Terminated {
        let at = |t: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| t.map_or(Timestamp::UNIX_EPOCH, |t| t.0);
        let reason = match state.reason.as_deref() {
            Some("Completed") => "Completed",
            Some("Unknown") => "Unknown",
            _ => "Error",
        };
        Terminated {
            exit_code: state.exit_code,
            reason,
            message: state.message.clone(),
            started: at(state.started_at.as_ref()),
            finished: at(state.finished_at.as_ref()),
            id: state.container_id.clone().unwrap_or_default(),
        }
    }

    fn to_api(&self) -> ContainerStateTerminated {
        ContainerStateTerminated {
            exit_code: self.exit_code,
            reason: Some(self.reason.to_owned()),
            message: self.message.clone(),
            started_at: Some(time(self.started)),
            finished_at: Some(time(self.finished)),
            container_id: Some(self.id.clone()),
            signal: None,
        }
    }
}

/// What the status is made of, beside the pod itself.
pub(crate) struct Facts<'a> {
    pub(crate) views: &'a [ContainerView],
    pub(crate) ip: Ipv4Addr,
    pub(crate) host_ip: Ipv4Addr,
    pub(crate) started: Timestamp,
    pub(crate) now: Timestamp,
}

pub(crate) fn pod_status(pod: &Pod, facts: &Facts<'_>) -> PodStatus {
    let before = pod.status.clone().unwrap_or_default();
    let containers = pod.spec.as_ref().map(|s| s.containers.as_slice()).unwrap_or_default();
    let statuses: Vec<ContainerStatus> = containers.iter().zip(facts.views).map(|(c, view)| container_status(c, view)).collect();
    let phase = phase(pod, facts.views);
    PodStatus {
        conditions: Some(conditions(&before, &phase, &statuses, facts.now)),
        phase: Some(phase),
        container_statuses: Some(statuses),
        host_ip: Some(facts.host_ip.to_string()),
        host_ips: Some(vec![HostIP { ip: facts.host_ip.to_string() }]),
        pod_ip: Some(facts.ip.to_string()),
        pod_ips: Some(vec![PodIP { ip: facts.ip.to_string() }]),
        qos_class: before.qos_class.clone().or_else(|| Some(qos_class(containers).to_owned())),
        start_time: Some(time(facts.started)),
        ..before
    }
}

/// The status of a pod that is being deleted and of which nothing runs: whatever its containers came to, it has ended.
pub(crate) fn final_status(pod: &Pod, facts: &Facts<'_>) -> PodStatus {
    let mut status = pod_status(pod, facts);
    if status.phase.as_deref() != Some("Succeeded") {
        status.phase = Some("Failed".to_owned());
    }
    status
}

/// The status of a pod for which the node has no place.
pub(crate) fn unschedulable(pod: &Pod, why: String, now: Timestamp) -> PodStatus {
    let before = pod.status.as_ref();
    let old =
        before.and_then(|s| s.conditions.as_ref()).and_then(|all| all.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False"));
    let condition = PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some(why),
        last_transition_time: old.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(time(now))),
        ..Default::default()
    };
    let containers = pod.spec.as_ref().map(|s| s.containers.as_slice()).unwrap_or_default();
    PodStatus {
        phase: Some("Pending".to_owned()),
        conditions: Some(vec![condition]),
        qos_class: before.and_then(|s| s.qos_class.clone()).or_else(|| Some(qos_class(containers).to_owned())),
        ..Default::default()
    }
}

fn container_status(container: &Container, view: &ContainerView) -> ContainerStatus {
    let state = match &view.state {
        State::Waiting { reason, message } => ContainerState {
            waiting: Some(ContainerStateWaiting { reason: Some((*reason).to_owned()), message: message.clone() }),
            ..Default::default()
        },
        State::Running { since } => {
            ContainerState { running: Some(ContainerStateRunning { started_at: Some(time(*since)) }), ..Default::default() }
        }
        State::Terminated(ended) => ContainerState { terminated: Some(ended.to_api()), ..Default::default() },
    };
    let last = view.last.as_ref().map(|ended| ContainerState { terminated: Some(ended.to_api()), ..Default::default() });
    let image = container.image.clone().unwrap_or_default();
    ContainerStatus {
        name: container.name.clone(),
        image_id: if view.id.is_some() { format!("weir://{image}") } else { String::new() },
        image,
        container_id: view.id.clone(),
        ready: view.ready,
        started: Some(view.started),
        restart_count: view.restarts,
        state: Some(state),
        last_state: Some(last.unwrap_or_default()),
        ..Default::default()
    }
}

/// The kubelet's rules: pending until every container has run once; then running, unless all have ended for good. In a pod that is being deleted
/// nothing is started again.
fn phase(pod: &Pod, views: &[ContainerView]) -> String {
    let policy = match pod.metadata.deletion_timestamp {
        Some(_) => "Never",
        None => pod.spec.as_ref().and_then(|s| s.restart_policy.as_deref()).unwrap_or("Always"),
    };
    let never_ran = |v: &ContainerView| matches!(v.state, State::Waiting { .. }) && v.last.is_none();
    if views.iter().any(never_ran) {
        return "Pending".to_owned();
    }
    let codes: Vec<i32> = views.iter().filter_map(|v| if let State::Terminated(t) = &v.state { Some(t.exit_code) } else { None }).collect();
    let all_ended = codes.len() == views.len() && !views.is_empty();
    let phase = match (policy, all_ended, codes.iter().all(|c| *c == 0)) {
        ("Always", ..) | (_, false, _) => "Running",
        (_, true, true) => "Succeeded",
        ("Never", true, false) => "Failed",
        _ => "Running",
    };
    phase.to_owned()
}

fn conditions(before: &PodStatus, phase: &str, statuses: &[ContainerStatus], now: Timestamp) -> Vec<PodCondition> {
    let unready: Vec<&str> = statuses.iter().filter(|s| !s.ready).map(|s| s.name.as_str()).collect();
    let ready = if phase == "Succeeded" {
        (false, Some("PodCompleted"), None)
    } else if unready.is_empty() {
        (true, None, None)
    } else {
        (false, Some("ContainersNotReady"), Some(format!("containers with unready status: [{}]", unready.join(" "))))
    };
    let yes = || (true, None, None);
    let wanted = [
        ("PodReadyToStartContainers", yes()),
        ("Initialized", yes()),
        ("Ready", ready.clone()),
        ("ContainersReady", ready),
        ("PodScheduled", yes()),
    ];
    let old = before.conditions.as_deref().unwrap_or_default();
    let mut conditions: Vec<PodCondition> = Vec::with_capacity(wanted.len());
    for (type_, (holds, reason, message)) in wanted {
        let status = if holds { "True" } else { "False" };
        let same = old.iter().find(|c| c.type_ == type_ && c.status == status);
        conditions.push(PodCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            message,
            last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(time(now))),
            ..Default::default()
        });
    }
    // Others may keep conditions here too (readiness gates).
    let foreign = old.iter().filter(|c| !conditions.iter().any(|own| own.type_ == c.type_)).cloned().collect::<Vec<_>>();
    conditions.extend(foreign);
    conditions
}

/// Guaranteed if every container has limits for CPU and memory that are also its requests; BestEffort if none has either.
pub(crate) fn qos_class(containers: &[Container]) -> &'static str {
    let mut any = false;
    let mut guaranteed = !containers.is_empty();
    for container in containers {
        let resources = container.resources.clone().unwrap_or_default();
        let (limits, requests) = (resources.limits.unwrap_or_default(), resources.requests.unwrap_or_default());
        for name in ["cpu", "memory"] {
            let (limit, request) = (limits.get(name), requests.get(name));
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests;
