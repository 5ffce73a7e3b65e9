//! An object as it is kept: JSON text, with gaps for what is kept apart.
//!
//! ```text
//!  {                      "metadata":{...                                },"spec":...}    the text
//!   "apiVersion":…,"kind":…,              ,"resourceVersion":…,"managedFields":…          the gaps
//! ```
//!
//! Text takes a tenth of the memory of a tree of values, and it is what most clients ask for: lists and watches copy it. The kind is much the same
//! in all objects of a shelf, as are their owners, and the version is known only when the object is written to disk.

use std::io::Write;
use std::ops::Deref;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Key;
use super::place::Place;
use crate::apply::{self, Managed, Managers, Shared};
use crate::object::{ObjectExt, is_deeper};

/// What every text begins with; the metadata come first.
const BEGIN: &[u8] = b"{\"metadata\":";
/// The JSON parser reads 128 levels: what is kept can be read again.
const MAX_DEPTH: usize = 120;
/// Bytes of all that goes with an object beside its text: itself, its name, its place in maps.
const FIXED: usize = 512;

/// Why an object cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unkept {
    #[error("the object is nested deeper than {MAX_DEPTH} levels; flatten it")]
    Deep,
    #[error("the object cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// An object as it stands at one version.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// How the whole begins: `{"apiVersion":"v1","kind":"Pod",`.
    lead: Arc<str>,
    text: Arc<[u8]>,
    /// Where the metadata's closing brace is in the text.
    gap: usize,
    pub(crate) managed: Managed,
    /// 0 is none: the object is shown and not kept.
    pub(crate) version: u64,
    namespace: Arc<str>,
    name: Arc<str>,
    uid: Arc<str>,
    /// The owners' uids.
    owners: Box<[Box<str>]>,
    deleting: bool,
}

impl Stored {
    /// An object without its `managedFields`, which are `managed`.
    pub(crate) fn new(value: Value, managed: Managed, version: u64) -> Result<Self, Unkept> {
        if is_deeper(&value, MAX_DEPTH) {
            return Err(Unkept::Deep);
        }
        let uids = value.owner_references().iter().filter_map(|owner| owner.get("uid")?.as_str());
        let owners = uids.map(Box::from).collect();
        let (namespace, name, uid) = (value.namespace().into(), value.name().into(), value.uid().into());
        let deleting = value.is_deleting();
        let mut fields = match value {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let mut take = |field: &str| fields.shift_remove(field);
        let (api_version, kind, metadata) = (take("apiVersion"), take("kind"), take("metadata"));
        let text = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let lead = lead(&text(&api_version), &text(&kind)).into();
        let (text, gap) = write(metadata, &fields)?;
        Ok(Self { lead, text: text.into(), gap, managed, version, namespace, name, uid, owners, deleting })
    }

    /// Reads a whole object that was written at `key`; none when it is no JSON that this could have written.
    pub(super) fn load(key: &Key, json: &[u8], interner: &mut Interner) -> Option<(Key, Self)> {
        let mut value: Value = serde_json::from_slice(json).ok()?;
        let version = value.resource_version().parse().unwrap_or_default();
        let managers = Managed::take_from(&mut value).and_then(|list| Managers::from_value(&list).ok()).unwrap_or_default();
        let managed = interner.managed.intern(&Managed::new(&managers));
        let key = interner.key(key);
        let stored = Self::new(value, Managed::default(), version).ok()?.settled(&key, managed, version, interner);
        Some((key, stored))
    }

    /// The same under its own key and the version that it got, sharing what others have too.
    pub(super) fn settled(self, key: &Key, managed: Managed, version: u64, interner: &mut Interner) -> Self {
        let (namespace, name) = (Arc::clone(&key.namespace), Arc::clone(&key.name));
        Self { lead: interner.texts.one(&self.lead), managed, version, namespace, name, ..self }
    }

    /// The same state, told under another version.
    pub(crate) fn under(&self, version: u64) -> Self {
        Self { version, ..self.clone() }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }

    pub(super) fn shared_uid(&self) -> Arc<str> {
        Arc::clone(&self.uid)
    }

    /// Where it is on its shelf.
    pub(super) fn place(&self) -> Place {
        Place { namespace: Arc::clone(&self.namespace), name: Arc::clone(&self.name) }
    }

    /// The uids of its owners.
    pub(crate) fn owners(&self) -> impl Iterator<Item = &str> {
        self.owners.iter().map(|uid| &**uid)
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.deleting
    }

    /// Bytes that keeping it takes, about, without `managed`, which others may hold too.
    pub(super) fn size(&self) -> usize {
        self.text.len() + FIXED
    }

    /// Bytes of the whole as JSON, about.
    pub(crate) fn json_size(&self) -> usize {
        self.lead.len() + self.text.len() + self.managed.size() + 64
    }

    /// The object without its `managedFields`.
    pub(crate) fn value(&self) -> Value {
        let mut json = Vec::with_capacity(self.json_size());
        self.write_parts(self.lead.as_bytes(), &self.text, false, &mut json);
        parse(&json)
    }

    /// The whole object.
    pub(crate) fn whole(&self) -> Value {
        parse(&self.json())
    }

    /// An object that has nothing but this one's metadata, without `managedFields`.
    pub(crate) fn head(&self) -> Value {
        let mut json = Vec::with_capacity(self.gap + 64);
        self.write_parts(b"{", &self.text[..=self.gap], false, &mut json);
        json.push(b'}');
        parse(&json)
    }

    /// Some fields of the object, without a tree of all the others. Kind and version are not among them.
    pub(crate) fn fields<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_slice(&self.text).ok()
    }

