//! Objects as an answer shows them: in the version asked for, whole, as metadata, or as rows of a Table.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::accept::{Accept, Shape};
use super::query::Query;
use super::reply::Reply;
use crate::api::Api;
use crate::events;
use crate::registry::Resource;
use crate::status::ApiError;
use crate::table::Column;

/// A stored object in the version of `resource`.
pub(crate) fn present(resource: &Resource, stored: &Value) -> Value {
    if resource.group == "events.k8s.io" {
        return events::from_core(stored);
    }
    let version = resource.api_version();
    let mut object = stored.clone();
    if version != resource.stored_as
        && let Some(map) = object.as_object_mut()
    {
        map.insert("apiVersion".to_owned(), Value::from(version));
    }
    object
}

/// One object in the negotiated shape.
pub(crate) fn one(api: &Api, resource: &Resource, accept: Accept, query: &Query, code: u16, stored: &Value) -> Result<Reply, ApiError> {
    let version = stored.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
    let value = match accept.shape {
        Shape::Table(meta) => table(api, resource, meta, query, version, &[stored], true)?,
        Shape::Partial(meta) => partial(stored, meta),
        Shape::Object | Shape::Discovery(_) => present(resource, stored),
    };
    Ok(if accept.yaml { Reply::yaml(code, &value) } else { Reply::json(code, &value) })
}

/// A list in the negotiated shape.
pub(crate) fn many(
    api: &Api,
    resource: &Resource,
    accept: Accept,
    query: &Query,
    version: u64,
    objects: &[&Value],
) -> Result<Reply, ApiError> {
    let version = version.to_string();
    let value = match accept.shape {
        Shape::Table(meta) => table(api, resource, meta, query, &version, objects, true)?,
        Shape::Partial(meta) => {
            let items: Vec<Value> = objects.iter().map(|o| partial(o, meta)).collect();
            json!({
                "kind": "PartialObjectMetadataList", "apiVersion": format!("meta.k8s.io/{meta}"),
                "metadata": {"resourceVersion": version}, "items": items,
            })
        }
        Shape::Object | Shape::Discovery(_) => list(resource, &version, objects),
    };
    Ok(if accept.yaml { Reply::yaml(200, &value) } else { Reply::json(200, &value) })
}

/// Lists of built-in kinds leave kind and apiVersion out of their items; those of custom kinds do not.
pub(crate) fn list(resource: &Resource, version: &str, objects: &[&Value]) -> Value {
    if resource.is_custom() {
        let items: Vec<Value> = objects.iter().map(|o| present(resource, o)).collect();
        return json!({
            "apiVersion": resource.api_version(), "items": items, "kind": resource.list_kind,
            "metadata": {"continue": "", "resourceVersion": version},
        });
    }
    let items: Vec<Value> = objects
        .iter()
        .map(|o| {
            let mut item = present(resource, o);
            if let Some(map) = item.as_object_mut() {
                map.shift_remove("kind");
                map.shift_remove("apiVersion");
            }
            item
        })
        .collect();
    json!({"kind": resource.list_kind, "apiVersion": resource.api_version(), "metadata": {"resourceVersion": version}, "items": items})
}

/// `PartialObjectMetadata` of an object.
pub(crate) fn partial(stored: &Value, meta: &str) -> Value {
    let metadata = stored.get("metadata").cloned().unwrap_or_else(|| json!({}));
    json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{meta}"), "metadata": metadata})
}

/// A Table with one row per object; `head: false` leaves the column definitions null, as later events of a watch do.
pub(crate) fn table(
    api: &Api,
    resource: &Resource,
    meta: &str,
    query: &Query,
    version: &str,
    objects: &[&Value],
    head: bool,
) -> Result<Value, ApiError> {
    let include = query.get("includeObject").unwrap_or("Metadata");
    if !matches!(include, "None" | "Metadata" | "Object") {
        return Err(ApiError::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: \"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        )));
    }
    let live = api.hooks.live_columns.as_deref();
    let live = live.and_then(|live| Some((live, live.columns(&resource.group, &resource.plural)?)));
    let now = Timestamp::now();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells = match &live {
                Some((live, _)) => live.cells(&resource.group, &resource.plural, object),
                None => resource.layout.cells(&present(resource, object), now),
            };
            let shown = match include {
                "None" => Value::Null,
                "Object" => present(resource, object),
                _ => partial(object, meta),
            };
            json!({"cells": cells, "object": shown})
        })
        .collect();
    let columns = live.as_ref().map_or_else(|| resource.layout.columns(), |(_, columns)| columns.as_slice());
    let definitions = if head { Value::from(columns.iter().map(Column::to_json).collect::<Vec<_>>()) } else { Value::Null };
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), Value::from(version));
    Ok(json!({
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{meta}"), "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    }))
}
