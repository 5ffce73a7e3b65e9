//! The replica set controller, as a function of what it sees.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;

use crate::events;
use crate::meta::{ObjectName, owner_reference, selects};
use crate::patch::status_diff;
use crate::plan::{Kind, Note, Plan, Verb};
use crate::pod_template;

/// Pods made or deleted at once; more follow when these are through.
const BURST: usize = 500;

/// What the controller looks at. `pods` are the set's own.
pub(crate) struct View<'a> {
    pub(crate) set: &'a ReplicaSet,
    pub(crate) pods: Vec<&'a Pod>,
    pub(crate) node_name: &'a str,
    pub(crate) now: Timestamp,
}

/// `suffix` gives the random ends of the names of new pods.
pub(crate) fn reconcile(view: &View<'_>, mut suffix: impl FnMut() -> String) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = view.set.spec.as_ref() else { return plan };
    let active: Vec<&Pod> = view.pods.iter().copied().filter(|p| is_active(p)).collect();
    let want = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or_default();
    write_status(view, &active, &mut plan);
    if view.set.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    for _ in active.len()..want.min(active.len() + BURST) {
        create(view, &suffix(), &mut plan);
    }
    if active.len() > want {
        let mut ranked = active.clone();
        ranked.sort_by_key(|p| rank(p));
        for pod in ranked.into_iter().take((active.len() - want).min(BURST)) {
            delete(view, pod, &mut plan);
        }
    }
    plan
}

pub(crate) fn is_active(pod: &Pod) -> bool {
    let ended = matches!(phase(pod), "Succeeded" | "Failed");
    !ended && pod.metadata.deletion_timestamp.is_none()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Pending")
}

/// Since when a pod is Ready, if it is.
pub(crate) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|c| c.type_ == "Ready" && c.status == "True")?;
    Some(ready.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0))
}

/// Which pod goes first: one that does not run yet, then one that is not ready, then the youngest.
pub(crate) fn rank(pod: &Pod) -> (u8, bool, std::cmp::Reverse<Option<Timestamp>>, Option<String>) {
    let phase = match phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let created = pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let ready = ready_since(pod);
    (phase, ready.is_some(), std::cmp::Reverse(ready.or(created)), pod.metadata.name.clone())
}

fn create(view: &View<'_>, suffix: &str, plan: &mut Plan) {
    let meta = &view.set.metadata;
    let Some(template) = view.set.spec.as_ref().and_then(|s| s.template.as_ref()) else { return };
    let owner = owner_reference("apps/v1", "ReplicaSet", meta);
    let write = pod_template::create(owner, meta.namespace.as_deref().unwrap_or_default(), template, view.node_name, suffix);
    plan.notes.push(note(view.set, "SuccessfulCreate", format!("Created pod: {}", write.name.name)));
    plan.writes.push(write);
}

fn delete(view: &View<'_>, pod: &Pod, plan: &mut Plan) {
    let name = ObjectName::of(&pod.metadata);
    plan.notes.push(note(view.set, "SuccessfulDelete", format!("Deleted pod: {}", name.name)));
    plan.write(Kind::Pod, name, Verb::Delete { uid: pod.metadata.uid.clone().unwrap_or_default(), grace_seconds: None });
}

fn note(set: &ReplicaSet, reason: &'static str, message: String) -> Note {
    let about = events::reference("apps/v1", "ReplicaSet", &set.metadata);
    Note { about, component: "replicaset-controller", warning: false, reason, message }
}

fn write_status(view: &View<'_>, active: &[&Pod], plan: &mut Plan) {
    let spec = view.set.spec.as_ref();
    let min_ready = i64::from(spec.and_then(|s| s.min_ready_seconds).unwrap_or(0));
    let labels =
        spec.and_then(|s| s.template.as_ref()).and_then(|t| t.metadata.as_ref()).and_then(|m| m.labels.clone()).unwrap_or_default();
    let (mut ready, mut available, mut labeled) = (0, 0, 0);
    for pod in active {
        labeled += i32::from(labels.is_empty() || selects(&labels, pod.metadata.labels.as_ref()));
        let Some(since) = ready_since(pod) else { continue };
        ready += 1;
        let left = since.as_second() + min_ready - view.now.as_second();
        if min_ready == 0 || left <= 0 {
            available += 1;
        } else {
            plan.again(Duration::from_secs(left.unsigned_abs()));
        }
    }
    let some = |n: i32| (n != 0).then_some(n);
    let terminating = view.pods.iter().filter(|p| p.metadata.deletion_timestamp.is_some()).count();
    let status = ReplicaSetStatus {
        replicas: i32::try_from(active.len()).unwrap_or(i32::MAX),
        fully_labeled_replicas: some(labeled),
        ready_replicas: some(ready),
        available_replicas: some(available),
        terminating_replicas: Some(i32::try_from(terminating).unwrap_or(i32::MAX)),
        observed_generation: view.set.metadata.generation,
        conditions: view.set.status.as_ref().and_then(|s| s.conditions.clone()),
    };
    if let Some(patch) = status_diff(view.set.status.as_ref(), &status) {
        plan.write(Kind::ReplicaSet, ObjectName::of(&view.set.metadata), Verb::PatchStatus(patch));
    }
}

#[cfg(test)]
mod tests;
