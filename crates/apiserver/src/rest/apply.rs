//! PATCH with a configuration: server-side apply.

use std::sync::Arc;

use serde_json::{Value, json};

use super::body::{self, Decoded};
use super::create::{Owner, create};
use super::options::{FieldValidation, WriteOptions};
use super::owners;
use super::present;
use super::route::Request;
use super::update::{Made, Part, Write, change, check_place};
use super::{ATTEMPTS, admit};
use crate::api::Api;
use crate::apply::{Applied, ApplyError, Configuration, Conflict, Managers, Operation, Who, apply};
use crate::events;
use crate::object::ObjectExt;
use crate::registry::Resource;
use crate::rest::Reply;
use crate::status::ApiError;
use crate::store::{CommitError, Key, Parsed, Stored};

/// The version of Scales.
const SCALE_VERSION: &str = "autoscaling/v1";

/// Applies what the body says to an object, which is made when it is not there.
pub(super) async fn patch(write: Write<'_>) -> Result<Reply, ApiError> {
    let Write { api, request, target, resource, part, .. } = write;
    let options = WriteOptions::of_apply(&request.query)?;
    let keeper = api.keeper(resource);
    let mut config = body::decode_applied(request)?;
    check_type(&config, &resource.api_version(), &resource.kind)?;
    if config.meta("managedFields").is_some_and(|list| !list.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    check_place(&config, target)?;
    if resource.group == "events.k8s.io" {
        config = events::to_core(&config);
    }
    let (name, key) = (write.name(), write.key());
    let warnings = admit::warnings(resource, &config, api.store.parsed(&key).as_ref().map(|old| &old.value));
    let apply = Apply {
        resource: &keeper,
        config: &config,
        who: owners::who(request, &options, &keeper, part, Operation::Apply),
        force: options.force,
        part,
    };
    for _ in 0..ATTEMPTS {
        if api.store.get(&key).is_some() {
            let make = |old: &Parsed| {
                let live = present::present(&keeper, &old.value);
                let Applied { object, managers } = apply.to(&live, old.managed.managers())?;
                check_place(&object, target)?;
                Ok(Made::Applied(object, managers))
            };
            match change(api, &keeper, part, &key, options.dry_run, None, make).await {
                // Gone between the two looks: it is made anew.
                Err(error) if error.code == 404 && api.store.get(&key).is_none() => continue,
                stored => return write.reply(200, &*stored?, &warnings),
            }
        }
        if part != Part::Main {
            return Err(ApiError::not_found(resource, name));
        }
        let nothing = json!({"apiVersion": keeper.api_version(), "kind": keeper.kind});
        let Applied { mut object, managers } = apply.to(&nothing, Managers::default())?;
        object.set_meta("name", name);
        // A version of nothing: whoever sent it had another object.
        object.unset_meta("resourceVersion");
        if resource.namespaced {
            object.set_meta("namespace", key.namespace.as_ref());
        } else {
            object.unset_meta("namespace");
        }
        match create(api, &keeper, object, options.dry_run, Owner::Applied(managers)).await {
            Err(error) if error.reason == "AlreadyExists" => {}
            stored => return write.reply(201, &*stored?, &warnings),
        }
    }
    Err(CommitError::Stale.into())
}

/// Applies a Scale: the number of replicas of the object that it is of.
pub(super) async fn scale(api: &Api, request: &Request, resource: &Resource, key: &Key, place: &[String]) -> Result<Arc<Stored>, ApiError> {
    let options = WriteOptions::of_apply(&request.query)?;
    let scale = body::decode_applied(request)?;
    check_type(&scale, SCALE_VERSION, "Scale")?;
    let replicas = super::scale::replicas(&scale, &key.name)?;
    let mut config = json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": {}});
    // Of the rest of its metadata a Scale changes nothing.
    for field in ["name", "namespace", "uid", "resourceVersion"] {
        if let Some(value) = scale.meta(field) {
            config.set_meta(field, value.clone());
        }
    }
    super::scale::set(&mut config, place, replicas.into());
    let who = owners::who(request, &options, resource, Part::Scale, Operation::Apply);
    let apply = Apply { resource, config: &config, who, force: options.force, part: Part::Scale };
    let make = |old: &Parsed| {
        let mut live = present::present(resource, &old.value);
        if super::scale::at(&live, place).and_then(Value::as_i64) == Some(0) {
            // A Scale of none says nothing of replicas: to ask for none is to say something new.
            super::scale::set(live.to_mut(), place, Value::Null);
        }
        let Applied { object, managers } = apply.to(&live, old.managed.managers())?;
        Ok(Made::Applied(object, managers))
    };
    change(api, resource, Part::Scale, key, options.dry_run, None, make).await
}

/// One configuration, ready to be applied to whatever is there.
struct Apply<'a> {
    resource: &'a Resource,
    config: &'a Value,
    who: Who,
    force: bool,
    part: Part,
}

impl Apply<'_> {
    fn to(&self, live: &Value, managers: Managers) -> Result<Applied, ApiError> {
        let configuration = Configuration {
            object: self.config,
            who: &self.who,
            force: self.force,
            now: owners::now(),
            reset: owners::reset(self.resource, self.part),
        };
        let applied = apply(owners::typed(self.resource), live, managers, &configuration);
        let Applied { object, managers } = applied.map_err(|error| self.refused(error))?;
        // Values that only decoding puts in their form, and what merging left empty.
        let mut decoded = Decoded { object, duplicates: Vec::new() };
        admit::fields(self.resource, &mut decoded, FieldValidation::Ignore)
            .map_err(|error| self.internal("failed to convert new typed object", &error.to_string(), " to object"))?;
        Ok(Applied { object: decoded.object, managers })
    }

    fn refused(&self, error: ApplyError) -> ApiError {
        match error {
            ApplyError::Typed(problem) => self.internal("failed to create typed patch object", &problem, ""),
            ApplyError::Merge(problem) => self.internal("failed to create typed live object", &problem, ""),
            ApplyError::Conflicts(mut conflicts) => {
                if self.part == Part::Scale {
                    // Told as of the Scale that was applied.
                    conflicts.iter_mut().for_each(|conflict| conflict.who.api_version = SCALE_VERSION.to_owned());
                }
                ApiError::new(409, "Conflict", Conflict::message(&conflicts)).with_causes(Conflict::causes(&conflicts))
            }
        }
    }

    /// A failure of merging, which the real server does not call the client's.
    fn internal(&self, what: &str, problem: &str, after: &str) -> ApiError {
        let Resource { group, version, kind, .. } = self.resource;
        let (name, namespace) = (self.config.name(), self.config.namespace());
        ApiError::new(500, "", format!("{what} ({namespace}/{name}; {group}/{version}, Kind={kind}){after}: {problem}"))
    }
}

fn check_type(config: &Value, api_version: &str, kind: &str) -> Result<(), ApiError> {
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("apiVersion") == api_version && text("kind") == kind {
        return Ok(());
    }
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    Err(ApiError::bad_request(format!("invalid object type: {group}/{version}, Kind={}", text("kind"))))
}
