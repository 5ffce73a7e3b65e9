//! PUT, and the step from an object's old state to its next that patches and scaling share.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::accept::Accept;
use super::options::WriteOptions;
use super::route::Request;
use super::{ATTEMPTS, Target, admit, body, owners, present};
use crate::api::Api;
use crate::apply::{Managed, Managers, Operation, Who};
use crate::events;
use crate::object::{ObjectExt, set_or_remove};
use crate::registry::Resource;
use crate::rest::Reply;
use crate::schema::FieldError;
use crate::status::ApiError;
use crate::store::{CommitError, Key, Parsed, Stored};

/// Which part of the object a path writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
    /// A pod's node: of the spec, but no change of what its writer wanted.
    Binding,
    /// The number of replicas.
    Scale,
}

impl Part {
    /// As owners name it.
    pub(crate) fn subresource(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Binding => "binding",
            Self::Scale => "scale",
        }
    }
}

/// What an object shall become.
#[derive(Debug)]
pub(crate) enum Made {
    /// By a writer: who owns what follows from what changed.
    Written(Value),
    /// By an applier, who said what he owns.
    Applied(Value, Managers),
}

/// A request to write one object.
#[derive(Clone, Copy)]
pub(super) struct Write<'a> {
    pub(super) api: &'a Api,
    pub(super) request: &'a Request,
    pub(super) target: &'a Target,
    /// What the path names; the object may be kept as another kind.
    pub(super) resource: &'a Arc<Resource>,
    pub(super) part: Part,
    pub(super) accept: Accept,
}

impl Write<'_> {
    pub(super) fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or_default()
    }

    pub(super) fn key(&self) -> Key {
        Key::new(&self.resource.shelf, self.target.namespace.as_deref().unwrap_or_default(), self.name())
    }

    /// The answer: the object as it is now.
    pub(super) fn reply(&self, code: u16, stored: &Stored, warnings: &[String]) -> Result<Reply, ApiError> {
        Ok(present::one(self.api, self.resource, self.accept, &self.request.query, code, stored)?.warnings(warnings))
    }
}

pub(super) async fn put(write: Write<'_>) -> Result<Reply, ApiError> {
    let Write { api, request, target, resource, part, .. } = write;
    let options = WriteOptions::from_query(&request.query, "UpdateOptions")?;
    let mut decoded = body::decode_kind(request, resource)?;
    let mut warnings = admit::fields(resource, &mut decoded, options.validation).map_err(|e| admit::refused(resource, &e))?;
    let mut object = decoded.object;
    if resource.group == "events.k8s.io" {
        object = events::to_core(&object);
    }
    check_place(&object, target)?;
    let key = write.key();
    if let Some(old) = api.store.get(&key) {
        warnings.extend(admit::warnings(resource, &object, Some(&old.value())));
    }
    let keeper = api.keeper(resource);
    let who = owners::who(request, &options, &keeper, part, Operation::Update);
    let stored = change(api, &keeper, part, &key, options.dry_run, Some(&who), |_| Ok(Made::Written(object.clone()))).await?;
    write.reply(200, &stored, &warnings)
}

/// The object may leave out its name and namespace; it may not contradict the path.
pub(super) fn check_place(object: &Value, target: &Target) -> Result<(), ApiError> {
    let name = target.name.as_deref().unwrap_or_default();
    if !object.name().is_empty() && object.name() != name {
        let given = object.name();
        return Err(ApiError::bad_request(format!("the name of the object ({given}) does not match the name on the URL ({name})")));
    }
    let namespace = target.namespace.as_deref().unwrap_or_default();
    if !namespace.is_empty() && !object.namespace().is_empty() && object.namespace() != namespace {
        return Err(ApiError::bad_request("the namespace of the provided object does not match the namespace sent on the request"));
    }
    Ok(())
}

