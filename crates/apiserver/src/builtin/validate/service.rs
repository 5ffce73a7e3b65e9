//! Checks of Services.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{super::meta, names, port_number, problems, protocol, text};
use crate::schema::FieldError;

/// Checks a Service.
pub(super) fn check(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &new["spec"];
    if let Some(old) = old {
        addresses_stay(spec, &old["spec"], errors);
    }
    let kind = text(spec, "type");
    let headless = spec["clusterIP"] == "None";
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if ports.is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid("spec.clusterIPs[0]", &json!("None"), &detail));
        }
        "ExternalName" => match text(spec, "externalName").trim_end_matches('.') {
            "" => errors.push(FieldError::required("spec.externalName", "")),
            name => problems(errors, "spec.externalName", &name.into(), names::subdomain(name)),
        },
        "ClusterIP" | "LoadBalancer" | "NodePort" => {}
        _ => {
            let supported = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"].into_iter();
            errors.push(FieldError::not_supported("spec.type", &spec["type"], supported));
        }
    }
    check_ports(ports, kind, errors);
    errors.extend(meta::labels(&spec["selector"], "spec.selector"));
    let affinity = &spec["sessionAffinity"];
    if !matches!(affinity.as_str(), Some("None" | "ClientIP")) {
        errors.push(FieldError::not_supported("spec.sessionAffinity", affinity, ["ClientIP", "None"].into_iter()));
    }
    for (index, address) in spec["externalIPs"].as_array().into_iter().flatten().enumerate() {
        if address.as_str().is_none_or(|ip| ip.parse::<std::net::IpAddr>().is_err()) {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.push(FieldError::invalid(format!("spec.externalIPs[{index}]"), address, detail));
        }
    }
}

fn check_ports(ports: &[Value], kind: &str, errors: &mut Vec<FieldError>) {
    let mut names = HashSet::new();
    let mut numbers = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            problems(errors, &format!("{path}.name"), &port["name"], names::label(name));
            if !names.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), &port["name"]));
            }
        } else if ports.len() > 1 {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        port_number(&port["port"], format!("{path}.port"), errors);
        protocol(port, &path, errors);
        match &port["targetPort"] {
            Value::String(name) => problems(errors, &format!("{path}.targetPort"), &port["targetPort"], names::port_name(name)),
            number => port_number(number, format!("{path}.targetPort"), errors),
        }
        if kind == "ClusterIP" && port["nodePort"].as_i64().is_some_and(|p| p != 0) {
            errors.push(FieldError::forbidden(format!("{path}.nodePort"), "may not be used when `type` is 'ClusterIP'"));
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let key = (text(port, "protocol"), port["port"].as_i64());
        if !numbers.insert(key) {
            let shown = json!({"port": port["port"], "protocol": port["protocol"]});
            errors.push(FieldError::duplicate(format!("spec.ports[{index}]"), &shown));
        }
    }
}

fn addresses_stay(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let external = |spec: &Value| spec["type"] == "ExternalName";
    if external(new) || external(old) {
        return;
    }
    let (Some(before), Some(after)) = (old["clusterIPs"].as_array(), new["clusterIPs"].as_array()) else { return };
    if let (Some(before), Some(first)) = (before.first(), after.first())
        && before != first
    {
        errors.push(FieldError::invalid("spec.clusterIPs[0]", &new["clusterIPs"], "may not change once set"));
    }
}
