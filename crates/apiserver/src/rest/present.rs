//! Objects as an answer shows them: in the version asked for, whole, as metadata, or as rows of a Table.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::accept::{self, Accept, Shape};
use super::query::Query;
use super::reply::Reply;
use crate::api::Api;
use crate::events;
use crate::proto;
use crate::registry::Resource;
use crate::status::ApiError;
use crate::store::{Stored, lead};
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

/// Writes objects as one reader asked for them.
#[derive(Debug)]
pub(crate) struct Writer {
    /// How each object begins.
    lead: String,
    form: Form,
}

/// What of an object is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Kept,
    /// Under the names of events.k8s.io.
    Event,
    Metadata,
}

impl Writer {
    /// Writes objects in the version of `resource`.
    pub(crate) fn whole(resource: &Resource) -> Self {
        let form = if resource.group == "events.k8s.io" { Form::Event } else { Form::Kept };
        Self { lead: lead(&resource.api_version(), &resource.kind), form }
    }

    /// Writes `PartialObjectMetadata` in a version of `meta.k8s.io`.
    pub(crate) fn metadata(meta: &str) -> Self {
        Self { lead: lead(&format!("meta.k8s.io/{meta}"), "PartialObjectMetadata"), form: Form::Metadata }
    }

    /// As [`Writer::whole`], in a list: items of built-in kinds are without kind and version.
    fn item(resource: &Resource) -> Self {
        let whole = Self::whole(resource);
        if resource.is_custom() { whole } else { Self { lead: lead("", ""), ..whole } }
    }

    pub(crate) fn write(&self, stored: &Stored, json: &mut Vec<u8>) {
        match self.form {
            Form::Kept => stored.write(self.lead.as_bytes(), json),
            Form::Metadata => stored.write_head(self.lead.as_bytes(), json),
            Form::Event => {
                let mut event = events::from_core(&stored.whole());
                if self.lead == "{" {
                    crate::object::set_or_remove(&mut event, "kind", None);
                    crate::object::set_or_remove(&mut event, "apiVersion", None);
                }
                // Memory takes all that is written to it.
                let _ = serde_json::to_writer(json, &event);
            }
        }
    }
}

/// One object in the negotiated shape.
pub(crate) fn one(api: &Api, resource: &Resource, accept: Accept, query: &Query, code: u16, stored: &Stored) -> Result<Reply, ApiError> {
    let writer = match accept.shape {
        Shape::Table(meta) => {
            let version = Some(stored.version).filter(|version| *version != 0);
            let version = version.map(|version| version.to_string()).unwrap_or_default();
            let table = table(api, resource, meta, query, &version, &mut std::iter::once(stored), true)?;
            return Ok(Reply::object(code, accept.form, &table));
        }
        Shape::Partial(meta) => Writer::metadata(meta),
        Shape::Object | Shape::Discovery(_) => Writer::whole(resource),
    };
    let mut json = Vec::with_capacity(stored.json_size());
    writer.write(stored, &mut json);
    Ok(Reply::written(code, accept.form, json))
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
    let (writer, kind, version, meta) = match accept.shape {
        Shape::Table(meta) => {
            let mut table = table(api, resource, meta, query, "", &mut objects.iter().map(|object| &**object), true)?;
            crate::object::set_or_remove(&mut table, "metadata", Some(&head.to_value(false)));
            return Ok(Reply::object(200, accept.form, &table));
        }
        Shape::Partial(meta) => (Writer::metadata(meta), "PartialObjectMetadataList", format!("meta.k8s.io/{meta}"), head.to_value(false)),
        Shape::Object | Shape::Discovery(_) => {
            (Writer::item(resource), resource.list_kind.as_str(), resource.api_version(), head.to_value(resource.is_custom()))
        }
    };
    if accept.form == accept::Form::Protobuf {
        return in_protobuf(&writer, kind, &version, &meta, objects).map_err(|error| ApiError::internal(format!("protobuf: {error}")));
    }
    // Room for all: a list of many that grows would be copied again and again.
    let size: usize = objects.iter().map(|object| object.json_size()).sum();
    let mut json = Vec::with_capacity(size + 512);
    json.extend_from_slice(format!("{{\"kind\":{},\"apiVersion\":{},", Value::from(kind), Value::from(version)).as_bytes());
    json.extend_from_slice(format!("\"metadata\":{meta},\"items\":[").as_bytes());
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        writer.write(object, &mut json);
    }
    json.extend_from_slice(b"]}");
    Ok(Reply::written(200, accept.form, json))
}

/// A list in protobuf, object by object: they are not all decoded at once.
fn in_protobuf(writer: &Writer, kind: &str, version: &str, meta: &Value, objects: &[Arc<Stored>]) -> Result<Reply, String> {
    let mut list = proto::List::new(version, kind, meta)?;
    let mut json = Vec::new();
    for object in objects {
        json.clear();
        writer.write(object, &mut json);
        let named = |error: String| format!("{}/{}: {error}", object.namespace(), object.name());
        list.push(&serde_json::from_slice(&json).map_err(|error| named(error.to_string()))?).map_err(named)?;
    }
    Ok(Reply::bytes(200, proto::MEDIA_TYPE, list.finish()))
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

/// The metadata of a Table's row. Owners are left out: nothing that prints tables looks at them.
fn partial(stored: &mut Value, meta: &str) -> Value {
    let metadata = stored.get_mut("metadata").map_or_else(|| json!({}), Value::take);
    json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{meta}"), "metadata": metadata})
}

/// A Table with one row per object; `head: false` leaves the column definitions null, as later events of a watch do.
pub(crate) fn table(
    api: &Api,
    resource: &Resource,
    meta: &str,
    query: &Query,
    version: &str,
    objects: &mut dyn Iterator<Item = &Stored>,
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
        .map(|object| {
            // One by one: as trees, all of a list would take ten times their memory.
            let mut object = object.value();
            let cells = match &live {
                Some((live, _)) => live.cells(&resource.group, &resource.plural, &object),
                None => resource.layout.cells(&present(resource, &object), now),
            };
            let shown = match include {
                "None" => Value::Null,
                "Object" => present(resource, &object).into_owned(),
                _ => partial(&mut object, meta),
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