/// Reads, computes, checks and writes, again when somebody else was faster and the new state does not name a version.
/// `make` gets the object as stored and returns what it shall become. Without a writer (`who`) the owners stay what they are.
pub(crate) async fn change(
    api: &Api,
    resource: &Resource,
    part: Part,
    key: &Key,
    dry_run: bool,
    who: Option<&Who>,
    make: impl Fn(&Parsed) -> Result<Made, ApiError>,
) -> Result<Arc<Stored>, ApiError> {
    for _ in 0..ATTEMPTS {
        let old = api.store.parsed(key).ok_or_else(|| ApiError::not_found(resource, &key.name))?;
        let (mut wanted, applied) = match make(&old)? {
            Made::Written(object) => (object, None),
            Made::Applied(object, managers) => (object, Some(Managed::new(&managers))),
        };
        let given = Managed::take_from(&mut wanted);
        check_version(resource, &wanted, &old, &key.name)?;
        let _turn = api.allotting(resource).await;
        let next = next(api, resource, part, &old.value, wanted)?;
        let managed = match (applied, who, &next) {
            (Some(managed), ..) => managed,
            (None, None, _) | (None, _, Next::Remove(_)) => old.managed.clone(),
            (None, Some(who), Next::Same) => owners::updated(resource, part, &old, &old.value, given.as_ref(), who),
            (None, Some(who), Next::Put(new)) => owners::updated(resource, part, &old, new, given.as_ref(), who),
        };
        let (object, shown) = match next {
            Next::Same if managed.same_fields(&old.managed) => return Ok(old.stored),
            Next::Same => (Some(old.value.clone()), None),
            Next::Put(object) => (Some(object), None),
            Next::Remove(object) => (None, Some(object)),
        };
        if dry_run {
            let value = shown.or(object).unwrap_or(Value::Null);
            return Ok(Stored::new(value, managed, old.version)?.into());
        }
        match api.replace_managed(key, &old, object, managed).await {
            Err(CommitError::Stale) => {}
            other => {
                let stored = other?;
                let Some(value) = shown else { return Ok(stored) };
                return Ok(Stored::new(value, stored.managed.clone(), stored.version)?.into());
            }
        }
    }
    Err(CommitError::Stale.into())
}

/// 422 about a field of metadata that only the server sets.
pub(super) fn immutable(resource: &Resource, name: &str, field: &str, value: &str) -> ApiError {
    let error = FieldError {
        reason: "FieldValueInvalid",
        field: format!("metadata.{field}"),
        message: format!("Invalid value: {}: field is immutable", crate::schema::text::quoted(value)),
    };
    ApiError::invalid(&resource.group, &resource.kind, name, &[error])
}

fn check_version(resource: &Resource, made: &Value, old: &Parsed, name: &str) -> Result<(), ApiError> {
    let deleted = made.meta_str("deletionTimestamp");
    if !deleted.is_empty() && deleted != old.value.meta_str("deletionTimestamp") {
        return Err(immutable(resource, name, "deletionTimestamp", deleted));
    }
    match made.resource_version() {
        "" if resource.is_custom() => {
            let error = FieldError {
                reason: "FieldValueInvalid",
                field: "metadata.resourceVersion".to_owned(),
                message: "Invalid value: 0: must be specified for an update".to_owned(),
            };
            Err(ApiError::invalid(&resource.group, &resource.plural, name, &[error]))
        }
        "" | "0" => Ok(()),
        version if version == old.version.to_string() => Ok(()),
        version if version.parse::<u64>().is_err() => {
            Err(ApiError::new(500, "", format!("strconv.ParseUint: parsing \"{version}\": invalid syntax")))
        }
        _ => Err(ApiError::conflict(resource, name)),
    }
}

/// What an object becomes.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing changes: no new version, no event.
    Same,
    Put(Value),
    /// The last finalizer is gone: the object goes too. Its last state is for the answer.
    Remove(Value),
}