    /// The whole object as JSON.
    pub(crate) fn json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.json_size());
        self.write(self.lead.as_bytes(), &mut json);
        json
    }

    /// Writes the whole object as JSON, beginning with `lead` (of [`lead`]) instead of its own kind.
    pub(crate) fn write(&self, lead: &[u8], json: &mut Vec<u8>) {
        self.write_parts(lead, &self.text, true, json);
    }

    /// Writes an object that has nothing but this one's metadata.
    pub(crate) fn write_head(&self, lead: &[u8], json: &mut Vec<u8>) {
        self.write_parts(lead, &self.text[..=self.gap], true, json);
        json.push(b'}');
    }

    fn write_parts(&self, lead: &[u8], text: &[u8], managed: bool, json: &mut Vec<u8>) {
        let (before, after) = text.split_at(self.gap);
        json.extend_from_slice(lead);
        json.extend_from_slice(&before[1..]);
        let mut comma = before.len() > BEGIN.len() + 1;
        if self.version != 0 {
            json.extend_from_slice(if comma { b"," } else { b"" });
            // Memory takes all that is written to it.
            let _ = write!(json, "\"resourceVersion\":\"{}\"", self.version);
            comma = true;
        }
        if managed && !self.managed.is_empty() {
            json.extend_from_slice(if comma { b"," } else { b"" });
            json.extend_from_slice(b"\"managedFields\":");
            self.managed.write(json);
        }
        json.extend_from_slice(after);
    }
}

/// How an object of a kind begins; what is empty is left out.
pub(crate) fn lead(api_version: &str, kind: &str) -> String {
    let mut lead = "{".to_owned();
    for (field, text) in [("apiVersion", api_version), ("kind", kind)] {
        if !text.is_empty() {
            lead.push_str(&format!("\"{field}\":{},", Value::from(text)));
        }
    }
    lead
}

/// The text of an object, and where the metadata's gap is.
fn write(metadata: Option<Value>, fields: &Map<String, Value>) -> Result<(Vec<u8>, usize), Unkept> {
    let mut metadata = match metadata {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    metadata.shift_remove("resourceVersion");
    let mut text = BEGIN.to_vec();
    serde_json::to_writer(&mut text, &metadata)?;
    let gap = text.len() - 1;
    for (name, field) in fields {
        text.push(b',');
        serde_json::to_writer(&mut text, name)?;
        text.push(b':');
        serde_json::to_writer(&mut text, field)?;
    }
    text.push(b'}');
    Ok((text, gap))
}

fn parse(json: &[u8]) -> Value {
    serde_json::from_slice(json).expect("written from a value that is not too deep to be read")
}

/// An object together with what its text says, for those who make another one of it.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The object without its `managedFields`.
    pub(crate) value: Value,
    pub(crate) stored: Arc<Stored>,
}

