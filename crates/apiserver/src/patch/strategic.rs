//! Strategic merge patch: lists of built-in kinds merge by their keys, and patches carry directives.

mod list;

use serde_json::{Map, Value};

use crate::{
    builtin::Builtin,
    schema::{Additional, Node},
};

/// The directive inside an object: `replace`, `delete` or `merge`.
const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";

/// Applies a strategic merge patch to an object of `kind`. The error is the server's message for a 422 or 400 answer.
pub fn strategic(kind: &Builtin, target: &Value, patch: &Value) -> Result<Value, String> {
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        let found = match patch {
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            _ => "bool",
        };
        return Err(format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"));
    };
    let mut merged = target.clone();
    merge_object(Some(&kind.schema().root), &mut merged, patch)?;
    Ok(Value::Object(merged))
}

/// How a list merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    /// The patch's list takes the place of the old one.
    Atomic,
    /// Objects with the same value of this field are the same item.
    Key(&'static str),
    /// Strings that are not there yet are added.
    Primitives,
}

/// The strategy of a list field. From the `patchStrategy` and `patchMergeKey` tags of the Go types.
fn strategy(owner: Option<&Node>, field: &str) -> Strategy {
    strategy_of(owner.and_then(|node| node.definition.as_deref()).unwrap_or_default(), field)
}

/// `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key` of a field, for OpenAPI documents: kubectl computes its patches by them.
pub(crate) fn patch_tags(owner: &str, field: &str) -> Option<(&'static str, Option<&'static str>)> {
    match (owner, field, strategy_of(owner, field)) {
        ("v1.DeploymentSpec", "strategy", _) => Some(("retainKeys", None)),
        ("v1.PodSpec", "volumes" | "resourceClaims", Strategy::Key(key)) => Some(("merge,retainKeys", Some(key))),
        ("v1.PodStatus", "resourceClaimStatuses", Strategy::Key(key)) => Some(("merge,retainKeys", Some(key))),
        (_, _, Strategy::Key(key)) => Some(("merge", Some(key))),
        (_, _, Strategy::Primitives) => Some(("merge", None)),
        (_, _, Strategy::Atomic) => None,
    }
}

fn strategy_of(owner: &str, field: &str) -> Strategy {
    match (owner, field) {
        ("v1.ObjectMeta", "finalizers") | ("v1.NodeSpec", "podCIDRs") => Strategy::Primitives,
        ("v1.ObjectMeta", "ownerReferences") => Strategy::Key("uid"),
        ("v1.Container" | "v1.EphemeralContainer", "ports") => Strategy::Key("containerPort"),
        ("v1.Container" | "v1.EphemeralContainer", "env") => Strategy::Key("name"),
        ("v1.Container" | "v1.EphemeralContainer" | "v1.ContainerStatus", "volumeMounts") => Strategy::Key("mountPath"),
        ("v1.Container" | "v1.EphemeralContainer", "volumeDevices") => Strategy::Key("devicePath"),
        ("v1.ContainerStatus", "allocatedResourcesStatus") => Strategy::Key("name"),
        (
            "v1.PodSpec",
            "volumes" | "initContainers" | "containers" | "ephemeralContainers" | "imagePullSecrets" | "schedulingGates" | "resourceClaims",
        ) => Strategy::Key("name"),
        ("v1.PodSpec", "hostAliases") | ("v1.PodStatus", "hostIPs" | "podIPs") => Strategy::Key("ip"),
        ("v1.PodSpec", "topologySpreadConstraints") => Strategy::Key("topologyKey"),
        ("v1.PodStatus", "resourceClaimStatuses") | ("v1.ServiceAccount", "secrets") => Strategy::Key("name"),
        ("v1.ServiceSpec", "ports") => Strategy::Key("port"),
        ("v1.NodeStatus", "addresses") => Strategy::Key("type"),
        // Not of CustomResourceDefinitionStatus, which has no patch tags.
        (owner, "conditions") if owner.ends_with("Status") && owner != "v1.CustomResourceDefinitionStatus" => Strategy::Key("type"),
        _ => Strategy::Atomic,
    }
}

