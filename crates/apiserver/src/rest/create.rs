//! POST: new objects.

use std::sync::Arc;

use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::accept::Accept;
use super::options::WriteOptions;
use super::route::Request;
use super::update::{Part, drop_empty};
use super::{ATTEMPTS, Target, admit, body, owners, present};
use crate::api::Api;
use crate::apply::{Managed, Managers, Operation, Who};
use crate::object::{ObjectExt, now};
use crate::registry::{CRDS, Resource};
use crate::rest::Reply;
use crate::status::ApiError;
use crate::store::{Change, CommitError, Expect, Key, Stored};
use crate::{builtin, events};

/// Characters of generated names: no vowels, so no words; nothing that looks like another.
const GENERATED: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// A generated name's base is cut so that the whole fits into a DNS label.
const GENERATED_BASE: usize = 58;

pub(super) async fn post(
    api: &Api,
    request: &Request,
    target: &Target,
    resource: &Arc<Resource>,
    accept: Accept,
) -> Result<Reply, ApiError> {
    let options = WriteOptions::from_query(&request.query, "CreateOptions")?;
    let mut decoded = body::decode_kind(request, resource)?;
    let mut warnings = admit::fields(resource, &mut decoded, options.validation).map_err(|e| admit::refused(resource, &e))?;
    warnings.extend(admit::warnings(resource, &decoded.object, None));
    let mut object = decoded.object;
    place(&mut object, target, resource)?;
    if resource.group == "events.k8s.io" {
        object = events::to_core(&object);
        let errors = builtin::new_event(&object);
        if !errors.is_empty() {
            return Err(ApiError::invalid("", "Event", object.name(), &errors));
        }
    }
    let keeper = api.keeper(resource);
    let who = owners::who(request, &options, &keeper, Part::Main, Operation::Update);
    let stored = create(api, &keeper, object, options.dry_run, Owner::Writer(&who)).await?;
    Ok(present::one(api, resource, accept, &request.query, 201, &stored)?.warnings(&warnings))
}

/// Puts the object into the namespace of the path.
fn place(object: &mut Value, target: &Target, resource: &Resource) -> Result<(), ApiError> {
    if !resource.namespaced {
        // Manifests of cluster-scoped kinds often carry one; it means nothing.
        object.unset_meta("namespace");
        return Ok(());
    }
    let namespace = target.namespace.as_deref().unwrap_or_default();
    if namespace.is_empty() {
        return Err(ApiError::bad_request("an empty namespace may not be set during creation"));
    }
    match object.namespace() {
        "" => object.set_meta("namespace", namespace),
        same if same == namespace => {}
        _ => return Err(ApiError::bad_request("the namespace of the provided object does not match the namespace sent on the request")),
    }
    Ok(())
}

/// Whose the fields of a new object are.
#[derive(Debug)]
pub(crate) enum Owner<'a> {
    /// The server's own: nobody is told apart until somebody applies.
    Nobody,
    Writer(&'a Who),
    Applied(Managers),
}

/// Completes, checks and stores a new object. A dry run answers what would be stored, without a version.
pub(crate) async fn create(
    api: &Api,
    resource: &Resource,
    mut object: Value,
    dry_run: bool,
    owner: Owner<'_>,
) -> Result<Arc<Stored>, ApiError> {
    if !object.resource_version().is_empty() {
        return Err(ApiError::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    if resource.is_custom() && api.store.get(&Key::new(&CRDS.into(), "", &resource.qualified())).is_some_and(|crd| crd.is_deleting()) {
        let why = "create not allowed while custom resource definition is terminating";
        return Err(ApiError::new(405, "MethodNotAllowed", why));
    }
    let generate = object.meta_str("generateName").to_owned();
    let generated = object.name().is_empty() && !generate.is_empty();
    if resource.has_status
        && let Some(map) = object.as_object_mut()
    {
        map.shift_remove("status");
    }
    let given = Managed::take_from(&mut object);
    begin(resource, &mut object);
    for _ in 0..ATTEMPTS {
        let mut attempt = object.clone();
        if generated {
            attempt.set_meta("name", generated_name(&generate));
        }
        admit::default(resource, &mut attempt, None);
        let managed = match &owner {
            Owner::Nobody => Managed::default(),
            Owner::Writer(who) => owners::created(resource, &object, &attempt, given.as_ref(), who),
            Owner::Applied(managers) => Managed::new(managers),
        };
        let _turn = api.allotting(resource).await;
        admit::allot(api, resource, &mut attempt, None)?;
        admit::validate(resource, &attempt, None)?;
        let key = Key::new(&resource.shelf, attempt.namespace(), attempt.name());
        let guard = guard(api, resource, &attempt)?;
        if let Some(old) = api.store.get(&key) {
            if generated {
                continue;
            }
            let mut error = ApiError::already_exists(resource, attempt.name());
            if old.is_deleting() {
                error.message = format!("object is being deleted: {}", error.message);
            }
            return Err(error);
        }
        if dry_run {
            return Ok(Stored::new(attempt, managed, 0)?.into());
        }
        match api.commit(Change { key, expect: Expect::Absent, object: Some(attempt), managed, guard }).await {
            // Somebody else made it, or the namespace changed: look again.
            Err(CommitError::Stale) => {}
            other => return Ok(other?),
        }
    }
    Err(CommitError::Stale.into())
}

/// Metadata that every new object gets, whatever it came with.
fn begin(resource: &Resource, object: &mut Value) {
    drop_empty(object, &Value::Null);
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
        object.unset_meta(key);
    }
    object.set_meta("uid", uuid::Uuid::new_v4().to_string());
    object.set_meta("creationTimestamp", now());
    if resource.builtin().is_none_or(|b| b.generation) {
        object.set_meta("generation", 1);
    }
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".to_owned(), Value::from(resource.stored_as.as_str()));
    }
}

fn generated_name(base: &str) -> String {
    let mut random = rand::rng();
    let mut name: String = base.chars().take(GENERATED_BASE).collect();
    name.extend((0..5).filter_map(|_| GENERATED.choose(&mut random).map(|c| char::from(*c))));
    name
}

/// The namespace that must not change before the object is stored: it exists and is not on its way out.
fn guard(api: &Api, resource: &Resource, object: &Value) -> Result<Option<(Key, u64)>, ApiError> {
    if !resource.namespaced {
        return Ok(None);
    }
    let namespace = object.namespace();
    let (key, stored) = api.namespace(namespace).ok_or_else(|| ApiError::namespace_not_found(namespace))?;
    if stored.is_deleting() {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = json!({
            "reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"), "field": "metadata.namespace",
        });
        return Err(ApiError::forbidden(resource, object.name(), &why).with_causes(vec![cause]));
    }
    Ok(Some((key, stored.version)))
}
