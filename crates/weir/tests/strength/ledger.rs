//! What the clients of a server know of it, over all its lives.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Value, json};

use crate::api::version;
use crate::random::Random;

/// What is kept under one name, which one client changes, one step after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    /// What this step made.
    Holds(u64),
}

#[derive(Debug)]
pub(crate) struct Slot {
    steps: u64,
    pub(crate) sure: State,
    /// The version under which it was acknowledged, where that was told.
    version: Option<u64>,
    /// What was asked for and neither acknowledged nor seen.
    pending: Option<State>,
}

#[derive(Default)]
pub(crate) struct Ledger {
    /// What each version was handed out for.
    versions: HashMap<u64, String>,
    /// The highest that anybody saw.
    pub(crate) highest: u64,
    pub(crate) slots: BTreeMap<String, Slot>,
    pub(crate) acknowledged: u64,
}

impl Ledger {
    /// The next step of a slot.
    pub(crate) fn step(&mut self, name: &str) -> (State, u64) {
        let slot = self.slots.entry(name.to_owned()).or_insert(Slot { steps: 0, sure: State::Absent, version: None, pending: None });
        slot.steps += 1;
        (slot.sure, slot.steps)
    }

    pub(crate) fn asked(&mut self, name: &str, state: State) {
        self.slot(name).pending = Some(state);
    }

    /// It was done; `version` is not told of deletions.
    pub(crate) fn acknowledged(&mut self, name: &str, state: State, version: Option<u64>) {
        self.acknowledged += 1;
        let slot = self.slot(name);
        (slot.sure, slot.version, slot.pending) = (state, version, None);
    }

    /// It was refused: nothing changes.
    pub(crate) fn refused(&mut self, name: &str) {
        self.slot(name).pending = None;
    }

    /// A version belongs to one state of one object for ever.
    pub(crate) fn note(&mut self, version: u64, what: String) {
        self.highest = self.highest.max(version);
        match self.versions.entry(version) {
            Entry::Occupied(before) => assert_eq!(before.get(), &what, "version {version} was handed out twice"),
            Entry::Vacant(place) => drop(place.insert(what)),
        }
    }

    /// A watch told of a change of an own object: whoever sees a change may rely on it.
    pub(crate) fn seen(&mut self, event: &str, object: &Value) {
        self.note(version(object), what(event == "DELETED", object));
        let name = object["metadata"]["name"].as_str().expect("a name");
        let Some(slot) = self.slots.get_mut(name) else { return };
        let shown = shown(object);
        let now = match (event, slot.pending) {
            ("DELETED", Some(State::Absent)) if slot.sure == shown => State::Absent,
            ("ADDED" | "MODIFIED", Some(pending)) if pending == shown => pending,
            _ => return,
        };
        (slot.sure, slot.pending) = (now, None);
        slot.version = (now != State::Absent).then(|| version(object));
    }

    /// Compares what a server has after its start with what may be; from then on that is sure.
    pub(crate) fn settle(&mut self, list: &Value) {
        assert!(version(list) >= self.highest, "versions went back: {} after {}", version(list), self.highest);
        self.highest = version(list);
        let items: HashMap<&str, &Value> =
            list["items"].as_array().expect("a list").iter().map(|it| (it["metadata"]["name"].as_str().expect("a name"), it)).collect();
        for name in items.keys().filter(|name| !name.starts_with(SHARED)) {
            assert!(self.slots.contains_key(*name), "nobody made {name}");
        }
        for object in items.values() {
            self.note(version(object), what(false, object));
        }
        for (name, slot) in &mut self.slots {
            let found = match name.split_once('/') {
                Some((object, key)) => items.get(object).map_or(State::Absent, |it| part(it, key)),
                None => items.get(name.as_str()).map_or(State::Absent, |it| whole(name, it)),
            };
            assert!(found == slot.sure || Some(found) == slot.pending, "{name} is {found:?}, and not as {slot:?}");
            let same = found == slot.sure && slot.pending != Some(found);
            if let (true, Some(was), Some(object)) = (same, slot.version, items.get(name.as_str())) {
                assert_eq!(version(object), was, "{name} was acknowledged so and nobody changed it");
            }
            (slot.sure, slot.pending) = (found, None);
            slot.version = items.get(name.as_str()).map(|it| version(it));
        }
    }

    fn slot(&mut self, name: &str) -> &mut Slot {
        self.slots.get_mut(name).expect("there was a step before")
    }
}

/// Names of objects that all clients change, each its own key.
pub(crate) const SHARED: &str = "shared-";

/// An object as one step makes it: recognisable, and of many sizes.
pub(crate) fn object(name: &str, step: u64) -> Value {
    let length = Random::new(step ^ name.len() as u64).below(6000) as usize;
    let pad: String = format!("{name} {step} ").chars().cycle().take(length).collect();
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "default" },
        "data": { "step": step.to_string(), "pad": pad },
    })
}

/// What a version was handed out for.
pub(crate) fn what(deleted: bool, object: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    for part in ["data", "spec", "status"] {
        object[part].to_string().hash(&mut hasher);
    }
    let deleted = if deleted { "the end of " } else { "" };
    format!("{deleted}{} {} {:x}", object["metadata"]["name"], object["metadata"]["uid"], hasher.finish())
}

/// The state of an own object, which must be as somebody asked for.
fn whole(name: &str, found: &Value) -> State {
    let state = shown(found);
    let State::Holds(step) = state else { panic!("{name} is half-written: {found}") };
    assert_eq!(found["data"], object(name, step)["data"], "{name} is as nobody asked for");
    state
}

fn shown(object: &Value) -> State {
    part(object, "step")
}

fn part(object: &Value, key: &str) -> State {
    object["data"].get(key).map_or(State::Absent, |it| State::Holds(it.as_str().expect("text").parse().expect("a number")))
}
