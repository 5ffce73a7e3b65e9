//! Fields that somebody else owns, and the words for them.

use std::fmt::Write;

use serde_json::{Value, json};

use super::managers::{Operation, Who};
use super::set::FieldSet;

/// What one other manager owns of that which an applier wants to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) who: Who,
    pub(crate) fields: FieldSet,
}

impl Conflict {
    /// `"kubectl" with subresource "status" using apps/v1`.
    fn owner(&self) -> String {
        let Who { manager, operation, api_version, subresource } = &self.who;
        let mut text = format!("{manager:?}");
        if !subresource.is_empty() {
            let _ = write!(text, " with subresource {subresource:?}");
        }
        if *operation == Operation::Update {
            let _ = write!(text, " using {api_version}");
        }
        text
    }

    /// What the answer says of all conflicts together.
    pub(crate) fn message(all: &[Self]) -> String {
        let paths: Vec<(String, Vec<String>)> = sorted(all).iter().map(|c| (c.owner(), c.fields.paths())).collect();
        let count: usize = paths.iter().map(|(_, paths)| paths.len()).sum();
        if let ([(owner, paths)], 1) = (paths.as_slice(), count) {
            return format!("Apply failed with 1 conflict: conflict with {owner}: {}", paths.concat());
        }
        let mut lines = Vec::new();
        for (owner, paths) in paths {
            lines.push(format!("conflicts with {owner}:"));
            lines.extend(paths.iter().map(|path| format!("- {path}")));
        }
        format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
    }

    /// The causes of the answer, one per field.
    pub(crate) fn causes(all: &[Self]) -> Vec<Value> {
        let one = |conflict: &Self, path: String| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {}", conflict.owner()), "field": path});
        sorted(all).iter().flat_map(|c| c.fields.paths().into_iter().map(|path| one(c, path))).collect()
    }
}

fn sorted(all: &[Conflict]) -> Vec<&Conflict> {
    let mut sorted: Vec<&Conflict> = all.iter().collect();
    sorted.sort_by_key(|conflict| conflict.owner());
    sorted
}
