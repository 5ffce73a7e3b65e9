//! What the node knows: the objects of six kinds, as watches and the answers to its own writes brought them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::meta::ObjectName;

/// Uids remembered after their objects are gone, so that the late answer to a write does not bring one back.
const REMEMBERED: usize = 1024;

/// An object of a kind the node keeps.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Deployment(Box<Deployment>),
    ReplicaSet(Box<ReplicaSet>),
    Job(Box<Job>),
    Pod(Box<Pod>),
    Service(Box<Service>),
    Slice(Box<EndpointSlice>),
}

/// Access to metadata without the API machinery's traits.
pub(crate) trait HasMeta {
    fn meta(&self) -> &ObjectMeta;
}

macro_rules! has_meta {
    ($($kind:ty),*) => { $(impl HasMeta for $kind { fn meta(&self) -> &ObjectMeta { &self.metadata } })* };
}
has_meta!(Deployment, ReplicaSet, Job, Pod, Service, EndpointSlice);

/// Objects of one kind by namespace and name.
pub(crate) struct Store<K> {
    objects: BTreeMap<ObjectName, Arc<K>>,
    gone: VecDeque<String>,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Store { objects: BTreeMap::new(), gone: VecDeque::new() }
    }
}

/// What a store had before, when it took something in.
pub(crate) enum Taken<K> {
    /// It was older than, or the same as, what is known.
    Stale,
    /// It is news; with the object it replaced.
    News(Option<Arc<K>>),
}

impl<K: HasMeta> Store<K> {
    pub(crate) fn get(&self, name: &ObjectName) -> Option<&Arc<K>> {
        self.objects.get(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&ObjectName, &Arc<K>)> {
        self.objects.iter()
    }

    pub(crate) fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<K>> {
        let from = ObjectName::new(namespace, "");
        self.objects.range(from..).take_while(move |(n, _)| n.namespace == namespace).map(|(_, object)| object)
    }

    pub(crate) fn upsert(&mut self, object: K) -> Taken<K> {
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        if self.gone.iter().any(|g| g == uid) {
            return Taken::Stale;
        }
        let name = ObjectName::of(object.meta());
        if let Some(known) = self.objects.get(&name)
            && known.meta().uid == object.meta().uid
            && version(known.meta()) >= version(object.meta())
        {
            return Taken::Stale;
        }
        Taken::News(self.objects.insert(name, Arc::new(object)))
    }

    /// Removes an object unless a successor with the same name is already known.
    pub(crate) fn remove(&mut self, name: &ObjectName, uid: Option<&str>) -> Option<Arc<K>> {
        if let Some(uid) = uid {
            self.gone.push_back(uid.to_owned());
            if self.gone.len() > REMEMBERED {
                self.gone.pop_front();
            }
        }
        if self.objects.get(name).is_some_and(|known| known.meta().uid.as_deref() == uid) { self.objects.remove(name) } else { None }
    }

    /// Objects that are known but not in a list: those that are gone, and those newer than all that is listed, which may have been made after
    /// the list was.
    pub(crate) fn missing_from(&self, listed: &[K]) -> (Vec<Arc<K>>, Vec<Arc<K>>) {
        let newest = listed.iter().map(|o| version(o.meta())).max().unwrap_or(u64::MAX);
        let listed: std::collections::BTreeSet<ObjectName> = listed.iter().map(|o| ObjectName::of(o.meta())).collect();
        let missing = self.objects.iter().filter(|(name, _)| !listed.contains(*name)).map(|(_, known)| known.clone());
        missing.partition(|known| version(known.meta()) <= newest)
    }

    /// Takes back that an object is gone for ever: that it is missing in a list is less sure than that its deletion was seen.
    pub(crate) fn may_return(&mut self, uid: &str) {
        self.gone.retain(|g| g != uid);
    }
}

/// Resource versions of one server are numbers that grow; anything else is taken as new.
fn version(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(u64::MAX - 1)
}

/// All stores.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) deployments: Store<Deployment>,
    pub(crate) replica_sets: Store<ReplicaSet>,
    pub(crate) jobs: Store<Job>,
    pub(crate) pods: Store<Pod>,
    pub(crate) services: Store<Service>,
    pub(crate) slices: Store<EndpointSlice>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, version: &str) -> Pod {
        Pod {
            metadata: ObjectMeta {
                namespace: Some("ns".into()),
                name: Some("a".into()),
                uid: Some(uid.into()),
                resource_version: Some(version.into()),
                ..Default::default()
            },
            ..Default::default()
        }
    }

    #[test]
    fn an_older_version_does_not_replace_a_newer_one() {
        let mut store = Store::default();
        assert!(matches!(store.upsert(pod("1", "9")), Taken::News(None)));
        assert!(matches!(store.upsert(pod("1", "8")), Taken::Stale));
        assert!(matches!(store.upsert(pod("1", "10")), Taken::News(Some(_))));
    }

    #[test]
    fn what_a_list_lacks_is_missing_unless_it_is_newer() {
        let named = |name: &str, version: &str| {
            let mut pod = pod(name, version);
            pod.metadata.name = Some(name.into());
            pod
        };
        let mut store = Store::default();
        for (name, version) in [("a", "1"), ("b", "2"), ("new", "9")] {
            store.upsert(named(name, version));
        }
        let names = |pods: Vec<Arc<Pod>>| pods.iter().filter_map(|p| p.metadata.name.clone()).collect::<Vec<_>>();
        let (gone, unsure) = store.missing_from(&[named("a", "5")]);
        assert_eq!((names(gone), names(unsure)), (vec!["b".to_owned()], vec!["new".to_owned()]));
        assert_eq!(store.missing_from(&[]).0.len(), 3);
        store.remove(&ObjectName::new("ns", "b"), Some("b"));
        store.may_return("b");
        assert!(matches!(store.upsert(named("b", "2")), Taken::News(None)));
    }

    #[test]
    fn a_late_answer_does_not_raise_the_dead() {
        let mut store = Store::default();
        store.upsert(pod("1", "1"));
        let name = ObjectName::new("ns", "a");
        assert!(store.remove(&name, Some("1")).is_some());
        assert!(matches!(store.upsert(pod("1", "5")), Taken::Stale));
        assert!(matches!(store.upsert(pod("2", "6")), Taken::News(None)));
        assert!(store.remove(&name, Some("1")).is_none(), "the successor stays");
        assert!(store.get(&name).is_some());
    }
}
