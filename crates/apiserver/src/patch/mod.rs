//! Patches: JSON merge patch (RFC 7386) and Kubernetes' strategic merge patch.

mod merge;
mod strategic;
#[cfg(test)]
mod tests;

pub use merge::json_merge;
pub(crate) use strategic::patch_tags;
pub use strategic::strategic;
