//! A Deployment's status: counts and conditions, with the reasons and messages that `kubectl rollout status` and people know.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentSpec, DeploymentStatus, ReplicaSetStatus};

use super::View;
use super::sets::{New, Sets};
use crate::meta::time;
use crate::plan::Plan;

pub(super) struct Outcome {
    pub(super) status: DeploymentStatus,
    pub(super) complete: bool,
}

const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";

/// Computes the status from what the ReplicaSets report, and asks `plan` to come back when the progress deadline is due.
pub(super) fn compute(view: &View<'_>, spec: &DeploymentSpec, sets: &Sets<'_>, plan: &mut Plan) -> Outcome {
    let before = view.deployment.status.clone().unwrap_or_default();
    let mut status = counts(view, sets, &before);
    let mut conditions = Conditions { list: before.conditions.clone().unwrap_or_default(), now: view.now };
    available(sets, &status, spec.paused == Some(true), &mut conditions);
    let complete = is_complete(sets, &status);
    if spec.progress_deadline_seconds.is_some_and(|s| s != i32::MAX) {
        progress(view, spec, sets, &before, &status, complete, &mut conditions, plan);
    }
    status.conditions = Some(conditions.list);
    Outcome { status, complete }
}

fn counts(view: &View<'_>, sets: &Sets<'_>, before: &DeploymentStatus) -> DeploymentStatus {
    let sum = |count: fn(&ReplicaSetStatus) -> i32| sets.objects().filter_map(|s| s.status.as_ref()).map(count).sum::<i32>();
    let some = |n: i32| (n != 0).then_some(n);
    let available = sum(|s| s.available_replicas.unwrap_or(0));
    let wanted = sets.old_replicas() + sets.new_replicas();
    DeploymentStatus {
        observed_generation: view.deployment.metadata.generation,
        replicas: some(sum(|s| s.replicas)),
        updated_replicas: some(sets.found().and_then(|s| s.status.as_ref()).map_or(0, |s| s.replicas)),
        ready_replicas: some(sum(|s| s.ready_replicas.unwrap_or(0))),
        available_replicas: some(available),
        unavailable_replicas: some((wanted - available).max(0)),
        terminating_replicas: Some(sum(|s| s.terminating_replicas.unwrap_or(0))),
        collision_count: before.collision_count,
        conditions: None,
    }
}

