//! Owners as they are kept: thousands of objects that the same managers write in the same way share their entries' texts.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use super::fields_v1::{self, Text};
use super::managers::{Entry, Managers, Who};

/// Interned texts are looked through for unused ones when there are this many, and then when there are twice as many as were left.
const SWEEP: usize = 1024;

/// The `managedFields` of a stored object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Managed(Option<Arc<[Kept]>>);

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    who: Arc<Who>,
    /// As JSON text.
    fields: Arc<str>,
    time: Option<i64>,
}

impl Managed {
    pub(crate) fn new(managers: &Managers) -> Self {
        let kept: Vec<Kept> = managers
            .entries
            .iter()
            .map(|entry| Kept { who: Arc::new(entry.who.clone()), fields: fields_v1::text(&entry.fields).into(), time: entry.time })
            .collect();
        Self((!kept.is_empty()).then(|| kept.into()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn entries(&self) -> &[Kept] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The entries with their sets. What is kept was written here, so it can be read.
    pub(crate) fn managers(&self) -> Managers {
        let entry = |kept: &Kept| Some(Entry { who: Who::clone(&kept.who), time: kept.time, fields: fields_v1::parse(&kept.fields).ok()? });
        Managers { entries: self.entries().iter().filter_map(entry).collect() }
    }

    /// As `metadata.managedFields` has it.
    pub(crate) fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Takes `managedFields` out of an object's metadata.
    pub(crate) fn take_from(object: &mut Value) -> Option<Value> {
        object.get_mut("metadata")?.as_object_mut()?.shift_remove("managedFields")
    }

    /// Whether both hold the very same texts.
    #[cfg(test)]
    pub(super) fn shares(&self, other: &Self) -> bool {
        let same = |(a, b): (&Kept, &Kept)| Arc::ptr_eq(&a.who, &b.who) && Arc::ptr_eq(&a.fields, &b.fields);
        self.entries().iter().zip(other.entries()).all(same)
    }

    /// Whether others than their times are different.
    pub(crate) fn same_fields(&self, other: &Self) -> bool {
        let same = |(a, b): (&Kept, &Kept)| a.who == b.who && a.fields == b.fields;
        self.entries().len() == other.entries().len() && self.entries().iter().zip(other.entries()).all(same)
    }
}

impl Serialize for Managed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.entries().len()))?;
        for entry in self.entries() {
            list.serialize_element(entry)?;
        }
        list.end()
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Who { manager, operation, api_version, subresource } = &*self.who;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("manager", manager)?;
        map.serialize_entry("operation", operation.as_str())?;
        map.serialize_entry("apiVersion", api_version)?;
        if let Some(time) = self.time.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()) {
            map.serialize_entry("time", &time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())?;
        }
        map.serialize_entry("fieldsType", "FieldsV1")?;
        map.serialize_entry("fieldsV1", &Text(&self.fields))?;
        if !subresource.is_empty() {
            map.serialize_entry("subresource", subresource)?;
        }
        map.end()
    }
}

/// Makes equal texts and managers one.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    texts: Shared<str>,
    managers: Shared<Who>,
}

impl Interner {
    /// Texts that are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.texts.known.len() + self.managers.known.len()
    }

    /// The same entries, sharing what other objects have too.
    pub(crate) fn intern(&mut self, managed: &Managed) -> Managed {
        let shared: Option<Vec<Kept>> = managed.0.as_deref().map(|entries| {
            let one = |kept: &Kept| Kept { who: self.managers.one(&kept.who), fields: self.texts.one(&kept.fields), time: kept.time };
            entries.iter().map(one).collect()
        });
        Managed(shared.map(Into::into))
    }
}

#[derive(Debug)]
struct Shared<T: ?Sized> {
    known: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Shared<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), sweep_at: SWEEP }
    }
}

impl<T: ?Sized + Hash + Eq> Shared<T> {
    fn one(&mut self, value: &Arc<T>) -> Arc<T> {
        if let Some(known) = self.known.get(value) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.sweep_at = SWEEP.max(2 * self.known.len());
        }
        self.known.insert(Arc::clone(value));
        Arc::clone(value)
    }
}
