//! Results that are kept while what they were made from stands.
//!
//! A per-object function reads the world through a [`Reader`], which notes what was read and when that had last changed. Its result
//! is good until one of these changes. Nobody can forget to say what a result depends on: what is not read through the Reader cannot
//! be seen.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use weir_api::{Backend, EndpointSlice, Service};
use weir_model::{GatewayName, ObjectName};

use crate::Settings;
use crate::backend::{self, Key};
use crate::gateway::View;
use crate::grants;
use crate::material::{Secret, Trust};
use crate::resources::{Kind, Resources, Table};

/// What can be read.
pub(crate) struct World<'a> {
    pub(crate) resources: &'a Resources,
    pub(crate) settings: &'a Settings,
    /// See [`crate::Observed::loopback_backends`].
    pub(crate) loopback_backends: bool,
    pub(crate) views: &'a Views,
    /// Whether backends have endpoints, as far as was asked: many routes share one.
    ready: RefCell<BTreeMap<Key, bool>>,
}

/// What routes see of Gateways, with the number of the change that made it so.
#[derive(Debug, Default)]
pub(crate) struct Views {
    clock: u64,
    views: BTreeMap<GatewayName, (Arc<View>, u64)>,
}

impl Views {
    /// Takes over the views of a new translation; those that are equal to what was keep their number.
    pub(crate) fn update(&mut self, new: BTreeMap<GatewayName, View>) {
        if self.views.len() == new.len() && self.views.iter().zip(&new).all(|((a, (view, _)), (b, new))| a == b && **view == *new) {
            return;
        }
        self.clock += 1;
        let clock = self.clock;
        let mut old = std::mem::take(&mut self.views);
        let keep = |(name, view): (GatewayName, View)| match old.remove(&name) {
            Some((before, stamp)) if *before == view => (name, (before, stamp)),
            _ => (name, (Arc::new(view), clock)),
        };
        self.views = new.into_iter().map(keep).collect();
    }
}

/// One thing that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Dep {
    Object(Kind, ObjectName),
    Slices(ObjectName),
    Grants,
    View(GatewayName),
    /// Whether a backend has endpoints; not which: a route need not be looked at again for each that comes or goes.
    Ready(Key),
}

/// Reads the world and notes what was read.
pub(crate) struct Reader<'a> {
    world: &'a World<'a>,
    deps: Option<RefCell<Vec<(Dep, u64)>>>,
}

impl<'a> Reader<'a> {
    fn new(world: &'a World<'a>) -> Self {
        Self { world, deps: Some(RefCell::default()) }
    }

    /// One that notes nothing, for what is done anew each time.
    pub(crate) fn untracked(world: &'a World<'a>) -> Self {
        Self { world, deps: None }
    }

