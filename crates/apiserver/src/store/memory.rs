//! All objects in memory, the window of past events that watches read, and who owns whom.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::watch;

use super::place::{Place, merged};
use super::{Expired, Key, Stored};
use crate::registry::{CRDS, NAMESPACES};

/// Events kept per shelf; a watch that falls further behind is told to list again.
const WINDOW_EVENTS: usize = 4096;
/// And the memory that their objects take, those before and those after the change.
const WINDOW_BYTES: usize = 8 << 20;

/// One change that happened.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) previous: Option<Arc<Stored>>,
    /// The object after the change; its last state, under the version of the deletion, when deleted.
    pub(crate) object: Arc<Stored>,
    pub(crate) deleted: bool,
    /// Bytes of memory that it holds.
    pub(crate) size: usize,
}

impl Event {
    pub(crate) fn new(previous: Option<Arc<Stored>>, object: Arc<Stored>, deleted: bool) -> Self {
        let mut size = object.size() + object.managed.size();
        if let Some(previous) = &previous {
            // Their owners are one text when the change left them alone.
            let owners = if previous.managed.is(&object.managed) { 0 } else { previous.managed.size() };
            size += previous.size() + owners;
        }
        Self { version: object.version, previous, object, deleted, size }
    }
}

struct Shelf {
    objects: BTreeMap<Place, Arc<Stored>>,
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

    /// Events after `version`.
    fn since(&self, version: u64) -> Result<impl Iterator<Item = &Arc<Event>>, Expired> {
        if version < self.floor {
            return Err(Expired { floor: self.floor });
        }
        let first = self.window.partition_point(|event| event.version <= version);
        Ok(self.window.range(first..))
    }

    /// What was at each place that has changed since `version`.
    fn undone(&self, version: u64) -> Result<BTreeMap<Place, Option<&Arc<Stored>>>, Expired> {
        let mut undone = BTreeMap::new();
        for event in self.since(version)? {
            undone.entry(event.object.place()).or_insert(event.previous.as_ref());
        }
        Ok(undone)
    }
}

/// Which part of a shelf to list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing<'a> {
    pub(crate) shelf: &'a str,
    pub(crate) namespace: Option<&'a str>,
    /// As it was at this version.
    pub(crate) at: Option<u64>,
    /// Only what comes after this namespace and name.
    pub(crate) after: Option<(&'a str, &'a str)>,
    pub(crate) max: usize,
}

impl Listing<'_> {
    fn begin(&self) -> Bound<Place> {
        match (self.after, self.namespace) {
            (Some((namespace, name)), _) => Bound::Excluded(Place::new(namespace, name)),
            (None, Some(namespace)) => Bound::Included(Place::new(namespace, "")),
            (None, None) => Bound::Unbounded,
        }
    }
}

/// Part of a list.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Arc<Stored>>,
    /// The version that this is true for.
    pub(crate) version: u64,
    /// How many come after these.
    pub(crate) left: usize,
}

/// What [`super::disk`] found.
pub(super) struct Loaded {
    pub(super) objects: Vec<(Key, Stored)>,
    pub(super) version: u64,
}

pub(super) struct Memory {
    shelves: HashMap<Arc<str>, Shelf>,
    version: u64,
    /// The version at start: there are no events from before it.
    boot: u64,
    uids: HashMap<Arc<str>, Key>,
    dependents: HashMap<Box<str>, BTreeSet<Key>>,
    suspects: BTreeSet<Key>,
}

impl Memory {
    pub(super) fn load(loaded: Loaded) -> Self {
        let mut memory = Self {
            shelves: HashMap::new(),
            version: loaded.version,
            boot: loaded.version,
            uids: HashMap::new(),
            dependents: HashMap::new(),
            suspects: BTreeSet::new(),
        };
        for (key, stored) in loaded.objects {
            memory.index(&key, &stored);
            memory.shelf(&key.shelf).objects.insert(stored.place(), Arc::new(stored));
        }
        memory
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.shelves.get(&key.shelf)?.objects.get(&Place::of(key)).cloned()
    }

    pub(super) fn list(&self, shelf: &str, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        let all = Listing { shelf, namespace, at: None, after: None, max: usize::MAX };
        // Only a version from the past can be expired.
        self.page(&all).map(|page| page.objects).unwrap_or_default()
    }

    /// Part of the shelf, at an earlier version if one is asked for: what happened since is undone.
    pub(super) fn page(&self, wanted: &Listing<'_>) -> Result<Page, Expired> {
        let version = wanted.at.unwrap_or(self.version);
        let Some(shelf) = self.shelves.get(wanted.shelf) else {
            return if version < self.boot { Err(Expired { floor: self.boot }) } else { Ok(Page { version, ..Page::default() }) };
        };
        let undone = wanted.at.map(|version| shelf.undone(version)).transpose()?.unwrap_or_default();
        let part = (wanted.begin(), Bound::Unbounded);
        let inside = |place: &Place| wanted.namespace.is_none_or(|namespace| namespace == &*place.namespace);
        let now = shelf.objects.range(part.clone()).take_while(|(place, _)| inside(place)).filter(|(place, _)| !undone.contains_key(place));
        let then = undone.range(part).take_while(|(place, _)| inside(place)).filter_map(|(place, object)| Some((place, (*object)?)));
        let mut all = merged(now, then);
        let objects = all.by_ref().take(wanted.max).map(|(_, object)| Arc::clone(object)).collect();
        Ok(Page { objects, version, left: all.count() })
    }

    pub(super) fn keys_in(&self, namespace: &str) -> Vec<Key> {
        let mut keys = Vec::new();
        for (id, shelf) in &self.shelves {
            let inside = shelf.objects.range(Place::new(namespace, "")..).take_while(|(place, _)| &*place.namespace == namespace);
            keys.extend(inside.map(|(place, _)| place.key(id)));
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
        let events: Vec<_> = shelf.since(position)?.take(max).cloned().collect();
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
            self.suspect_family(event.object.uid());
            self.suspect_container(key);
        } else {
            let object = Arc::clone(&event.object);
            self.index(key, &object);
        }
        let shelf = self.shelf(&key.shelf);
        let place = Place::of(key);
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
            if self.get(&container).is_some_and(|o| o.is_deleting()) {
                self.suspects.insert(container);
            }
        }
    }

    fn index(&mut self, key: &Key, object: &Stored) {
        if !object.uid().is_empty() {
            self.uids.insert(object.shared_uid(), key.clone());
        }
        let mut owned = false;
        for owner in object.owners() {
            owned = true;
            self.dependents.entry(owner.into()).or_default().insert(key.clone());
        }
        if owned || object.is_deleting() {
            self.suspects.insert(key.clone());
        }
    }

    fn unindex(&mut self, key: &Key, object: &Stored) {
        if self.uids.get(object.uid()) == Some(key) {
            self.uids.remove(object.uid());
        }
        for owner in object.owners() {
            if let Some(keys) = self.dependents.get_mut(owner) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(owner);
                }
            }
            // An owner that waits for its dependents to go looks again.
            if let Some(owner) = self.uids.get(owner).cloned() {
                self.suspects.insert(owner);
            }
        }
    }
}
