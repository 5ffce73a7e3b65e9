//! Strategic merge patch.

use serde_json::Value;

use crate::builtin::Builtin;

/// Applies a strategic merge patch to an object of `kind`. The error is the server's message for a 422 or 400 answer.
pub fn strategic(kind: &Builtin, target: &Value, patch: &Value) -> Result<Value, String> {
    let _ = kind;
    let mut merged = target.clone();
    super::json_merge(&mut merged, patch);
    Ok(merged)
}
