//! Checks of Jobs.

use serde_json::{Value, json};

use super::not_negative;
use super::workload::{MISMATCH, matches, template};
use crate::object::ObjectExt;
use crate::schema::FieldError;

const IMMUTABLE: &str = "field is immutable";

/// Checks a Job.
pub(super) fn check(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &new["spec"];
    for key in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
        not_negative(spec, key, "spec", errors);
    }
    template(&spec["template"], errors);
    // What is not given is Always.
    if spec["template"]["spec"]["restartPolicy"] == "Always" {
        errors.push(FieldError::required("spec.template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\""));
    }
    if spec["manualSelector"] != true {
        generated(new, errors);
    }
    if !matches(&spec["selector"], &spec["template"]["metadata"]["labels"]) {
        errors.push(FieldError::invalid("spec.template.metadata.labels", &spec["template"]["metadata"]["labels"], MISMATCH));
    }
    if let Some(old) = old {
        unchanged(spec, old, errors);
    }
}

/// The labels and the selector that the server gave are as it gave them.
fn generated(job: &Value, errors: &mut Vec<FieldError>) {
    let labels = &job["spec"]["template"]["metadata"]["labels"];
    let mut own = json!({});
    let names = [("controller-uid", job.uid()), ("job-name", job.name())];
    for (label, wanted) in
        names.into_iter().flat_map(|(label, wanted)| [(format!("batch.kubernetes.io/{label}"), wanted), (label.to_owned(), wanted)])
    {
        if labels[&label] != wanted {
            errors.push(FieldError::invalid(format!("spec.template.metadata.labels[{label}]"), labels, &format!("must be '{wanted}'")));
        }
        own[label] = Value::from(wanted);
    }
    let selector = &job["spec"]["selector"];
    if !matches(selector, &own) {
        errors.push(FieldError::invalid("spec.selector", selector, "`selector` not auto-generated"));
    }
}

/// What stays as it was. The pods of a Job that is suspended, and has none, may still be told where to run and how they are labelled.
fn unchanged(spec: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let before = &old["spec"];
    let mut template = (spec["template"].clone(), before["template"].clone());
    if before["suspend"] == true && old["status"]["startTime"].is_null() {
        [&mut template.0, &mut template.1].into_iter().for_each(without_directives);
    }
    let same = [
        ("spec.completions", &spec["completions"], spec["completions"] == before["completions"]),
        ("spec.selector", &spec["selector"], spec["selector"] == before["selector"]),
        ("spec.template", &spec["template"], template.0 == template.1),
        ("spec.completionMode", &spec["completionMode"], spec["completionMode"] == before["completionMode"]),
    ];
    errors.extend(same.iter().filter(|(.., same)| !same).map(|(path, value, _)| FieldError::invalid(*path, value, IMMUTABLE)));
}

fn without_directives(template: &mut Value) {
    for (part, keys) in
        [("metadata", &["annotations", "labels"][..]), ("spec", &["affinity", "nodeSelector", "schedulingGates", "tolerations"])]
    {
        if let Some(part) = template[part].as_object_mut() {
            part.retain(|key, _| !keys.contains(&key.as_str()));
        }
    }
}
