//! What the watches have seen, in the forms that the rest needs: resources for the translator, statuses, own objects.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;
use weir_translate::Resources;

use crate::config::CONFIG_MAP;
use crate::kinds::{Key, Kind};
use crate::provision::{Fleet, Item, ItemKind, is_own};
use crate::status::{Board, Known};
use crate::watch::Change;

/// What a change asks for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Effect {
    /// Something that a translation reads has changed.
    pub(crate) translate: bool,
    /// The configuration may have changed: the ConfigMap, or none any more.
    pub(crate) config: Option<Option<Value>>,
}

/// What the watches have seen.
#[derive(Debug, Default)]
pub(crate) struct World {
    namespace: String,
    pub(crate) resources: Resources,
    pub(crate) board: Board,
    pub(crate) fleet: Fleet,
    /// A digest of what matters of each object, to tell changes from echoes of our own status writes.
    seen: BTreeMap<Key, u64>,
    /// The kinds of which everything is known; false: the API server does not have the kind.
    full: BTreeMap<Kind, bool>,
}

impl World {
    /// Nothing seen yet. Own objects are in `namespace`.
    pub(crate) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..Self::default() }
    }

    /// Whether every kind has been listed (or is known not to exist).
    pub(crate) fn is_full(&self) -> bool {
        Kind::ALL.iter().all(|kind| self.full.contains_key(kind))
    }

    /// The kinds that have not been listed yet.
    pub(crate) fn missing(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| !self.full.contains_key(kind)).collect()
    }

    /// The kinds that the API server does not have.
    pub(crate) fn absent(&self) -> Vec<Kind> {
        self.full.iter().filter(|(_, there)| !**there).map(|(kind, _)| *kind).collect()
    }

    /// Whether so much is known that what nobody wants may be deleted: a list that could not be read is no reason to take a proxy away.
    pub(crate) fn may_provision(&self) -> bool {
        [Kind::GatewayClass, Kind::Gateway, Kind::Service, Kind::Deployment].iter().all(|kind| self.full.get(kind) == Some(&true))
    }

    /// Takes in a change.
    pub(crate) fn apply(&mut self, change: Change) -> Effect {
        let mut effect = Effect::default();
        match change {
            Change::Listed(kind, objects) => {
                effect.translate |= self.full.insert(kind, true).is_none();
                let listed: BTreeSet<_> = objects.iter().map(|it| Key::of(kind, it)).collect();
                let known = self.seen.keys().filter(|key| key.kind == kind);
                for key in known.filter(|key| !listed.contains(*key)).cloned().collect::<Vec<_>>() {
                    self.remove(&key, &mut effect);
                }
                for object in objects {
                    self.upsert(kind, object, &mut effect);
                }
            }
            Change::Applied(kind, object) => self.upsert(kind, object, &mut effect),
            Change::Deleted(kind, object) => self.remove(&Key::of(kind, &object), &mut effect),
            Change::Absent(kind) => {
                effect.translate |= !self.full.contains_key(&kind);
                self.full.entry(kind).or_insert(false);
            }
        }
        effect
    }

    fn upsert(&mut self, kind: Kind, object: Value, effect: &mut Effect) {
        let key = Key::of(kind, &object);
        if kind.ownership().is_some() {
            self.board.observe(key.clone(), known(&object));
        }
        if let Some(item) = self.own_item(&key) {
            if is_own(&object) {
                self.fleet.observe(item, object.clone());
            } else {
                self.fleet.forget(&item);
            }
            effect.translate = true;
        }
        if self.is_configuration(&key) {
            effect.config = Some(Some(object.clone()));
        }
        let digest = digest(&object);
        if self.seen.insert(key.clone(), digest) == Some(digest) || kind.translated().is_none() {
            return;
        }
        effect.translate = true;
        if let Err(error) = self.resources.upsert(object) {
            tracing::warn!(object = %key, %error, "cannot be read; it has no effect");
        }
    }

    fn remove(&mut self, key: &Key, effect: &mut Effect) {
        self.seen.remove(key);
        self.board.forget(key);
        if let Some(item) = self.own_item(key) {
            self.fleet.forget(&item);
            effect.translate = true;
        }
        if let Some(kind) = key.kind.translated() {
            self.resources.remove(kind, &key.namespace, &key.name);
            effect.translate = true;
        }
        if self.is_configuration(key) {
            effect.config = Some(None);
        }
    }

    /// Whether this is the ConfigMap with the controller's own configuration. Others may hold authorities that policies refer to.
    fn is_configuration(&self, key: &Key) -> bool {
        key.kind == Kind::ConfigMap && &*key.name == CONFIG_MAP && *key.namespace == *self.namespace
    }

    /// What an object would be if it were made by us.
    fn own_item(&self, key: &Key) -> Option<Item> {
        let kind = match key.kind {
            Kind::Deployment => ItemKind::Deployment,
            Kind::Service => ItemKind::Service,
            _ => return None,
        };
        (*key.namespace == *self.namespace).then(|| Item { kind, name: key.name.to_string() })
    }
}

fn known(object: &Value) -> Known {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    Known {
        uid: text("/metadata/uid"),
        resource_version: text("/metadata/resourceVersion"),
        status: object.get("status").unwrap_or(&Value::Null).into(),
    }
}

/// Of everything but the status and what changes with it.
fn digest(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("status", _) => {}
            ("metadata", Value::Object(metadata)) => {
                for (key, value) in metadata.iter().filter(|(key, _)| *key != "resourceVersion") {
                    (key, value).hash(&mut hasher);
                }
            }
            _ => (key, value).hash(&mut hasher),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