/// Computes the next state of `old`, given what a client wants it to be.
pub(crate) fn next(api: &Api, resource: &Resource, part: Part, old: &Value, wanted: Value) -> Result<Next, ApiError> {
    let uid = wanted.uid();
    if !uid.is_empty() && uid != old.uid() {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", old.uid());
        return Err(ApiError::conflict_because(&resource.group, &resource.plural, old.name(), &why));
    }
    let mut new = match part {
        Part::Main | Part::Binding | Part::Scale => main_part(resource, old, wanted),
        Part::Status => {
            let mut new = old.clone();
            set_or_remove(&mut new, "status", wanted.get("status"));
            new
        }
    };
    admit::default(resource, &mut new, Some(old));
    admit::allot(api, resource, &mut new, Some(old))?;
    let leaves = new.is_deleting() && released(&new);
    // What is stored was valid when it was stored.
    if new == *old && !leaves {
        return Ok(Next::Same);
    }
    admit::validate(resource, &new, Some(old))?;
    if matches!(part, Part::Main | Part::Scale) && raises_generation(resource, old, &new) {
        new.set_meta("generation", old.generation() + 1);
    }
    Ok(if leaves { Next::Remove(new) } else { Next::Put(new) })
}

/// The wanted object with everything that is not its writer's to change.
fn main_part(resource: &Resource, old: &Value, mut new: Value) -> Value {
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        keep_meta(&mut new, old, key);
    }
    for key in ["generation", "selfLink"] {
        keep_meta(&mut new, old, key);
    }
    set_or_remove(&mut new, "kind", old.get("kind"));
    set_or_remove(&mut new, "apiVersion", Some(&Value::from(resource.stored_as.as_str())));
    if resource.has_status {
        set_or_remove(&mut new, "status", old.get("status"));
    }
    if resource.is("", "namespaces") {
        // The namespace's own finalizers end only with its content.
        set_or_remove(&mut new, "spec", old.get("spec"));
    }
    drop_empty(&mut new, old);
    new
}

fn keep_meta(new: &mut Value, old: &Value, key: &str) {
    match old.meta(key) {
        Some(value) => new.set_meta(key, value.clone()),
        None => new.unset_meta(key),
    }
}

/// An emptied map or list of metadata is the same as none.
pub(super) fn drop_empty(new: &mut Value, old: &Value) {
    for key in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let empty = match new.meta(key) {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Null) => true,
            _ => false,
        };
        if empty && old.meta(key) != new.meta(key) {
            new.unset_meta(key);
        }
    }
}

fn raises_generation(resource: &Resource, old: &Value, new: &Value) -> bool {
    match resource.builtin() {
        Some(builtin) => {
            let fields = || builtin.generation_fields.iter().any(|field| old.get(field) != new.get(field));
            let annotations = || resource.is("apps", "deployments") && annotations(old) != annotations(new);
            builtin.generation && (fields() || annotations())
        }
        None => {
            let counts = |key: &str| !(matches!(key, "metadata" | "apiVersion" | "kind") || resource.has_status && key == "status");
            let fields = |o: &Value| -> Vec<String> { o.as_object().map(|m| m.keys().cloned().collect()).unwrap_or_default() };
            let mut keys = fields(old);
            keys.extend(fields(new));
            keys.iter().any(|key| counts(key) && old.get(key) != new.get(key))
        }
    }
}

/// Those of a Deployment that count in its generation: all but the one that its controller writes, elsewhere through the status.
fn annotations(deployment: &Value) -> BTreeMap<&String, &Value> {
    let all = deployment.meta("annotations").and_then(Value::as_object).into_iter().flatten();
    all.filter(|(name, _)| *name != "deployment.kubernetes.io/revision").collect()
}

/// A deleting object that nothing holds any more.
pub(crate) fn released(object: &Value) -> bool {
    let grace = object.meta("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
    let spec = object.pointer("/spec/finalizers").and_then(Value::as_array);
    object.finalizers().is_empty()
        && grace == 0
        && (object.get("kind") != Some(&Value::from("Namespace")) || spec.is_none_or(Vec::is_empty))
}