impl From<Arc<Stored>> for Parsed {
    fn from(stored: Arc<Stored>) -> Self {
        Self { value: stored.value(), stored }
    }
}

impl Deref for Parsed {
    type Target = Stored;

    fn deref(&self) -> &Stored {
        &self.stored
    }
}

/// Makes one what many objects have in common.
#[derive(Debug, Default)]
pub(super) struct Interner {
    pub(super) managed: apply::Interner,
    texts: Shared<str>,
}

impl Interner {
    /// The same key, sharing the names that others have too.
    pub(super) fn key(&mut self, key: &Key) -> Key {
        let Key { shelf, namespace, name } = key;
        Key { shelf: self.texts.one(shelf), namespace: self.texts.one(namespace), name: Arc::clone(name) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owners() -> Value {
        json!([{
            "manager": "a \"b\"", "operation": "Apply", "apiVersion": "v1", "time": "1970-01-02T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}},
        }])
    }

    fn text(json: &[u8]) -> &str {
        std::str::from_utf8(json).unwrap()
    }

    #[test]
    fn what_is_kept_apart_is_written_into_its_places() {
        let value =
            json!({"data": {"a": "{}"}, "metadata": {"name": "n", "resourceVersion": "1"}, "kind": "ConfigMap", "apiVersion": "v1"});
        let stored = Stored::new(value, Managed::default(), 7).unwrap();
        let meta = r#""metadata":{"name":"n","resourceVersion":"7"}"#;
        assert_eq!(text(&stored.json()), format!(r#"{{"apiVersion":"v1","kind":"ConfigMap",{meta},"data":{{"a":"{{}}"}}}}"#));
        let (mut bare, mut head) = (Vec::new(), Vec::new());
        stored.write(b"{", &mut bare);
        assert_eq!(text(&bare), format!(r#"{{{meta},"data":{{"a":"{{}}"}}}}"#));
        stored.write_head(lead("meta.k8s.io/v1", "PartialObjectMetadata").as_bytes(), &mut head);
        assert_eq!(text(&head), format!(r#"{{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata",{meta}}}"#));
        assert_eq!(stored.head(), json!({"metadata": {"name": "n", "resourceVersion": "7"}}));
    }

    #[test]
    fn an_object_reads_back_whole() {
        let managed = Managed::new(&Managers::from_value(&owners()).unwrap());
        let bare = Stored::new(json!({"metadata": {}}), managed, 0).unwrap();
        assert_eq!(bare.whole(), json!({"metadata": {"managedFields": owners()}}));
        assert_eq!(bare.value(), json!({"metadata": {}}));
        assert_eq!(bare.under(3).value(), json!({"metadata": {"resourceVersion": "3"}}));
        let key = Key::new(&"/configmaps".into(), "a", "b");
        let (_, read) = Stored::load(&key, &bare.under(3).json(), &mut Interner::default()).unwrap();
        assert_eq!((read.version, read.whole()), (3, bare.under(3).whole()));
    }

    #[test]
    fn what_could_not_be_read_back_is_not_kept() {
        let deep = |levels| (0..levels).fold(json!(1.1), |inner, _| json!({"a": inner}));
        assert!(matches!(Stored::new(deep(MAX_DEPTH + 1), Managed::default(), 1), Err(Unkept::Deep)));
        assert_eq!(Stored::new(deep(MAX_DEPTH), Managed::default(), 0).unwrap().value().get("a"), deep(MAX_DEPTH).get("a"));
    }

    #[test]
    fn numbers_stay_what_they_are() {
        for number in [json!(0.1), json!(1e300), json!(5e-324), json!(123_456.789_012_345_67), json!(u64::MAX), json!(-0.0)] {
            let value = json!({"metadata": {}, "spec": {"n": number}});
            assert_eq!(Stored::new(value.clone(), Managed::default(), 0).unwrap().value(), value);
        }
    }
}
