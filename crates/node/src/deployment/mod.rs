//! The deployment controller, as a function of what it sees.
//!
//! The rules, names and texts are those of Kubernetes' deployment controller (`pkg/controller/deployment`), with one difference: a Recreate
//! rollout says `Available: False` in the same status write that observes the new template, so that `kubectl wait --for=condition=Available`
//! after `kubectl rollout restart` waits for the new pod.

mod rollout;
mod sets;
mod status;
mod template;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::events;
use crate::meta::ObjectName;
use crate::plan::{Kind, Plan, Verb};
use sets::Sets;

pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";

/// What the controller looks at. `sets` and `pods` are the Deployment's own.
pub(crate) struct View<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) sets: Vec<&'a ReplicaSet>,
    pub(crate) pods: Vec<&'a Pod>,
    pub(crate) now: Timestamp,
}

/// A Deployment's numbers, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) replicas: i32,
    pub(crate) recreate: bool,
    /// Zero unless rolling.
    pub(crate) max_surge: i32,
    /// Zero unless rolling.
    pub(crate) max_unavailable: i32,
}

pub(crate) fn reconcile(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = view.deployment.spec.as_ref() else { return plan };
    let numbers = rollout::numbers(spec);
    let mut sets = Sets::new(view, spec, numbers);
    let paused = spec.paused == Some(true);
    let deleting = view.deployment.metadata.deletion_timestamp.is_some();
    if !deleting {
        if paused || (sets.is_scaling() && !numbers.recreate) {
            rollout::scale(&mut sets);
        } else if numbers.recreate {
            rollout::recreate(&mut sets, &view.pods);
        } else {
            rollout::roll(&mut sets);
        }
    }
    sets.finish(&mut plan);
    let outcome = status::compute(view, spec, &sets, &mut plan);
    // The status first: nobody may see a generation observed and, before this write, the old availability.
    if let Some(patch) = crate::patch::status_diff(view.deployment.status.as_ref(), &outcome.status) {
        let name = ObjectName::of(&view.deployment.metadata);
        plan.writes.insert(0, crate::plan::Write { kind: Kind::Deployment, name, verb: Verb::PatchStatus(patch) });
    }
    if outcome.complete && !deleting && !paused {
        clean_up(&sets, spec, &mut plan);
    }
    write_revision(view, &sets, &mut plan);
    plan
}

/// The Deployment carries the revision of its newest ReplicaSet.
fn write_revision(view: &View<'_>, sets: &Sets<'_>, plan: &mut Plan) {
    let Some(revision) = sets.revision() else { return };
    let meta = &view.deployment.metadata;
    let current = meta.annotations.as_ref().and_then(|a| a.get(REVISION));
    if current.map(String::as_str) != Some(revision) {
        plan.write(Kind::Deployment, ObjectName::of(meta), Verb::Patch(json!({"metadata": {"annotations": {REVISION: revision}}})));
    }
}

/// Removes the oldest ReplicaSets that run nothing, beyond `revisionHistoryLimit`.
fn clean_up(sets: &Sets<'_>, spec: &DeploymentSpec, plan: &mut Plan) {
    let limit = usize::try_from(spec.revision_history_limit.unwrap_or(10)).unwrap_or_default();
    let mut old = sets.old_objects();
    old.sort_by_key(|s| sets::revision_of(s));
    let excess = old.len().saturating_sub(limit);
    for set in old.into_iter().take(excess) {
        let status = set.status.as_ref();
        let idle = status.is_none_or(|s| s.replicas == 0)
            && set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(0) == 0
            && status.and_then(|s| s.observed_generation).unwrap_or(0) >= set.metadata.generation.unwrap_or(0)
            && set.metadata.deletion_timestamp.is_none();
        if idle {
            let uid = set.metadata.uid.clone().unwrap_or_default();
            plan.write(Kind::ReplicaSet, ObjectName::of(&set.metadata), Verb::Delete { uid, grace_seconds: None });
        }
    }
}

/// An Event about the Deployment.
fn note(deployment: &Deployment, reason: &'static str, message: String) -> crate::plan::Note {
    let about = events::reference("apps/v1", "Deployment", &deployment.metadata);
    crate::plan::Note { about, component: "deployment-controller", warning: false, reason, message }
}
