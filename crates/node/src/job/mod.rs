//! The job controller, as a function of what it sees.
//!
//! The rules, names and texts are those of Kubernetes' job controller (`pkg/controller/job`). A pod is counted once, however often the process
//! ends between two writes:
//!
//! ```text
//!  pod ends ──► its uid in status.uncountedTerminatedPods ──► its finalizer goes ──► the uid becomes a number in status.succeeded or .failed
//! ```
//! A uid that is written down and whose pod has no finalizer any more is counted by the next look.

mod pods;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;

use crate::events;
use crate::meta::{ObjectName, time};
use crate::patch::status_diff;
use crate::plan::{Kind, Note, Plan, Verb};
use pods::Census;
use status::Outcome;

pub(crate) use pods::{has_tracking, release};

/// Pods made or deleted at once; more follow when these are through.
const BURST: usize = 500;

/// What the controller looks at. `pods` are the Job's own.
pub(crate) struct View<'a> {
    pub(crate) job: &'a Job,
    pub(crate) pods: Vec<&'a Pod>,
    pub(crate) node_name: &'a str,
    pub(crate) now: Timestamp,
}

/// `suffix` gives the random ends of the names of new pods.
pub(crate) fn reconcile(view: &View<'_>, suffix: impl FnMut() -> String) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = view.job.spec.as_ref().filter(|spec| not_done(spec).is_empty()) else { return plan };
    let before = view.job.status.clone().unwrap_or_default();
    if let Some(ended) = status::ended_at(&before) {
        expire(view, spec, ended, &mut plan);
        return plan;
    }
    let census = Census::take(&view.pods, spec, &before);
    let mut next = before.clone();
    if next.start_time.is_none() && !is_suspended(spec) {
        next.start_time = Some(time(view.now));
    }
    let mut work = Plan::default();
    let outcome = status::outcome(view, spec, &next, &census, &mut work);
    let moved = match &outcome {
        Some(_) => pods::end_all(view, &census, &mut work),
        None if view.job.metadata.deletion_timestamp.is_some() => pods::Moved::default(),
        None => pods::manage(view, spec, &census, suffix, &mut work),
    };
    // What is only about to be made may be refused; it counts when it is there.
    next.active = Some(census.active.len() as i32 - moved.ended).filter(|n| *n != 0);
    next.ready = Some(census.ready - moved.ready_ended);
    next.terminating = Some(census.terminating + moved.ended);
    let outcome = outcome.or_else(|| status::success(spec, &census, next.active.unwrap_or(0)));
    match &outcome {
        Some(outcome) => outcome.announce(&mut next, view.now),
        None if view.job.metadata.deletion_timestamp.is_none() => status::suspension(view, spec, &mut next, &mut work),
        None => {}
    }
    count(view, &census, before, next, outcome.as_ref(), &mut plan);
    plan.writes.append(&mut work.writes);
    plan.notes.append(&mut work.notes);
    if let Some(delay) = work.again_after {
        plan.again(delay);
    }
    plan
}

/// Writes what has been found out, in the order that counts every pod once.
fn count(view: &View<'_>, census: &Census<'_>, before: JobStatus, mut next: JobStatus, outcome: Option<&Outcome>, plan: &mut Plan) {
    let name = ObjectName::of(&view.job.metadata);
    let patch = |from: &JobStatus, to: &JobStatus, plan: &mut Plan| {
        if let Some(patch) = status_diff(Some(from), to) {
            plan.write(Kind::Job, name.clone(), Verb::PatchStatus(patch));
        }
    };
    let mut written = before;
    let uncounted = census.uncounted(&written);
    if uncounted.succeeded.is_some() || uncounted.failed.is_some() {
        next.uncounted_terminated_pods = Some(uncounted);
        patch(&written, &next, plan);
        written = next.clone();
    }
    let deleting = view.job.metadata.deletion_timestamp.is_some();
    for pod in view.pods.iter().filter(|pod| deleting || census.is_over(pod)) {
        plan.writes.extend(release(pod));
    }
    let some = |n: i32| (n != 0).then_some(n);
    next.succeeded = some(census.succeeded);
    next.failed = some(census.failed);
    next.uncounted_terminated_pods = Some(Default::default());
    if let Some(outcome) = outcome.filter(|_| next.active.is_none() && next.terminating == Some(0)) {
        plan.notes.push(outcome.conclude(view, &mut next));
    }
    patch(&written, &next, plan);
}

/// Deletes a Job whose time to live after its end is over.
fn expire(view: &View<'_>, spec: &JobSpec, ended: Timestamp, plan: &mut Plan) {
    for pod in &view.pods {
        plan.writes.extend(release(pod));
    }
    let (Some(seconds), None) = (spec.ttl_seconds_after_finished, &view.job.metadata.deletion_timestamp) else { return };
    let left = ended.as_second() + i64::from(seconds) - view.now.as_second();
    if left > 0 {
        return plan.again(Duration::from_secs(left.unsigned_abs()));
    }
    let uid = view.job.metadata.uid.clone().unwrap_or_default();
    plan.write(Kind::Job, ObjectName::of(&view.job.metadata), Verb::Delete { uid, grace_seconds: None });
}

/// What a Job asks for and this controller does not do. Such a Job is not run at all: without regard to it, it would end otherwise.
pub(crate) fn not_done(spec: &JobSpec) -> Vec<&'static str> {
    let asked = [
        (spec.completion_mode.as_deref() == Some("Indexed"), "completionMode: Indexed"),
        (spec.pod_failure_policy.is_some(), "podFailurePolicy"),
        (spec.success_policy.is_some(), "successPolicy"),
        (spec.managed_by.as_deref().is_some_and(|by| by != "kubernetes.io/job-controller"), "managedBy"),
    ];
    asked.iter().filter(|(asked, _)| *asked).map(|(_, field)| *field).collect()
}

fn is_suspended(spec: &JobSpec) -> bool {
    spec.suspend == Some(true)
}

fn note(job: &Job, warning: bool, reason: &'static str, message: String) -> Note {
    let about = events::reference("batch/v1", "Job", &job.metadata);
    Note { about, component: "job-controller", warning, reason, message }
}
