//! What a rule matches.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_api::http_route::{
    HttpHeaderMatch, HttpMethod, HttpPathMatch, HttpQueryParamMatch, HttpRouteMatch, PathMatchType, ValueMatchType,
};
use weir_model::{HeaderMatch, HeaderName, Invalid, Match, PathMatch, Pattern, QueryMatch, ValueMatch};

/// Translates the matches of a rule; none stands for every request.
pub(super) fn translate(matches: &[HttpRouteMatch]) -> Result<Vec<Match>, String> {
    if matches.is_empty() {
        return Ok(vec![Match { path: PathMatch::Prefix("/".into()), method: None, headers: Vec::new(), query: Vec::new() }]);
    }
    matches.iter().map(translate_one).collect()
}

fn translate_one(it: &HttpRouteMatch) -> Result<Match, String> {
    let HttpRouteMatch { path, headers, query_params, method } = it;
    let method = match method {
        None => None,
        Some(HttpMethod::Unknown(word)) => return Err(format!("method {word} is not supported")),
        Some(method) => Some(Arc::from(method.as_str())),
    };
    Ok(Match { path: path_match(path)?, method, headers: header_matches(headers)?, query: query_matches(query_params)? })
}

fn path_match(path: &HttpPathMatch) -> Result<PathMatch, String> {
    let HttpPathMatch { type_, value } = path;
    if !value.starts_with('/') && !matches!(type_, PathMatchType::RegularExpression) {
        return Err(format!("path {value:?} must start with /"));
    }
    match type_ {
        PathMatchType::Exact => Ok(PathMatch::Exact(value.as_str().into())),
        // A trailing slash does not count (Gateway API, PathMatchPathPrefix).
        PathMatchType::PathPrefix => match value.trim_end_matches('/') {
            "" => Ok(PathMatch::Prefix("/".into())),
            prefix => Ok(PathMatch::Prefix(prefix.into())),
        },
        PathMatchType::RegularExpression => pattern(value).map(PathMatch::Regex),
        PathMatchType::Unknown(word) => Err(format!("path match type {word} is not supported")),
    }
}

/// Of several for one header the first counts (Gateway API, HTTPRouteMatch.headers).
fn header_matches(headers: &[HttpHeaderMatch]) -> Result<Vec<HeaderMatch>, String> {
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for HttpHeaderMatch { type_, name, value } in headers {
        let name = HeaderName::new(name).map_err(|error| error.to_string())?;
        if seen.insert(name.clone()) {
            out.push(HeaderMatch { name, value: value_match(type_, value)? });
        }
    }
    Ok(out)
}

/// Of several for one parameter the first counts (Gateway API, HTTPRouteMatch.queryParams).
fn query_matches(parameters: &[HttpQueryParamMatch]) -> Result<Vec<QueryMatch>, String> {
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for HttpQueryParamMatch { type_, name, value } in parameters {
        if seen.insert(name) {
            out.push(QueryMatch { name: name.as_str().into(), value: value_match(type_, value)? });
        }
    }
    Ok(out)
}

fn value_match(type_: &ValueMatchType, value: &str) -> Result<ValueMatch, String> {
    match type_ {
        ValueMatchType::Exact => Ok(ValueMatch::Exact(value.into())),
        ValueMatchType::RegularExpression => pattern(value).map(ValueMatch::Regex),
        ValueMatchType::Unknown(word) => Err(format!("match type {word} is not supported")),
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| match error {
        // The last line is the one without the drawing.
        Invalid::Pattern { pattern, reason } => {
            let reason = reason.lines().last().unwrap_or_default();
            format!("regex {pattern:?} is invalid: {}", reason.strip_prefix("error: ").unwrap_or(reason))
        }
        other => other.to_string(),
    })
}
