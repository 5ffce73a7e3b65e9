//! The translation as a whole.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{Backend, BackendName, Gateway, Listener, ListenerName, Model, ObjectName, Protocol, SharedMap, Tls};

use crate::backend::{self, Key};
use crate::class;
use crate::envoy_proxy;
use crate::gateway::{self, GatewayState, ListenerState, View};
use crate::memo::{Memos, Reader, Views, World};
use crate::observed::{Observed, Settings};
use crate::output::{Output, ProxySpec};
use crate::policy::{self, Outcome};
use crate::provision;
use crate::resources::{Kind, Resources};
use crate::route::{self, Translated};
use crate::status::{Kept, ObjectRef, StatusWriter};

/// Translates [`Resources`], keeping what it made of each object while what it was made from stands.
#[derive(Debug, Default)]
pub struct Translator {
    basis: Option<(Settings, bool)>,
    model: Model,
    statuses: StatusWriter,
    views: Views,
    routes: Memos<ObjectName, Translated>,
    kept: Kept,
    sums: Sums,
    backends: Memos<Key, Arc<Backend>>,
}

/// What routes come to together, kept up to date route by route.
#[derive(Debug, Default)]
struct Sums {
    /// How many routes each listener has.
    attached: BTreeMap<ListenerName, u32>,
    /// How many routes use each backend.
    used: BTreeMap<Key, u32>,
}

impl Translator {
    /// One that remembers nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Translates. The result depends on the arguments alone; what was kept only makes it quicker. The same `resources` must come each
    /// time.
    pub fn translate(&mut self, resources: &Resources, settings: &Settings, observed: &Observed) -> Output {
        self.heed_basis(settings, observed.loopback_backends);
        let mut statuses = std::mem::take(&mut self.statuses);
        statuses.begin();
        let (gateways, classes, mut judged) = {
            let world = World::new(resources, settings, observed.loopback_backends, &self.views);
            let reader = Reader::untracked(&world);
            let classes = class::judge(resources, settings, &mut statuses);
            let gateways = gateway::judge(resources, &reader, &classes);
            let judged = policy::judge(resources, &reader, &gateways);
            (gateways, classes, judged)
        };
        let view = |(name, it): (&ObjectName, &GatewayState<'_>)| {
            let failed_routes = judged.outcome.failed_routes.remove(name).unwrap_or_default();
            (name.clone(), View::new(it, &judged.outcome.failures, failed_routes))
        };
        self.views.update(gateways.iter().map(view).collect());
        let world = World::new(resources, settings, observed.loopback_backends, &self.views);
        let mut model = Model { routes: self.model.routes.clone(), backends: self.model.backends.clone(), ..Model::default() };
        translate_routes(&mut self.routes, &world, &mut model, &mut self.sums, &mut statuses, &mut self.kept);
        let keys = self.sums.used.keys().map(|it| (it.clone(), 0));
        let backends: BTreeMap<_, _> = self.backends.refresh(&world, keys, backend::translate).map(|(_, it)| (&it.name, it)).collect();
        follow(&mut model.backends, &backends);
        let outcome = judged.finish(&Reader::untracked(&world), &gateways, &model, &mut statuses);
        add_gateways(&gateways, outcome, &self.model, &mut model);
        for (name, gateway) in &gateways {
            let object = ObjectRef::new(Kind::Gateway, name.namespace.clone(), name.name.clone());
            let status = gateway::gateway_status(gateway, &self.sums.attached, observed, &model);
            statuses.write(object, crate::Merge::Whole, status);
        }
        let mut proxies: Vec<ProxySpec> = gateways.values().map(provision::proxy).collect();
        let unreadable = gateway::write_broken(resources, &classes, &mut statuses);
        proxies.extend(unreadable.into_iter().map(|(name, class)| provision::unreadable(name, class)));
        proxies.sort_by(|a, b| a.gateway.cmp(&b.gateway));
        envoy_proxy::write_statuses(resources, &classes, &gateways, &mut statuses);
        backend::write_statuses(resources, &Reader::untracked(&world), &mut statuses);
        let limits = model.limits.values().cloned().collect();
        let output = Output { model, statuses: statuses.finish(), proxies, limits };
        self.model = output.model.clone();
        self.statuses = statuses;
        output
    }

    /// What everything depends on: when that changes, nothing that was kept is good.
    fn heed_basis(&mut self, settings: &Settings, loopback_backends: bool) {
        let same = self.basis.as_ref().is_some_and(|(before, loopback)| before == settings && *loopback == loopback_backends);
        if !same {
            self.routes = Memos::default();
            self.sums = Sums::default();
            self.model.routes.clear();
            self.statuses = StatusWriter::default();
            self.backends = Memos::default();
            self.basis = Some((settings.clone(), loopback_backends));
        }
    }
}

