//! The objects of one kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use weir_model::ObjectName;

use super::{DecodeError, Kind};

/// The objects of one kind.
#[derive(Debug)]
pub(crate) struct Table<T> {
    objects: BTreeMap<ObjectName, Stored<T>>,
    broken: BTreeMap<ObjectName, Broken>,
    stamp: u64,
    /// The names by when they last changed; those of objects that are gone among them.
    changes: BTreeMap<u64, ObjectName>,
    /// Changes up to this one are not all in `changes`.
    floor: u64,
}

/// Names of objects that are gone are remembered up to so many more than there are objects.
const GONE: usize = 1024;

/// An object, and when it last changed.
#[derive(Debug)]
pub(crate) struct Stored<T> {
    pub(crate) object: Arc<T>,
    pub(crate) stamp: u64,
    digest: [u8; 32],
}

/// An object that could not be decoded.
#[derive(Debug)]
pub(crate) struct Broken {
    /// The object as it came, for what can be read of it all the same.
    pub(crate) object: Value,
    /// What is wrong: field and reason.
    pub(crate) error: String,
    stamp: u64,
}

impl Broken {
    /// Its generation, if it can be read.
    pub(crate) fn generation(&self) -> i64 {
        self.object.get("metadata").and_then(|it| it.get("generation")).and_then(Value::as_i64).unwrap_or_default()
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), broken: BTreeMap::new(), stamp: 0, changes: BTreeMap::new(), floor: 0 }
    }
}

impl<T> Table<T> {
    pub(super) fn upsert(
        &mut self,
        kind: Kind,
        name: ObjectName,
        stamp: u64,
        object: Value,
        decode: impl FnOnce(Value) -> Result<T, weir_api::DecodeError>,
    ) -> Result<(), DecodeError> {
        let digest = digest(&object);
        if self.objects.get(&name).is_some_and(|it| it.digest == digest) {
            return Ok(());
        }
        self.note(&name, stamp);
        // Kept only for an object that turns out broken; objects are small, and decoding one happens once for each change.
        let raw = object.clone();
        match decode(object) {
            Ok(object) => {
                self.broken.remove(&name);
                self.objects.insert(name, Stored { object: Arc::new(object), stamp, digest });
                Ok(())
            }
            Err(error) => {
                self.objects.remove(&name);
                self.broken.insert(name.clone(), Broken { object: raw, error: error.to_string(), stamp });
                Err(DecodeError { kind, name, path: error.path, message: error.message })
            }
        }
    }

    pub(super) fn remove(&mut self, name: &ObjectName, stamp: u64) {
        if self.objects.contains_key(name) || self.broken.contains_key(name) {
            self.note(name, stamp);
            self.objects.remove(name);
            self.broken.remove(name);
        }
    }

    /// An object changes, comes or goes.
    fn note(&mut self, name: &ObjectName, stamp: u64) {
        let before = self.objects.get(name).map(|it| it.stamp).or_else(|| self.broken.get(name).map(|it| it.stamp));
        if let Some(before) = before {
            self.changes.remove(&before);
        }
        self.changes.insert(stamp, name.clone());
        self.stamp = stamp;
        if self.changes.len() > self.objects.len() + self.broken.len() + GONE {
            let is_there = |name: &ObjectName| self.objects.contains_key(name) || self.broken.contains_key(name);
            self.changes.retain(|at, name| *at == stamp || is_there(name));
            self.floor = stamp - 1;
        }
    }

    /// The names of those that came, changed or went after `stamp`; none when that is too long ago to tell.
    pub(crate) fn changed_since(&self, stamp: u64) -> Option<impl Iterator<Item = &ObjectName>> {
        (stamp >= self.floor).then(|| self.changes.range(stamp + 1..).map(|(_, name)| name))
    }

    /// When any of them last changed.
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// When this one last changed; 0 when there is none.
    pub(crate) fn stamp_of(&self, name: &ObjectName) -> u64 {
        self.objects.get(name).map_or(0, |it| it.stamp)
    }

    pub(crate) fn get(&self, name: &ObjectName) -> Option<&Stored<T>> {
        self.objects.get(name)
    }

    /// All, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ObjectName, &Stored<T>)> {
        self.objects.iter()
    }

    /// Those that could not be decoded, by name.
    pub(crate) fn broken(&self) -> impl Iterator<Item = (&ObjectName, &Broken)> {
        self.broken.iter()
    }
}

/// Tells whether an object says the same as before. Collisions do not happen with SHA-256, so nothing else needs to be kept.
fn digest(object: &Value) -> [u8; 32] {
    Sha256::digest(object.to_string().as_bytes()).into()
}