    pub(crate) fn settings(&self) -> &'a Settings {
        self.world.settings
    }

    pub(crate) fn loopback_backends(&self) -> bool {
        self.world.loopback_backends
    }

    pub(crate) fn service(&self, name: &ObjectName) -> Option<&'a Service> {
        self.note(Dep::Object(Kind::Service, name.clone()));
        self.world.resources.services.get(name).map(|it| &*it.object)
    }

    pub(crate) fn backend(&self, name: &ObjectName) -> Option<&'a Backend> {
        self.note(Dep::Object(Kind::Backend, name.clone()));
        self.world.resources.backends.get(name).map(|it| &*it.object)
    }

    pub(crate) fn secret(&self, name: &ObjectName) -> Option<&'a Secret> {
        self.note(Dep::Object(Kind::Secret, name.clone()));
        self.world.resources.secrets.get(name).map(|it| &*it.object)
    }

    pub(crate) fn config_map(&self, name: &ObjectName) -> Option<&'a Trust> {
        self.note(Dep::Object(Kind::ConfigMap, name.clone()));
        self.world.resources.config_maps.get(name).map(|it| &*it.object)
    }

    /// The labels of a namespace. Kubernetes labels every namespace with its name, so that much is known even of one that is not there.
    pub(crate) fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let name = ObjectName::new("", namespace);
        self.note(Dep::Object(Kind::Namespace, name.clone()));
        let mut labels = self.world.resources.namespaces.get(&name).map(|it| it.object.metadata.labels.clone()).unwrap_or_default();
        labels.entry("kubernetes.io/metadata.name".into()).or_insert_with(|| namespace.to_owned());
        labels
    }

    pub(crate) fn slices(&self, service: &ObjectName) -> impl Iterator<Item = &'a EndpointSlice> {
        self.note(Dep::Slices(service.clone()));
        self.world.resources.slices_of(service)
    }

    pub(crate) fn view(&self, gateway: &GatewayName) -> Option<&'a Arc<View>> {
        self.note(Dep::View(gateway.clone()));
        self.world.views.views.get(gateway).map(|(view, _)| view)
    }

    /// Whether a backend has endpoints.
    pub(crate) fn ready(&self, key: &Key) -> bool {
        self.note(Dep::Ready(key.clone()));
        self.world.ready(key)
    }

    /// Whether a reference from one namespace into another is allowed by a ReferenceGrant there.
    pub(crate) fn permitted(&self, from: &grants::From<'_>, to: &grants::To<'_>) -> bool {
        if from.namespace == to.namespace {
            return true;
        }
        self.note(Dep::Grants);
        grants::permitted(self.world.resources, from, to)
    }

    fn note(&self, dep: Dep) {
        let Some(deps) = &self.deps else { return };
        let mut deps = deps.borrow_mut();
        if !deps.iter().any(|(it, _)| *it == dep) {
            let stamp = self.world.stamp(&dep);
            deps.push((dep, stamp));
        }
    }
}

impl<'a> World<'a> {
    pub(crate) fn new(resources: &'a Resources, settings: &'a Settings, loopback_backends: bool, views: &'a Views) -> Self {
        Self { resources, settings, loopback_backends, views, ready: RefCell::default() }
    }

    fn ready(&self, key: &Key) -> bool {
        if let Some(known) = self.ready.borrow().get(key) {
            return *known;
        }
        let ready = backend::has_endpoints(&Reader::untracked(self), key);
        self.ready.borrow_mut().insert(key.clone(), ready);
        ready
    }

    fn stamp(&self, dep: &Dep) -> u64 {
        let resources = self.resources;
        match dep {
            Dep::Object(Kind::Service, name) => resources.services.stamp_of(name),
            Dep::Object(Kind::Backend, name) => resources.backends.stamp_of(name),
            Dep::Object(Kind::Secret, name) => resources.secrets.stamp_of(name),
            Dep::Object(Kind::ConfigMap, name) => resources.config_maps.stamp_of(name),
            Dep::Object(Kind::Namespace, name) => resources.namespaces.stamp_of(name),
            // Never read one by one.
            Dep::Object(kind, _) => resources.kind_stamp(*kind),
            Dep::Slices(service) => resources.slices_stamp(service),
            Dep::Grants => resources.kind_stamp(Kind::ReferenceGrant),
            Dep::View(gateway) => self.views.views.get(gateway).map_or(0, |(_, stamp)| *stamp),
            Dep::Ready(key) => u64::from(self.ready(key)),
        }
    }

    /// Whether nothing has changed since then that a [`Dep`] can name.
    fn is_quiet_since(&self, (resources, views): (u64, u64)) -> bool {
        let kinds =
            [Kind::Service, Kind::Backend, Kind::Secret, Kind::ConfigMap, Kind::Namespace, Kind::EndpointSlice, Kind::ReferenceGrant];
        self.views.clock <= views && kinds.into_iter().all(|kind| self.resources.kind_stamp(kind) <= resources)
    }

    /// Whether anything that `dep` is one of has changed since: cheaper to ask than for the one.
    fn changed_since(&self, dep: &Dep, resources: u64, views: u64) -> bool {
        match dep {
            Dep::Object(kind, _) => self.resources.kind_stamp(*kind) > resources,
            Dep::Slices(_) => self.resources.kind_stamp(Kind::EndpointSlice) > resources,
            Dep::Grants => self.resources.kind_stamp(Kind::ReferenceGrant) > resources,
            Dep::View(_) => self.views.clock > views,
            Dep::Ready(_) => {
                [Kind::Service, Kind::EndpointSlice, Kind::Backend].into_iter().any(|kind| self.resources.kind_stamp(kind) > resources)
            }
        }
    }
}

