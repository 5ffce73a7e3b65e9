//! Filters: what is done to requests and their answers.

mod headers;

pub(crate) use headers::is_value as is_header_value;

use std::sync::Arc;

use weir_api::http_route::filter::{
    HttpPathModifier, HttpPathModifierType, HttpRouteFilter, HttpRouteFilterType, RedirectScheme, RequestRedirect, UrlRewrite,
};
use weir_model::{Filter, HostPattern, Match, PathRewrite, Redirect, Scheme};

use super::error::Fault;
use super::rules::only_prefixes;

/// The filters of a rule or of one of its backends.
#[derive(Debug, Default)]
pub(super) struct Filters {
    pub(super) filters: Vec<Filter>,
    pub(super) redirect: Option<Redirect>,
}

/// Translates filters, for requests that `matches` matched. One that cannot be carried out fails them all: a request must not get
/// past a filter that was meant for it.
pub(super) fn translate(filters: &[HttpRouteFilter], matches: &[Match]) -> Result<Filters, Fault> {
    let mut out = Filters::default();
    for filter in filters {
        translate_one(filter, matches, &mut out)?;
    }
    let rewrites = out.filters.iter().filter(|it| matches!(it, Filter::Rewrite { .. })).count();
    if rewrites > 1 {
        return Err(invalid("cannot configure multiple urlRewrite filters for a single HTTPRouteRule"));
    }
    if rewrites > 0 && out.redirect.is_some() {
        return Err(invalid("cannot configure urlRewrite and requestRedirect filters for a single HTTPRouteRule"));
    }
    Ok(out)
}

fn translate_one(filter: &HttpRouteFilter, matches: &[Match], out: &mut Filters) -> Result<(), Fault> {
    let HttpRouteFilter {
        type_,
        request_header_modifier,
        response_header_modifier,
        request_mirror: _,
        request_redirect,
        url_rewrite,
        cors: _,
        external_auth: _,
        extension_ref: _,
    } = filter;
    match type_ {
        HttpRouteFilterType::RequestHeaderModifier => {
            let edit = headers::edit("RequestHeaderModifier", given(type_, request_header_modifier.as_ref())?)?;
            out.filters.push(Filter::RequestHeaders(edit));
        }
        HttpRouteFilterType::ResponseHeaderModifier => {
            let edit = headers::edit("ResponseHeaderModifier", given(type_, response_header_modifier.as_ref())?)?;
            out.filters.push(Filter::ResponseHeaders(edit));
        }
        HttpRouteFilterType::RequestRedirect => {
            let redirect = redirect(given(type_, request_redirect.as_ref())?, matches)?;
            if out.redirect.replace(redirect).is_some() {
                return Err(invalid("cannot configure multiple requestRedirect filters for a single HTTPRouteRule"));
            }
        }
        HttpRouteFilterType::UrlRewrite => out.filters.push(rewrite(given(type_, url_rewrite.as_ref())?, matches)?),
        HttpRouteFilterType::RequestMirror
        | HttpRouteFilterType::ExtensionRef
        | HttpRouteFilterType::Cors
        | HttpRouteFilterType::ExternalAuth
        | HttpRouteFilterType::Unknown(_) => {
            return Err(Fault::unsupported("unsupported_filter", format!("unsupported filter type: {type_}")));
        }
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::unsupported("invalid_filter", message)
}

fn given<'a, T>(type_: &HttpRouteFilterType, settings: Option<&'a T>) -> Result<&'a T, Fault> {
    settings.ok_or_else(|| invalid(format!("filter {type_} has no settings")))
}

fn redirect(redirect: &RequestRedirect, matches: &[Match]) -> Result<Redirect, Fault> {
    let RequestRedirect { scheme, hostname, path, port, status_code } = redirect;
    let scheme = match scheme {
        None => None,
        Some(RedirectScheme::Http) => Some(Scheme::Http),
        Some(RedirectScheme::Https) => Some(Scheme::Https),
        Some(RedirectScheme::Unknown(word)) => {
            return Err(invalid(format!("scheme: {word} is unsupported, only 'https' and 'http' are supported")));
        }
    };
    let port = match port.map(u16::try_from) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return Err(invalid("the port of a redirect must be between 1 and 65535")),
    };
    let status = match status_code {
        301 | 302 | 303 | 307 | 308 => u16::try_from(*status_code).unwrap_or_default(),
        other => return Err(invalid(format!("status code {other} is invalid, only 301, 302, 303, 307 and 308 are supported"))),
    };
    Ok(Redirect { scheme, hostname: host(hostname.as_deref())?, port, path: path_rewrite("redirect", path.as_ref(), matches)?, status })
}

fn rewrite(rewrite: &UrlRewrite, matches: &[Match]) -> Result<Filter, Fault> {
    let UrlRewrite { hostname, path } = rewrite;
    Ok(Filter::Rewrite { hostname: host(hostname.as_deref())?, path: path_rewrite("rewrite", path.as_ref(), matches)? })
}

fn host(hostname: Option<&str>) -> Result<Option<Arc<str>>, Fault> {
    let Some(hostname) = hostname else { return Ok(None) };
    match HostPattern::parse(hostname) {
        Ok(HostPattern::Exact(name)) if name.parse::<std::net::IpAddr>().is_err() => Ok(Some(name)),
        _ => Err(invalid(format!("hostname {hostname:?} is invalid"))),
    }
}

fn path_rewrite(what: &str, path: Option<&HttpPathModifier>, matches: &[Match]) -> Result<Option<PathRewrite>, Fault> {
    let Some(HttpPathModifier { type_, replace_full_path, replace_prefix_match }) = path else { return Ok(None) };
    match (type_, replace_full_path, replace_prefix_match) {
        (HttpPathModifierType::ReplaceFullPath, Some(path), None) => Ok(Some(PathRewrite::Full(path.as_str().into()))),
        (HttpPathModifierType::ReplacePrefixMatch, None, Some(_)) if !only_prefixes(matches) => {
            Err(invalid("ReplacePrefixMatch can only be used in a rule whose matches are all of type PathPrefix"))
        }
        (HttpPathModifierType::ReplacePrefixMatch, None, Some(prefix)) => Ok(Some(PathRewrite::Prefix(prefix.as_str().into()))),
        (HttpPathModifierType::ReplaceFullPath, None, _) => {
            Err(invalid(format!("ReplaceFullPath must be set when {what} path type is \"ReplaceFullPath\"")))
        }
        (HttpPathModifierType::ReplaceFullPath, Some(_), Some(_)) => {
            Err(invalid(format!("ReplacePrefixMatch cannot be set when {what} path type is \"ReplaceFullPath\"")))
        }
        (HttpPathModifierType::ReplacePrefixMatch, _, None) => {
            Err(invalid(format!("ReplacePrefixMatch must be set when {what} path type is \"ReplacePrefixMatch\"")))
        }
        (HttpPathModifierType::ReplacePrefixMatch, Some(_), Some(_)) => {
            Err(invalid(format!("ReplaceFullPath cannot be set when {what} path type is \"ReplacePrefixMatch\"")))
        }
        (HttpPathModifierType::Unknown(word), ..) => {
            Err(invalid(format!("{what} path type: {word} is invalid, only \"ReplaceFullPath\" and \"ReplacePrefixMatch\" are supported")))
        }
    }
}
