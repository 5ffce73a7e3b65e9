//! One node of a structural schema.

use serde_json::Value;

/// One node of a structural schema.
#[derive(Debug)]
pub(crate) struct Node {}

impl Node {
    pub(crate) fn parse(schema: &Value, depth: usize) -> Result<Self, String> {
        let _ = depth;
        schema.as_object().map(|_| Self {}).ok_or_else(|| "a schema must be an object".to_owned())
    }
}
