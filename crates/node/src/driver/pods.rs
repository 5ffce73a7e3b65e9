//! Pods: bound, started, reported, stopped, deleted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::Driver;
use crate::address::{Claim, Pool};
use crate::kubelet::status::{ContainerView, Facts, final_status, pod_status, unschedulable};
use crate::kubelet::{grace_period, lost_status, places};
use crate::meta::{ObjectName, controller};
use crate::patch::status_diff;
use crate::plan::{Kind, Note, Plan, Verb, Write};
use crate::queue::Key;
use crate::world::Taken;
use crate::{capacity, events, job};

/// For a pod whose object went without grace: its containers hear of it and get this long.
const ORPHAN_GRACE: Duration = Duration::from_secs(2);
/// Before a pod is tried again that could not get an address, or that needs more places than are free.
const RETRY: Duration = Duration::from_secs(5);

impl Driver {
    pub(super) fn upsert_pod(&mut self, object: Pod) {
        let name = ObjectName::of(&object.metadata);
        let old = match self.world.pods.upsert(object) {
            Taken::Stale => return,
            Taken::News(old) => old,
        };
        self.queue.add(Key::Pod(name.clone()));
        if let Some(pod) = self.world.pods.get(&name).cloned() {
            self.queue_owner_of_pod(&pod);
            self.queue_services_of_pod(&pod);
        }
        if let Some(old) = old {
            self.queue_services_of_pod(&old);
        }
    }

    pub(super) fn remove_pod(&mut self, name: &ObjectName, uid: Option<&str>) {
        if let Some(gone) = self.world.pods.remove(name, uid) {
            self.queue_owner_of_pod(&gone);
            self.queue_services_of_pod(&gone);
            // One that ran here is forgotten when its containers have ended.
            if !self.kubelet.runs.contains_key(name) {
                self.kubelet.shared.logs.forget(name, uid.unwrap_or_default());
            }
        }
        self.queue.add(Key::Pod(name.clone()));
    }

    pub(super) fn pod(&mut self, name: &ObjectName) -> Plan {
        self.waiting.remove(name);
        let plan = self.look_at_pod(name);
        // If there is a place now, the first who waits has it, or passes it on in the same way.
        if self.kubelet.places() < self.capacity
            && let Some(next) = self.waiting.pop_first()
        {
            self.queue.add(Key::Pod(next));
        }
        plan
    }

