//! All objects in memory, the window of past events that watches read, and who owns whom.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::{Expired, Key, Stored, order};
use crate::apply::{Interner, Managed, Managers};
use crate::object::ObjectExt;
use crate::registry::{CRDS, NAMESPACES};

/// Events kept per shelf; a watch that falls further behind is told to list again.
const WINDOW_EVENTS: usize = 4096;
/// And their objects' size, as JSON.
const WINDOW_BYTES: usize = 8 << 20;

/// One change that happened.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) previous: Option<Arc<Stored>>,
    /// The object after the change; its last state, under the version of the deletion, when deleted.
    pub(crate) object: Arc<Stored>,
    pub(crate) deleted: bool,
    pub(crate) size: usize,
}

struct Shelf {
    objects: BTreeMap<(Arc<str>, Arc<str>), Arc<Stored>>,
    window: VecDeque<Arc<Event>>,
    window_bytes: usize,
    /// Changes after this version are all in the window.
    floor: u64,
    changed: watch::Sender<u64>,
}

impl Shelf {
    fn new(floor: u64) -> Self {
        Self { objects: BTreeMap::new(), window: VecDeque::new(), window_bytes: 0, floor, changed: watch::Sender::new(floor) }
    }

    fn remember(&mut self, event: Arc<Event>) {
        self.window_bytes += event.size;
        self.window.push_back(event);
        while self.window.len() > WINDOW_EVENTS || (self.window_bytes > WINDOW_BYTES && self.window.len() > 1) {
            if let Some(oldest) = self.window.pop_front() {
                self.window_bytes -= oldest.size;
                self.floor = oldest.version;
            }
        }
    }
}

/// What [`super::disk`] found.
pub(super) struct Loaded {
    pub(super) objects: Vec<(Key, Value)>,
    pub(super) version: u64,
}

pub(super) struct Memory {
    shelves: HashMap<Arc<str>, Shelf>,
    version: u64,
    /// The version at start: there are no events from before it.
    boot: u64,
    uids: HashMap<String, Key>,
    dependents: HashMap<String, BTreeSet<Key>>,
    suspects: BTreeSet<Key>,
}

impl Memory {
    pub(super) fn load(loaded: Loaded, interner: &mut Interner) -> Self {
        let mut memory = Self {
            shelves: HashMap::new(),
            version: loaded.version,
            boot: loaded.version,
            uids: HashMap::new(),
            dependents: HashMap::new(),
            suspects: BTreeSet::new(),
        };
        for (key, mut value) in loaded.objects {
            let version = value.resource_version().parse().unwrap_or(loaded.version);
            let managers = Managed::take_from(&mut value).and_then(|list| Managers::from_value(&list).ok()).unwrap_or_default();
            let stored = Stored::new(value, interner.intern(&Managed::new(&managers)), version);
            memory.index(&key, &stored);
            memory.shelf(&key.shelf).objects.insert((key.namespace, key.name), stored);
        }
        memory
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        let shelf = self.shelves.get(&key.shelf)?;
        shelf.objects.get(&(Arc::clone(&key.namespace), Arc::clone(&key.name))).cloned()
    }

    pub(super) fn list(&self, shelf: &str, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        let Some(shelf) = self.shelves.get(shelf) else { return Vec::new() };
        match namespace {
            None => {
                let mut all: Vec<_> = shelf.objects.iter().collect();
                // In order already, but for namespaces whose names begin with another's.
                all.sort_by(|(a, _), (b, _)| order((&a.0, &a.1), (&b.0, &b.1)));
                all.into_iter().map(|(_, object)| Arc::clone(object)).collect()
            }
            Some(namespace) => {
                let from = (Arc::<str>::from(namespace), Arc::<str>::from(""));
                shelf.objects.range(from..).take_while(|((ns, _), _)| &**ns == namespace).map(|(_, o)| Arc::clone(o)).collect()
            }
        }
    }

    /// The shelf as it was at `version`: what happened since is undone.
    pub(super) fn list_at(&self, shelf: &str, namespace: Option<&str>, version: u64) -> Result<Vec<Arc<Stored>>, Expired> {
        let (events, _) = self.events_after(shelf, version, usize::MAX)?;
        let now = self.list(shelf, namespace);
        if events.is_empty() {
            return Ok(now);
        }
        let place = |o: &Stored| (o.value.namespace().to_owned(), o.value.name().to_owned());
        let mut then: BTreeMap<(String, String), Arc<Stored>> = now.into_iter().map(|o| (place(&o), o)).collect();
        for event in events.iter().rev().filter(|e| namespace.is_none_or(|n| n == e.object.value.namespace())) {
            match &event.previous {
                Some(previous) => drop(then.insert(place(previous), Arc::clone(previous))),
                None => drop(then.remove(&place(&event.object))),
            }
        }
        let mut then: Vec<Arc<Stored>> = then.into_values().collect();
        then.sort_by(by_place);
        Ok(then)
    }

