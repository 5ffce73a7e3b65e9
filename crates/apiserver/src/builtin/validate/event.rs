//! Events: those of the core group may be as they like, if they have no `eventTime`.

use serde_json::Value;

use super::{names, problems, text};
use crate::schema::FieldError;

/// Longest action, reason and reporting instance.
const LONGEST: usize = 128;
const LONGEST_NOTE: usize = 1024;

/// `controller` is what the field is called in the group that was asked.
pub(super) fn check(new: &Value, controller: &str, errors: &mut Vec<FieldError>) {
    let involved = &new["involvedObject"]["namespace"];
    let namespace = text(&new["metadata"], "namespace");
    let timed = is_set(new, "eventTime");
    // An Event of a namespaced object lives in the object's namespace, one of a cluster-scoped object in `default`.
    let fits = match involved.as_str().unwrap_or_default() {
        "" => matches!(namespace, "default" | "") || timed && namespace == "kube-system",
        name => timed || name == namespace,
    };
    if !fits {
        let shown = if involved.is_null() { Value::from("") } else { involved.clone() };
        errors.push(FieldError::invalid("involvedObject.namespace", &shown, "does not match event.namespace"));
    }
    if !timed {
        return;
    }
    let reporter = &new["reportingComponent"];
    if text(new, "reportingComponent").is_empty() {
        errors.push(FieldError::required(controller, ""));
    }
    let shown = if reporter.is_null() { Value::from("") } else { reporter.clone() };
    problems(errors, controller, &shown, names::qualified_name(text(new, "reportingComponent")));
    for (field, longest, needed) in
        [("reportingInstance", LONGEST, true), ("action", LONGEST, true), ("reason", LONGEST, true), ("message", LONGEST_NOTE, false)]
    {
        let value = text(new, field);
        if needed && value.is_empty() {
            errors.push(FieldError::required(field, ""));
        }
        if value.len() > longest {
            errors.push(FieldError::invalid(field, &"".into(), &format!("can have at most {longest} characters")));
        }
    }
}

/// What a new Event of `events.k8s.io` must be. It is told of under the core group's names.
pub(in crate::builtin) fn new(new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check(new, "reportingController", &mut errors);
    let series = &new["series"];
    if series.is_object() {
        if series["count"].as_i64().unwrap_or_default() < 2 {
            errors.push(FieldError::invalid("series.count", &"".into(), "should be at least 2"));
        }
        if !is_set(series, "lastObservedTime") {
            errors.push(FieldError::required("series.lastObservedTime", ""));
        }
    }
    if !is_set(new, "eventTime") {
        errors.push(FieldError::required("eventTime", ""));
    }
    let kind = text(new, "type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(FieldError::invalid("type", &"".into(), &format!("has invalid value: {kind}")));
    }
    let source = &new["source"];
    let old_fashioned = [
        ("firstTimestamp", is_set(new, "firstTimestamp")),
        ("lastTimestamp", is_set(new, "lastTimestamp")),
        ("count", new["count"].as_i64().unwrap_or_default() != 0),
        ("source", !text(source, "component").is_empty() || !text(source, "host").is_empty()),
    ];
    for (field, _) in old_fashioned.iter().filter(|(_, set)| *set) {
        errors.push(FieldError::invalid(*field, &"".into(), "needs to be unset"));
    }
    errors
}

fn is_set(object: &Value, field: &str) -> bool {
    object[field].as_str().is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(event: &Value) -> Vec<String> {
        new(event).iter().map(|e| format!("{}: {}", e.field, e.message)).collect()
    }

    #[test]
    fn a_new_event_says_when_and_by_whom() {
        let good = json!({"metadata": {"namespace": "n"}, "involvedObject": {"namespace": "n"}, "eventTime": "2026-01-01T00:00:00.000000Z",
            "type": "Normal", "reason": "R", "action": "A", "reportingComponent": "e.x/c", "reportingInstance": "i"});
        assert_eq!(said(&good), Vec::<String>::new());
        let mut old = good.clone();
        old["count"] = json!(1);
        old["series"] = json!({"count": 1});
        old["action"] = json!("a".repeat(129));
        let expected = [
            "action: Invalid value: \"\": can have at most 128 characters",
            "series.count: Invalid value: \"\": should be at least 2",
            "series.lastObservedTime: Required value",
            "count: Invalid value: \"\": needs to be unset",
        ];
        assert_eq!(said(&old), expected);
    }
}
