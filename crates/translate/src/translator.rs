//! The translation as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_model::{Backend, Gateway, Listener, ListenerName, Model, ObjectName, Protocol, Tls};

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
use crate::status::{ObjectRef, StatusWriter, Statuses};

/// Translates [`Resources`], keeping what it made of each object while what it was made from stands.
#[derive(Debug, Default)]
pub struct Translator {
    basis: Option<(Settings, bool)>,
    model: Model,
    statuses: Statuses,
    views: Views,
    routes: Memos<ObjectName, Translated>,
    backends: Memos<Key, Arc<Backend>>,
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
        let statuses = std::mem::take(&mut self.statuses);
        let mut statuses = StatusWriter::new(&statuses);
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
        let mut model = Model::default();
        let (attached, used) = translate_routes(&mut self.routes, &world, &mut model, &mut statuses);
        let keys = used.into_iter().map(|it| (it, 0));
        let backends = self.backends.refresh(&world, keys, backend::translate);
        model.backends = backends.map(|(_, it)| (it.name.clone(), it.clone())).collect();
        let outcome = judged.finish(&Reader::untracked(&world), &gateways, &model, &mut statuses);
        add_gateways(&gateways, outcome, &self.model, &mut model);
        for (name, gateway) in &gateways {
            let object = ObjectRef::new(Kind::Gateway, name.namespace.clone(), name.name.clone());
            let status = gateway::gateway_status(gateway, &attached, observed, &model);
            statuses.write(object, crate::Merge::Whole, status);
        }
        let mut proxies: Vec<ProxySpec> = gateways.values().map(provision::proxy).collect();
        let unreadable = gateway::write_broken(resources, &classes, &mut statuses);
        proxies.extend(unreadable.into_iter().map(|(name, class)| provision::unreadable(name, class)));
        proxies.sort_by(|a, b| a.gateway.cmp(&b.gateway));
        envoy_proxy::write_statuses(resources, &classes, &gateways, &mut statuses);
        backend::write_statuses(resources, &Reader::untracked(&world), &mut statuses);
        let statuses = statuses.statuses;
        self.model = model.clone();
        self.statuses = statuses.clone();
        let limits = model.limits.values().cloned().collect();
        Output { model, statuses, proxies, limits }
    }

    /// What everything depends on: when that changes, nothing that was kept is good.
    fn heed_basis(&mut self, settings: &Settings, loopback_backends: bool) {
        let same = self.basis.as_ref().is_some_and(|(before, loopback)| before == settings && *loopback == loopback_backends);
        if !same {
            self.routes = Memos::default();
            self.backends = Memos::default();
            self.basis = Some((settings.clone(), loopback_backends));
        }
    }
}

/// Translates all routes; gives how many each listener has, and the backends that they use.
fn translate_routes(
    memos: &mut Memos<ObjectName, Translated>,
    world: &World<'_>,
    model: &mut Model,
    statuses: &mut StatusWriter<'_>,
) -> (BTreeMap<ListenerName, u32>, BTreeSet<Key>) {
    let mut attached: BTreeMap<ListenerName, u32> = BTreeMap::new();
    let mut used: BTreeSet<Key> = BTreeSet::new();
    let table = &world.resources.http_routes;
    let keys = table.iter().map(|(name, stored)| (name.clone(), stored.stamp));
    let make = |reader: &Reader<'_>, name: &ObjectName, before: Option<&Translated>| {
        let object = table.get(name).expect("the keys are the table's").object.clone();
        route::translate(reader, name, &object, before)
    };
    let object = |name: &ObjectName| ObjectRef::new(Kind::HttpRoute, name.namespace.clone(), name.name.clone());
    for (name, translated) in memos.refresh(world, keys, make) {
        model.routes.extend(translated.routes.iter().map(|it| (it.name.clone(), it.clone())));
        for listener in &translated.attached {
            match attached.get_mut(listener) {
                Some(count) => *count += 1,
                None => drop(attached.insert(listener.clone(), 1)),
            }
        }
        for key in &translated.backends {
            if !used.contains(key) {
                used.insert(key.clone());
            }
        }
        statuses.share(object(name), translated.status.clone());
    }
    let reader = Reader::untracked(world);
    for (name, broken) in table.broken() {
        let status = route::broken(&reader, name, broken);
        statuses.write(object(name), status.merge, status.status.as_ref().clone());
    }
    (attached, used)
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
