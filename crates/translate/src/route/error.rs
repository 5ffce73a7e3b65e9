//! What is wrong with a route, and how its conditions say so.

use std::collections::BTreeSet;

use crate::condition::{Conditions, sentence};

/// Why a reference cannot be followed, or a rule not be carried out: reason, message, and what the access log says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) detail: &'static str,
}

impl Fault {
    pub(super) fn new(reason: &'static str, detail: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), detail }
    }

    /// Something that the standard has and that is not built.
    pub(super) fn unsupported(detail: &'static str, message: impl Into<String>) -> Self {
        Self::new("UnsupportedValue", detail, message)
    }
}

/// Everything that is wrong with a route.
#[derive(Debug, Default)]
pub(super) struct Errors {
    /// Rules that cannot be carried out, and why: they answer 500, or match nothing.
    rules: BTreeSet<usize>,
    refused: Vec<String>,
    /// Set when the route as a whole is refused.
    whole: bool,
    /// References that cannot be followed.
    unresolved: Vec<(&'static str, String)>,
    /// Services without ready endpoints.
    unavailable: Vec<String>,
    /// Paths of fields without effect.
    without_effect: Vec<String>,
}

impl Errors {
    /// A rule cannot be carried out.
    pub(super) fn refuse(&mut self, rule: usize, message: String) {
        self.rules.insert(rule);
        self.refused.push(message);
    }

    /// Nothing of the route can be carried out.
    pub(super) fn refuse_all(&mut self, message: String) {
        self.whole = true;
        self.refused.push(message);
    }

    /// A reference cannot be followed.
    pub(super) fn unresolved(&mut self, reason: &'static str, message: String) {
        self.unresolved.push((reason, message));
    }

    /// A backend has nobody to serve requests.
    pub(super) fn unavailable(&mut self, message: String) {
        self.unavailable.push(message);
    }

    /// A field has no effect yet.
    pub(super) fn without_effect(&mut self, path: String) {
        self.without_effect.push(path);
    }

    /// Says whether the route is accepted, by a parent that takes it.
    pub(super) fn accepted(&self, rules: usize, conditions: &mut Conditions) {
        if self.all_refused(rules) {
            conditions.no("Accepted", "UnsupportedValue", lines(&self.refused));
        } else {
            conditions.yes("Accepted", "Accepted", "Route is accepted");
        }
    }

    /// Says the rest.
    pub(super) fn others(&self, rules: usize, conditions: &mut Conditions) {
        if self.unresolved.is_empty() {
            conditions.yes("ResolvedRefs", "ResolvedRefs", "Resolved all the Object references for the Route");
        } else {
            let reasons: BTreeSet<&str> = self.unresolved.iter().map(|(reason, _)| *reason).collect();
            let reasons: Vec<&str> = reasons.into_iter().collect();
            let messages: Vec<String> = self.unresolved.iter().map(|(_, message)| message.clone()).collect();
            conditions.no("ResolvedRefs", reasons.join(","), lines(&messages));
        }
        let mut partly = Vec::new();
        if !self.refused.is_empty() && !self.all_refused(rules) {
            let which: Vec<String> = self.rules.iter().map(usize::to_string).collect();
            partly.push(format!("Dropped Rule(s) [{}]: {}", which.join(" "), lines(&self.refused)));
        }
        if !self.without_effect.is_empty() {
            partly.push(crate::fields::message(&self.without_effect));
        }
        if !partly.is_empty() {
            conditions.yes("PartiallyInvalid", "UnsupportedValue", partly.join("\n"));
        }
        if !self.unavailable.is_empty() {
            conditions.no("BackendsAvailable", "EndpointsNotFound", lines(&self.unavailable));
        }
    }

    /// Whether none of the route's rules can be carried out.
    pub(super) fn all_refused(&self, rules: usize) -> bool {
        self.whole || (!self.rules.is_empty() && self.rules.len() == rules)
    }
}

fn lines(messages: &[String]) -> String {
    let sentences: Vec<String> = messages.iter().map(|it| sentence(it)).collect();
    sentences.join("\n")
}
