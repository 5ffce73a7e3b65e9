//! DELETE: preconditions, finalizers, propagation, grace.
//!
//! ```text
//!            no finalizers, no grace                        last finalizer gone, grace over
//!  living ────────────────────────────► gone    deleting ────────────────────────────────► gone
//!     └──── finalizers, or a pod's grace, or a namespace ───►┘
//! ```

use std::sync::Arc;

use serde_json::{Value, json};

use super::accept::Accept;
use super::options::dry_run_of;
use super::route::Request;
use super::{ATTEMPTS, Target, body, present};
use crate::api::Api;
use crate::object::{ObjectExt, in_seconds};
use crate::registry::Resource;
use crate::rest::Reply;
use crate::status::{ApiError, deleted};
use crate::store::{CommitError, Key, Stored};

/// The finalizers by which the garbage collector is asked to do something first.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
pub(crate) const ORPHAN: &str = "orphan";

/// Seconds that a pod gets when it does not say.
const POD_GRACE: i64 = 30;

/// What becomes of dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// How an object is to be deleted.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) propagation: Option<Propagation>,
    pub(crate) grace: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    pub(super) fn read(request: &Request) -> Result<Self, ApiError> {
        let given = if request.body.is_empty() { json!({}) } else { body::decode(request)?.object };
        let text = |pointer: &str, key: &str| {
            let from_body = given.pointer(pointer).and_then(Value::as_str);
            from_body.or_else(|| request.query.get(key)).map(str::to_owned)
        };
        if given.get("orphanDependents").is_some_and(|orphan| !orphan.is_null())
            && let Some(policy) = text("/propagationPolicy", "propagationPolicy")
        {
            let message = format!("Invalid value: {policy:?}: orphanDependents and deletionPropagation cannot be both set");
            return Err(ApiError::invalid_options("DeleteOptions", "propagationPolicy", "FieldValueInvalid", message));
        }
        let propagation = match text("/propagationPolicy", "propagationPolicy").as_deref() {
            None if given.get("orphanDependents") == Some(&Value::Bool(true)) => Some(Propagation::Orphan),
            None => None,
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                let known = "\"Foreground\", \"Background\", \"Orphan\", \"nil\"";
                let message = format!("Unsupported value: \"{other}\": supported values: {known}");
                return Err(ApiError::invalid_options("DeleteOptions", "propagationPolicy", "FieldValueNotSupported", message));
            }
        };
        let dry_in_body: Vec<&str> =
            given.get("dryRun").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let dry_run: Vec<&str> = if dry_in_body.is_empty() { request.query.all("dryRun").collect() } else { dry_in_body };
        let in_query = request.query.get("gracePeriodSeconds").map(|text| {
            text.parse::<i64>().map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
        });
        let (in_query, in_body) = (in_query.transpose()?, given.get("gracePeriodSeconds").and_then(Value::as_i64));
        Ok(Self {
            propagation,
            grace: in_body.or(in_query),
            uid: text("/preconditions/uid", ""),
            version: text("/preconditions/resourceVersion", ""),
            dry_run: dry_run_of(&dry_run, "DeleteOptions")?,
        })
    }
}

/// What deleting an object did.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// Gone, or marked only.
    pub(crate) gone: bool,
    /// The last state, or the marked one.
    pub(crate) object: Arc<Stored>,
}

pub(super) async fn delete(api: &Api, request: &Request, target: &Target, resource: &Resource, accept: Accept) -> Result<Reply, ApiError> {
    let options = DeleteOptions::read(request)?;
    let name = target.name.as_deref().unwrap_or_default();
    let key = Key::new(&resource.shelf, target.namespace.as_deref().unwrap_or_default(), name);
    let done = remove(api, resource, &key, &options).await?;
    let shows_object = !done.gone || resource.is("", "services") || resource.is("", "pods");
    if shows_object {
        return present::one(api, resource, accept, &request.query, 200, &done.object);
    }
    Ok(Reply::object(200, accept.form, &deleted(resource, name, done.object.uid())))
}

