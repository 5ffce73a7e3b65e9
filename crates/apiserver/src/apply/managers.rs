//! Who owns what: the entries of `metadata.managedFields`.

use std::cmp::Ordering;

use serde_json::Value;

use super::fields_v1;
use super::set::FieldSet;

/// Update entries that an object keeps; older ones are told as one.
const MAX_UPDATERS: usize = 10;
/// The manager that stands for them.
const ANCIENT: &str = "ancient-changes";

/// How fields came to be owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Operation {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// A manager, as far as entries are told apart by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    pub(crate) manager: String,
    pub(crate) operation: Operation,
    pub(crate) api_version: String,
    /// `status`, `scale`; empty for the object itself.
    pub(crate) subresource: String,
}

impl Who {
    /// Whether both write into the same entry: an applier's goes on when it applies another version.
    fn is_same(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) who: Who,
    /// Unix seconds.
    pub(crate) time: Option<i64>,
    pub(crate) fields: FieldSet,
}

/// All entries of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Managers {
    pub(crate) entries: Vec<Entry>,
}

impl Managers {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get(&self, who: &Who) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.who.is_same(who))
    }

    /// Takes an entry out.
    pub(super) fn take(&mut self, who: &Who) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.who.is_same(who))?;
        Some(self.entries.remove(at))
    }

    /// Whether a client asks for ownership to be forgotten: an empty list, or a list of one empty entry.
    pub(crate) fn is_reset(value: &Value) -> bool {
        match value.as_array().map(Vec::as_slice) {
            Some([]) => true,
            Some([one]) => one.as_object().is_some_and(serde_json::Map::is_empty),
            _ => false,
        }
    }

    /// Reads `metadata.managedFields`.
    pub(crate) fn from_value(value: &Value) -> Result<Self, String> {
        let mut managers = Self::default();
        for (index, entry) in value.as_array().into_iter().flatten().enumerate() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let operation = match text("operation").as_str() {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            if text("apiVersion").is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            if text("fieldsType") != "FieldsV1" {
                return Err(format!("invalid fieldsType {:?} in managed fields entry {index}", text("fieldsType")));
            }
            let fields = match entry.get("fieldsV1") {
                None | Some(Value::Null) => FieldSet::default(),
                Some(fields) => fields_v1::from_value(fields)?,
            };
            let time = text("time").parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
            let who = Who { manager: text("manager"), operation, api_version: text("apiVersion"), subresource: text("subresource") };
            managers.take(&who);
            managers.entries.push(Entry { who, time, fields });
        }
        Ok(managers)
    }

    /// Puts the entries in the order in which they are shown.
    pub(super) fn sort(&mut self) {
        self.entries.sort_by(order);
    }

    /// Keeps the number of updaters within bounds: the oldest become one.
    pub(super) fn cap(&mut self) {
        self.sort();
        let is_update = |entry: &&Entry| entry.who.operation == Operation::Update;
        let mut over = self.entries.iter().filter(is_update).count().saturating_sub(MAX_UPDATERS);
        let mut index = 0;
        // Two of one version are needed to make one of them.
        while over > 0 && index < self.entries.len() {
            let Some(entry) = self.entries.get(index).filter(is_update) else {
                index += 1;
                continue;
            };
            let version = entry.who.api_version.clone();
            let next =
                self.entries.iter().skip(index + 1).position(|e| e.who.operation == Operation::Update && e.who.api_version == version);
            let Some(next) = next.map(|offset| index + 1 + offset) else {
                index += 1;
                continue;
            };
            let later = self.entries.remove(next);
            if let Some(entry) = self.entries.get_mut(index) {
                entry.who =
                    Who { manager: ANCIENT.to_owned(), operation: Operation::Update, api_version: version, subresource: String::new() };
                entry.fields = entry.fields.union(&later.fields);
                entry.time = later.time;
            }
            over -= 1;
        }
        self.sort();
    }
}

fn order(a: &Entry, b: &Entry) -> Ordering {
    let key = |e: &Entry| (e.who.operation, e.time.unwrap_or(0));
    key(a).cmp(&key(b)).then_with(|| {
        let key = |e: &Entry| (e.who.manager.clone(), e.who.api_version.clone(), e.who.subresource.clone());
        key(a).cmp(&key(b))
    })
}
