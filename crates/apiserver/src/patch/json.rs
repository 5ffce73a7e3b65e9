//! JSON patch, RFC 6902, within bounds: what an operation copies may be copies already, and where it puts a value may be the bottom of what
//! earlier ones put there, so that a small patch could make an object of any size and depth.

use std::slice;

use json_patch::{PatchOperation, patch_unsafe};
use serde_json::Value;

use crate::object::is_deeper;
use crate::rest::MAX_BODY;

/// Operations of a patch.
pub(crate) const MAX_OPERATIONS: usize = 10_000;
/// Levels of the patched object: more than one operation needs to go beyond what is stored, and no danger for any stack.
const MAX_DEPTH: usize = 256;

/// Applies the operations one after the other; together they copy and move no more JSON than a body may have. After an error (which says
/// why) the object is somewhere in between.
pub(crate) fn json_patch(object: &mut Value, operations: &[PatchOperation]) -> Result<(), String> {
    let mut copied = 0;
    for operation in operations {
        let put = match operation {
            PatchOperation::Add(op) => Some(&op.value),
            PatchOperation::Replace(op) => Some(&op.value),
            PatchOperation::Copy(op) => taken(object, op.from.as_str(), &mut copied)?,
            PatchOperation::Move(op) => taken(object, op.from.as_str(), &mut copied)?,
            PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
        };
        let levels = MAX_DEPTH.saturating_sub(operation.path().count());
        if put.is_some_and(|value| is_deeper(value, levels)) {
            return Err(format!("{} would be nested too deeply", operation.path()));
        }
        patch_unsafe(object, slice::from_ref(operation)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What is at `from`, added to what was `copied` before, in bytes.
fn taken<'v>(object: &'v Value, from: &str, copied: &mut usize) -> Result<Option<&'v Value>, String> {
    let value = object.pointer(from);
    *copied += value.map_or(0, |value| value.to_string().len());
    if *copied > MAX_BODY { Err(format!("the patch copies more than {MAX_BODY} bytes")) } else { Ok(value) }
}
