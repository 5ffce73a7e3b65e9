//! One match of a rule, without its path: what else must hold, and its precedence among those with the same path.

use std::cmp::Reverse;
use std::sync::Arc;

use weir_model::{Match, ObjectName, Route, ValueMatch};

use crate::regexes::Regexes;
use crate::{RequestView, query};

/// One match of a rule.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The rule's number in the table.
    pub(crate) rule: u32,
    pub(crate) rank: Rank,
    method: Option<Arc<str>>,
    headers: Box<[(Arc<str>, Value)]>,
    query: Box<[(Arc<str>, Value)]>,
}

/// Precedence among candidates with the same path: the smaller goes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    method: Reverse<bool>,
    headers: Reverse<Count>,
    query: Reverse<Count>,
    created: i64,
    route: ObjectName,
    rule: usize,
    position: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Count {
    all: usize,
    exact: usize,
}

/// Where a match stands.
pub(crate) struct Origin<'a> {
    pub(crate) route: &'a Route,
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
    pub(crate) fn new(rule: u32, it: &Match, origin: &Origin<'_>, regexes: &mut Regexes<'_>) -> Option<Self> {
        let mut value = |value: &ValueMatch| match value {
            ValueMatch::Exact(text) => Some(Value::Exact(text.clone())),
            ValueMatch::Regex(pattern) => regexes.compile(pattern).map(Value::Regex),
        };
        let headers = it.headers.iter().map(|header| Some((header.name.as_str().into(), value(&header.value)?)));
        let headers = headers.collect::<Option<Box<[_]>>>()?;
        let query = it.query.iter().map(|parameter| Some((parameter.name.clone(), value(&parameter.value)?)));
        let query = query.collect::<Option<Box<[_]>>>()?;
        let rank = Rank {
            method: Reverse(it.method.is_some()),
            headers: Reverse(count(&headers)),
            query: Reverse(count(&query)),
            created: origin.route.created,
            route: origin.route.name.clone(),
            rule: origin.rule,
            position: origin.position,
        };
        Some(Self { rule, rank, method: it.method.clone(), headers, query })
    }

    /// Whether method, headers and query are as the match wants them.
    pub(crate) fn holds<R: RequestView>(&self, request: &R) -> bool {
        self.method.as_deref().is_none_or(|method| method == request.method())
            && self.headers.iter().all(|(name, value)| request.header(name).is_some_and(|it| value.holds(&it)))
            && (self.query.is_empty() || query::holds(request.query().unwrap_or_default(), &self.query))
    }
}

fn count(values: &[(Arc<str>, Value)]) -> Count {
    Count { all: values.len(), exact: values.iter().filter(|(_, value)| matches!(value, Value::Exact(_))).count() }
}