    pub(super) fn keys_in(&self, namespace: &str) -> Vec<Key> {
        let mut keys = Vec::new();
        for (id, shelf) in &self.shelves {
            let from = (Arc::<str>::from(namespace), Arc::<str>::from(""));
            let inside = shelf.objects.range(from..).take_while(|((ns, _), _)| &**ns == namespace);
            keys.extend(inside.map(|((ns, name), _)| Key { shelf: Arc::clone(id), namespace: Arc::clone(ns), name: Arc::clone(name) }));
        }
        keys
    }

    pub(super) fn subscribe(&mut self, shelf: &Arc<str>) -> watch::Receiver<u64> {
        self.shelf(shelf).changed.subscribe()
    }

    pub(super) fn events_after(&self, shelf: &str, position: u64, max: usize) -> Result<(Vec<Arc<Event>>, u64), Expired> {
        let Some(shelf) = self.shelves.get(shelf) else {
            return if position < self.boot { Err(Expired { floor: self.boot }) } else { Ok((Vec::new(), self.version)) };
        };
        if position < shelf.floor {
            return Err(Expired { floor: shelf.floor });
        }
        let first = shelf.window.partition_point(|e| e.version <= position);
        let events: Vec<_> = shelf.window.range(first..).take(max).cloned().collect();
        let next = match events.last() {
            Some(last) if events.len() == max => last.version,
            _ => self.version.max(position),
        };
        Ok((events, next))
    }

    /// Makes a committed change visible.
    pub(super) fn apply(&mut self, key: &Key, event: Event) {
        self.version = event.version;
        if let Some(previous) = &event.previous {
            let previous = Arc::clone(previous);
            self.unindex(key, &previous);
        }
        if event.deleted {
            self.suspect_family(event.object.value.uid());
            self.suspect_container(key);
        } else {
            let object = Arc::clone(&event.object);
            self.index(key, &object);
        }
        let shelf = self.shelf(&key.shelf);
        let place = (Arc::clone(&key.namespace), Arc::clone(&key.name));
        if event.deleted {
            shelf.objects.remove(&place);
        } else {
            shelf.objects.insert(place, Arc::clone(&event.object));
        }
        let version = event.version;
        shelf.remember(Arc::new(event));
        shelf.changed.send_replace(version);
    }

    pub(super) fn take_suspects(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.suspects).into_iter().collect()
    }

    pub(super) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    pub(super) fn suspect(&mut self, key: Key) {
        self.suspects.insert(key);
    }

    pub(super) fn by_uid(&self, uid: &str) -> Option<Key> {
        self.uids.get(uid).cloned()
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }

    fn shelf(&mut self, id: &Arc<str>) -> &mut Shelf {
        let boot = self.boot;
        self.shelves.entry(Arc::clone(id)).or_insert_with(|| Shelf::new(boot))
    }

    /// Those that a deleted object owned, and those that waited for it to go.
    fn suspect_family(&mut self, uid: &str) {
        if let Some(keys) = self.dependents.get(uid) {
            self.suspects.extend(keys.iter().cloned());
        }
    }

    /// A terminating namespace, or a terminating definition, may have waited for just this one to go.
    fn suspect_container(&mut self, key: &Key) {
        let namespace = Key { shelf: NAMESPACES.into(), namespace: "".into(), name: Arc::clone(&key.namespace) };
        let (group, plural) = key.shelf.split_once('/').unwrap_or_default();
        let definition = Key { shelf: CRDS.into(), namespace: "".into(), name: format!("{plural}.{group}").into() };
        for container in [namespace, definition] {
            if self.get(&container).is_some_and(|o| o.value.is_deleting()) {
                self.suspects.insert(container);
            }
        }
    }

    fn index(&mut self, key: &Key, object: &Stored) {
        let value = &object.value;
        if !value.uid().is_empty() {
            self.uids.insert(value.uid().to_owned(), key.clone());
        }
        let owners = owner_uids(value);
        let owned = !owners.is_empty();
        for owner in owners {
            self.dependents.entry(owner).or_default().insert(key.clone());
        }
        if owned || value.is_deleting() {
            self.suspects.insert(key.clone());
        }
    }

    fn unindex(&mut self, key: &Key, object: &Stored) {
        if self.uids.get(object.value.uid()) == Some(key) {
            self.uids.remove(object.value.uid());
        }
        for owner in owner_uids(&object.value) {
            if let Some(keys) = self.dependents.get_mut(&owner) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(&owner);
                }
            }
            // An owner that waits for its dependents to go looks again.
            if let Some(owner) = self.uids.get(&owner).cloned() {
                self.suspects.insert(owner);
            }
        }
    }
}

fn by_place(a: &Arc<Stored>, b: &Arc<Stored>) -> Ordering {
    order((a.value.namespace(), a.value.name()), (b.value.namespace(), b.value.name()))
}

fn owner_uids(object: &Value) -> Vec<String> {
    object.owner_references().iter().filter_map(|r| r.get("uid")?.as_str().map(str::to_owned)).collect()
}
