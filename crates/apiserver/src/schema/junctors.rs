//! `allOf`, `anyOf`, `oneOf` and `not`.

use std::sync::Arc;

use serde_json::Value;

use super::{FieldError, Node, check, path::Path, text};

/// The logical combinations of a node.
#[derive(Debug, Default)]
pub(super) struct Junctors {
    pub(super) all_of: Vec<Arc<Node>>,
    pub(super) any_of: Vec<Arc<Node>>,
    pub(super) one_of: Vec<Arc<Node>>,
    pub(super) not: Option<Arc<Node>>,
}

impl Junctors {
    pub(super) fn check(&self, value: &Value, path: &mut Path, errors: &mut Vec<FieldError>) {
        self.check_any(value, path, errors);
        self.check_one(value, path, errors);
        self.check_all(value, path, errors);
        if let Some(not) = &self.not
            && failures(not, value, path).is_empty()
        {
            errors.push(composite(path, "must not validate the schema (not)"));
        }
    }

    fn check_any(&self, value: &Value, path: &mut Path, errors: &mut Vec<FieldError>) {
        let found = each(&self.any_of, value, path);
        if found.is_empty() || found.iter().any(Vec::is_empty) {
            return;
        }
        errors.push(composite(path, "must validate at least one schema (anyOf)"));
        errors.extend(nearest(&self.any_of, found, value));
    }

    fn check_one(&self, value: &Value, path: &mut Path, errors: &mut Vec<FieldError>) {
        if self.one_of.is_empty() {
            return;
        }
        let found = each(&self.one_of, value, path);
        match found.iter().filter(|failures| failures.is_empty()).count() {
            1 => {}
            0 => {
                errors.push(composite(path, "must validate one and only one schema (oneOf). Found none valid"));
                errors.extend(nearest(&self.one_of, found, value));
            }
            n => errors.push(composite(path, &format!("must validate one and only one schema (oneOf). Found {n} valid alternatives"))),
        }
    }

    fn check_all(&self, value: &Value, path: &mut Path, errors: &mut Vec<FieldError>) {
        let mut failed = 0;
        for branch in &self.all_of {
            let found = failures(branch, value, path);
            failed += usize::from(!found.is_empty());
            errors.extend(found);
        }
        match failed {
            0 => {}
            n if n == self.all_of.len() => errors.push(composite(path, "must validate all the schemas (allOf). None validated")),
            _ => errors.push(composite(path, "must validate all the schemas (allOf)")),
        }
    }
}

fn failures(branch: &Node, value: &Value, path: &mut Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check::check(branch, value, None, path, &mut errors);
    errors
}

/// The failures of each branch. Each is checked once: branches nest.
fn each(branches: &[Arc<Node>], value: &Value, path: &mut Path) -> Vec<Vec<FieldError>> {
    branches.iter().map(|branch| failures(branch, value, path)).collect()
}

/// The failures of the branch that has most to say about this value; of the first such.
fn nearest(branches: &[Arc<Node>], found: Vec<Vec<FieldError>>, value: &Value) -> Vec<FieldError> {
    let weighed = branches.iter().map(|branch| weight(branch, value)).zip(found).rev();
    weighed.max_by_key(|(weight, _)| *weight).map(|(_, failures)| failures).unwrap_or_default()
}

/// How much of a branch is about this value.
fn weight(branch: &Node, value: &Value) -> usize {
    let junctors = branch.checks.as_ref().map(|checks| &checks.junctors);
    let combined = junctors.is_some_and(|j| !j.all_of.is_empty() || !j.any_of.is_empty() || !j.one_of.is_empty());
    let below: usize = match value {
        Value::Object(fields) => fields.iter().filter_map(|(name, field)| Some(weight(branch.properties.get(name.as_str())?, field))).sum(),
        Value::Array(items) => branch.items.iter().flat_map(|node| items.iter().map(|item| weight(node, item))).sum(),
        _ => 0,
    };
    1 + usize::from(branch.format.is_some()) + usize::from(combined) + below
}

fn composite(path: &Path, what: &str) -> FieldError {
    FieldError::composite(&format!("{} {what}", text::quoted(path.as_str())))
}
