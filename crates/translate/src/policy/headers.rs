//! Header settings. What is wrong with them is said in Envoy Gateway's words.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_api::client_traffic_policy::headers::{
    ClientCertDetail, ForwardedClientCert, ForwardedClientCertMode, HeaderFilter, HeaderSettings, HostSettings, RequestIdAction,
    UnderscoresAction,
};
use weir_api::http_route::filter::HttpHeader;
use weir_model as model;
use weir_model::{HeaderMutation, HeaderName, RequestId, Underscores};

use super::names;
use super::read::Read;

const PART: &str = "Headers";

/// Reads header settings.
pub(super) fn read(headers: &HeaderSettings, out: &mut Read) -> model::HeaderSettings {
    let HeaderSettings {
        enable_envoy_headers,
        // There are none to leave out as long as nothing limits rates.
        disable_rate_limit_headers: _,
        x_forwarded_client_cert,
        with_underscores_action,
        preserve_x_request_id,
        request_id,
        early_request_headers,
        late_response_headers,
        host,
    } = headers;
    if preserve_x_request_id.is_some() {
        out.deprecated.insert("spec.headers.preserveXRequestID", "spec.headers.requestID");
    }
    if preserve_x_request_id.is_some() && request_id.is_some() {
        out.wrong(PART, "preserveXRequestID and requestID cannot both be set");
    }
    let default = model::HeaderSettings::default();
    let mut settings = model::HeaderSettings {
        envoy_headers: *enable_envoy_headers == Some(true),
        underscores: underscores(with_underscores_action.as_ref(), default.underscores, out),
        request_id: match request_id {
            Some(action) => request_ids(action, default.request_id, out),
            None if *preserve_x_request_id == Some(true) => RequestId::PreserveOrGenerate,
            None => default.request_id,
        },
        strip_trailing_host_dot: matches!(host, Some(HostSettings { strip_trailing_host_dot: Some(true) })),
        ..default
    };
    if let Some(it) = x_forwarded_client_cert {
        forwarded_client_cert(it, &mut settings, out);
    }
    if let Some(filter) = early_request_headers {
        settings.early_request = mutation("EarlyRequestHeaders", filter, out);
    }
    if let Some(filter) = late_response_headers {
        settings.late_response = mutation("LateResponseHeaders", filter, out);
    }
    settings
}

fn underscores(action: Option<&UnderscoresAction>, default: Underscores, out: &mut Read) -> Underscores {
    match action {
        None => default,
        Some(UnderscoresAction::Allow) => Underscores::Allow,
        Some(UnderscoresAction::RejectRequest) => Underscores::Reject,
        Some(UnderscoresAction::DropHeader) => Underscores::Drop,
        Some(UnderscoresAction::Unknown(word)) => {
            out.wrong(PART, names::unknown("withUnderscoresAction", word, UnderscoresAction::WORDS));
            default
        }
    }
}

fn request_ids(action: &RequestIdAction, default: RequestId, out: &mut Read) -> RequestId {
    match action {
        RequestIdAction::PreserveOrGenerate => RequestId::PreserveOrGenerate,
        RequestIdAction::Preserve => RequestId::Preserve,
        RequestIdAction::Generate => RequestId::Generate,
        RequestIdAction::Disable => RequestId::Disable,
        RequestIdAction::Unknown(word) => {
            out.wrong(PART, names::unknown("requestID", word, RequestIdAction::WORDS));
            default
        }
    }
}

