//! A stand-in for the API server and the kubelet, for tests of the controllers: writes are applied to JSON objects, and every controller is
//! run until nothing changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::meta::{ObjectName, owned_by};
use crate::plan::{Kind, Note, Plan, Verb, Write};
use crate::{deployment, replicaset};

pub(crate) struct Simulation {
    pub(crate) objects: BTreeMap<(Kind, ObjectName), Value>,
    pub(crate) notes: Vec<Note>,
    /// Every status that the Deployment had, in order.
    pub(crate) history: Vec<Value>,
    pub(crate) now: Timestamp,
    /// Looked at after each write.
    pub(crate) check: fn(&Simulation),
    count: u64,
}

impl Simulation {
    pub(crate) fn new() -> Simulation {
        Simulation {
            objects: BTreeMap::new(),
            notes: Vec::new(),
            history: Vec::new(),
            now: "2026-11-23T05:00:00Z".parse().unwrap(),
            check: |_| {},
            count: 0,
        }
    }

    /// With a Deployment `app` in it.
    pub(crate) fn with(spec: Value) -> Simulation {
        let mut simulation = Simulation::new();
        let mut full = json!({
            "replicas": 1, "progressDeadlineSeconds": 600, "selector": {"matchLabels": {"app": "app"}},
            "template": {"metadata": {"labels": {"app": "app"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        });
        merge(&mut full, &spec);
        simulation.write(Kind::Deployment, app(), Verb::Create(json!({"metadata": {"name": "app", "namespace": "ns"}, "spec": full})));
        simulation
    }

    fn write(&mut self, kind: Kind, name: ObjectName, verb: Verb) {
        self.apply(&Write { kind, name, verb });
    }

    pub(crate) fn edit(&mut self, patch: Value) {
        self.write(Kind::Deployment, app(), Verb::Patch(patch));
    }

    /// As `kubectl rollout restart` does.
    pub(crate) fn restart(&mut self, at: &str) {
        self.edit(json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": at}}}}}));
    }

    fn apply(&mut self, write: &Write) {
        self.count += 1;
        let key = (write.kind, write.name.clone());
        match &write.verb {
            Verb::Create(object) => {
                assert!(!self.objects.contains_key(&key), "{key:?} exists");
                let mut object = object.clone();
                let made = json!({"uid": format!("uid-{}", self.count), "generation": 1, "creationTimestamp": self.now.to_string()});
                merge(&mut object["metadata"], &made);
                self.objects.insert(key.clone(), object);
            }
            Verb::Patch(patch) | Verb::PatchStatus(patch) => {
                let object = self.objects.get_mut(&key).unwrap_or_else(|| panic!("{key:?} is not there"));
                let before = object.clone();
                merge(object, patch);
                assert_ne!(*object, before, "a write that changes nothing: {write:?}");
                if object["spec"] != before["spec"] {
                    object["metadata"]["generation"] = json!(before["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
                }
            }
            Verb::Delete { grace_seconds: None, .. } if write.kind == Kind::Pod => {
                let now = self.now.to_string();
                self.objects.get_mut(&key).unwrap()["metadata"]["deletionTimestamp"] = json!(now);
            }
            Verb::Delete { .. } => drop(self.objects.remove(&key)),
            Verb::Bind(_) => {}
        }
        if write.kind == Kind::Deployment
            && let Some(status) = self.objects.get(&key).and_then(|o| o.get("status"))
            && self.history.last() != Some(status)
        {
            self.history.push(status.clone());
        }
        (self.check)(self);
    }

    pub(crate) fn all<K: DeserializeOwned>(&self, kind: Kind) -> Vec<K> {
        let values = self.objects.iter().filter(|((k, _), _)| *k == kind);
        values.map(|(_, v)| serde_json::from_value(v.clone()).unwrap()).collect()
    }

    pub(crate) fn deployment(&self) -> Deployment {
        self.all(Kind::Deployment).remove(0)
    }

    /// Runs the controllers until nothing is to be written. The wish to be called again comes back.
    pub(crate) fn settle(&mut self) -> Option<std::time::Duration> {
        for _ in 0..1000 {
            let mut plans: Vec<Plan> = Vec::new();
            let (sets, pods): (Vec<ReplicaSet>, Vec<Pod>) = (self.all(Kind::ReplicaSet), self.all(Kind::Pod));
            let deployment = self.deployment();
            let view = deployment::View {
                deployment: &deployment,
                sets: sets.iter().filter(|s| owned_by(&s.metadata, deployment.metadata.uid.as_deref())).collect(),
                pods: pods.iter().collect(),
                now: self.now,
            };
            plans.push(deployment::reconcile(&view));
            let count = self.count;
            for set in &sets {
                let pods = pods.iter().filter(|p| owned_by(&p.metadata, set.metadata.uid.as_deref())).collect();
                let view = replicaset::View { set, pods, node_name: "weir", now: self.now };
                let mut n = 0;
                plans.push(replicaset::reconcile(&view, || {
                    n += 1;
                    format!("{count:03}{n:02}")
                }));
            }
            let again = plans.iter().filter_map(|p| p.again_after).min();
            if plans.iter().all(|p| p.writes.is_empty()) {
                return again;
            }
            for plan in plans {
                plan.writes.iter().for_each(|write| self.apply(write));
                self.notes.extend(plan.notes);
            }
        }
        panic!("the controllers do not come to rest");
    }

    pub(crate) fn pod_names(&self) -> Vec<ObjectName> {
        self.objects.keys().filter(|(kind, _)| *kind == Kind::Pod).map(|(_, name)| name.clone()).collect()
    }

    /// The kubelet's part: a pod becomes ready.
    pub(crate) fn ready(&mut self, pod: &ObjectName) {
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": self.now.to_string()});
        let status = json!({"status": {"phase": "Running", "podIP": "127.1.128.1", "conditions": [ready]}});
        self.write(Kind::Pod, pod.clone(), Verb::PatchStatus(status));
    }

    /// The kubelet's part: terminating pods end.
    pub(crate) fn end_terminating(&mut self) {
        self.objects.retain(|(kind, _), o| *kind != Kind::Pod || o["metadata"].get("deletionTimestamp").is_none());
        (self.check)(self);
    }

    /// All pods become ready, all that terminate end, until nothing changes.
    pub(crate) fn run(&mut self) {
        for _ in 0..100 {
            self.settle();
            let pods = self.pod_names();
            let of = |s: &Simulation, name: &ObjectName| s.objects[&(Kind::Pod, name.clone())].clone();
            let terminating = pods.iter().any(|p| of(self, p)["metadata"].get("deletionTimestamp").is_some());
            let unready = pods.iter().find(|p| of(self, p).get("status").is_none());
            match (unready.cloned(), terminating) {
                (Some(pod), _) => self.ready(&pod),
                (None, true) => self.end_terminating(),
                (None, false) => return,
            }
        }
        panic!("never at rest");
    }

    pub(crate) fn condition(&self, type_: &str) -> (String, String, String) {
        let status = self.deployment().status.unwrap();
        let found = status.conditions.unwrap().into_iter().find(|c| c.type_ == type_).unwrap();
        (found.status, found.reason.unwrap(), found.message.unwrap())
    }

    pub(crate) fn messages(&self) -> Vec<&str> {
        self.notes.iter().map(|n| n.message.as_str()).collect()
    }
}

pub(crate) fn app() -> ObjectName {
    ObjectName::new("ns", "app")
}

/// RFC 7386.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let object = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
