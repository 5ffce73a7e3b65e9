//! Checks of pods and pod templates.

use std::collections::HashSet;

use serde_json::Value;

use super::{names, port_number, problems, protocol, text};
use crate::schema::FieldError;

/// Checks a PodSpec at `path`.
pub(super) fn check(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let volumes = volumes(spec, path, errors);
    let mut names = HashSet::new();
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    for list in ["containers", "initContainers"] {
        for (index, container) in spec[list].as_array().into_iter().flatten().enumerate() {
            let path = format!("{path}.{list}[{index}]");
            self::container(container, &path, &volumes, errors);
            if !names.insert(text(container, "name")) {
                errors.push(FieldError::duplicate(format!("{path}.name"), &container["name"]));
            }
        }
    }
    let restart = &spec["restartPolicy"];
    if !restart.is_null() && !matches!(restart.as_str(), Some("Always" | "OnFailure" | "Never")) {
        errors.push(FieldError::not_supported(format!("{path}.restartPolicy"), restart, ["Always", "OnFailure", "Never"].into_iter()));
    }
}

fn volumes<'v>(spec: &'v Value, path: &str, errors: &mut Vec<FieldError>) -> HashSet<&'v str> {
    let mut names = HashSet::new();
    for (index, volume) in spec["volumes"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.volumes[{index}].name");
        let name = text(volume, "name");
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        problems(errors, &path, &volume["name"], names::label(name));
        if !names.insert(name) {
            errors.push(FieldError::duplicate(path, &volume["name"]));
        }
    }
    names
}

fn container(container: &Value, path: &str, volumes: &HashSet<&str>, errors: &mut Vec<FieldError>) {
    let name = text(container, "name");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    } else {
        problems(errors, &format!("{path}.name"), &container["name"], names::label(name));
    }
    if text(container, "image").is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    }
    ports(container, path, errors);
    for (index, variable) in container["env"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.env[{index}]");
        let name = text(variable, "name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if name.contains('=') || !name.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            let detail = "a valid environment variable name must consist only of printable ASCII characters other than '='";
            errors.push(FieldError::invalid(format!("{path}.name"), &variable["name"], detail));
        }
        if !text(variable, "value").is_empty() && variable["valueFrom"].is_object() {
            let detail = "may not be specified when `value` is not empty";
            errors.push(FieldError::invalid(format!("{path}.valueFrom"), &Value::from(""), detail));
        }
    }
    let mut mounted = HashSet::new();
    for (index, mount) in container["volumeMounts"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.volumeMounts[{index}]");
        let name = text(mount, "name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !volumes.contains(name) {
            errors.push(FieldError::new("FieldValueNotFound", format!("{path}.name"), format!("Not found: {name:?}")));
        }
        if text(mount, "mountPath").is_empty() {
            errors.push(FieldError::required(format!("{path}.mountPath"), ""));
        } else if !mounted.insert(text(mount, "mountPath")) {
            errors.push(FieldError::invalid(format!("{path}.mountPath"), &mount["mountPath"], "must be unique"));
        }
    }
    let pull = &container["imagePullPolicy"];
    if !pull.is_null() && !matches!(pull.as_str(), Some("Always" | "IfNotPresent" | "Never")) {
        errors.push(FieldError::not_supported(format!("{path}.imagePullPolicy"), pull, ["Always", "IfNotPresent", "Never"].into_iter()));
    }
}

fn ports(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut names = HashSet::new();
    for (index, port) in container["ports"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            let wrong = names::port_name(name);
            if wrong.is_empty() && !names.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), &port["name"]));
            }
            problems(errors, &format!("{path}.name"), &port["name"], wrong);
        }
        if port["containerPort"].as_i64().unwrap_or_default() == 0 {
            errors.push(FieldError::required(format!("{path}.containerPort"), ""));
        } else {
            port_number(&port["containerPort"], format!("{path}.containerPort"), errors);
        }
        if port["hostPort"].as_i64().is_some_and(|p| p != 0) {
            port_number(&port["hostPort"], format!("{path}.hostPort"), errors);
        }
        protocol(port, &path, errors);
    }
}
