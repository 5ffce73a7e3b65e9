//! Conditions as Kubernetes writes them, without times: who writes them knows since when they hold.

use std::borrow::Cow;

use serde::Serialize;

/// The longest message that the Gateway API's schemas take.
const MESSAGE_MAX: usize = 32768;
const MESSAGE_CUT: &str = " (message truncated).";

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Truth {
    True,
    False,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) status: Truth,
    pub(crate) reason: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) observed_generation: i64,
}

/// The conditions of one object, listener, parent or ancestor: at most one of each type, in the order they were first set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Conditions {
    list: Vec<Condition>,
    #[serde(skip)]
    generation: i64,
}

impl Conditions {
    /// None yet, for an object of this generation.
    pub(crate) fn new(generation: i64) -> Self {
        Self { list: Vec::new(), generation }
    }

    /// Says that `kind` holds.
    pub(crate) fn yes(&mut self, kind: &'static str, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) {
        self.set(kind, Truth::True, reason.into(), message.into());
    }

    /// Says that `kind` does not hold.
    pub(crate) fn no(&mut self, kind: &'static str, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) {
        self.set(kind, Truth::False, reason.into(), message.into());
    }

    /// The condition of this type.
    pub(crate) fn find(&self, kind: &str) -> Option<&Condition> {
        self.list.iter().find(|it| it.kind == kind)
    }

    /// Whether something was said about `kind`.
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.find(kind).is_some()
    }

    /// Whether `kind` is known not to hold.
    pub(crate) fn is_no(&self, kind: &str) -> bool {
        self.find(kind).is_some_and(|it| it.status == Truth::False)
    }

    /// Adds a warning: several are joined, and several reasons become `Warnings`, as Envoy Gateway does.
    pub(crate) fn warn(&mut self, reason: &'static str, message: &str) {
        let (reason, message) = match self.find("Warning") {
            None => (reason, message.to_owned()),
            Some(old) if old.reason == reason => (reason, format!("{}; {message}", old.message)),
            Some(old) => ("Warnings", format!("{}; {message}", old.message)),
        };
        self.yes("Warning", reason, message);
    }

    fn set(&mut self, kind: &'static str, status: Truth, reason: Cow<'static, str>, message: String) {
        let new = Condition { kind, status, reason, message: cut(message), observed_generation: self.generation };
        match self.list.iter_mut().find(|it| it.kind == kind) {
            Some(old) => *old = new,
            None => self.list.push(new),
        }
    }
}

/// An error as a sentence: first letter upper case, a full stop at the end.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let mut out: String = first.to_uppercase().chain(letters).collect();
    if !out.ends_with('.') {
        out.push('.');
    }
    out
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_MAX {
        let mut end = MESSAGE_MAX - MESSAGE_CUT.len();
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push_str(MESSAGE_CUT);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_sentences() {
        assert_eq!(sentence("service a/b not found"), "Service a/b not found.");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn one_condition_of_a_type_in_the_order_first_set() {
        let mut conditions = Conditions::new(3);
        conditions.no("Accepted", "Invalid", "a");
        conditions.yes("ResolvedRefs", "ResolvedRefs", "b");
        conditions.yes("Accepted", "Accepted", "c");
        let text = serde_json::to_string(&conditions).expect("serialises");
        assert_eq!(
            text,
            r#"[{"type":"Accepted","status":"True","reason":"Accepted","message":"c","observedGeneration":3},{"type":"ResolvedRefs","status":"True","reason":"ResolvedRefs","message":"b","observedGeneration":3}]"#
        );
    }

    #[test]
    fn warnings_of_different_reasons_are_joined() {
        let mut conditions = Conditions::new(1);
        conditions.warn("DeprecatedField", "one");
        conditions.warn("UnsupportedField", "two");
        let warning = conditions.find("Warning").expect("there");
        assert_eq!((warning.reason.as_ref(), warning.message.as_str()), ("Warnings", "one; two"));
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let message = cut("é".repeat(20_000));
        assert!(message.len() <= MESSAGE_MAX && message.ends_with(MESSAGE_CUT));
    }
}
