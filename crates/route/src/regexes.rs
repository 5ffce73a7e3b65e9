//! Compiled expressions, each once, however many routes have it, and shared with the table before.

use std::collections::HashMap;
use std::sync::Arc;

use weir_model::Pattern;

/// Compiled expressions by their text.
pub(crate) type Compiled = HashMap<Arc<str>, Arc<regex::bytes::Regex>>;

/// Compiles expressions for one table.
pub(crate) struct Regexes<'a> {
    before: Option<&'a Compiled>,
    pub(crate) now: Compiled,
}

impl<'a> Regexes<'a> {
    /// Takes what it can from `before`.
    pub(crate) fn new(before: Option<&'a Compiled>) -> Self {
        Self { before, now: Compiled::new() }
    }

    /// None when it cannot be compiled, which does not happen: it was when `pattern` was made.
    pub(crate) fn compile(&mut self, pattern: &Pattern) -> Option<Arc<regex::bytes::Regex>> {
        if let Some(regex) = self.now.get(pattern.as_str()) {
            return Some(regex.clone());
        }
        let shared = self.before.and_then(|before| before.get(pattern.as_str())).cloned();
        let regex = shared.or_else(|| pattern.compile().ok().map(Arc::new))?;
        self.now.insert(pattern.as_str().into(), regex.clone());
        Some(regex)
    }
}
