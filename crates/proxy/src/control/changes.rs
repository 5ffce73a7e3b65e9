//! What a delta changes, and which routes each listener has: so that a change of one route costs one route, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_model::{BackendName, Delta, Listener, ListenerName, Model, ObjectName, Resource, ResourceKey, Route, SharedMap};

/// What a delta changes.
#[derive(Default)]
pub(crate) struct Changes {
    /// Each route that changes, as it was before.
    pub(crate) routes: BTreeMap<ObjectName, Option<Arc<Route>>>,
    /// The backends that are put or taken away.
    pub(crate) backends: BTreeSet<BackendName>,
    /// Whether gateways, listeners or limits change: then everything is looked at.
    pub(crate) frame: bool,
}

impl Changes {
    /// What `delta` changes in `model`, before it is carried out there.
    pub(crate) fn of(delta: &Delta, model: &Model) -> Self {
        let mut changes = Self::default();
        for resource in &delta.put {
            match resource {
                Resource::Route(route) => changes.route(&route.name, model),
                Resource::Backend(backend) => drop(changes.backends.insert(backend.name.clone())),
                Resource::Gateway(_) | Resource::Listener(_) | Resource::Limit(_) => changes.frame = true,
            }
        }
        for key in &delta.remove {
            match key {
                ResourceKey::Route(name) => changes.route(name, model),
                ResourceKey::Backend(name) => drop(changes.backends.insert(name.clone())),
                ResourceKey::Gateway(_) | ResourceKey::Listener(_) | ResourceKey::Limit(_) => changes.frame = true,
            }
        }
        changes
    }

    /// No route or backend, but perhaps the sockets, or what is served at them.
    pub(crate) fn of_frame() -> Self {
        Self { frame: true, ..Self::default() }
    }

    fn route(&mut self, name: &ObjectName, model: &Model) {
        self.routes.insert(name.clone(), model.routes.get(name).cloned());
    }
}

/// The names of the routes that are attached to each listener.
#[derive(Default)]
pub(crate) struct Attachments(BTreeMap<ListenerName, SharedMap<ObjectName, ()>>);

impl Attachments {
    /// Takes in what has changed; `model` is the one with the changes.
    pub(crate) fn follow(&mut self, changes: &Changes, model: &Model) {
        for (name, before) in &changes.routes {
            for attachment in before.iter().flat_map(|route| &route.attachments) {
                if let Some(names) = self.0.get_mut(&attachment.listener) {
                    names.remove(name);
                }
            }
            for attachment in model.routes.get(name).into_iter().flat_map(|route| &route.attachments) {
                self.0.entry(attachment.listener.clone()).or_default().insert(name.clone(), ());
            }
        }
        if changes.frame {
            self.0.retain(|_, names| !names.is_empty());
        }
    }

    /// The routes of these listeners, by name, each once.
    pub(crate) fn routes(&self, listeners: &[Arc<Listener>], model: &Model) -> Vec<Arc<Route>> {
        let names: BTreeSet<&ObjectName> = listeners.iter().filter_map(|it| self.0.get(&it.name)).flat_map(SharedMap::keys).collect();
        names.into_iter().filter_map(|name| model.routes.get(name).cloned()).collect()
    }
}

/// Whether a route is attached to one of `listeners`.
pub(crate) fn is_attached(route: &Route, listeners: &[Arc<Listener>]) -> bool {
    route.attachments.iter().any(|attachment| listeners.iter().any(|listener| listener.name == attachment.listener))
}

#[cfg(test)]
mod tests {
    use weir_model::{Attachment, GatewayName, HostPattern, Protocol};

    use super::*;

    fn listener(name: &str) -> Arc<Listener> {
        let name = ListenerName::new(GatewayName::new("ns", "eg"), name);
        let (hostname, client) = (HostPattern::Any, Arc::default());
        Arc::new(Listener { name, port: 80, container_port: 10080, protocol: Protocol::Http, hostname, client })
    }

    fn route(name: &str, on: &[&str]) -> Arc<Route> {
        let attachments = on.iter().map(|it| Attachment { listener: listener(it).name.clone(), hostnames: vec![HostPattern::Any] });
        Arc::new(Route { name: ObjectName::new("ns", name), created: 0, attachments: attachments.collect(), rules: Vec::new() })
    }

    #[test]
    fn routes_are_found_by_their_listeners_while_they_come_move_and_go() {
        let (mut model, mut attachments) = (Model::default(), Attachments::default());
        let mut put = |delta: Delta| {
            let changes = Changes::of(&delta, &model);
            model.apply(delta);
            attachments.follow(&changes, &model);
            let on = |names: &[&str]| {
                let listeners: Vec<_> = names.iter().map(|it| listener(it)).collect();
                attachments.routes(&listeners, &model).iter().map(|it| it.name.name.to_string()).collect::<Vec<_>>().join(" ")
            };
            [on(&["a"]), on(&["b"]), on(&["a", "b"])]
        };
        let all = [route("r2", &["a", "b"]), route("r1", &["a"])].map(Resource::Route).to_vec();
        assert_eq!(put(Delta { put: all, remove: vec![] }), ["r1 r2", "r2", "r1 r2"]);
        let moved = vec![Resource::Route(route("r1", &["b"]))];
        assert_eq!(put(Delta { put: moved, remove: vec![] }), ["r2", "r1 r2", "r1 r2"]);
        let gone = vec![ResourceKey::Route(ObjectName::new("ns", "r2"))];
        assert_eq!(put(Delta { put: vec![], remove: gone }), ["", "r1", "r1"]);
    }

    #[test]
    fn only_the_frame_asks_for_a_look_at_everything() {
        let delta = |put: Resource| Delta { put: vec![put], remove: vec![] };
        assert!(!Changes::of(&delta(Resource::Route(route("r", &["a"]))), &Model::default()).frame);
        assert!(Changes::of(&delta(Resource::Listener(listener("a"))), &Model::default()).frame);
    }
}
