//! The rules of a route.

use std::collections::BTreeSet;
use std::time::Duration;

use weir_api::duration;
use weir_api::http_route::{HttpRouteRule, HttpRouteTimeouts};
use weir_model::{Action, FailReason, Match, ObjectName, PathMatch, Rule, Timeouts};

use super::error::{Errors, Fault};
use super::{backend_ref, filters, matches};
use crate::backend::Key;
use crate::memo::Reader;

/// The rules of a route, and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) rules: Vec<Rule>,
    pub(super) backends: BTreeSet<Key>,
    pub(super) errors: Errors,
}

/// Translates all rules. One whose matches cannot be read is left out, since nobody knows what it would match; one that cannot be
/// carried out for another reason answers 500.
pub(super) fn translate(reader: &Reader<'_>, route: &ObjectName, rules: &[HttpRouteRule]) -> Rules {
    let mut out = Rules::default();
    for (index, rule) in rules.iter().enumerate() {
        translate_one(reader, route, index, rule, &mut out);
    }
    out
}

fn translate_one(reader: &Reader<'_>, route: &ObjectName, index: usize, rule: &HttpRouteRule, out: &mut Rules) {
    // Names matter to policies alone, and no policy that is built refers to them.
    let HttpRouteRule { name: _, matches, filters, backend_refs, timeouts, retry, session_persistence } = rule;
    let errors = &mut out.errors;
    if retry.is_some() {
        errors.without_effect(format!("spec.rules[{index}].retry"));
    }
    if session_persistence.is_some() {
        errors.without_effect(format!("spec.rules[{index}].sessionPersistence"));
    }
    let matches = match matches::translate(matches) {
        Ok(matches) => matches,
        Err(message) => return errors.refuse(index, format!("failed to process route rule {index}: {message}")),
    };
    let forward = backend_ref::translate(reader, route, index, backend_refs, &matches, errors, &mut out.backends);
    let timeouts = read_timeouts(timeouts.as_ref());
    let read = filters::translate(filters, &matches).and_then(|filters| Ok((filters, timeouts?)));
    let (filters, action, timeouts) = match read {
        Ok((filters, timeouts)) => {
            let action = filters.redirect.map_or(Action::Forward(forward), Action::Redirect);
            (filters.filters, action, timeouts)
        }
        Err(Fault { message, detail, .. }) => {
            errors.refuse(index, message);
            (Vec::new(), Action::Fail(FailReason(detail.into())), Timeouts::default())
        }
    };
    let name = format!("httproute/{route}/rule/{index}").into();
    out.rules.push(Rule { name, matches, filters, action, timeouts });
}

/// Whether every match is a prefix, so that what it matched can be replaced.
pub(super) fn only_prefixes(matches: &[Match]) -> bool {
    matches.iter().all(|it| matches!(it.path, PathMatch::Prefix(_)))
}

fn read_timeouts(timeouts: Option<&HttpRouteTimeouts>) -> Result<Timeouts, Fault> {
    let Some(HttpRouteTimeouts { request, backend_request }) = timeouts else { return Ok(Timeouts::default()) };
    let read = |text: &Option<String>| match text {
        None => Ok(None),
        // Zero means no timeout (Gateway API, HTTPRouteTimeouts).
        Some(text) => duration::parse(text)
            .map(|it| Some(it).filter(|it| *it > Duration::ZERO))
            .map_err(|error| Fault::unsupported("invalid_timeout", format!("timeouts: {error}"))),
    };
    let (request, backend_request) = (read(request)?, read(backend_request)?);
    if let (Some(whole), Some(attempt)) = (request, backend_request)
        && attempt > whole
    {
        return Err(Fault::unsupported("invalid_timeout", "timeouts: backendRequest timeout cannot be longer than request timeout"));
    }
    Ok(Timeouts { request, backend_request })
}
