//! Cells of workloads.

use jiff::Timestamp;
use serde_json::Value;

use super::{age, created, labels, list, name, number, text};

/// Names and images of the containers of the template, and the selector.
fn wide(object: &Value) -> [Value; 3] {
    let containers = list(&object["spec"]["template"]["spec"], "containers");
    let join = |key: &str| Value::from(containers.iter().map(|c| text(c, key)).collect::<Vec<_>>().join(","));
    [join("name"), join("image"), selector(&object["spec"]["selector"]).into()]
}

fn selector(selector: &Value) -> String {
    let mut terms: Vec<String> = Vec::new();
    if selector["matchLabels"].as_object().is_some_and(|l| !l.is_empty()) {
        terms.push(labels(&selector["matchLabels"]));
    }
    for expression in list(selector, "matchExpressions") {
        let mut values: Vec<&str> = list(expression, "values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let key = text(expression, "key");
        terms.push(match text(expression, "operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    if terms.is_empty() { "<none>".to_owned() } else { terms.join(",") }
}

/// Numbers stand in columns of type string here, as on the real server.
pub(super) fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let ready = format!("{}/{}", number(status, "readyReplicas"), number(spec, "replicas"));
    let mut cells = vec![
        name(object),
        ready.into(),
        number(status, "updatedReplicas").into(),
        number(status, "availableReplicas").into(),
        created(object, now),
    ];
    cells.extend(wide(object));
    cells
}

pub(super) fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let mut cells = vec![
        name(object),
        number(spec, "replicas").into(),
        number(status, "replicas").into(),
        number(status, "readyReplicas").into(),
        created(object, now),
    ];
    cells.extend(wide(object));
    cells
}

pub(super) fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready = format!("{}/{}", number(&object["status"], "readyReplicas"), number(&object["spec"], "replicas"));
    let [containers, images, _] = wide(object);
    vec![name(object), ready.into(), created(object, now), containers, images]
}

pub(super) fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let counts = ["desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable"];
    let mut cells = vec![name(object)];
    cells.extend(counts.map(|count| Value::from(number(status, count))));
    cells.push(labels(&object["spec"]["template"]["spec"]["nodeSelector"]).into());
    cells.push(created(object, now));
    cells.extend(wide(object));
    cells
}

pub(super) fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let succeeded = number(status, "succeeded");
    let completions = match (spec["completions"].as_i64(), number(spec, "parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel @ 2..) => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let has = |kind: &str| list(status, "conditions").iter().any(|c| text(c, "type") == kind && text(c, "status") == "True");
    let state = if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if !object["metadata"]["deletionTimestamp"].is_null() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    };
    let end = text(status, "completionTime").parse().unwrap_or(now);
    let took = match text(status, "startTime") {
        "" => String::new(),
        _ => age::since(&status["startTime"], end),
    };
    let mut cells = vec![name(object), state.into(), completions.into(), took.into(), created(object, now)];
    cells.extend(wide(object));
    cells
}
