//! Who owns what after an object was written by other means than applying.

use serde_json::Value;

use super::compare::{Difference, compare};
use super::conflict::Conflict;
use super::element::Element;
use super::managers::{Entry, Managers, Who};
use super::set::{Branch, FieldSet};
use super::typed::Typed;

/// Fields that nobody owns: the server keeps them, or they name the object.
const SERVERS: [&str; 9] =
    ["name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"];

/// The owners after `old` became `new` by `who` at `now` (Unix seconds). `reset` names the top-level fields that this way of writing
/// cannot change. The error says which list cannot be compared.
pub(crate) fn update(
    typed: Typed<'_>,
    old: &Value,
    new: &Value,
    mut managers: Managers,
    who: &Who,
    now: i64,
    reset: &[&str],
) -> Result<Managers, String> {
    let difference = compare(typed, old, new)?.without_fields(reset);
    let changed = difference.modified.union(&difference.added);
    for entry in &mut managers.entries {
        entry.fields = entry.fields.difference(&changed).difference(&difference.removed);
    }
    let mine = without_servers(&changed);
    if !mine.is_empty() {
        let before = managers.take(who).map(|entry| entry.fields).unwrap_or_default();
        managers.entries.push(Entry { who: who.clone(), time: Some(now), fields: mine.union(&before) });
    }
    managers.entries.retain(|entry| !entry.fields.is_empty());
    managers.cap();
    Ok(managers)
}

/// What others own of that which changed.
pub(super) fn conflicts(difference: &Difference, managers: &Managers, who: &Who) -> Vec<Conflict> {
    let changed = difference.modified.union(&difference.added);
    let others = managers.entries.iter().filter(|entry| managers.get(who).is_none_or(|own| !std::ptr::eq(own, *entry)));
    let found = others.map(|entry| Conflict { who: entry.who.clone(), fields: entry.fields.intersection(&changed) });
    found.filter(|conflict| !conflict.fields.is_empty()).collect()
}

/// Takes from all others what changed and what is gone.
pub(super) fn take(difference: &Difference, managers: &mut Managers, own: &Entry) {
    let changed = difference.modified.union(&difference.added);
    for entry in managers.entries.iter_mut().filter(|entry| entry.who != own.who) {
        entry.fields = entry.fields.difference(&changed).difference(&difference.removed);
    }
    managers.entries.retain(|entry| !entry.fields.is_empty());
}

/// A set without what nobody owns.
pub(super) fn without_servers(set: &FieldSet) -> FieldSet {
    let mut names = FieldSet::default();
    for name in SERVERS {
        names.add(Branch { element: Element::field(name), member: true, below: FieldSet::default() });
    }
    let mut servers = FieldSet::default();
    for (name, below) in [("apiVersion", FieldSet::default()), ("kind", FieldSet::default()), ("metadata", names)] {
        servers.add(Branch { element: Element::field(name), member: true, below });
    }
    set.difference(&servers)
}
