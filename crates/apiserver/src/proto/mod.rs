//! Protobuf request bodies: the `k8s\0` envelope with `runtime.Unknown`, decoded to the JSON that the same object would be.
//!
//! `kubectl create namespace|configmap|secret` and client-go send nothing else for built-in kinds. Numbers and names of fields are in
//! `messages.txt`, one message a line, taken from the published `generated.proto` files of k8s.io/api and k8s.io/apimachinery 0.33.

mod decode;
mod messages;
#[cfg(test)]
mod tests;
mod wire;

use serde_json::{Map, Value};

use wire::{Field, Reader};

/// The four bytes that begin every protobuf body.
pub const MAGIC: &[u8; 4] = b"k8s\0";

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
