//! events.k8s.io/v1: the same Events as the core group's, under other field names.

use serde_json::Value;

/// Core name, events.k8s.io name.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// A core Event as events.k8s.io/v1 shows it.
pub(crate) fn from_core(event: &Value) -> Value {
    let mut shown = renamed(event, "events.k8s.io/v1", |key| NAMES.iter().find(|(core, _)| *core == key).map(|(_, new)| *new));
    if let Some(map) = shown.as_object_mut() {
        map.retain(|key, value| !matches!(key.as_str(), "reportingController" | "reportingInstance") || value != "");
    }
    shown
}

/// An events.k8s.io/v1 Event as it is kept.
pub(crate) fn to_core(event: &Value) -> Value {
    renamed(event, "v1", |key| NAMES.iter().find(|(_, new)| *new == key).map(|(core, _)| *core))
}

fn renamed(event: &Value, version: &str, name: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Some(map) = event.as_object() else { return event.clone() };
    let fields = map.iter().map(|(key, value)| {
        let value = if key == "apiVersion" { Value::from(version) } else { value.clone() };
        (name(key).unwrap_or(key).to_owned(), value)
    });
    Value::Object(fields.collect())
}
