//! A Deployment's ReplicaSets while a reconciliation changes its mind about them.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DeploymentSpec, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::template::{self, HASH_LABEL};
use super::{Numbers, REVISION, View, note};
use crate::meta::{ObjectName, owner_reference};
use crate::patch::to_value;
use crate::plan::{Kind, Plan, Verb};

const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// The Deployment's annotations that are not handed on to its ReplicaSets.
const KEPT: [&str; 6] =
    ["kubectl.kubernetes.io/last-applied-configuration", REVISION, REVISION_HISTORY, DESIRED, MAX, "deprecated.deployment.rollback.to"];

/// One ReplicaSet with the number of replicas it shall have.
pub(super) struct Set<'a> {
    pub(super) object: &'a ReplicaSet,
    pub(super) want: i32,
    touched: bool,
}

impl Set<'_> {
    pub(super) fn have(&self) -> i32 {
        self.object.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
    }

    pub(super) fn available(&self) -> i32 {
        self.object.status.as_ref().and_then(|s| s.available_replicas).unwrap_or(0)
    }

    pub(super) fn scale(&mut self, want: i32) {
        self.want = want.max(0);
        self.touched = true;
    }
}

/// The newest ReplicaSet, which runs the Deployment's template.
pub(super) enum New<'a> {
    /// It is not there and is not to be made now.
    None,
    Found(Set<'a>),
    /// To be created with this many replicas.
    Create(i32),
}

pub(super) struct Sets<'a> {
    view: &'a View<'a>,
    spec: &'a DeploymentSpec,
    pub(super) numbers: Numbers,
    pub(super) new: New<'a>,
    /// The others, oldest first.
    pub(super) old: Vec<Set<'a>>,
    hash: String,
    revision: String,
}

impl<'a> Sets<'a> {
    pub(super) fn new(view: &'a View<'a>, spec: &'a DeploymentSpec, numbers: Numbers) -> Sets<'a> {
        let collisions = view.deployment.status.as_ref().and_then(|s| s.collision_count).unwrap_or(0);
        let hash = template::hash(&spec.template, collisions);
        let mut objects = view.sets.clone();
        objects.sort_by_key(|s| (s.metadata.creation_timestamp.clone(), s.metadata.name.clone()));
        let set = |object: &'a ReplicaSet| {
            let mut set = Set { object, want: 0, touched: false };
            set.want = set.have();
            set
        };
        // By template; or by hash, should the API have completed the two templates differently.
        let found = objects.iter().position(|s| template::runs(s, &spec.template)).or_else(|| {
            objects.iter().position(|s| s.metadata.labels.as_ref().and_then(|l| l.get(HASH_LABEL)).is_some_and(|h| *h == hash))
        });
        let new = found.map(|at| objects.remove(at));
        let newest_old = objects.iter().filter_map(|s| revision_of(s)).max().unwrap_or(0);
        let own = new.and_then(revision_of).unwrap_or(0);
        let revision = if own > newest_old { own } else { newest_old + 1 };
        Sets {
            view,
            spec,
            numbers,
            new: new.map_or(New::None, |s| New::Found(set(s))),
            old: objects.into_iter().map(set).collect(),
            hash,
            revision: revision.to_string(),
        }
    }

    /// The sum of what the old ReplicaSets shall have.
    pub(super) fn old_replicas(&self) -> i32 {
        self.old.iter().map(|s| s.want).sum()
    }

    pub(super) fn new_replicas(&self) -> i32 {
        match &self.new {
            New::Found(set) => set.want,
            New::Create(replicas) => *replicas,
            New::None => 0,
        }
    }

    pub(super) fn found(&self) -> Option<&ReplicaSet> {
        match &self.new {
            New::Found(set) => Some(set.object),
            _ => None,
        }
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &'a ReplicaSet> {
        let new = match &self.new {
            New::Found(set) => Some(set.object),
            _ => None,
        };
        self.old.iter().map(|s| s.object).chain(new)
    }

