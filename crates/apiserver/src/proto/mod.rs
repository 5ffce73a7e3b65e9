//! Protobuf bodies: the `k8s\0` envelope with `runtime.Unknown`, decoded to the JSON that the same object would be, and the other way.
//!
//! `kubectl create namespace|configmap|secret` and client-go send nothing else for built-in kinds, and client-go prefers it in answers.
//! Numbers and names of fields are in `messages.txt`, one message a line, taken from the published `generated.proto` files of k8s.io/api,
//! k8s.io/apimachinery and k8s.io/apiextensions-apiserver.

mod decode;
mod encode;
mod messages;
#[cfg(test)]
mod tests;
mod wire;

use serde_json::{Map, Value};

use wire::{Field, Reader, put_bytes};

/// The four bytes that begin every protobuf body.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// What bodies in protobuf are called.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// And the events of a watch, each with its length before it.
pub(crate) const STREAM_TYPE: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// Decodes a protobuf request body to JSON. The error says what is wrong with the body.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    let Some(envelope) = body.strip_prefix(MAGIC) else {
        return Err("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]".to_owned());
    };
    let envelope = Envelope::read(envelope)?;
    let (api_version, kind) = (envelope.api_version, envelope.kind);
    if envelope.content_type == "application/json" {
        return serde_json::from_slice(envelope.raw).map_err(|e| e.to_string());
    }
    let message = messages::root(&api_version, &kind)
        .ok_or_else(|| format!("no kind {kind:?} is registered for version {api_version:?} in protobuf; send it as application/json"))?;
    let mut object = Map::new();
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), api_version.into());
    decode::message(message, envelope.raw, &mut object, 0)?;
    Ok(Value::Object(object))
}

/// Whether objects of this kind have a form in protobuf.
pub(crate) fn is_known(api_version: &str, kind: &str) -> bool {
    messages::root(api_version, kind).is_some()
}

/// A whole body: the envelope with an object. The error names what has no form in protobuf.
pub(crate) fn encode(object: &Value) -> Result<Vec<u8>, String> {
    let Value::Object(fields) = object else { return Err("not an object".to_owned()) };
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let mut raw = Vec::new();
    encode::message(root(api_version, kind)?, fields, &mut raw, 0)?;
    Ok(envelope(api_version, kind, &raw))
}

fn root(api_version: &str, kind: &str) -> Result<&'static messages::Message, String> {
    messages::root(api_version, kind).ok_or_else(|| format!("no kind {kind:?} is registered for version {api_version:?} in protobuf"))
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut meta = Vec::new();
    put_bytes(&mut meta, 1, api_version.as_bytes());
    put_bytes(&mut meta, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(raw.len() + meta.len() + 24);
    out.extend_from_slice(MAGIC);
    put_bytes(&mut out, 1, &meta);
    put_bytes(&mut out, 2, raw);
    out
}

/// A list that is made object by object. All lists have the same two fields.
pub(crate) struct List<'a> {
    api_version: &'a str,
    kind: &'a str,
    item: &'static messages::Message,
    raw: Vec<u8>,
}

impl<'a> List<'a> {
    /// `kind` is the list's.
    pub(crate) fn new(api_version: &'a str, kind: &'a str, metadata: &Value) -> Result<Self, String> {
        let item = root(api_version, kind.strip_suffix("List").unwrap_or(kind))?;
        let (mut raw, mut meta) = (Vec::new(), Vec::new());
        if let (Value::Object(fields), Some(message)) = (metadata, messages::find("meta.ListMeta")) {
            encode::message(message, fields, &mut meta, 0)?;
        }
        put_bytes(&mut raw, 1, &meta);
        Ok(Self { api_version, kind, item, raw })
    }

    pub(crate) fn push(&mut self, object: &Value) -> Result<(), String> {
        let mut inner = Vec::new();
        if let Value::Object(fields) = object {
            encode::message(self.item, fields, &mut inner, 0)?;
        }
        put_bytes(&mut self.raw, 2, &inner);
        Ok(())
    }

    /// The whole body.
    pub(crate) fn finish(self) -> Vec<u8> {
        envelope(self.api_version, self.kind, &self.raw)
    }
}

/// One event of a watch: a length of four bytes and `meta.v1.WatchEvent`, whose object is a whole body.
pub(crate) fn watch_event(kind: &str, object: &Value) -> Result<Vec<u8>, String> {
    let mut raw = Vec::new();
    put_bytes(&mut raw, 1, &encode(object)?);
    let mut event = Vec::new();
    put_bytes(&mut event, 1, kind.as_bytes());
    put_bytes(&mut event, 2, &raw);
    let length = u32::try_from(event.len()).map_err(|_| "an event is too large".to_owned())?;
    Ok([length.to_be_bytes().as_slice(), &event].concat())
}

/// `runtime.Unknown`.
#[derive(Default)]
struct Envelope<'b> {
    api_version: String,
    kind: String,
    raw: &'b [u8],
    content_type: String,
}

impl<'b> Envelope<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, String> {
        let mut envelope = Self::default();
        for field in Reader::new(bytes) {
            match field? {
                (1, Field::Bytes(meta)) => {
                    for field in Reader::new(meta) {
                        match field? {
                            (1, Field::Bytes(text)) => envelope.api_version = wire::text(text)?,
                            (2, Field::Bytes(text)) => envelope.kind = wire::text(text)?,
                            _ => {}
                        }
                    }
                }
                (2, Field::Bytes(raw)) => envelope.raw = raw,
                (3, Field::Bytes(encoding)) if !encoding.is_empty() => {
                    return Err("compressed protobuf bodies are not supported".to_owned());
                }
                (4, Field::Bytes(text)) => envelope.content_type = wire::text(text)?,
                _ => {}
            }
        }
        Ok(envelope)
    }
}
