//! What a new Job is given by the server: the selector of its pods, and the labels that it selects.

use serde_json::{Map, Value, json};

use crate::object::ObjectExt;

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// Gives pods labels that tell this Job's from all others, unless its `manualSelector` says that it has some. A Job without labels has its pods'.
pub(super) fn select(job: &mut Value) {
    let (name, uid) = (Value::from(job.name()), Value::from(job.uid()));
    let is_plain = job.meta_map().get("labels").and_then(Value::as_object).is_none_or(Map::is_empty);
    let Some(spec) = job.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if spec.get("manualSelector") != Some(&Value::Bool(true)) {
        let labels = child(child(child(spec, "template"), "metadata"), "labels");
        // Older clients look for the names without a prefix.
        for (label, value) in [(CONTROLLER_UID, &uid), (JOB_NAME, &name), ("controller-uid", &uid), ("job-name", &name)] {
            labels.entry(label).or_insert_with(|| value.clone());
        }
        child(child(spec, "selector"), "matchLabels").entry(CONTROLLER_UID).or_insert(uid);
    }
    let labels = spec.get("template").and_then(|template| template.pointer("/metadata/labels")).cloned();
    if let Some(labels) = labels.filter(|_| is_plain) {
        job.meta_map().insert("labels".to_owned(), labels);
    }
}

/// The object in `key`; what is not one, validation has refused or will.
fn child<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = map.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("made an object above")
}