    fn look_at_pod(&mut self, name: &ObjectName) -> Plan {
        let mut plan = Plan::default();
        let pod = self.world.pods.get(name).cloned();
        let uid = pod.as_ref().and_then(|p| p.metadata.uid.as_deref());
        if self.kubelet.runs.get(name).is_some_and(|run| Some(run.uid.as_str()) != uid) {
            // The object is gone, or another of the same name: what runs belongs to neither.
            self.kubelet.stop(name, ORPHAN_GRACE);
            if !self.forget_ended(name) {
                return plan;
            }
        }
        let Some(pod) = pod else { return plan };
        if controller(&pod.metadata, "Job").is_none() {
            // Its Job went and left it: nobody is to count it any more.
            plan.writes.extend(job::release(&pod));
        }
        match pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).filter(|n| !n.is_empty()) {
            None if pod.metadata.deletion_timestamp.is_none() => {
                plan.write(Kind::Pod, name.clone(), Verb::Bind(self.config.node_name.clone()));
                return plan;
            }
            Some(node) if node != self.config.node_name => return plan,
            _ => {}
        }
        let is_running = self.kubelet.runs.get(name).is_some_and(|run| !run.ended);
        if pod.metadata.deletion_timestamp.is_some() {
            self.delete_pod(name, &pod, &mut plan);
        } else if has_ended(&pod) && !self.kubelet.runs.contains_key(name) {
            // Ended in an earlier process; its logs can still be read.
            self.kubelet.shared.logs.adopt(name, pod.metadata.uid.as_deref().unwrap_or_default(), &container_names(&pod));
        } else if !self.kubelet.runs.contains_key(name) {
            self.start_pod(&pod, &mut plan);
        }
        if is_running && self.write_pod_status(name, &pod, &mut plan) && has_ended(&pod) && pod.metadata.deletion_timestamp.is_none() {
            self.retire(name);
        }
        plan
    }

    /// Lets go of a pod whose containers have ended. False while some have not.
    fn forget_ended(&mut self, name: &ObjectName) -> bool {
        if self.kubelet.runs.get(name).is_some_and(|run| !run.ended) {
            return false;
        }
        if let Some(run) = self.kubelet.forget(name) {
            self.kubelet.shared.logs.forget(name, &run.uid);
            self.addresses.release(run.claim.ip);
        }
        true
    }

    /// Lets go of a pod that has completed, as its status says already. Its logs can be read until it is deleted.
    fn retire(&mut self, name: &ObjectName) {
        self.kubelet.stop(name, Duration::ZERO);
        if let Some(run) = self.kubelet.forget(name) {
            self.addresses.release(run.claim.ip);
        }
    }

    fn delete_pod(&mut self, name: &ObjectName, pod: &Pod, plan: &mut Plan) {
        if self.kubelet.runs.get(name).is_some_and(|run| !run.ended) {
            self.kubelet.stop(name, grace_period(pod));
            return;
        }
        // Nothing runs (any more): this confirms the deletion, once. Whoever holds the pod by a finalizer is told first how it ended.
        if pod.metadata.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty()) {
            if self.kubelet.runs.contains_key(name) {
                self.write_pod_status(name, pod, plan);
            } else if !has_ended(pod) {
                // What ran, ran in an earlier process.
                let lost = lost_status(pod, self.kubelet.shared.host_ip, Timestamp::now());
                let patch = status_diff(pod.status.as_ref(), &lost);
                plan.writes.extend(patch.map(|patch| Write { kind: Kind::Pod, name: name.clone(), verb: Verb::PatchStatus(patch) }));
            }
            if pod.metadata.deletion_grace_period_seconds == Some(0) {
                return;
            }
        }
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        plan.write(Kind::Pod, name.clone(), Verb::Delete { uid, grace_seconds: Some(0) });
    }

    fn start_pod(&mut self, pod: &Arc<Pod>, plan: &mut Plan) {
        let name = ObjectName::of(&pod.metadata);
        if self.kubelet.places() + places(pod) > self.capacity {
            return self.wait_for_place(name, pod, plan);
        }
        let claim = match self.claim_pod_address(pod) {
            Ok(claim) => claim,
            Err(error) => {
                tracing::warn!(pod = %name, %error, "no address for the pod");
                return plan.again(RETRY);
            }
        };
        let is_new = !has_started(pod);
        if is_new {
            let about = events::reference("v1", "Pod", &pod.metadata);
            let message = format!("Successfully assigned {name} to {}", self.config.node_name);
            self.recorder.note(Note { about, component: "default-scheduler", warning: false, reason: "Scheduled", message });
        }
        if is_new && pod.spec.as_ref().and_then(|s| s.init_containers.as_ref()).is_some_and(|c| !c.is_empty()) {
            let about = events::reference("v1", "Pod", &pod.metadata);
            let message = "Init containers are not run by this node; the pod starts without them".to_owned();
            self.recorder.note(Note { about, component: "kubelet", warning: true, reason: "Unsupported", message });
        }
        let bind_plan = self.bind_plan(pod);
        self.kubelet.start(pod, claim, bind_plan, Timestamp::now());
    }

    /// Says that the node is full. The pod is looked at again when there is a place.
    fn wait_for_place(&mut self, name: ObjectName, pod: &Pod, plan: &mut Plan) {
        let why = capacity::too_many(self.capacity);
        if let Some(patch) = status_diff(pod.status.as_ref(), &unschedulable(pod, why.clone(), Timestamp::now())) {
            plan.write(Kind::Pod, name.clone(), Verb::PatchStatus(patch));
            let about = events::reference("v1", "Pod", &pod.metadata);
            plan.notes.push(Note { about, component: "default-scheduler", warning: true, reason: "FailedScheduling", message: why });
        }
        if self.kubelet.places() < self.capacity {
            // It needs more than what is free, which others may have meanwhile.
            plan.again(RETRY);
        } else {
            self.waiting.insert(name);
        }
    }

    /// The address a pod had before, or a new one.
    fn claim_pod_address(&mut self, pod: &Pod) -> io::Result<Claim> {
        let before = pod.status.as_ref().and_then(|s| s.pod_ip.as_deref()).and_then(|ip| ip.parse().ok());
        if let Some(ip) = before.filter(|ip| self.addresses.owns(Pool::Pod, *ip))
            && let Ok(claim) = Claim::take(ip)
        {
            self.addresses.mark(ip);
            return Ok(claim);
        }
        self.addresses.allocate(Pool::Pod, Claim::take).map(|(_, claim)| claim)
    }

    /// Has the status of a pod that runs written, if it is not what the containers reported. True if it is.
    fn write_pod_status(&self, name: &ObjectName, pod: &Pod, plan: &mut Plan) -> bool {
        let Some(run) = self.kubelet.runs.get(name) else { return false };
        // Nothing is written before every container has reported: one write instead of two, and a pod that was taken over does not flap.
        // One that was stopped before it could report has nothing to add.
        let view = |view: &Option<ContainerView>| view.clone().or_else(|| run.ended.then(ContainerView::default));
        let Some(views) = run.views.iter().map(view).collect::<Option<Vec<ContainerView>>>() else { return false };
        let host_ip = self.kubelet.shared.host_ip;
        let facts = Facts { views: &views, ip: run.claim.ip, host_ip, started: run.started, now: Timestamp::now() };
        let status = if run.ended { final_status(pod, &facts) } else { pod_status(pod, &facts) };
        let patch = status_diff(pod.status.as_ref(), &status);
        let is_said = patch.is_none();
        plan.writes.extend(patch.map(|patch| Write { kind: Kind::Pod, name: name.clone(), verb: Verb::PatchStatus(patch) }));
        is_said
    }
}

fn container_names(pod: &Pod) -> Vec<String> {
    pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.clone()).collect()
}

/// Whether a pod has been given a place, as its status says.
pub(super) fn has_started(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|s| s.start_time.is_some())
}

/// Whether a pod has completed for good, as its status says.
pub(super) fn has_ended(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|s| s.phase.as_deref()), Some("Succeeded" | "Failed"))
}
