//! Protobuf request bodies: the `k8s\0` envelope with `runtime.Unknown`, decoded to the JSON that the same object would be.

use serde_json::Value;

/// The four bytes that begin every protobuf body.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// Decodes a protobuf request body to JSON. The error says what is wrong with the body.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    if !body.starts_with(MAGIC) {
        return Err("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]".to_owned());
    }
    Err("protobuf bodies of this kind are not supported; send application/json".to_owned())
}
