//! Owners as they are kept: thousands of objects that the same managers write in the same way share their entries' texts.

use std::collections::HashSet;
use std::hash::Hash;
use std::io::Write;
use std::sync::Arc;

use serde_json::Value;

use super::fields_v1;
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

    /// Writes JSON as `metadata.managedFields` has it.
    pub(crate) fn write(&self, json: &mut Vec<u8>) {
        json.push(b'[');
        for (index, entry) in self.entries().iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            entry.write(json);
        }
        json.push(b']');
    }

    /// As `metadata.managedFields` has it.
    pub(crate) fn to_value(&self) -> Value {
        let mut json = Vec::with_capacity(self.size());
        self.write(&mut json);
        serde_json::from_slice(&json).unwrap_or_default()
    }

    /// Bytes of its JSON, about.
    pub(crate) fn size(&self) -> usize {
        self.entries().iter().map(|kept| kept.fields.len() + 192).sum()
    }

    /// Whether both are the same in memory, not only equal.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
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

impl Kept {
    fn write(&self, json: &mut Vec<u8>) {
        let Who { manager, operation, api_version, subresource } = &*self.who;
        for (field, text) in
            [("{\"manager\":", manager.as_str()), (",\"operation\":", operation.as_str()), (",\"apiVersion\":", api_version)]
        {
            json.extend_from_slice(field.as_bytes());
            quote(text, json);
        }
        if let Some(time) = self.time.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()) {
            // Memory takes all that is written to it; whole seconds have no fraction.
            let _ = write!(json, ",\"time\":\"{time}\"");
        }
        json.extend_from_slice(b",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":");
        json.extend_from_slice(self.fields.as_bytes());
        if !subresource.is_empty() {
            json.extend_from_slice(b",\"subresource\":");
            quote(subresource, json);
        }
        json.push(b'}');
    }
}

fn quote(text: &str, json: &mut Vec<u8>) {
    // Any text can be written, and memory takes all that is written to it.
    let _ = serde_json::to_writer(json, text);
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

/// Values that are kept once, however many need them.
#[derive(Debug)]
pub(crate) struct Shared<T: ?Sized> {
    known: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Shared<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), sweep_at: SWEEP }
    }
}

impl<T: ?Sized + Hash + Eq> Shared<T> {
    /// The same value, the one that others have too.
    pub(crate) fn one(&mut self, value: &Arc<T>) -> Arc<T> {
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
