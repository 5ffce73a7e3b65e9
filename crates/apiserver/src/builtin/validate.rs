//! What the server refuses, by kind: the mistakes that people make, in the words they find when they search.

mod event;
mod job;
mod pod;
mod rbac;
mod service;
mod workload;

use serde_json::Value;

pub(super) use event::new as new_event;

use super::{Builtin, meta, names, names::NameRule};
use crate::schema::FieldError;

/// Largest ConfigMap or Secret.
const DATA_LARGEST: u64 = 1024 * 1024;

/// Checks one object of a built-in kind.
pub(super) fn check(kind: &Builtin, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let rule = match (kind.group, kind.kind) {
        ("", "Namespace" | "Service") => NameRule::Label,
        ("rbac.authorization.k8s.io", _) => NameRule::PathSegment,
        _ => NameRule::Subdomain,
    };
    let mut errors = meta::validate_named(kind.namespaced, rule, new);
    match (kind.group, kind.kind) {
        ("", "ConfigMap") => config_map(new, old, &mut errors),
        ("", "Secret") => secret(new, old, &mut errors),
        ("", "Service") => service::check(new, old, &mut errors),
        ("", "Pod") => pod::check(&new["spec"], "spec", &mut errors),
        ("", "Namespace") => namespace(new, &mut errors),
        ("", "Event") => event::check(new, "reportingComponent", &mut errors),
        ("apps", _) => workload::check(kind.kind, new, old, &mut errors),
        ("coordination.k8s.io", "Lease") => lease(new, &mut errors),
        ("rbac.authorization.k8s.io", _) => rbac::check(kind.kind, new, &mut errors),
        ("batch", "Job") => job::check(new, old, &mut errors),
        _ => {}
    }
    errors
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn problems(errors: &mut Vec<FieldError>, field: &str, value: &Value, problems: Vec<String>) {
    errors.extend(problems.iter().map(|problem| FieldError::invalid(field, value, problem)));
}

/// `must be greater than or equal to 0`.
fn not_negative(object: &Value, key: &str, path: &str, errors: &mut Vec<FieldError>) {
    let value = &object[key];
    if value.as_i64().is_some_and(|i| i < 0) {
        errors.push(FieldError::invalid(format!("{path}.{key}"), value, "must be greater than or equal to 0"));
    }
}

/// A port number; the error is at `path`.
fn port_number(value: &Value, path: String, errors: &mut Vec<FieldError>) {
    let number = value.as_i64().unwrap_or_default();
    if !(1..=65535).contains(&number) {
        errors.push(FieldError::invalid(path, &number.into(), "must be between 1 and 65535, inclusive"));
    }
}

fn protocol(port: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if !matches!(text(port, "protocol"), "TCP" | "UDP" | "SCTP") {
        let supported = ["SCTP", "TCP", "UDP"].into_iter();
        errors.push(FieldError::not_supported(format!("{path}.protocol"), &port["protocol"], supported));
    }
}

fn immutable_data(new: &Value, old: Option<&Value>, fields: &[&str], errors: &mut Vec<FieldError>) {
    let Some(old) = old.filter(|old| old["immutable"] == true) else { return };
    let detail = "field is immutable when `immutable` is set";
    if new["immutable"] != true {
        errors.push(FieldError::forbidden("immutable", detail));
    }
    errors.extend(fields.iter().filter(|field| new[**field] != old[**field]).map(|field| FieldError::forbidden(*field, detail)));
}

fn data_keys(object: &Value, field: &str, errors: &mut Vec<FieldError>) {
    for key in object[field].as_object().into_iter().flatten().map(|(key, _)| key) {
        problems(errors, &format!("{field}[{key}]"), &key.as_str().into(), names::data_key(key));
    }
}

fn size(object: &Value, field: &str, base64: bool) -> u64 {
    let sizes = object[field].as_object().into_iter().flatten().map(|(_, value)| value.as_str().map_or(0, str::len) as u64);
    let total: u64 = sizes.sum();
    if base64 { total / 4 * 3 } else { total }
}

fn config_map(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    immutable_data(new, old, &["data", "binaryData"], errors);
    data_keys(new, "data", errors);
    data_keys(new, "binaryData", errors);
    for key in new["data"].as_object().into_iter().flatten().map(|(key, _)| key) {
        if !new["binaryData"][key].is_null() {
            errors.push(FieldError::invalid(format!("data[{key}]"), &key.as_str().into(), "duplicate of key present in binaryData"));
        }
    }
    if size(new, "data", false) + size(new, "binaryData", true) > DATA_LARGEST {
        errors.push(FieldError::too_long("[]", DATA_LARGEST));
    }
}

fn secret(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    if let Some(old) = old
        && old["type"] != new["type"]
    {
        errors.push(FieldError::invalid("type", &new["type"], "field is immutable"));
    }
    immutable_data(new, old, &["data"], errors);
    data_keys(new, "data", errors);
    if size(new, "data", true) > DATA_LARGEST {
        errors.push(FieldError::too_long("data", DATA_LARGEST));
    }
    let needed: &[&str] = match text(new, "type") {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in [".dockerconfigjson", ".dockercfg"].iter().filter(|key| needed.contains(key)) {
        if let Some(Err(problem)) = new["data"][*key].as_str().map(is_json) {
            let message = format!("Invalid value: \"<secret contents redacted>\": {problem}");
            errors.push(FieldError { reason: "FieldValueInvalid", field: format!("data[{key}]"), message });
        }
    }
    errors.extend(needed.iter().filter(|key| new["data"][**key].is_null()).map(|key| FieldError::required(format!("data[{key}]"), "")));
}

/// Whether base64 holds JSON; the error says where it does not, not what is there.
fn is_json(base64: &str) -> Result<(), String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let content = STANDARD.decode(base64).map_err(|_| "not base64".to_owned())?;
    let json: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&content);
    json.map(drop).map_err(|error| format!("no JSON at line {} column {}", error.line(), error.column()))
}

fn lease(new: &Value, errors: &mut Vec<FieldError>) {
    for key in ["leaseDurationSeconds", "leaseTransitions"] {
        let (value, least) = (&new["spec"][key], i64::from(key == "leaseDurationSeconds"));
        if value.as_i64().is_some_and(|number| number < least) {
            let detail = if least == 1 { "must be greater than 0" } else { "must be greater than or equal to 0" };
            errors.push(FieldError::invalid(format!("spec.{key}"), value, detail));
        }
    }
}

fn namespace(new: &Value, errors: &mut Vec<FieldError>) {
    let phase = &new["status"]["phase"];
    let detail = match (new["metadata"]["deletionTimestamp"].is_null(), phase.as_str().unwrap_or_default()) {
        (true, "" | "Active") | (false, "Terminating") => return,
        (true, _) => "may only be 'Active' if `deletionTimestamp` is empty",
        (false, _) => "may only be 'Terminating' if `deletionTimestamp` is not empty",
    };
    errors.push(FieldError::invalid("status.Phase", phase, detail));
}
