//! `/scale`: replicas of any resource that has them, as autoscaling/v1 Scale.

use serde_json::{Value, json};

use super::accept::{Accept, Offer};
use super::options::WriteOptions;
use super::patch::Patch;
use super::route::Request;
use super::update::{Made, Part, change};
use super::{Target, apply, body, owners};
use crate::api::Api;
use crate::apply::Operation;
use crate::object::ObjectExt;
use crate::registry::{Resource, ScalePaths};
use crate::rest::Reply;
use crate::schema::FieldError;
use crate::status::ApiError;
use crate::store::{Key, Parsed};

/// GET, PUT or PATCH of a Scale.
pub(super) async fn scale(api: &Api, request: &Request, target: &Target, resource: &Resource) -> Result<Reply, ApiError> {
    let name = target.name.as_deref().unwrap_or_default();
    let key = Key::new(&resource.shelf, target.namespace.as_deref().unwrap_or_default(), name);
    let stored = api.store.get(&key).ok_or_else(|| ApiError::not_found(resource, name))?;
    // A resource without the subresource answers as if the object were not there.
    let paths = resource.scale.as_ref().ok_or_else(|| ApiError::not_found(resource, name))?;
    let form = Accept::negotiate(request.header("accept"), Offer::Messages)?.form;
    let wanted = match request.method.as_str() {
        "GET" => return Ok(Reply::object(200, form, &to_scale(paths, &stored.value()))),
        "PATCH" if request.media_type() == "application/apply-patch+yaml" => {
            let stored = apply::scale(api, request, resource, &key, &paths.spec).await?;
            return Ok(Reply::object(200, form, &to_scale(paths, &stored.value())));
        }
        "PUT" => Wanted::Whole(body::decode(request)?.object),
        "PATCH" => Wanted::Changed(Patch::parse(request, resource)?),
        _ => return Err(ApiError::method_not_allowed()),
    };
    let options = WriteOptions::from_query(&request.query, "UpdateOptions")?;
    let make = |old: &Parsed| {
        let old = &old.value;
        let scale = wanted.apply(resource, to_scale(paths, old))?;
        let replicas = replicas(&scale, name)?;
        let mut object = old.clone();
        object.set_meta("resourceVersion", scale.resource_version());
        if scale.resource_version().is_empty() {
            object.set_meta("resourceVersion", old.resource_version());
        }
        set(&mut object, &paths.spec, Value::from(replicas));
        Ok(Made::Written(object))
    };
    let who = owners::who(request, &options, resource, Part::Scale, Operation::Update);
    let stored = change(api, resource, Part::Scale, &key, options.dry_run, Some(&who), make).await?;
    Ok(Reply::object(200, form, &to_scale(paths, &stored.value())))
}

/// What a client wants a Scale to be.
enum Wanted {
    Whole(Value),
    Changed(Patch),
}

impl Wanted {
    fn apply(&self, resource: &Resource, mut scale: Value) -> Result<Value, ApiError> {
        match self {
            Self::Whole(given) => Ok(given.clone()),
            // A Scale has no lists: merging is all that a strategic patch can mean.
            Self::Changed(Patch::Merge(changes) | Patch::Strategic(changes)) => {
                crate::patch::json_merge(&mut scale, changes);
                Ok(scale)
            }
            Self::Changed(json) => json.apply(resource, &scale),
        }
    }
}

/// The number that a Scale asks for.
pub(super) fn replicas(scale: &Value, name: &str) -> Result<i64, ApiError> {
    let given = scale.pointer("/spec/replicas");
    let replicas = match given {
        None | Some(Value::Null) => Some(0),
        Some(value) => value.as_i64(),
    };
    match replicas {
        Some(replicas) if replicas >= 0 => Ok(replicas),
        _ => {
            let shown = given.map(Value::to_string).unwrap_or_default();
            let message = format!("Invalid value: {shown}: must be greater than or equal to 0");
            let error = FieldError { reason: "FieldValueInvalid", field: "spec.replicas".to_owned(), message };
            Err(ApiError::invalid("autoscaling", "Scale", name, &[error]))
        }
    }
}

fn to_scale(paths: &ScalePaths, object: &Value) -> Value {
    let number = |path: &[String]| at(object, path).and_then(Value::as_i64).unwrap_or(0);
    let mut metadata = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        crate::object::set_or_remove(&mut metadata, key, object.meta(key));
    }
    let mut status = json!({"replicas": number(&paths.status)});
    let selector = match &paths.selector {
        Some(path) => at(object, path).and_then(Value::as_str).map(str::to_owned),
        None => object.pointer("/spec/selector").map(selector_text),
    };
    crate::object::set_or_remove(&mut status, "selector", selector.map(Value::from).as_ref());
    // None at all is left out, as Go leaves out what is zero.
    let spec = match number(&paths.spec) {
        0 => json!({}),
        replicas => json!({"replicas": replicas}),
    };
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// A label selector object as text: `app=x,tier in (a,b)`.
fn selector_text(selector: &Value) -> String {
    let mut terms: Vec<String> = selector
        .get("matchLabels")
        .and_then(Value::as_object)
        .map(|labels| labels.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect())
        .unwrap_or_default();
    for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| expression.get(key).and_then(Value::as_str).unwrap_or_default();
        let values: Vec<&str> =
            expression.get("values").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let (key, values) = (text("key"), values.join(","));
        terms.push(match text("operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.sort();
    terms.join(",")
}

/// What is at a path.
pub(super) fn at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key.as_str()))
}

/// Sets what is at a path, making the objects on the way.
pub(super) fn set(object: &mut Value, path: &[String], value: Value) {
    let mut place = object;
    for key in path {
        if !place.is_object() {
            *place = json!({});
        }
        let Some(map) = place.as_object_mut() else { return };
        place = map.entry(key.as_str()).or_insert(Value::Null);
    }
    *place = value;
}