/// The difference to Kubernetes is here: under Recreate, replicas of an old template do not count, for they are about to go.
fn available(sets: &Sets<'_>, status: &DeploymentStatus, paused: bool, conditions: &mut Conditions) {
    let available = if sets.numbers.recreate && !paused {
        sets.found().and_then(|s| s.status.as_ref()).and_then(|s| s.available_replicas).unwrap_or(0)
    } else {
        status.available_replicas.unwrap_or(0)
    };
    if available >= sets.numbers.replicas - sets.numbers.max_unavailable {
        conditions.set(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.".to_owned());
    } else {
        let message = "Deployment does not have minimum availability.".to_owned();
        conditions.set(AVAILABLE, "False", "MinimumReplicasUnavailable", message);
    }
}

fn is_complete(sets: &Sets<'_>, status: &DeploymentStatus) -> bool {
    let replicas = sets.numbers.replicas;
    [status.updated_replicas, status.replicas, status.available_replicas].iter().all(|n| n.unwrap_or(0) == replicas)
        && matches!(&sets.new, New::Found(set) if set.want == replicas)
}

#[expect(clippy::too_many_arguments, reason = "one rule that weighs the old status against the new")]
fn progress(
    view: &View<'_>,
    spec: &DeploymentSpec,
    sets: &Sets<'_>,
    before: &DeploymentStatus,
    status: &DeploymentStatus,
    complete: bool,
    conditions: &mut Conditions,
    plan: &mut Plan,
) {
    let name = sets.new_name();
    let reason = conditions.find(PROGRESSING).and_then(|c| c.reason.clone());
    if spec.paused == Some(true) {
        if reason.as_deref() != Some("ProgressDeadlineExceeded") {
            conditions.set(PROGRESSING, "Unknown", "DeploymentPaused", "Deployment is paused".to_owned());
        }
        return;
    }
    if reason.as_deref() == Some("DeploymentPaused") {
        conditions.set(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed".to_owned());
    }
    match &sets.new {
        New::Create(_) => conditions.set(PROGRESSING, "True", "NewReplicaSetCreated", format!("Created new replica set \"{name}\"")),
        New::Found(_) if reason.is_none() => {
            conditions.set(PROGRESSING, "True", "FoundNewReplicaSet", format!("Found new replica set \"{name}\""));
        }
        New::None if sets.numbers.recreate && reason.as_deref() == Some("NewReplicaSetAvailable") => {
            // The old template's success says nothing of the new one: what is progressing are the old pods, away.
            conditions.replace(PROGRESSING, "True", "ReplicaSetUpdated", format!("ReplicaSet \"{name}\" is progressing."));
        }
        _ => {}
    }
    if complete {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        conditions.set(PROGRESSING, "True", "NewReplicaSetAvailable", message);
        return;
    }
    if has_progressed(before, status) {
        conditions.replace(PROGRESSING, "True", "ReplicaSetUpdated", format!("ReplicaSet \"{name}\" is progressing."));
    }
    deadline(view, spec, &name, conditions, plan);
}

fn has_progressed(before: &DeploymentStatus, now: &DeploymentStatus) -> bool {
    let n = |n: Option<i32>| n.unwrap_or(0);
    n(now.updated_replicas) > n(before.updated_replicas)
        || n(now.replicas) - n(now.updated_replicas) < n(before.replicas) - n(before.updated_replicas)
        || n(now.ready_replicas) > n(before.ready_replicas)
        || n(now.available_replicas) > n(before.available_replicas)
}

/// No progress for `progressDeadlineSeconds` is said once; until then the key comes back when that would be.
fn deadline(view: &View<'_>, spec: &DeploymentSpec, name: &str, conditions: &mut Conditions, plan: &mut Plan) {
    let Some(current) = conditions.find(PROGRESSING) else { return };
    if matches!(current.reason.as_deref(), Some("NewReplicaSetAvailable" | "ProgressDeadlineExceeded")) {
        return;
    }
    let Some(updated) = current.last_update_time.as_ref().map(|t| t.0) else { return };
    let limit = i64::from(spec.progress_deadline_seconds.unwrap_or(600));
    let left = updated.as_second() + limit - view.now.as_second();
    if left > 0 {
        plan.again(Duration::from_secs(left.unsigned_abs()));
    } else {
        conditions.set(PROGRESSING, "False", "ProgressDeadlineExceeded", format!("ReplicaSet \"{name}\" has timed out progressing."));
    }
}

struct Conditions {
    list: Vec<DeploymentCondition>,
    now: Timestamp,
}

impl Conditions {
    fn find(&self, type_: &str) -> Option<&DeploymentCondition> {
        self.list.iter().find(|c| c.type_ == type_)
    }

    /// Writes a condition unless status and reason are the same already.
    fn set(&mut self, type_: &str, status: &str, reason: &str, message: String) {
        let same = |c: &DeploymentCondition| c.status == status && c.reason.as_deref() == Some(reason);
        if !self.find(type_).is_some_and(same) {
            self.replace(type_, status, reason, message);
        }
    }

    /// Writes a condition with a new update time; the transition time stays while the status does.
    fn replace(&mut self, type_: &str, status: &str, reason: &str, message: String) {
        let now = Some(time(self.now));
        let kept = self.find(type_).filter(|c| c.status == status).and_then(|c| c.last_transition_time.clone());
        let condition = DeploymentCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_update_time: now.clone(),
            last_transition_time: kept.or(now),
        };
        match self.list.iter_mut().find(|c| c.type_ == type_) {
            Some(place) => *place = condition,
            None => self.list.push(condition),
        }
    }
}
