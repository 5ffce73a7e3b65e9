//! The status of a policy: one entry for each target.

use serde_json::{Value, json};

use super::targets::Target;
use crate::condition::Conditions;
use crate::status::json as to_json;

/// The most ancestors that a status holds (Gateway API, PolicyStatus).
const MAX: usize = 16;

/// What a policy's targets are told.
#[derive(Debug, Default)]
pub(super) struct Ancestors {
    entries: Vec<(Target, Conditions)>,
}

impl Ancestors {
    /// What `target` is told.
    pub(super) fn at(&mut self, target: &Target, generation: i64) -> &mut Conditions {
        let at = self.entries.iter().position(|(it, _)| it == target).unwrap_or(self.entries.len());
        if at == self.entries.len() {
            self.entries.push((target.clone(), Conditions::new(generation)));
        }
        &mut self.entries[at].1
    }

    /// The status. Of too many ancestors those stay that have something to say.
    pub(super) fn status(mut self, controller: &str) -> Value {
        if self.entries.len() > MAX {
            self.entries.sort_by(|(a, x), (b, y)| (rank(x), &a.name).cmp(&(rank(y), &b.name)));
            self.entries.truncate(MAX);
            if let Some((_, conditions)) = self.entries.last_mut() {
                let message = "Ancestors have been truncated because the number of policy ancestors exceeds 16.";
                conditions.yes("Aggregated", "Aggregated", message);
            }
        }
        let entries: Vec<Value> = self
            .entries
            .iter()
            .map(|(target, conditions)| {
                json!({ "ancestorRef": target.json(), "controllerName": controller, "conditions": to_json(conditions) })
            })
            .collect();
        json!({ "ancestors": entries })
    }
}

fn rank(conditions: &Conditions) -> u8 {
    match (conditions.is_no("Accepted"), conditions.has("Overridden")) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}