/// Brings everything that comes from routes up to date.
fn translate_routes(
    memos: &mut Memos<ObjectName, Translated>,
    world: &World<'_>,
    model: &mut Model,
    sums: &mut Sums,
    statuses: &mut StatusWriter,
    kept: &mut Kept,
) {
    let kept = RefCell::new(kept);
    let table = &world.resources.http_routes;
    let make = |reader: &Reader<'_>, name: &ObjectName, before: Option<&Translated>| {
        let object = table.get(name).expect("only those that are there are made").object.clone();
        let mut made = route::translate(reader, name, &object, before);
        made.status.status = kept.borrow_mut().one(made.status.status);
        made
    };
    let object = |name: &ObjectName| ObjectRef::new(Kind::HttpRoute, name.namespace.clone(), name.name.clone());
    memos.follow(world, table, make, |name, before, now| {
        let (old, new) = (before.map_or(&[][..], |it| &it.routes), now.map_or(&[][..], |it| &it.routes));
        for gone in old.iter().filter(|old| !new.iter().any(|new| new.name == old.name)) {
            model.routes.remove(&gone.name);
        }
        model.routes.extend(new.iter().map(|it| (it.name.clone(), it.clone())));
        if let Some(before) = before {
            before.attached.iter().for_each(|it| take(&mut sums.attached, it));
            before.backends.iter().for_each(|it| take(&mut sums.used, it));
        }
        if let Some(now) = now {
            now.attached.iter().for_each(|it| add(&mut sums.attached, it));
            now.backends.iter().for_each(|it| add(&mut sums.used, it));
        }
        statuses.keep(object(name), now.map(|it| it.status.clone()));
    });
    let reader = Reader::untracked(world);
    for (name, broken) in table.broken() {
        let status = route::broken(&reader, name, broken);
        statuses.set(object(name), status);
    }
}

/// Counts one more.
fn add<K: Ord + Clone>(counts: &mut BTreeMap<K, u32>, key: &K) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => drop(counts.insert(key.clone(), 1)),
    }
}

/// Counts one less.
fn take<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
}

/// Makes `map` what `wanted` is, changing no more than differs.
fn follow(map: &mut SharedMap<BackendName, Arc<Backend>>, wanted: &BTreeMap<&BackendName, &Arc<Backend>>) {
    let gone: Vec<BackendName> = map.keys().filter(|name| !wanted.contains_key(name)).cloned().collect();
    for name in gone {
        map.remove(&name);
    }
    for (name, backend) in wanted {
        if map.get(*name).is_none_or(|before| !Arc::ptr_eq(before, backend)) {
            map.insert((*name).clone(), (*backend).clone());
        }
    }
}

/// Adds what belongs to Gateways, sharing what is as it was.
fn add_gateways(gateways: &BTreeMap<ObjectName, GatewayState<'_>>, mut outcome: Outcome, before: &Model, model: &mut Model) {
    for (name, state) in gateways {
        for listener in state.served() {
            let new = Listener {
                name: listener.name.clone(),
                port: listener.port,
                container_port: listener.container_port,
                protocol: protocol(listener, outcome.tls.remove(&listener.name)),
                hostname: listener.hostname.clone(),
                client: outcome.settings.remove(&listener.name).unwrap_or_default(),
            };
            model.listeners.insert(listener.name.clone(), shared(before.listeners.get(&listener.name), new));
        }
        if state.served().next().is_some() {
            let new = Gateway { name: name.clone(), access_log: !state.parameters.no_access_log };
            model.gateways.insert(name.clone(), shared(before.gateways.get(name), new));
        }
    }
    for (name, limit) in outcome.limits {
        let limit = shared(before.limits.get(&name), limit);
        model.limits.insert(name, limit);
    }
}

/// What a listener speaks; what its Gateway and its policy say of TLS comes together here.
fn protocol(listener: &ListenerState<'_>, policy: Option<Tls>) -> Protocol {
    if listener.certificates.is_empty() {
        return Protocol::Http;
    }
    let mut tls = policy.unwrap_or_else(policy::default_tls);
    tls.certificates = listener.certificates.clone();
    tls.client_validation = tls.client_validation.or_else(|| listener.client_validation.clone());
    Protocol::Https(Arc::new(tls))
}

fn shared<T: PartialEq>(before: Option<&Arc<T>>, new: T) -> Arc<T> {
    match before {
        Some(old) if **old == new => old.clone(),
        _ => Arc::new(new),
    }
}
