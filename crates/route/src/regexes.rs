//! Compiled expressions, each once, however many routes have it, and shared with the table before.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use regex::bytes::Regex;
use weir_model::Pattern;

/// Compiled expressions by their text, for as long as somebody uses them. A copy costs nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Regexes {
    known: Arc<HashMap<Arc<str>, Weak<Regex>>>,
}

impl Regexes {
    /// None when it cannot be compiled, which does not happen: it was when `pattern` was made.
    pub(crate) fn compile(&mut self, pattern: &Pattern) -> Option<Arc<Regex>> {
        if let Some(regex) = self.known.get(pattern.as_str()).and_then(Weak::upgrade) {
            return Some(regex);
        }
        let regex = Arc::new(pattern.compile().ok()?);
        Arc::make_mut(&mut self.known).insert(pattern.as_str().into(), Arc::downgrade(&regex));
        Some(regex)
    }

    /// Forgets those that nobody uses any more, if there are many.
    pub(crate) fn tidy(&mut self) {
        let is_gone = |regex: &Weak<Regex>| regex.strong_count() == 0;
        if self.known.values().filter(|it| is_gone(it)).count() > self.known.len() / 2 {
            Arc::make_mut(&mut self.known).retain(|_, regex| !is_gone(regex));
        }
    }

    #[cfg(test)]
    pub(crate) fn in_use(&self) -> impl Iterator<Item = (&str, Arc<Regex>)> {
        self.known.iter().filter_map(|(text, regex)| Some((&**text, regex.upgrade()?)))
    }
}
