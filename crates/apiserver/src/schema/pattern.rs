//! Patterns: Go's RE2 syntax on Rust's engine, shared between schemas.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
};

use parking_lot::Mutex;
use regex::{Regex, RegexBuilder};

/// Longest pattern that is read; Kubernetes has no bound of its own but the size of a CRD.
const MAX_PATTERN: usize = 64 * 1024;
/// Largest compiled program. The default of 10 MiB would let a small CRD hold a lot of memory.
const MAX_PROGRAM: usize = 1024 * 1024;

/// A compiled pattern and the text it came from.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Arc<Regex>, Arc<str>);

impl Pattern {
    /// Compiles `pattern`, or finds it among those in use: the versions of a CRD, and CRDs of one family, repeat the same few.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        static IN_USE: OnceLock<Mutex<HashMap<String, Weak<Regex>>>> = OnceLock::new();
        if pattern.len() > MAX_PATTERN {
            return Err(format!("pattern is longer than {MAX_PATTERN} bytes"));
        }
        let mut in_use = IN_USE.get_or_init(Mutex::default).lock();
        if let Some(found) = in_use.get(pattern).and_then(Weak::upgrade) {
            return Ok(Self(found, pattern.into()));
        }
        let regex = RegexBuilder::new(&as_rust(pattern)).size_limit(MAX_PROGRAM).build().map_err(|e| e.to_string())?;
        let regex = Arc::new(regex);
        in_use.retain(|_, weak| weak.strong_count() > 0);
        in_use.insert(pattern.to_owned(), Arc::downgrade(&regex));
        Ok(Self(regex, pattern.into()))
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    pub(super) fn text(&self) -> &str {
        &self.1
    }
}

/// Rewrites what the two syntaxes read differently: Go's `\d`, `\w`, `\s` are ASCII, and inside a class `[`, `&&` and `~~` are plain.
fn as_rust(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut class_at: Option<usize> = None;
    while let Some(c) = chars.next() {
        let in_class = class_at.is_some();
        match c {
            '\\' => match (chars.next(), in_class) {
                (Some('d'), false) => out.push_str("[0-9]"),
                (Some('w'), false) => out.push_str("[0-9A-Za-z_]"),
                (Some('s'), false) => out.push_str("[\\t\\n\\f\\r ]"),
                (Some('D'), false) => out.push_str("[^0-9]"),
                (Some('W'), false) => out.push_str("[^0-9A-Za-z_]"),
                (Some('S'), false) => out.push_str("[^\\t\\n\\f\\r ]"),
                (Some('d'), true) => out.push_str("0-9"),
                (Some('w'), true) => out.push_str("0-9A-Za-z_"),
                (Some('s'), true) => out.push_str("\\t\\n\\f\\r "),
                (Some(other), _) => {
                    out.push('\\');
                    out.push(other);
                }
                (None, _) => out.push('\\'),
            },
            '[' if !in_class => {
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // A `]` right after the opening is a member of the class.
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
                class_at = Some(out.len());
            }
            '[' if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' => out.push_str("\\["),
            ']' if in_class => {
                out.push(']');
                class_at = None;
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_syntax_is_read_as_go_reads_it() {
        let cases = [
            (r"^\d+$", "٣", false),
            (r"^\d+$", "42", true),
            (r"^[\d.]+$", "1.2", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^[^[]+$", "a[", false),
            (r"^[]a]+$", "a]", true),
            (r"^[&&a]+$", "&a", true),
            (r"^([0-9]{1,5}(h|m|s|ms)){1,4}$", "1h30m", true),
            (r"^\/[^\s]*$", "/a b", false),
        ];
        for (pattern, text, matches) in cases {
            assert_eq!(Pattern::new(pattern).unwrap().matches(text), matches, "{pattern} on {text}");
        }
        assert!(Pattern::new("a{1000}{1000}{1000}").is_err());
        assert!(Pattern::new("(").is_err());
    }
}
