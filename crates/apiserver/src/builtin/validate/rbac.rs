//! Checks of roles and of their bindings.

use serde_json::Value;

use super::{FieldError, text};

/// Checks one object of `rbac.authorization.k8s.io`.
pub(super) fn check(kind: &str, new: &Value, errors: &mut Vec<FieldError>) {
    if kind.ends_with("Role") {
        for (index, rule) in new["rules"].as_array().into_iter().flatten().enumerate() {
            check_rule(rule, kind == "Role", &format!("rules[{index}]"), errors);
        }
    } else {
        check_binding(new, errors);
    }
}

fn check_rule(rule: &Value, namespaced: bool, path: &str, errors: &mut Vec<FieldError>) {
    let empty = |key: &str| rule[key].as_array().is_none_or(Vec::is_empty);
    check_what(rule, namespaced, path, &empty, errors);
    if empty("verbs") {
        errors.push(FieldError::required(format!("{path}.verbs"), ""));
    }
}

fn check_what(rule: &Value, namespaced: bool, path: &str, empty: &dyn Fn(&str) -> bool, errors: &mut Vec<FieldError>) {
    if !empty("nonResourceURLs") {
        let (field, urls) = (format!("{path}.nonResourceURLs"), &rule["nonResourceURLs"]);
        if namespaced {
            errors.push(FieldError::invalid(field, urls, "namespaced rules cannot apply to non-resource URLs"));
        } else if !empty("apiGroups") || !empty("resources") || !empty("resourceNames") {
            errors.push(FieldError::invalid(field, urls, "rules cannot apply to both regular resources and non-resource URLs"));
        }
        return;
    }
    if empty("apiGroups") {
        errors.push(FieldError::required(format!("{path}.apiGroups"), "resource rules must supply at least one api group"));
    }
    if empty("resources") {
        errors.push(FieldError::required(format!("{path}.resources"), "resource rules must supply at least one resource"));
    }
}

fn check_binding(new: &Value, errors: &mut Vec<FieldError>) {
    if text(&new["roleRef"], "name").is_empty() {
        errors.push(FieldError::required("roleRef.name", ""));
    }
    for (index, subject) in new["subjects"].as_array().into_iter().flatten().enumerate() {
        if text(subject, "name").is_empty() {
            errors.push(FieldError::required(format!("subjects[{index}].name"), ""));
        }
        if text(subject, "kind") == "ServiceAccount" && text(subject, "namespace").is_empty() && new["kind"] == "ClusterRoleBinding" {
            errors.push(FieldError::required(format!("subjects[{index}].namespace"), ""));
        }
    }
}
