//! The Model as a whole, what changed between two of them, and how changes travel.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Backend, BackendName, Gateway, GatewayName, Limit, LimitName, Listener, ListenerName, ObjectName, Route, SharedMap};

/// Everything that a data plane knows. Of backends and routes there may be many: copies share them, and a difference is found where they are not
/// shared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// The gateways.
    pub gateways: BTreeMap<GatewayName, Arc<Gateway>>,
    /// Their listeners.
    pub listeners: BTreeMap<ListenerName, Arc<Listener>>,
    /// Where requests go to.
    pub backends: SharedMap<BackendName, Arc<Backend>>,
    /// Which requests go where.
    pub routes: SharedMap<ObjectName, Arc<Route>>,
    /// The connection limits.
    pub limits: BTreeMap<LimitName, Arc<Limit>>,
}

/// One thing of a [`Model`], as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Resource {
    /// A gateway.
    Gateway(Arc<Gateway>),
    /// A listener.
    Listener(Arc<Listener>),
    /// A backend.
    Backend(Arc<Backend>),
    /// A route.
    Route(Arc<Route>),
    /// A limit.
    Limit(Arc<Limit>),
}

/// Names one thing of a [`Model`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResourceKey {
    /// A gateway.
    Gateway(GatewayName),
    /// A listener.
    Listener(ListenerName),
    /// A backend.
    Backend(BackendName),
    /// A route.
    Route(ObjectName),
    /// A limit.
    Limit(LimitName),
}

/// What to put and what to take away, in this order, to get from one Model to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// To add or replace: gateways, listeners and backends before the routes and limits that name them.
    pub put: Vec<Resource>,
    /// To take away, after `put`: routes and limits before what they name.
    pub remove: Vec<ResourceKey>,
}

/// A change on its way to a data plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Which controller speaks: a data plane obeys only the highest epoch it has seen, so that it never has two masters.
    pub epoch: u64,
    /// Counts a controller's messages, from 1. The first one carries the whole Model (`base` 0).
    pub version: u64,
    /// The version that `delta` is relative to; 0: an empty Model, so that everything not in `delta` goes away.
    pub base: u64,
    /// The change.
    pub delta: Delta,
}

impl Delta {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.remove.is_empty()
    }
}

impl Model {
    /// What must change for `self` to become `next`. What the two share is not compared.
    pub fn diff(&self, next: &Self) -> Delta {
        let mut delta = Delta::default();
        puts(&self.gateways, &next.gateways, Resource::Gateway, &mut delta.put);
        puts(&self.listeners, &next.listeners, Resource::Listener, &mut delta.put);
        let mut gone = (Vec::new(), Vec::new());
        changes(&self.backends, &next.backends, Resource::Backend, &mut delta.put, &mut gone.0);
        changes(&self.routes, &next.routes, Resource::Route, &mut delta.put, &mut gone.1);
        puts(&self.limits, &next.limits, Resource::Limit, &mut delta.put);
        removes(&self.limits, &next.limits, ResourceKey::Limit, &mut delta.remove);
        delta.remove.extend(gone.1.into_iter().map(ResourceKey::Route));
        delta.remove.extend(gone.0.into_iter().map(ResourceKey::Backend));
        removes(&self.listeners, &next.listeners, ResourceKey::Listener, &mut delta.remove);
        removes(&self.gateways, &next.gateways, ResourceKey::Gateway, &mut delta.remove);
        delta
    }

    /// The same, fit to be shown: without private keys. What travels to a data plane is the Model itself.
    pub fn redacted(&self) -> Self {
        let listeners = self.listeners.iter().map(|(name, it)| (name.clone(), Arc::new(it.redacted()))).collect();
        Self { listeners, ..self.clone() }
    }

    /// Carries out `delta`.
    pub fn apply(&mut self, delta: Delta) {
        for resource in delta.put {
            match resource {
                Resource::Gateway(it) => drop(self.gateways.insert(it.name.clone(), it)),
                Resource::Listener(it) => drop(self.listeners.insert(it.name.clone(), it)),
                Resource::Backend(it) => drop(self.backends.insert(it.name.clone(), it)),
                Resource::Route(it) => drop(self.routes.insert(it.name.clone(), it)),
                Resource::Limit(it) => drop(self.limits.insert(it.name.clone(), it)),
            }
        }
        for key in delta.remove {
            match key {
                ResourceKey::Gateway(name) => drop(self.gateways.remove(&name)),
                ResourceKey::Listener(name) => drop(self.listeners.remove(&name)),
                ResourceKey::Backend(name) => drop(self.backends.remove(&name)),
                ResourceKey::Route(name) => drop(self.routes.remove(&name)),
                ResourceKey::Limit(name) => drop(self.limits.remove(&name)),
            }
        }
    }
}

fn puts<K: Ord, V: PartialEq>(old: &BTreeMap<K, Arc<V>>, new: &BTreeMap<K, Arc<V>>, wrap: fn(Arc<V>) -> Resource, out: &mut Vec<Resource>) {
    for (key, value) in new {
        let same = old.get(key).is_some_and(|before| Arc::ptr_eq(before, value) || before == value);
        if !same {
            out.push(wrap(value.clone()));
        }
    }
}

fn removes<K: Ord + Clone, V>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>, wrap: fn(K) -> ResourceKey, out: &mut Vec<ResourceKey>) {
    out.extend(old.keys().filter(|key| !new.contains_key(*key)).cloned().map(wrap));
}

fn changes<K: Ord + Clone, V: Eq>(
    old: &SharedMap<K, Arc<V>>,
    new: &SharedMap<K, Arc<V>>,
    wrap: fn(Arc<V>) -> Resource,
    put: &mut Vec<Resource>,
    gone: &mut Vec<K>,
) {
    for (key, _, value) in old.changes(new) {
        match value {
            Some(value) => put.push(wrap(value.clone())),
            None => gone.push(key.clone()),
        }
    }
}