fn child<'n>(node: Option<&'n Node>, field: &str) -> Option<&'n Node> {
    let node = node?;
    node.properties.get(field).map(AsRef::as_ref).or(match &node.additional {
        Additional::Schema(child) => Some(child.as_ref()),
        Additional::None | Additional::Any => None,
    })
}

fn merge_object(node: Option<&Node>, target: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), String> {
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
        Some("replace") => {
            *target = patch.iter().filter(|(key, _)| key.as_str() != PATCH).map(|(key, value)| (key.clone(), value.clone())).collect();
            return Ok(());
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(bad_directive(other, patch)),
    }
    retain_keys(target, patch)?;
    for (key, change) in patch {
        if let Some(field) = key.strip_prefix(DELETE_PRIMITIVES) {
            let gone = change.as_array().ok_or("delete from primitive list must be a list")?;
            if let Some(Value::Array(list)) = target.get_mut(field) {
                list.retain(|item| !gone.contains(item));
            }
        }
    }
    for (key, change) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        merge_field(node, target, patch, key, change)?;
    }
    for (key, order) in patch {
        if let Some(field) = key.strip_prefix(ORDER)
            && !patch.contains_key(field)
        {
            order_field(node, target, field, order)?;
        }
    }
    Ok(())
}

fn merge_field(
    node: Option<&Node>,
    target: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    key: &str,
    change: &Value,
) -> Result<(), String> {
    let order = patch.get(&format!("{ORDER}{key}"));
    match (target.get_mut(key), change) {
        (_, Value::Null) => drop(target.shift_remove(key)),
        (Some(Value::Object(old)), Value::Object(new)) => merge_object(child(node, key), old, new)?,
        (Some(Value::Array(old)), Value::Array(new)) => {
            let before = old.clone();
            let strategy = strategy(node, key);
            list::merge(child(node, key).and_then(|list| list.items.as_deref()), strategy, old, new)?;
            if strategy != Strategy::Atomic || order.is_some() {
                // What the patch names goes first, unless it says otherwise.
                list::order(strategy, old, &before, order.unwrap_or(change))?;
            }
        }
        (_, change) => match without_directives(change) {
            Some(value) => drop(target.insert(key.to_owned(), value)),
            None => drop(target.shift_remove(key)),
        },
    }
    Ok(())
}

fn order_field(node: Option<&Node>, target: &mut Map<String, Value>, field: &str, order: &Value) -> Result<(), String> {
    if let Some(Value::Array(items)) = target.get_mut(field) {
        let before = items.clone();
        list::order(strategy(node, field), items, &before, order)?;
    }
    Ok(())
}

/// `$retainKeys`: what it does not name is dropped from the target; the patch may set nothing else.
fn retain_keys(target: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), String> {
    const BAD: &str = "invalid patch format of retainKeys";
    let Some(keep) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let keep: Vec<&str> = keep.as_array().ok_or(BAD)?.iter().filter_map(Value::as_str).collect();
    if patch.iter().any(|(key, value)| !value.is_null() && !key.starts_with('$') && !keep.contains(&key.as_str())) {
        return Err(BAD.to_owned());
    }
    target.retain(|key, _| keep.contains(&key.as_str()));
    Ok(())
}

/// A value that is new in the target: directives and nulls mean nothing there. None when the value itself says `$patch: delete`.
fn without_directives(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Object(fields) => {
            if fields.get(PATCH).is_some_and(|directive| directive == "delete") {
                return None;
            }
            let kept = fields.iter().filter(|(key, value)| !key.starts_with('$') && !value.is_null());
            Value::Object(kept.filter_map(|(key, value)| Some((key.clone(), without_directives(value)?))).collect())
        }
        Value::Array(items) => {
            let alone = |item: &&Value| item.as_object().is_none_or(|fields| fields.get(PATCH).is_none_or(|d| d == "merge"));
            Value::Array(items.iter().filter(alone).filter_map(without_directives).collect())
        }
        other => other.clone(),
    })
}

fn bad_directive(directive: &str, patch: &Map<String, Value>) -> String {
    format!("unknown patch type: {directive} in map: {}", crate::schema::text::go_value(&Value::Object(patch.clone())))
}
