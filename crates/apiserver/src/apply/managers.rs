//! Who owns what: the entries of `metadata.managedFields`.

use std::cmp::Ordering;
use std::collections::HashMap;

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

    /// The same for all who write into the same entry.
    fn place(&self) -> Self {
        let mut place = self.clone();
        if self.operation == Operation::Apply {
            place.api_version.clear();
        }
        place
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
        // Of several entries for one manager the last counts, at its place.
        let mut places: HashMap<Who, usize> = HashMap::new();
        let mut entries: Vec<Option<Entry>> = Vec::new();
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
            if let Some(before) = places.insert(who.place(), entries.len())
                && let Some(before) = entries.get_mut(before)
            {
                *before = None;
            }
            entries.push(Some(Entry { who, time, fields }));
        }
        Ok(Self { entries: entries.into_iter().flatten().collect() })
    }

    /// Puts the entries in the order in which they are shown.
    pub(super) fn sort(&mut self) {
        self.entries.sort_by(order);
    }

    /// Keeps the number of updaters within bounds: the oldest become one for each version, of which there must be two.
    pub(super) fn cap(&mut self) {
        self.sort();
        let mut updaters: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut count = 0;
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.who.operation == Operation::Update) {
            updaters.entry(&entry.who.api_version).or_default().push(index);
            count += 1;
        }
        let mut over = usize::saturating_sub(count, MAX_UPDATERS);
        if over == 0 {
            return;
        }
        let mut groups: Vec<Vec<usize>> = updaters.into_values().filter(|group| group.len() > 1).collect();
        groups.sort();
        let mut entries: Vec<Option<Entry>> = std::mem::take(&mut self.entries).into_iter().map(Some).collect();
        for group in groups {
            let merged = group.len().min(over + 1);
            over -= merged - 1;
            if merged < 2 {
                break;
            }
            let taken = group.iter().take(merged).filter_map(|index| entries.get_mut(*index)?.take());
            let (first, ancient) = (group.first().copied().unwrap_or_default(), ancient(taken.collect()));
            if let Some(place) = entries.get_mut(first) {
                *place = ancient;
            }
        }
        self.entries = entries.into_iter().flatten().collect();
        self.sort();
    }
}

/// Entries of one version as one, with the time of the youngest.
fn ancient(entries: Vec<Entry>) -> Option<Entry> {
    let last = entries.last()?;
    let (time, api_version) = (last.time, last.who.api_version.clone());
    let mut sets: Vec<FieldSet> = entries.into_iter().map(|entry| entry.fields).collect();
    // In pairs, so that none is copied more often than there are rounds.
    while sets.len() > 1 {
        sets = sets.chunks(2).map(|pair| pair.iter().skip(1).fold(pair.first().cloned().unwrap_or_default(), |a, b| a.union(b))).collect();
    }
    let who = Who { manager: ANCIENT.to_owned(), operation: Operation::Update, api_version, subresource: String::new() };
    Some(Entry { who, time, fields: sets.pop()? })
}

fn order(a: &Entry, b: &Entry) -> Ordering {
    let key = |e: &Entry| (e.who.operation, e.time.unwrap_or(0));
    key(a).cmp(&key(b)).then_with(|| {
        let key = |e: &Entry| (e.who.manager.clone(), e.who.api_version.clone(), e.who.subresource.clone());
        key(a).cmp(&key(b))
    })
}