/// A result with what it was made from.
#[derive(Debug)]
pub(crate) struct Memo<T> {
    value: T,
    /// When the object itself had last changed.
    stamp: u64,
    deps: Vec<(Dep, u64)>,
    /// When it was last known to be good.
    resources: u64,
    views: u64,
}

/// Results by name.
#[derive(Debug)]
pub(crate) struct Memos<K, T> {
    memos: BTreeMap<K, Memo<T>>,
    /// The state of the world that [`Self::follow`] saw last: resources and views.
    seen: (u64, u64),
}

impl<K, T> Default for Memos<K, T> {
    fn default() -> Self {
        Self { memos: BTreeMap::new(), seen: (0, 0) }
    }
}

impl<K: Ord + Clone, T> Memos<K, T> {
    /// The results for `keys` (ascending, each with when it last changed), making anew what does not stand. `make` gets the previous
    /// result, so that it can share what is equal. Results of other keys are forgotten.
    pub(crate) fn refresh(
        &mut self,
        world: &World<'_>,
        keys: impl Iterator<Item = (K, u64)>,
        mut make: impl FnMut(&Reader<'_>, &K, Option<&T>) -> T,
    ) -> impl Iterator<Item = (&K, &T)> {
        let (resources, views) = (world.resources.clock(), world.views.clock);
        let mut old = std::mem::take(&mut self.memos);
        let fresh = keys.map(|(key, stamp)| {
            let memo = match old.remove(&key) {
                Some(memo) if memo.stamp == stamp && memo.stands(world) => Memo { resources, views, ..memo },
                before => {
                    let reader = Reader::new(world);
                    let value = make(&reader, &key, before.as_ref().map(|it| &it.value));
                    Memo { value, stamp, deps: reader.deps.map(RefCell::into_inner).unwrap_or_default(), resources, views }
                }
            };
            (key, memo)
        });
        self.memos = fresh.collect();
        self.memos.iter().map(|(key, memo)| (key, &memo.value))
    }
}

impl<T> Memos<ObjectName, T> {
    /// Brings the results for the objects of `table` up to date; `changed` is told of each that differs: what it was and what it is. Where
    /// nothing has changed but such objects, only those are looked at.
    pub(crate) fn follow<O>(
        &mut self,
        world: &World<'_>,
        table: &Table<O>,
        mut make: impl FnMut(&Reader<'_>, &ObjectName, Option<&T>) -> T,
        mut changed: impl FnMut(&ObjectName, Option<&T>, Option<&T>),
    ) {
        let now = (world.resources.clock(), world.views.clock);
        let seen = std::mem::replace(&mut self.seen, now);
        let only_these = table.changed_since(seen.0).filter(|_| world.is_quiet_since(seen));
        let names: Vec<ObjectName> = match only_these {
            Some(names) => names.cloned().collect(),
            None => {
                let gone = self.memos.keys().filter(|name| table.get(name).is_none());
                gone.chain(table.iter().map(|(name, _)| name)).cloned().collect()
            }
        };
        for name in names {
            let Some(stamp) = table.get(&name).map(|it| it.stamp) else {
                if let Some(memo) = self.memos.remove(&name) {
                    changed(&name, Some(&memo.value), None);
                }
                continue;
            };
            let before = match self.memos.get_mut(&name) {
                Some(memo) if memo.stamp == stamp && memo.stands(world) => {
                    (memo.resources, memo.views) = now;
                    continue;
                }
                Some(memo) => Some(&memo.value),
                None => None,
            };
            let reader = Reader::new(world);
            let value = make(&reader, &name, before);
            changed(&name, before, Some(&value));
            let deps = reader.deps.map(RefCell::into_inner).unwrap_or_default();
            self.memos.insert(name, Memo { value, stamp, deps, resources: now.0, views: now.1 });
        }
    }
}

impl<T> Memo<T> {
    fn stands(&self, world: &World<'_>) -> bool {
        self.deps.iter().all(|(dep, stamp)| !world.changed_since(dep, self.resources, self.views) || world.stamp(dep) == *stamp)
    }
}
