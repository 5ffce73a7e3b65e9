//! What goes with a namespace, and with a CustomResourceDefinition.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::owners::{finish, rewrite};
use crate::api::Api;
use crate::crd::CLEANUP;
use crate::object::{ObjectExt, now, set_or_remove};
use crate::rest::deletion::{DeleteOptions, Propagation, remove};
use crate::status::ApiError;
use crate::store::Key;

/// Deletes a terminating namespace's content; with the last of it, the namespace.
pub(super) async fn namespace(api: &Api, key: &Key) -> Result<(), ApiError> {
    if api.store.get(key).is_none_or(|n| !n.is_deleting()) {
        return Ok(());
    }
    let contents = api.store.keys_in(&key.name);
    empty(api, contents).await?;
    let left = api.store.keys_in(&key.name);
    if left.is_empty() {
        return rewrite(api, key, |namespace| {
            if let Some(spec) = namespace.get_mut("spec").and_then(Value::as_object_mut) {
                spec.shift_remove("finalizers");
            }
        })
        .await;
    }
    // Looked at again when one of these goes.
    let held = held_message(api, &left);
    rewrite(api, key, |namespace| set_or_remove_condition(namespace, held.as_deref())).await
}

/// Deletes the objects of a CRD that is being deleted; with the last of them, the CRD.
pub(super) async fn definition(api: &Api, key: &Key) -> Result<(), ApiError> {
    let Some(crd) = api.store.parsed(key).filter(|crd| crd.is_deleting()) else { return Ok(()) };
    let text = |pointer: &str| crd.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let shelf = format!("{}/{}", text("/spec/group"), text("/spec/names/plural"));
    let keys = || -> Vec<Key> {
        let (objects, _) = api.store.list(&shelf, None);
        let shelf = shelf.as_str().into();
        objects.iter().map(|o| Key::new(&shelf, o.namespace(), o.name())).collect()
    };
    empty(api, keys()).await?;
    if keys().is_empty() { finish(api, key, CLEANUP).await } else { Ok(()) }
}

async fn empty(api: &Api, keys: Vec<Key>) -> Result<(), ApiError> {
    let registry = api.registry();
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    for key in keys {
        let Some(resource) = registry.by_shelf(&key.shelf) else { continue };
        if api.store.get(&key).is_some_and(|o| o.is_deleting()) {
            continue;
        }
        match remove(api, resource, &key, &options).await {
            Err(error) if error.code != 404 => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Which finalizers keep what is left, if any do.
fn held_message(api: &Api, left: &[Key]) -> Option<String> {
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    for object in left.iter().filter_map(|key| api.store.parsed(key)) {
        for finalizer in object.value.finalizers() {
            *held.entry(finalizer.to_owned()).or_default() += 1;
        }
    }
    let list: Vec<String> = held.iter().map(|(finalizer, count)| format!("{finalizer} in {count} resource instances")).collect();
    (!list.is_empty()).then(|| format!("Some content in the namespace has finalizers remaining: {}", list.join(", ")))
}

/// The condition by which `kubectl get namespace -o yaml` explains what a namespace waits for.
fn set_or_remove_condition(namespace: &mut Value, held: Option<&str>) {
    const KIND: &str = "NamespaceFinalizersRemaining";
    let Some(status) = namespace.get_mut("status") else { return };
    let list = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let same = list.iter().find(|c| c.get("type") == Some(&json!(KIND)) && c.get("message").and_then(Value::as_str) == held);
    if same.is_some() {
        return;
    }
    let mut list: Vec<Value> = list.into_iter().filter(|c| c.get("type") != Some(&json!(KIND))).collect();
    if let Some(held) = held {
        let condition =
            json!({"type": KIND, "status": "True", "reason": "SomeFinalizersRemain", "message": held, "lastTransitionTime": now()});
        list.push(condition);
    }
    let conditions = (!list.is_empty()).then(|| Value::Array(list));
    set_or_remove(status, "conditions", conditions.as_ref());
}
