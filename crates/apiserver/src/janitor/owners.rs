//! Owner references: dependents go with their owners, before them, or are set free.

use serde_json::Value;

use crate::api::Api;
use crate::object::ObjectExt;
use crate::registry::Resource;
use crate::rest::ATTEMPTS;
use crate::rest::deletion::{DeleteOptions, FOREGROUND, ORPHAN, Propagation, remove};
use crate::status::ApiError;
use crate::store::{CommitError, Key, Parsed, Stored};

pub(super) async fn look(api: &Api, key: &Key) -> Result<(), ApiError> {
    let Some(stored) = api.store.parsed(key) else { return Ok(()) };
    let registry = api.registry();
    let Some(resource) = registry.by_shelf(&key.shelf) else { return Ok(()) };
    if stored.is_deleting() {
        if stored.value.finalizers().contains(&ORPHAN) {
            set_free(api, key, &stored).await?;
            finish(api, key, ORPHAN).await?;
        } else if stored.value.finalizers().contains(&FOREGROUND) && !blocked(api, &stored).await? {
            finish(api, key, FOREGROUND).await?;
        }
        return Ok(());
    }
    abandon(api, resource, key, &stored).await
}

/// What is left of an object's owners.
#[derive(Debug, Default)]
struct Owners {
    /// Still there.
    alive: usize,
    /// There, but waiting for this object to go first.
    waiting: Vec<String>,
    /// Nowhere.
    gone: Vec<String>,
    total: usize,
}

fn owners(api: &Api, object: &Value) -> Owners {
    let mut owners = Owners::default();
    for reference in object.owner_references() {
        owners.total += 1;
        let uid = reference.get("uid").and_then(Value::as_str).unwrap_or_default();
        // An owner in another namespace is no owner.
        let reachable = |key: &Key| key.namespace.is_empty() || &*key.namespace == object.namespace();
        let Some(owner) = api.store.by_uid(uid).filter(reachable).and_then(|key| api.store.parsed(&key)) else {
            owners.gone.push(uid.to_owned());
            continue;
        };
        if owner.is_deleting() && owner.value.finalizers().contains(&FOREGROUND) {
            owners.waiting.push(uid.to_owned());
        } else {
            owners.alive += 1;
        }
    }
    owners
}

/// Deletes an object all of whose owners are gone (or wait for it). Owners that wait or are gone are let go when another one stays.
async fn abandon(api: &Api, resource: &Resource, key: &Key, stored: &Parsed) -> Result<(), ApiError> {
    let owners = owners(api, &stored.value);
    let left: Vec<String> = owners.waiting.iter().chain(&owners.gone).cloned().collect();
    if owners.alive > 0 && !left.is_empty() {
        return rewrite(api, key, |object| disown(object, &left)).await;
    }
    if owners.total == 0 || owners.alive > 0 {
        return Ok(());
    }
    let propagation = if !owners.waiting.is_empty() { Some(Propagation::Foreground) } else { None };
    let options = DeleteOptions { propagation, uid: Some(stored.uid().to_owned()), ..DeleteOptions::default() };
    remove(api, resource, key, &options).await.map(drop)
}

/// Whether dependents that block still exist; asks each to go.
async fn blocked(api: &Api, owner: &Stored) -> Result<bool, ApiError> {
    let uid = owner.uid();
    let mut blocked = false;
    for key in api.store.dependents(uid) {
        let Some(dependent) = api.store.parsed(&key) else { continue };
        let reference = dependent.value.owner_references().iter().find(|r| r.get("uid").and_then(Value::as_str) == Some(uid));
        blocked |= reference.is_some_and(|r| r.get("blockOwnerDeletion") == Some(&Value::Bool(true)));
        if !dependent.is_deleting() {
            api.store.suspect(key);
        }
    }
    Ok(blocked)
}

/// Takes this owner out of every dependent's references.
async fn set_free(api: &Api, owner: &Key, stored: &Stored) -> Result<(), ApiError> {
    let uid = [stored.uid().to_owned()];
    for key in api.store.dependents(stored.uid()) {
        rewrite(api, &key, |object| disown(object, &uid)).await?;
    }
    tracing::debug!(name = %owner.name, "dependents set free");
    Ok(())
}

/// Takes the references to these owners out.
fn disown(object: &mut Value, owners: &[String]) {
    let is_owner = |uid: &str| owners.iter().any(|owner| owner == uid);
    let left: Vec<Value> =
        object.owner_references().iter().filter(|r| !r.get("uid").and_then(Value::as_str).is_some_and(is_owner)).cloned().collect();
    if left.is_empty() {
        object.unset_meta("ownerReferences");
    } else {
        object.set_meta("ownerReferences", left);
    }
}

/// Takes a finalizer off; the object goes when it was the last.
pub(super) async fn finish(api: &Api, key: &Key, finalizer: &str) -> Result<(), ApiError> {
    rewrite(api, key, |object| object.remove_finalizer(finalizer)).await
}

/// Changes an object as only the server may. It goes when it is being deleted and nothing holds it any more.
pub(super) async fn rewrite(api: &Api, key: &Key, change: impl Fn(&mut Value)) -> Result<(), ApiError> {
    for _ in 0..ATTEMPTS {
        let Some(old) = api.store.parsed(key) else { return Ok(()) };
        let mut new = old.value.clone();
        change(&mut new);
        if new == old.value {
            return Ok(());
        }
        let gone = crate::rest::update::released(&new) && new.is_deleting();
        match api.replace(key, &old, (!gone).then_some(new)).await {
            Err(CommitError::Stale) => {}
            other => return Ok(other.map(drop)?),
        }
    }
    Err(CommitError::Stale.into())
}
