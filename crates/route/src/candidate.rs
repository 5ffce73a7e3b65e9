//! One match of a rule, without its path: what else must hold, and its precedence among those with the same path.

use std::cmp::Reverse;
use std::sync::Arc;

use weir_model::{Match, Route, ValueMatch};

use crate::regexes::Regexes;
use crate::{RequestView, query};

/// One match of a rule.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The rule's number in the table.
    pub(crate) id: u32,
    pub(crate) route: Arc<Route>,
    /// The rule's place in the route.
    pub(crate) rule: usize,
    /// The match's place in the rule.
    position: usize,
    method: Option<Arc<str>>,
    headers: Box<[(Arc<str>, Value)]>,
    query: Box<[(Arc<str>, Value)]>,
}

/// Where a match stands.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The rule's number in the table.
    pub(crate) id: u32,
    pub(crate) route: &'a Arc<Route>,
    /// The rule's place in the route.
    pub(crate) rule: usize,
    /// The match's place in the rule.
    pub(crate) position: usize,
}

impl<'a> Origin<'a> {
    pub(crate) fn get(&self) -> Option<&'a Match> {
        self.route.rules.get(self.rule)?.matches.get(self.position)
    }
}

/// What a value must be.
#[derive(Debug)]
pub(crate) enum Value {
    Exact(Arc<str>),
    Regex(Arc<regex::bytes::Regex>),
}

impl Value {
    pub(crate) fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => expected.as_bytes() == value,
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

impl Candidate {
    /// Compiles a match. None when one of its expressions cannot be compiled: then it never holds.
    pub(crate) fn new(it: &Match, origin: Origin<'_>, regexes: &mut Regexes) -> Option<Self> {
        let mut value = |value: &ValueMatch| match value {
            ValueMatch::Exact(text) => Some(Value::Exact(text.clone())),
            ValueMatch::Regex(pattern) => regexes.compile(pattern).map(Value::Regex),
        };
        let headers = it.headers.iter().map(|header| Some((header.name.as_str().into(), value(&header.value)?)));
        let headers = headers.collect::<Option<Box<[_]>>>()?;
        let query = it.query.iter().map(|parameter| Some((parameter.name.clone(), value(&parameter.value)?)));
        let query = query.collect::<Option<Box<[_]>>>()?;
        let Origin { id, route, rule, position } = origin;
        Some(Self { id, route: route.clone(), rule, position, method: it.method.clone(), headers, query })
    }

    /// Whether method, headers and query are as the match wants them.
    pub(crate) fn holds<R: RequestView>(&self, request: &R) -> bool {
        self.method.as_deref().is_none_or(|method| method == request.method())
            && self.headers.iter().all(|(name, value)| request.header(name).is_some_and(|it| value.holds(&it)))
            && (self.query.is_empty() || query::holds(request.query().unwrap_or_default(), &self.query))
    }

    /// Precedence among candidates with the same path: the smaller goes first.
    pub(crate) fn rank(&self) -> impl Ord {
        let wants = (Reverse(self.method.is_some()), Reverse(count(&self.headers)), Reverse(count(&self.query)));
        (wants, self.route.created, &self.route.name, self.rule, self.position)
    }
}

/// How many there are, and how many of them are exact.
fn count(values: &[(Arc<str>, Value)]) -> (usize, usize) {
    (values.len(), values.iter().filter(|(_, value)| matches!(value, Value::Exact(_))).count())
}
