//! Objects as an answer shows them: in the version asked for, whole, as metadata, or as rows of a Table.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::accept::{Accept, Shape};
use super::query::Query;
use super::reply::Reply;
use crate::api::Api;
use crate::apply::Managed;
use crate::events;
use crate::object::ObjectExt;
use crate::registry::Resource;
use crate::status::ApiError;
use crate::store::Stored;
use crate::table::Column;
use crate::whole::{Metadata, Whole};

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
pub(crate) fn one(api: &Api, resource: &Resource, accept: Accept, query: &Query, code: u16, stored: &Stored) -> Result<Reply, ApiError> {
    Ok(match accept.shape {
        Shape::Table(meta) => {
            Reply::object(code, accept.yaml, &table(api, resource, meta, query, stored.value.resource_version(), &[&stored.value], true)?)
        }
        Shape::Partial(meta) => Reply::object(code, accept.yaml, &Partial { stored, meta }),
        Shape::Object | Shape::Discovery(_) => Reply::object(code, accept.yaml, &Shown::new(resource, stored)),
    })
}

/// A list in the negotiated shape.
pub(crate) fn many(
    api: &Api,
    resource: &Resource,
    accept: Accept,
    query: &Query,
    head: ListMeta,
    objects: &[Arc<Stored>],
) -> Result<Reply, ApiError> {
    match accept.shape {
        Shape::Table(meta) => {
            let values: Vec<&Value> = objects.iter().map(|o| &o.value).collect();
            let mut table = table(api, resource, meta, query, "", &values, true)?;
            crate::object::set_or_remove(&mut table, "metadata", Some(&head.to_value(false)));
            Ok(Reply::object(200, accept.yaml, &table))
        }
        Shape::Partial(meta) => {
            let items: Vec<Partial<'_>> = objects.iter().map(|stored| Partial { stored, meta }).collect();
            let version = format!("meta.k8s.io/{meta}");
            let list = List { kind: "PartialObjectMetadataList", api_version: &version, head: head.to_value(false), items };
            Ok(Reply::object(200, accept.yaml, &list))
        }
        Shape::Object | Shape::Discovery(_) => {
            let bare = !resource.is_custom();
            let items: Vec<Shown<'_>> = objects.iter().map(|o| Shown { bare, ..Shown::new(resource, o) }).collect();
            let version = resource.api_version();
            let list = List { kind: &resource.list_kind, api_version: &version, head: head.to_value(!bare), items };
            Ok(Reply::object(200, accept.yaml, &list))
        }
    }
}

/// The metadata of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListMeta {
    pub(crate) version: u64,
    /// Where the next page begins; empty on the last.
    pub(crate) next: String,
    /// How many objects come after this page, when that is known.
    pub(crate) remaining: Option<usize>,
}

impl ListMeta {
    pub(crate) fn whole(version: u64) -> Self {
        Self { version, ..Self::default() }
    }

    /// Lists of custom kinds show an empty `continue`, those of built-in kinds leave it out.
    fn to_value(&self, custom: bool) -> Value {
        let mut meta = json!({"resourceVersion": self.version.to_string()});
        if custom || !self.next.is_empty() {
            crate::object::set_or_remove(&mut meta, "continue", Some(&Value::from(self.next.as_str())));
        }
        crate::object::set_or_remove(&mut meta, "remainingItemCount", self.remaining.map(Value::from).as_ref());
        meta
    }
}

/// A list that is written out object by object: thousands of them are not copied first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a, I> {
    kind: &'a str,
    api_version: &'a str,
    #[serde(rename = "metadata")]
    head: Value,
    items: Vec<I>,
}

/// A stored object in the version of a resource, with its owners. Lists of built-in kinds leave kind and apiVersion out of their items.
pub(crate) struct Shown<'a> {
    value: Cow<'a, Value>,
    managed: &'a Managed,
    bare: bool,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(resource: &Resource, stored: &'a Stored) -> Self {
        Self { value: present(resource, &stored.value), managed: &stored.managed, bare: false }
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Whole { bare: self.bare, ..Whole::new(&self.value, self.managed) }.serialize(serializer)
    }
}

/// `PartialObjectMetadata` of an object.
pub(crate) struct Partial<'a> {
    pub(crate) stored: &'a Stored,
    /// Version of `meta.k8s.io`.
    pub(crate) meta: &'a str,
}

impl Serialize for Partial<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("kind", "PartialObjectMetadata")?;
        map.serialize_entry("apiVersion", &format!("meta.k8s.io/{}", self.meta))?;
        match self.stored.value.get("metadata") {
            Some(Value::Object(fields)) => map.serialize_entry("metadata", &Metadata { fields, managed: &self.stored.managed })?,
            _ => map.serialize_entry("metadata", &json!({}))?,
        }
        map.end()
    }
}

/// The metadata of a Table's row. Owners are left out: nothing that prints tables looks at them.
fn partial(stored: &Value, meta: &str) -> Value {
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