/// Deletes an object as far as its finalizers and its grace allow.
pub(crate) async fn remove(api: &Api, resource: &Resource, key: &Key, options: &DeleteOptions) -> Result<Deleted, ApiError> {
    if resource.is("", "namespaces") && matches!(&*key.name, "default" | "kube-system" | "kube-public") {
        return Err(ApiError::forbidden(resource, &key.name, "this namespace may not be deleted"));
    }
    for _ in 0..ATTEMPTS {
        let old = api.store.parsed(key).ok_or_else(|| ApiError::not_found(resource, &key.name))?;
        check_preconditions(resource, &old, options)?;
        let (gone, object) = match decide(resource, &old.value, options) {
            Step::Nothing => return Ok(Deleted { gone: false, object: old.stored }),
            Step::Remove => (true, None),
            Step::Mark(object) => (false, Some(object)),
        };
        if options.dry_run {
            let marked = object.map(|value| Stored::new(value, old.managed.clone(), old.version)).transpose()?;
            return Ok(Deleted { gone, object: marked.map_or(old.stored, Arc::new) });
        }
        match api.replace(key, &old, object).await {
            Err(CommitError::Stale) => {}
            other => return Ok(Deleted { gone, object: other? }),
        }
    }
    Err(CommitError::Stale.into())
}

fn check_preconditions(resource: &Resource, old: &Stored, options: &DeleteOptions) -> Result<(), ApiError> {
    let name = old.name();
    let refuse = |why: String| Err(ApiError::conflict_because(&resource.group, &resource.kind, name, &why));
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != old.uid()) {
        let found = old.uid();
        let hint = "The object might have been deleted and then recreated";
        return refuse(format!("the UID in the precondition ({uid}) does not match the UID in record ({found}). {hint}"));
    }
    let found = old.version.to_string();
    if let Some(version) = options.version.as_deref().filter(|version| *version != found) {
        let hint = "The object might have been modified";
        return refuse(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({found}). {hint}"
        ));
    }
    Ok(())
}

#[derive(Debug)]
enum Step {
    Remove,
    Mark(Value),
    Nothing,
}

fn decide(resource: &Resource, old: &Value, options: &DeleteOptions) -> Step {
    let mut new = old.clone();
    match options.propagation {
        None => {}
        Some(Propagation::Background) => {
            new.remove_finalizer(FOREGROUND);
            new.remove_finalizer(ORPHAN);
        }
        Some(Propagation::Foreground) => {
            new.remove_finalizer(ORPHAN);
            new.add_finalizer(FOREGROUND);
        }
        Some(Propagation::Orphan) => {
            new.remove_finalizer(FOREGROUND);
            new.add_finalizer(ORPHAN);
        }
    }
    let namespace = resource.is("", "namespaces");
    let grace = if resource.is("", "pods") { pod_grace(old, options.grace) } else { 0 };
    if old.is_deleting() {
        let left = old.meta("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
        if grace < left {
            new.set_meta("deletionGracePeriodSeconds", grace);
            new.set_meta("deletionTimestamp", in_seconds(grace));
        }
        return if new.finalizers().is_empty() && grace.min(left) == 0 && !namespace {
            Step::Remove
        } else if new == *old {
            Step::Nothing
        } else {
            Step::Mark(new)
        };
    }
    if new.finalizers().is_empty() && grace == 0 && !namespace {
        return Step::Remove;
    }
    new.set_meta("deletionTimestamp", in_seconds(grace));
    if namespace {
        let status = new.as_object_mut().map(|map| map.entry("status").or_insert_with(|| json!({})));
        if let Some(status) = status {
            crate::object::set_or_remove(status, "phase", Some(&Value::from("Terminating")));
        }
    } else {
        new.set_meta("deletionGracePeriodSeconds", grace);
    }
    if old.meta("generation").is_some() {
        new.set_meta("generation", old.generation() + 1);
    }
    Step::Mark(new)
}

/// Seconds until a pod may be gone; one that no node runs (or that has ended) goes at once.
fn pod_grace(pod: &Value, asked: Option<i64>) -> i64 {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/spec/nodeName").is_empty() || matches!(text("/status/phase"), "Succeeded" | "Failed") {
        return 0;
    }
    let own = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(POD_GRACE);
    asked.unwrap_or(own).max(0)
}
