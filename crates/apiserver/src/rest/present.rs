//! Objects as an answer shows them: in the version asked for, whole, as metadata, or as rows of a Table.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::accept::{Accept, Shape};
use super::query::Query;
use super::reply::Reply;
use crate::api::Api;
use crate::events;
use crate::registry::Resource;
use crate::status::ApiError;
use crate::table::Column;

/// A stored object in the version of `resource`; it is only copied where that differs.
pub(crate) fn present<'a>(resource: &Resource, stored: &'a Value) -> Cow<'a, Value> {
    if resource.group == "events.k8s.io" {
        return Cow::Owned(events::from_core(stored));
    }
    let version = resource.api_version();
    // Objects keep the version they were written under, also when a CRD has another storage version since.
    if stored.get("apiVersion").and_then(Value::as_str) == Some(version.as_str()) {
        return Cow::Borrowed(stored);
    }
    let mut object = stored.clone();
    crate::object::set_or_remove(&mut object, "apiVersion", Some(&Value::from(version)));
    Cow::Owned(object)
}

/// One object in the negotiated shape.
pub(crate) fn one(api: &Api, resource: &Resource, accept: Accept, query: &Query, code: u16, stored: &Value) -> Result<Reply, ApiError> {
    let version = stored.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
    let value = match accept.shape {
        Shape::Table(meta) => Cow::Owned(table(api, resource, meta, query, version, &[stored], true)?),
        Shape::Partial(meta) => Cow::Owned(partial(stored, meta)),
        Shape::Object | Shape::Discovery(_) => present(resource, stored),
    };
    Ok(Reply::object(code, accept.yaml, &*value))
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
        Shape::Object | Shape::Discovery(_) => {
            return Ok(Reply::object(200, accept.yaml, &List { resource, version: &version, objects }));
        }
    };
    Ok(Reply::object(200, accept.yaml, &value))
}

/// A list that is written out object by object: thousands of them are not copied first.
struct List<'a> {
    resource: &'a Resource,
    version: &'a str,
    objects: &'a [&'a Value],
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("kind", &self.resource.list_kind)?;
        map.serialize_entry("apiVersion", &self.resource.api_version())?;
        map.serialize_entry("metadata", &json!({"resourceVersion": self.version}))?;
        map.serialize_entry("items", &Items(self))?;
        map.end()
    }
}

struct Items<'a>(&'a List<'a>);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let resource = self.0.resource;
        let items = self.0.objects.iter().map(|o| Item { object: present(resource, o), bare: !resource.is_custom() });
        serializer.collect_seq(items)
    }
}

/// Lists of built-in kinds leave kind and apiVersion out of their items; those of custom kinds do not.
struct Item<'a> {
    object: Cow<'a, Value>,
    bare: bool,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.object {
            Value::Object(fields) if self.bare => {
                serializer.collect_map(fields.iter().filter(|(key, _)| !matches!(key.as_str(), "kind" | "apiVersion")))
            }
            object => object.serialize(serializer),
        }
    }
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
                "Object" => present(resource, object).into_owned(),
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
