//! Deployments, ReplicaSets and Jobs: what touches them, and what their controllers get to see.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};

use super::{Driver, owned};
use crate::adoption::adopt;
use crate::meta::{ObjectName, controller, owner_reference, random_suffix};
use crate::plan::{Kind, Note, Plan, Write};
use crate::queue::Key;
use crate::world::Taken;
use crate::{deployment, events, job, replicaset};

impl Driver {
    pub(super) fn upsert_deployment(&mut self, object: Deployment) {
        let name = ObjectName::of(&object.metadata);
        if let Taken::News(_) = self.world.deployments.upsert(object) {
            self.queue.add(Key::Deployment(name));
        }
    }

    pub(super) fn remove_deployment(&mut self, name: &ObjectName, uid: Option<&str>) {
        self.world.deployments.remove(name, uid);
        self.queue.add(Key::Deployment(name.clone()));
    }

    pub(super) fn upsert_replica_set(&mut self, object: ReplicaSet) {
        let name = ObjectName::of(&object.metadata);
        let owner = deployment_of(&object);
        if let Taken::News(_) = self.world.replica_sets.upsert(object) {
            self.queue.add(Key::ReplicaSet(name));
            self.queue_deployment(owner);
        }
    }

    pub(super) fn remove_replica_set(&mut self, name: &ObjectName, uid: Option<&str>) {
        if let Some(gone) = self.world.replica_sets.remove(name, uid) {
            self.queue_deployment(deployment_of(&gone));
        }
    }

    fn queue_deployment(&mut self, owner: Option<ObjectName>) {
        if let Some(owner) = owner {
            self.queue.add(Key::Deployment(owner));
        }
    }

    pub(super) fn upsert_job(&mut self, object: Job) {
        let name = ObjectName::of(&object.metadata);
        if let Taken::News(_) = self.world.jobs.upsert(object) {
            self.queue.add(Key::Job(name));
        }
    }

    pub(super) fn remove_job(&mut self, name: &ObjectName, uid: Option<&str>) {
        self.world.jobs.remove(name, uid);
        self.queue.add(Key::Job(name.clone()));
    }

    /// A pod came, went or changed: its ReplicaSet or Job counts again, and a Deployment that waits for old pods to go looks again.
    pub(super) fn queue_owner_of_pod(&mut self, pod: &Pod) {
        if let Some(owner) = controller(&pod.metadata, "Job") {
            let job = ObjectName::new(pod.metadata.namespace.clone().unwrap_or_default(), owner.name.clone());
            return self.queue.add(Key::Job(job));
        }
        let Some(owner) = controller(&pod.metadata, "ReplicaSet") else { return };
        let set = ObjectName::new(pod.metadata.namespace.clone().unwrap_or_default(), owner.name.clone());
        let deployment = self.world.replica_sets.get(&set).and_then(|s| deployment_of(s));
        self.queue.add(Key::ReplicaSet(set));
        self.queue_deployment(deployment);
    }

    /// What keeps a ReplicaSet or a Job from its pods is told where people look for it.
    pub(super) fn note_failed_create(&self, key: &Key, error: &kube::Error) {
        let about: Option<(ObjectReference, _)> = match key {
            Key::ReplicaSet(name) => {
                let set = self.world.replica_sets.get(name);
                set.map(|set| (events::reference("apps/v1", "ReplicaSet", &set.metadata), "replicaset-controller"))
            }
            Key::Job(name) => {
                let job = self.world.jobs.get(name);
                job.map(|job| (events::reference("batch/v1", "Job", &job.metadata), "job-controller"))
            }
            _ => None,
        };
        let Some((about, component)) = about else { return };
        let cause = match error {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        };
        self.recorder.note(Note { about, component, warning: true, reason: "FailedCreate", message: format!("Error creating: {cause}") });
    }

    pub(super) fn deployment(&mut self, name: &ObjectName) -> Plan {
        let Some(deployment) = self.world.deployments.get(name) else { return Plan::default() };
        if let (Some(spec), None) = (&deployment.spec, &deployment.metadata.deletion_timestamp) {
            let owner = owner_reference("apps/v1", "Deployment", &deployment.metadata);
            let candidates = self.world.replica_sets.in_namespace(&name.namespace).map(|s| &s.metadata);
            let writes = adopt(&owner, &spec.selector, Kind::ReplicaSet, candidates);
            if !writes.is_empty() {
                return Plan { writes, ..Plan::default() };
            }
        }
        let sets: Vec<&ReplicaSet> = owned(&self.world.replica_sets, &name.namespace, deployment.metadata.uid.as_deref()).collect();
        let pods = sets.iter().flat_map(|set| owned(&self.world.pods, &name.namespace, set.metadata.uid.as_deref())).collect();
        deployment::reconcile(&deployment::View { deployment, sets, pods, now: Timestamp::now() })
    }

    pub(super) fn replica_set(&mut self, name: &ObjectName) -> Plan {
        let Some(set) = self.world.replica_sets.get(name) else { return Plan::default() };
        if let (Some(spec), None) = (&set.spec, &set.metadata.deletion_timestamp) {
            let owner = owner_reference("apps/v1", "ReplicaSet", &set.metadata);
            let candidates = self.world.pods.in_namespace(&name.namespace).filter(|p| replicaset::is_active(p)).map(|p| &p.metadata);
            let writes = adopt(&owner, &spec.selector, Kind::Pod, candidates);
            if !writes.is_empty() {
                return Plan { writes, ..Plan::default() };
            }
        }
        let pods = owned(&self.world.pods, &name.namespace, set.metadata.uid.as_deref()).collect();
        let view = replicaset::View { set, pods, node_name: &self.config.node_name, now: Timestamp::now() };
        replicaset::reconcile(&view, random_suffix)
    }

    pub(super) fn job(&mut self, name: &ObjectName) -> Plan {
        let job = self.world.jobs.get(name);
        let uid = job.and_then(|job| job.metadata.uid.as_deref());
        // Pods whose Job is gone have nobody left to count them.
        let orphan = |pod: &&std::sync::Arc<Pod>| {
            job::has_tracking(pod)
                && controller(&pod.metadata, "Job").is_some_and(|owner| owner.name == name.name && Some(&*owner.uid) != uid)
        };
        let writes: Vec<Write> = self.world.pods.in_namespace(&name.namespace).filter(orphan).filter_map(|pod| job::release(pod)).collect();
        let Some(job) = job.filter(|_| writes.is_empty()) else { return Plan { writes, ..Plan::default() } };
        let pods = owned(&self.world.pods, &name.namespace, uid).collect();
        let view = job::View { job, pods, node_name: &self.config.node_name, now: Timestamp::now() };
        job::reconcile(&view, random_suffix)
    }
}

fn deployment_of(set: &ReplicaSet) -> Option<ObjectName> {
    let owner = controller(&set.metadata, "Deployment")?;
    Some(ObjectName::new(set.metadata.namespace.clone().unwrap_or_default(), owner.name.clone()))
}