    pub(super) fn old_objects(&self) -> Vec<&'a ReplicaSet> {
        self.old.iter().map(|s| s.object).collect()
    }

    /// The new ReplicaSet's name, made or to be made.
    pub(super) fn new_name(&self) -> String {
        let name = |meta: &ObjectMeta| meta.name.clone().unwrap_or_default();
        self.found().map_or_else(|| format!("{}-{}", name(&self.view.deployment.metadata), self.hash), |s| name(&s.metadata))
    }

    /// The revision of the new ReplicaSet, if there is one.
    pub(super) fn revision(&self) -> Option<&str> {
        (!matches!(self.new, New::None)).then_some(self.revision.as_str())
    }

    /// Whether `spec.replicas` changed since the ReplicaSets were last scaled.
    pub(super) fn is_scaling(&self) -> bool {
        self.objects().filter(|s| s.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1) > 0).any(|s| {
            let desired = s.metadata.annotations.as_ref().and_then(|a| a.get(DESIRED)).and_then(|d| d.parse::<i32>().ok());
            desired.is_some_and(|d| d != self.numbers.replicas)
        })
    }

    /// Turns what was decided into writes and notes.
    pub(super) fn finish(&mut self, plan: &mut Plan) {
        match &self.new {
            New::Create(replicas) => self.create(*replicas, plan),
            New::Found(set) => self.update(set, true, plan),
            New::None => {}
        }
        for set in &self.old {
            self.update(set, false, plan);
        }
    }

    fn scale_annotations(&self) -> [(&'static str, String); 2] {
        [(DESIRED, self.numbers.replicas.to_string()), (MAX, (self.numbers.replicas + self.numbers.max_surge).to_string())]
    }

    fn handed_on(&self) -> impl Iterator<Item = (&'a String, &'a String)> {
        self.view.deployment.metadata.annotations.iter().flatten().filter(|(k, _)| !KEPT.contains(&k.as_str()))
    }

    fn create(&self, replicas: i32, plan: &mut Plan) {
        let deployment = &self.view.deployment.metadata;
        let name = ObjectName::new(deployment.namespace.clone().unwrap_or_default(), self.new_name());
        let mut template = self.spec.template.clone();
        let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
        labels.insert(HASH_LABEL.to_owned(), self.hash.clone());
        let labels = labels.clone();
        let mut selector = self.spec.selector.clone();
        selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), self.hash.clone());
        let mut annotations: BTreeMap<String, String> = self.handed_on().map(|(k, v)| (k.clone(), v.clone())).collect();
        annotations.insert(REVISION.to_owned(), self.revision.clone());
        annotations.extend(self.scale_annotations().map(|(k, v)| (k.to_owned(), v)));
        let set = ReplicaSet {
            metadata: ObjectMeta {
                name: Some(name.name.clone()),
                namespace: Some(name.namespace.clone()),
                labels: Some(labels),
                annotations: Some(annotations),
                owner_references: Some(vec![owner_reference("apps/v1", "Deployment", deployment)]),
                ..Default::default()
            },
            spec: Some(ReplicaSetSpec {
                replicas: Some(replicas),
                min_ready_seconds: self.spec.min_ready_seconds,
                selector,
                template: Some(template),
            }),
            status: None,
        };
        if replicas > 0 {
            plan.notes.push(self.scaled(&name.name, 0, replicas));
        }
        plan.write(Kind::ReplicaSet, name, Verb::Create(to_value(&set)));
    }

    fn update(&self, set: &Set<'_>, new: bool, plan: &mut Plan) {
        let meta = &set.object.metadata;
        let mut wanted: BTreeMap<&str, String> = BTreeMap::new();
        let current = |key: &str| meta.annotations.as_ref().and_then(|a| a.get(key));
        if new {
            wanted.extend(self.handed_on().map(|(k, v)| (k.as_str(), v.clone())));
            if let Some(before) = current(REVISION).filter(|r| **r != self.revision) {
                let history = current(REVISION_HISTORY).map_or_else(|| before.clone(), |h| format!("{h},{before}"));
                wanted.insert(REVISION_HISTORY, history);
            }
            wanted.insert(REVISION, self.revision.clone());
        }
        if set.touched || new {
            wanted.extend(self.scale_annotations());
        }
        let changed: Map<String, Value> =
            wanted.into_iter().filter(|(k, v)| current(k) != Some(v)).map(|(k, v)| (k.to_owned(), Value::String(v))).collect();
        let mut patch = Map::new();
        if !changed.is_empty() {
            patch.insert("metadata".into(), json!({ "annotations": changed }));
        }
        let mut spec = Map::new();
        if set.want != set.have() {
            spec.insert("replicas".into(), json!(set.want));
            plan.notes.push(self.scaled(meta.name.as_deref().unwrap_or_default(), set.have(), set.want));
        }
        let ready_seconds = self.spec.min_ready_seconds;
        if new && set.object.spec.as_ref().and_then(|s| s.min_ready_seconds).unwrap_or(0) != ready_seconds.unwrap_or(0) {
            spec.insert("minReadySeconds".into(), json!(ready_seconds));
        }
        if !spec.is_empty() {
            patch.insert("spec".into(), Value::Object(spec));
        }
        if !patch.is_empty() {
            plan.write(Kind::ReplicaSet, ObjectName::of(meta), Verb::Patch(Value::Object(patch)));
        }
    }

    fn scaled(&self, set: &str, from: i32, to: i32) -> crate::plan::Note {
        let direction = if to > from { "up" } else { "down" };
        note(self.view.deployment, "ScalingReplicaSet", format!("Scaled {direction} replica set {set} from {from} to {to}"))
    }
}

pub(super) fn revision_of(set: &ReplicaSet) -> Option<i64> {
    set.metadata.annotations.as_ref()?.get(REVISION)?.parse().ok()
}
