//! Checks of Deployments, ReplicaSets, StatefulSets and DaemonSets.

use serde_json::{Map, Value};

use super::{super::meta, not_negative, pod};
use crate::schema::FieldError;

pub(super) const MISMATCH: &str = "`selector` does not match template `labels`";

/// Checks a workload of group `apps`.
pub(super) fn check(kind: &str, new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &new["spec"];
    for key in ["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        not_negative(spec, key, "spec", errors);
    }
    selector(kind, spec, errors);
    template(&spec["template"], errors);
    let restart = &spec["template"]["spec"]["restartPolicy"];
    if !restart.is_null() && restart != "Always" {
        errors.push(FieldError::not_supported("spec.template.spec.restartPolicy", restart, ["Always"].into_iter()));
    }
    if kind == "Deployment" {
        strategy(spec, errors);
    }
    if let Some(old) = old
        && old["spec"]["selector"] != spec["selector"]
    {
        errors.push(FieldError::invalid("spec.selector", &spec["selector"], "field is immutable"));
    }
}

pub(super) fn template(template: &Value, errors: &mut Vec<FieldError>) {
    errors.extend(meta::labels(&template["metadata"]["labels"], "spec.template.metadata.labels"));
    errors.extend(meta::annotations(&template["metadata"]["annotations"], "spec.template.metadata.annotations"));
    pod::check(&template["spec"], "spec.template.spec", errors);
}

fn selector(kind: &str, spec: &Value, errors: &mut Vec<FieldError>) {
    let selector = &spec["selector"];
    if selector.is_null() {
        errors.push(FieldError::required("spec.selector", ""));
        // No selector selects nothing, so it does not select the template either.
        let labels = &spec["template"]["metadata"]["labels"];
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, MISMATCH));
        return;
    }
    errors.extend(meta::labels(&selector["matchLabels"], "spec.selector.matchLabels"));
    let labels = selector["matchLabels"].as_object().map_or(0, Map::len);
    let expressions = selector["matchExpressions"].as_array().map_or(0, Vec::len);
    if labels + expressions == 0 {
        // ReplicaSets are told about deployments too.
        let what = match kind {
            "StatefulSet" => "statefulset",
            "DaemonSet" => "daemonset",
            _ => "deployment",
        };
        errors.push(FieldError::invalid("spec.selector", selector, &format!("empty selector is invalid for {what}")));
    } else if !matches(selector, &spec["template"]["metadata"]["labels"]) {
        let labels = &spec["template"]["metadata"]["labels"];
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, MISMATCH));
    }
}

/// Whether a label selector matches labels.
pub(super) fn matches(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| &labels[key] == value);
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    equal
        && expressions.into_iter().all(|expression| {
            let label = &labels[expression["key"].as_str().unwrap_or_default()];
            let listed = expression["values"].as_array().is_some_and(|values| values.contains(label));
            match expression["operator"].as_str() {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("Exists") => !label.is_null(),
                Some("DoesNotExist") => label.is_null(),
                _ => false,
            }
        })
}

/// A number of pods, or a share of them.
fn percent(value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let number = |text: &str| text.strip_suffix('%').is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    if value.as_str().is_some_and(|text| !number(text)) {
        let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for \
                      validation is '[0-9]+%')";
        errors.push(FieldError::invalid(path, value, detail));
    }
    if value.as_i64().is_some_and(|number| number < 0) {
        errors.push(FieldError::invalid(path, value, "must be greater than or equal to 0"));
    }
}

fn strategy(spec: &Value, errors: &mut Vec<FieldError>) {
    let strategy = &spec["strategy"];
    match strategy["type"].as_str() {
        Some("Recreate") => {
            if strategy["rollingUpdate"].is_object() {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                errors.push(FieldError::forbidden("spec.strategy.rollingUpdate", detail));
            }
        }
        Some("RollingUpdate") => {
            for key in ["maxUnavailable", "maxSurge"] {
                percent(&strategy["rollingUpdate"][key], &format!("spec.strategy.rollingUpdate.{key}"), errors);
            }
            let zero = |value: &Value| *value == 0 || *value == "0%";
            let rolling = &strategy["rollingUpdate"];
            if zero(&rolling["maxUnavailable"]) && zero(&rolling["maxSurge"]) {
                let detail = "may not be 0 when `maxSurge` is 0";
                errors.push(FieldError::invalid("spec.strategy.rollingUpdate.maxUnavailable", &rolling["maxUnavailable"], detail));
            }
        }
        _ => {
            let supported = ["Recreate", "RollingUpdate"].into_iter();
            errors.push(FieldError::not_supported("spec.strategy.type", &strategy["type"], supported));
        }
    }
    let (deadline, ready) = (spec["progressDeadlineSeconds"].as_i64(), spec["minReadySeconds"].as_i64().unwrap_or_default());
    if deadline.is_some_and(|deadline| deadline <= ready) {
        let detail = "must be greater than minReadySeconds";
        errors.push(FieldError::invalid("spec.progressDeadlineSeconds", &spec["progressDeadlineSeconds"], detail));
    }
}
