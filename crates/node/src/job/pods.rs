//! A Job's pods: which of them count as what, which are made and which go.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{JobSpec, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::{BURST, View, is_suspended, note};
use crate::meta::{ObjectName, owner_reference};
use crate::plan::{Kind, Plan, Verb, Write};
use crate::pod_template;
use crate::replicaset::{is_active, ready_since};

/// Keeps a pod until its Job has counted it.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// Before the pod that follows a failed one; doubled with each failure up to ten minutes.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);

/// A Job's pods, counted.
pub(super) struct Census<'a> {
    pub(super) active: Vec<&'a Pod>,
    /// Of the active ones.
    pub(super) ready: i32,
    /// Deleted, and still running.
    pub(super) terminating: i32,
    /// All that ever succeeded.
    pub(super) succeeded: i32,
    /// All that ever failed.
    pub(super) failed: i32,
    /// Of those that end a run in vain and are started again in place.
    pub(super) restarts: i32,
    new_succeeded: Vec<String>,
    new_failed: Vec<String>,
    only_failed: bool,
    backoff: Option<Backoff>,
}

/// Failures since the last success, and when the last one was.
struct Backoff {
    failures: u32,
    last: Timestamp,
}

/// What became of the pods by this look.
#[derive(Default)]
pub(super) struct Moved {
    pub(super) ended: i32,
    pub(super) ready_ended: i32,
}

impl<'a> Census<'a> {
    pub(super) fn take(pods: &[&'a Pod], spec: &JobSpec, status: &JobStatus) -> Census<'a> {
        let only_failed = spec.pod_replacement_policy.as_deref() == Some("Failed");
        let written = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let (succeeded, failed) = (written.succeeded.unwrap_or_default(), written.failed.unwrap_or_default());
        let known: BTreeSet<&str> = succeeded.iter().chain(&failed).map(String::as_str).collect();
        let news = |which: &dyn Fn(&Pod) -> bool| -> Vec<String> {
            let found = pods.iter().filter(|pod| has_tracking(pod) && which(pod)).filter_map(|pod| pod.metadata.uid.clone());
            found.filter(|uid| !known.contains(uid.as_str())).collect()
        };
        let new_succeeded = news(&|pod| phase(pod) == "Succeeded");
        let new_failed = news(&|pod| has_failed(pod, only_failed));
        let active: Vec<&Pod> = pods.iter().copied().filter(|pod| is_active(pod)).collect();
        let total = |counted: Option<i32>, written: &[String], new: &[String]| counted.unwrap_or(0) + (written.len() + new.len()) as i32;
        Census {
            ready: active.iter().filter(|pod| ready_since(pod).is_some()).count() as i32,
            terminating: pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some() && !is_terminal(pod)).count() as i32,
            succeeded: total(status.succeeded, &succeeded, &new_succeeded),
            failed: total(status.failed, &failed, &new_failed),
            restarts: active.iter().map(|pod| restarts(pod)).sum(),
            backoff: backoff(pods),
            active,
            new_succeeded,
            new_failed,
            only_failed,
        }
    }

    /// The pods whose end is written down and not yet a number.
    pub(super) fn uncounted(&self, status: &JobStatus) -> UncountedTerminatedPods {
        let written = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let both = |written: Option<Vec<String>>, new: &[String]| {
            let all: Vec<String> = written.into_iter().flatten().chain(new.iter().cloned()).collect();
            (!all.is_empty()).then_some(all)
        };
        UncountedTerminatedPods { succeeded: both(written.succeeded, &self.new_succeeded), failed: both(written.failed, &self.new_failed) }
    }

    /// Whether a pod counts as succeeded or failed.
    pub(super) fn is_over(&self, pod: &Pod) -> bool {
        phase(pod) == "Succeeded" || has_failed(pod, self.only_failed)
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// A pod that was deleted while it ran has failed, too; unless the Job replaces only those that have ended.
fn has_failed(pod: &Pod, only_failed: bool) -> bool {
    phase(pod) == "Failed" || (!only_failed && pod.metadata.deletion_timestamp.is_some() && phase(pod) != "Succeeded")
}

fn restarts(pod: &Pod) -> i32 {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| container.restart_count).sum()
}

/// When a pod's last container ended.
fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.filter_map(|container| Some(container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0)).max()
}

fn backoff(pods: &[&Pod]) -> Option<Backoff> {
    let kept = || pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let success = kept().filter(|pod| phase(pod) == "Succeeded").filter_map(|pod| ended_at(pod)).max();
    let failures = kept().filter(|pod| phase(pod) == "Failed").filter_map(|pod| ended_at(pod));
    let since: Vec<Timestamp> = failures.filter(|at| success.is_none_or(|success| *at > success)).collect();
    let last = since.iter().max().copied()?;
    Some(Backoff { failures: u32::try_from(since.len()).unwrap_or(u32::MAX), last })
}

impl Backoff {
    fn left(&self, now: Timestamp) -> Duration {
        let delay = FIRST_BACKOFF.saturating_mul(1 << (self.failures.saturating_sub(1)).min(10)).min(LONGEST_BACKOFF);
        delay.saturating_sub(now.duration_since(self.last).unsigned_abs())
    }
}

/// Whether the pod's Job has yet to count it.
pub(crate) fn has_tracking(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == TRACKING)
}

