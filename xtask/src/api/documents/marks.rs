//! Which documents our server answers otherwise, and why: `tests/api/documents/marks`.
//!
//! ```text
//! known documents/gateway spec.tls.*: type -- WHAT IS MISSING
//! differs documents/gateway as it is -- WHY
//! ```
//! A `*` stands for any text. A mark that no document needs any more is an error.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::api::verdict::{Found, difference};

struct Mark {
    pattern: String,
    differs: bool,
    why: String,
    /// How many documents it is true of.
    used: Cell<usize>,
}

/// The marks of one set of documents.
pub(super) struct Marks(Vec<Mark>);

impl Marks {
    /// Those for the set called `set`. A file that is not there holds none.
    pub(super) fn read(file: &Path, set: &str) -> Result<Self> {
        let mut marks = Vec::new();
        for line in fs::read_to_string(file).unwrap_or_default().lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (what, why) = line.split_once(" -- ").with_context(|| format!("`{line}` in {} has no reason", file.display()))?;
            let (relation, what) = what.split_once(' ').unwrap_or((what, ""));
            let differs = match relation {
                "differs" => true,
                "known" => false,
                _ => bail!("`{line}` in {}: it begins with `known` or with `differs`", file.display()),
            };
            if let Some(pattern) = what.strip_prefix(set).and_then(|pattern| pattern.strip_prefix(' ')) {
                marks.push(Mark { pattern: pattern.to_owned(), differs, why: why.to_owned(), used: Cell::new(0) });
            }
        }
        Ok(Self(marks))
    }

    /// Whether our answer to this document is our own on purpose.
    pub(super) fn differs(&self, name: &str) -> bool {
        self.find(name).is_some_and(|mark| mark.differs)
    }

    /// What is wrong with our answer.
    pub(super) fn judge(&self, name: &str, real: &str, own: &str, answer: &str, found: &mut Found) -> Result<Option<String>> {
        if real == answer {
            return Ok(None);
        }
        let Some(mark) = self.find(name) else { return Ok(Some(format!("- the real server, + ours\n{}", difference(real, answer)?))) };
        mark.used.set(mark.used.get() + 1);
        if mark.differs && own != answer {
            return Ok(Some(format!("- recorded as ours, + what we say now (--record)\n{}", difference(own, answer)?)));
        }
        if mark.differs {
            found.differs(mark.why.clone())
        } else {
            found.known(mark.why.clone())
        }
        Ok(None)
    }

    /// Complains of marks that are true of nothing.
    pub(super) fn leftovers(&self, found: &mut Found) {
        for mark in self.0.iter().filter(|mark| mark.used.get() == 0) {
            found.complain(format!("{}\nboth answer alike now: remove its mark\n", mark.pattern));
        }
    }

    fn find(&self, name: &str) -> Option<&Mark> {
        self.0.iter().find(|mark| matches(&mark.pattern, name))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(before) else { return false };
    name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| matches(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_text() {
        assert!(matches("spec.*: type", "spec.a.b: type") && matches("*", "") && matches("a", "a"));
        assert!(!matches("spec.*: type", "spec.a: null") && !matches("a", "ab"));
    }
}