fn forwarded_client_cert(given: &ForwardedClientCert, settings: &mut model::HeaderSettings, out: &mut Read) {
    let ForwardedClientCert { mode, cert_details_to_add } = given;
    let mode = match mode {
        None | Some(ForwardedClientCertMode::Sanitize) => model::ForwardedClientCert::Sanitize,
        Some(ForwardedClientCertMode::ForwardOnly) => model::ForwardedClientCert::ForwardOnly,
        Some(ForwardedClientCertMode::AppendForward) => model::ForwardedClientCert::AppendForward,
        Some(ForwardedClientCertMode::SanitizeSet) => model::ForwardedClientCert::SanitizeSet,
        Some(ForwardedClientCertMode::AlwaysForwardOnly) => model::ForwardedClientCert::AlwaysForwardOnly,
        Some(ForwardedClientCertMode::Unknown(word)) => {
            out.wrong(PART, names::unknown("xForwardedClientCert.mode", word, ForwardedClientCertMode::WORDS));
            return;
        }
    };
    settings.forwarded_client_cert = mode;
    let detail = |it: &ClientCertDetail| match it {
        ClientCertDetail::Subject => Ok(model::ClientCertDetail::Subject),
        ClientCertDetail::Cert => Ok(model::ClientCertDetail::Cert),
        ClientCertDetail::Chain => Ok(model::ClientCertDetail::Chain),
        ClientCertDetail::Dns => Ok(model::ClientCertDetail::Dns),
        ClientCertDetail::Uri => Ok(model::ClientCertDetail::Uri),
        ClientCertDetail::Unknown(word) => Err(names::unknown("xForwardedClientCert.certDetailsToAdd", word, ClientCertDetail::WORDS)),
    };
    let details: Vec<model::ClientCertDetail> =
        cert_details_to_add.iter().filter_map(|it| detail(it).map_err(|error| out.wrong(PART, error)).ok()).collect();
    if matches!(mode, model::ForwardedClientCert::AppendForward | model::ForwardedClientCert::SanitizeSet) {
        settings.client_cert_details = details;
    }
}

/// Of several changes of one header the first counts, in the order add, set, addIfAbsent (Envoy Gateway's).
fn mutation(kind: &str, filter: &HeaderFilter, out: &mut Read) -> HeaderMutation {
    let HeaderFilter { set, add, add_if_absent, remove, remove_on_match } = filter;
    let mut seen = BTreeSet::new();
    let mut mutation = HeaderMutation {
        add: values(kind, "add", add, &mut seen, out),
        set: values(kind, "set", set, &mut seen, out),
        add_if_absent: values(kind, "addIfAbsent", add_if_absent, &mut seen, out),
        ..HeaderMutation::default()
    };
    for name in remove {
        if let Some(name) = header_name(kind, "remove", name, out)
            && !mutation.remove.contains(&name)
        {
            mutation.remove.push(name);
        }
    }
    for given in remove_on_match {
        if given.value.is_empty() {
            out.wrong(PART, format!("{kind} cannot remove a header with an empty matcher value"));
        } else {
            mutation.remove_on_match.extend(out.string_match(PART, &format!("{kind} removeOnMatch"), given, true));
        }
    }
    if mutation.is_empty() {
        out.wrong(PART, format!("{kind} did not provide valid configuration to add/set/remove any headers"));
    }
    mutation
}

fn values(kind: &str, verb: &str, headers: &[HttpHeader], seen: &mut BTreeSet<HeaderName>, out: &mut Read) -> Vec<(HeaderName, Arc<str>)> {
    let mut values = Vec::new();
    for HttpHeader { name, value } in headers {
        let Some(header) = header_name(kind, verb, name, out) else { continue };
        if !crate::route::is_header_value(value) {
            out.wrong(PART, format!("{kind} cannot {verb} a header with an invalid value. Header: '{name:?}'"));
        } else if seen.insert(header.clone()) {
            values.push((header, value.as_str().into()));
        }
    }
    values
}

fn header_name(kind: &str, verb: &str, name: &str, out: &mut Read) -> Option<HeaderName> {
    if name.is_empty() {
        out.wrong(PART, format!("{kind} cannot {verb} a header with an empty name"));
        return None;
    }
    if name.contains(['/', ':']) {
        out.wrong(PART, format!("{kind} cannot {verb} a header with a '/' or ':' character in them. Header: '{name:?}'"));
        return None;
    }
    HeaderName::new(name).map_err(|error| out.wrong(PART, format!("{kind}: {error}"))).ok()
}
