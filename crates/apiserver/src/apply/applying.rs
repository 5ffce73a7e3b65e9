//! Applying a configuration to an object.

use serde_json::{Value, json};

use super::compare::compare;
use super::conflict::Conflict;
use super::last_applied;
use super::managers::{Entry, Managers, Operation, Who};
use super::merge::merge;
use super::remove::remove;
use super::set::FieldSet;
use super::to_set::{to_set, with_named};
use super::typed::Typed;
use super::update::{conflicts, take, update, without_servers};
use super::validate;

/// The manager whose applying takes over what its client-side apply left in an annotation.
const KUBECTL: &str = "kubectl";
/// Owns what was there before anybody's ownership was known.
const BEFORE: &str = "before-first-apply";

/// What is applied, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Configuration<'a> {
    pub(crate) object: &'a Value,
    pub(crate) who: &'a Who,
    /// Takes what others own.
    pub(crate) force: bool,
    /// Unix seconds.
    pub(crate) now: i64,
    /// Top-level fields that this path does not write.
    pub(crate) reset: &'a [&'a str],
}

/// What applying made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Applied {
    pub(crate) object: Value,
    pub(crate) managers: Managers,
}

/// Why nothing was applied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ApplyError {
    /// The configuration does not fit the schema: where and how.
    Typed(String),
    /// Others own what it would change.
    Conflicts(Vec<Conflict>),
    /// A stored list cannot be merged with.
    Merge(String),
}

/// Applies a configuration to `live`, which for a new object has nothing but its kind and version.
pub(crate) fn apply(
    typed: Typed<'_>,
    live: &Value,
    mut managers: Managers,
    configuration: &Configuration<'_>,
) -> Result<Applied, ApplyError> {
    if let Some(problem) = validate::problems(typed, configuration.object) {
        return Err(ApplyError::Typed(problem));
    }
    if managers.is_empty() {
        let nothing = json!({"apiVersion": live.get("apiVersion"), "kind": live.get("kind")});
        let Configuration { who, now, reset, .. } = configuration;
        let before = Who {
            manager: BEFORE.to_owned(),
            operation: Operation::Update,
            api_version: who.api_version.clone(),
            subresource: who.subresource.clone(),
        };
        managers = update(typed, &nothing, live, managers, &before, *now, reset).map_err(ApplyError::Merge)?;
    }
    let mut result = step(typed, live, &managers, configuration, configuration.force);
    if configuration.who.manager == KUBECTL
        && let Err(ApplyError::Conflicts(found)) = &result
    {
        result = match last_applied::left(typed, live, &configuration.who.api_version, found) {
            Some(left) if left.is_empty() => step(typed, live, &managers, configuration, true),
            Some(left) => Err(ApplyError::Conflicts(left)),
            None => result,
        };
    }
    let mut applied = result?;
    if configuration.who.manager == KUBECTL {
        last_applied::renew(&mut applied.object, configuration.object);
    }
    Ok(applied)
}

fn step(typed: Typed<'_>, live: &Value, before: &Managers, configuration: &Configuration<'_>, force: bool) -> Result<Applied, ApplyError> {
    let Configuration { object, who, now, reset, .. } = configuration;
    let mut managers = before.clone();
    let merged = merge(typed, Some(live), Some(object)).map_err(ApplyError::Merge)?.unwrap_or_else(|| json!({}));
    let last = managers.take(who);
    let fields = to_set(typed, object).without_fields(reset);
    let own = Entry { who: Who::clone(who), time: last.as_ref().and_then(|entry| entry.time), fields };
    managers.entries.push(own.clone());
    let new = match &last {
        Some(last) => prune(typed, merged, &managers, &last.fields),
        None => merged,
    };
    let difference = compare(typed, live, &new).map_err(ApplyError::Merge)?.without_fields(reset);
    let found = conflicts(&difference, &managers, who);
    if !force && !found.is_empty() {
        return Err(ApplyError::Conflicts(found));
    }
    take(&difference, &mut managers, &own);
    if let Some(mut own) = managers.take(who) {
        own.fields = without_servers(&own.fields);
        // What changes nothing happened at no time: who comes to share what is there has an entry without one.
        if new != *live {
            own.time = Some(*now);
        }
        if !own.fields.is_empty() {
            managers.entries.push(own);
        }
    }
    managers.sort();
    Ok(Applied { object: new, managers })
}

/// Removes what the manager applied last and does not apply now, unless somebody else owns it.
fn prune(typed: Typed<'_>, merged: Value, managers: &Managers, last: &FieldSet) -> Value {
    if last.is_empty() {
        return merged;
    }
    let last = with_named(typed, last);
    let without = |gone: &FieldSet| remove(typed, &merged, gone).unwrap_or_else(|| json!({}));
    let pruned = without(&last);
    let has = with_named(typed, &to_set(typed, &merged));
    let owned = managers.entries.iter().fold(FieldSet::default(), |all, entry| all.union(&entry.fields));
    // Back comes what anybody owns,
    let keeps = with_named(typed, &to_set(typed, &pruned)).union(&with_named(typed, &owned));
    let pruned = without(&has.difference(&keeps));
    // and what this manager did not own in the first place.
    let keeps = with_named(typed, &to_set(typed, &pruned));
    without(&has.difference(&keeps).intersection(&last))
}
