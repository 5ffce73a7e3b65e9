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
        let Some(nearest) = nearest_failure(&self.any_of, value, path) else { return };
        errors.push(composite(path, "must validate at least one schema (anyOf)"));
        errors.extend(nearest);
    }

    fn check_one(&self, value: &Value, path: &mut Path, errors: &mut Vec<FieldError>) {
        if self.one_of.is_empty() {
            return;
        }
        match self.one_of.iter().filter(|branch| failures(branch, value, path).is_empty()).count() {
            1 => {}
            0 => {
                errors.push(composite(path, "must validate one and only one schema (oneOf). Found none valid"));
                errors.extend(nearest_failure(&self.one_of, value, path).unwrap_or_default());
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

/// None when a branch holds; else the errors of the branch with the fewest.
fn nearest_failure(branches: &[Arc<Node>], value: &Value, path: &mut Path) -> Option<Vec<FieldError>> {
    let mut nearest: Option<Vec<FieldError>> = None;
    for branch in branches {
        let found = failures(branch, value, path);
        if found.is_empty() {
            return None;
        }
        if nearest.as_ref().is_none_or(|n| found.len() < n.len()) {
            nearest = Some(found);
        }
    }
    nearest
}

fn composite(path: &Path, what: &str) -> FieldError {
    FieldError::composite(&format!("{} {what}", text::quoted(path.as_str())))
}