/// Lets go of a pod, if it is held.
pub(crate) fn release(pod: &Pod) -> Option<Write> {
    let others: Vec<&String> = pod.metadata.finalizers.iter().flatten().filter(|finalizer| *finalizer != TRACKING).collect();
    has_tracking(pod).then(|| Write {
        kind: Kind::Pod,
        name: ObjectName::of(&pod.metadata),
        // The uid is a precondition: a successor of the same name is not meant.
        verb: Verb::Patch(json!({"metadata": {"uid": pod.metadata.uid, "finalizers": others}})),
    })
}

/// Deletes all that is active, since the Job is over. What was running counts as failed.
pub(super) fn end_all(view: &View<'_>, census: &Census<'_>, plan: &mut Plan) -> Moved {
    delete(view, census.active.iter().copied(), plan)
}

/// Makes as many pods as are missing and deletes as many as are too many.
pub(super) fn manage(view: &View<'_>, spec: &JobSpec, census: &Census<'_>, mut suffix: impl FnMut() -> String, plan: &mut Plan) -> Moved {
    let size = |n: i32| usize::try_from(n).unwrap_or_default();
    let parallelism = size(spec.parallelism.unwrap_or(1));
    let want = match spec.completions {
        _ if is_suspended(spec) => 0,
        // Any success ends it: what runs goes on, nothing is started.
        None if census.succeeded > 0 => census.active.len(),
        None => parallelism,
        Some(completions) => size(completions - census.succeeded).min(parallelism),
    };
    if census.active.len() > want {
        let mut ranked = census.active.clone();
        ranked.sort_by_key(|pod| crate::replicaset::rank(pod));
        let many = (census.active.len() - want).min(BURST);
        // Not failures: they are let go before they are deleted.
        ranked.iter().take(many).for_each(|pod| plan.writes.extend(release(pod)));
        return delete(view, ranked.into_iter().take(many), plan);
    }
    let running = census.active.len() + if census.only_failed { size(census.terminating) } else { 0 };
    let missing = want.saturating_sub(running).min(BURST);
    let left = census.backoff.as_ref().map(|backoff| backoff.left(view.now)).unwrap_or_default();
    if missing == 0 || is_suspended(spec) {
        return Moved::default();
    }
    if !left.is_zero() {
        plan.again(left);
        return Moved::default();
    }
    (0..missing).for_each(|_| create(view, spec, &suffix(), plan));
    Moved::default()
}

fn delete<'a>(view: &View<'_>, pods: impl Iterator<Item = &'a Pod>, plan: &mut Plan) -> Moved {
    let mut moved = Moved::default();
    for pod in pods {
        let name = ObjectName::of(&pod.metadata);
        plan.notes.push(note(view.job, false, "SuccessfulDelete", format!("Deleted pod: {}", name.name)));
        plan.write(Kind::Pod, name, Verb::Delete { uid: pod.metadata.uid.clone().unwrap_or_default(), grace_seconds: None });
        moved.ended += 1;
        moved.ready_ended += i32::from(ready_since(pod).is_some());
    }
    moved
}

fn create(view: &View<'_>, spec: &JobSpec, suffix: &str, plan: &mut Plan) {
    let owner = owner_reference("batch/v1", "Job", &view.job.metadata);
    let namespace = view.job.metadata.namespace.as_deref().unwrap_or_default();
    let mut template = spec.template.clone();
    template.metadata.get_or_insert_default().finalizers.get_or_insert_default().push(TRACKING.to_owned());
    let write = pod_template::create(owner, namespace, &template, view.node_name, suffix);
    plan.notes.push(note(view.job, false, "SuccessfulCreate", format!("Created pod: {}", write.name.name)));
    plan.writes.push(write);
}
