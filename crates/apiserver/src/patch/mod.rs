//! Patches: JSON merge patch (RFC 7386), Kubernetes' strategic merge patch, and JSON patch (RFC 6902).

mod json;
mod merge;
mod strategic;
#[cfg(test)]
mod tests;

pub(crate) use json::{MAX_OPERATIONS, json_patch};
pub use merge::json_merge;
pub(crate) use strategic::patch_tags;
pub use strategic::strategic;
