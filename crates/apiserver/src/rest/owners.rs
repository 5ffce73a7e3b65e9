//! Who writes, and what that does to the owners of an object's fields.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::options::WriteOptions;
use super::route::Request;
use super::update::Part;
use crate::apply::{Managed, Managers, Operation, Typed, Who, update};
use crate::registry::{Origin, Resource};
use crate::store::Parsed;

/// Characters of a manager's name that is made from a user agent.
const MAX_NAME: usize = 128;

/// The resource's type, as owners are told by it.
pub(super) fn typed(resource: &Resource) -> Typed<'_> {
    match &resource.origin {
        Origin::Builtin(builtin) => Typed::Object(&builtin.schema().root),
        Origin::Custom(structural) => Typed::Object(&structural.root),
    }
}

/// Top-level fields that writing this part does not change.
pub(super) fn reset(resource: &Resource, part: Part) -> &'static [&'static str] {
    match part {
        Part::Status => &["metadata", "spec"],
        // Namespaces have nothing in their spec that is their writer's.
        _ if resource.is("", "namespaces") => &["spec", "status"],
        _ if resource.has_status => &["status"],
        _ => &[],
    }
}

/// The manager of a request: the one it names, else the name in its user agent.
pub(super) fn who(request: &Request, options: &WriteOptions, resource: &Resource, part: Part, operation: Operation) -> Who {
    let named = options.manager.clone().unwrap_or_else(|| {
        let agent = request.header("user-agent").unwrap_or_default();
        agent.split('/').next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
    });
    let manager = if named.is_empty() { "unknown".to_owned() } else { named };
    Who { manager, operation, api_version: resource.api_version(), subresource: part.subresource().to_owned() }
}

/// Unix seconds.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The owners after an update of `old` to `new`. `given` is what the writer sent as `managedFields`.
pub(super) fn updated(resource: &Resource, part: Part, old: &Parsed, new: &Value, given: Option<&Value>, who: &Who) -> Managed {
    // A subresource has no say in who owns the whole.
    let given = given.filter(|_| part == Part::Main);
    if given.is_some_and(Managers::is_reset) {
        return Managed::default();
    }
    // Clients that know nothing of owners send none; that must not make everybody lose theirs.
    let before = given.and_then(|list| Managers::from_value(list).ok()).filter(|m| !m.is_empty()).unwrap_or_else(|| old.managed.managers());
    // Not known since the beginning, and not asked for since.
    if before.is_empty() {
        return Managed::default();
    }
    match update(typed(resource), &old.value, new, before, who, now(), reset(resource, part)) {
        Ok(managers) => Managed::new(&managers),
        // A list without its keys, written before its schema asked for them.
        Err(_) => old.managed.clone(),
    }
}

/// The owners of a new object. `asked` is the object as it came, before its defaults.
pub(super) fn created(resource: &Resource, asked: &Value, new: &Value, given: Option<&Value>, who: &Who) -> Managed {
    let mut new = Cow::Borrowed(new);
    if resource.is("", "services")
        && let Some(spec) = new.to_mut().get_mut("spec").and_then(Value::as_object_mut)
    {
        // Chosen with the address, not by the writer.
        let chosen = |field: &str| asked.pointer(&format!("/spec/{field}")).is_none();
        spec.retain(|field, _| !(matches!(field.as_str(), "ipFamilies" | "ipFamilyPolicy" | "clusterIPs") && chosen(field)));
    }
    let before = given.and_then(|list| Managers::from_value(list).ok()).unwrap_or_default();
    let nothing = json!({"apiVersion": new.get("apiVersion"), "kind": new.get("kind")});
    let managers = update(typed(resource), &nothing, &new, before, who, now(), reset(resource, Part::Main));
    managers.map(|managers| Managed::new(&managers)).unwrap_or_default()
}
