//! CustomResourceDefinitions: names and status that the server fills in, and what it refuses.

mod rules;
mod structure;
mod warnings;

use serde_json::{Map, Value, json};

use crate::builtin;
use crate::object::{ObjectExt, now};
use crate::schema::{FieldError, Structural};
use crate::texts::Room;
pub(crate) use warnings::warnings;

const APPROVED: &str = "/metadata/annotations/api-approved.kubernetes.io";
/// Keeps a CRD until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Fills in names, conversion and status. A CRD is served as soon as it is stored, so it is Established at once.
pub(crate) fn complete(crd: &mut Value, new: bool) {
    if new {
        crd.add_finalizer(CLEANUP);
    }
    let kind = crd.pointer("/spec/names/kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(names) = crd.pointer_mut("/spec/names").and_then(Value::as_object_mut) {
        names.entry("singular").or_insert_with(|| Value::from(kind.to_lowercase()));
        names.entry("listKind").or_insert_with(|| Value::from(format!("{kind}List")));
    }
    if let Some(spec) = crd.get_mut("spec").and_then(Value::as_object_mut) {
        spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    }
    let names = crd.pointer("/spec/names").cloned().unwrap_or_else(|| json!({}));
    let storage: Vec<Value> =
        versions(crd).filter(|v| v.get("storage") == Some(&json!(true))).filter_map(|v| v.get("name").cloned()).collect();
    let status = crd.as_object_mut().map(|map| map.entry("status").or_insert_with(|| json!({})));
    let Some(status) = status.and_then(Value::as_object_mut) else { return };
    status.insert("acceptedNames".to_owned(), names);
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    if let Some(stored) = stored.as_array_mut() {
        for version in storage {
            if !stored.contains(&version) {
                stored.push(version);
            }
        }
    }
    established(status);
}

fn established(status: &mut Map<String, Value>) {
    let condition = |kind: &str, reason: &str, message: &str| json!({"lastTransitionTime": now(), "message": message, "reason": reason, "status": "True", "type": kind});
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else { return };
    let wanted = [
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ];
    for condition in wanted {
        let same = conditions.iter().position(|c| c.get("type") == condition.get("type"));
        match same.and_then(|at| conditions.get_mut(at)) {
            Some(old) if old.get("status") == condition.get("status") => {}
            Some(old) => *old = condition,
            None => conditions.push(condition),
        }
    }
}

/// What the schema of CRDs cannot say: the name, one storage version, what may not change, schemas and rules that can be used.
pub(crate) fn validate(crd: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut approval = Vec::new();
    let scope = &crd["spec"]["scope"];
    if scope != "Cluster" && scope != "Namespaced" {
        errors.push(FieldError::not_supported("spec.scope", scope, ["Cluster", "Namespaced"].into_iter()));
    }
    let mut refuse =
        |field: &str, message: String| errors.push(FieldError { reason: "FieldValueInvalid", field: field.to_owned(), message });
    let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let expected = format!("{}.{}", text("/spec/names/plural"), text("/spec/group"));
    let moved = old.is_some_and(|old| old["spec"]["group"] != crd["spec"]["group"]);
    if crd.name() != expected && !moved {
        refuse("metadata.name", format!("Invalid value: \"{}\": must be spec.names.plural+\".\"+spec.group", crd.name()));
    }
    if versions(crd).filter(|v| v.get("storage") == Some(&json!(true))).count() != 1 {
        let names: Vec<&str> = versions(crd).filter_map(|v| v.get("name")?.as_str()).collect();
        refuse("spec.versions", format!("Invalid value: {}: must have exactly one version marked as storage version", json!(names)));
    }
    if old.is_none() && is_protected(text("/spec/group")) && crd.pointer(APPROVED).is_none() {
        let detail = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";
        approval.push(FieldError::required("metadata.annotations[api-approved.kubernetes.io]", detail));
    }
    if text("/spec/conversion/strategy") == "Webhook" {
        refuse("spec.conversion.strategy", "Invalid value: \"Webhook\": conversion webhooks are not supported by this server".to_owned());
    }
    if builtin::all().iter().any(|b| b.group == text("/spec/group") && b.plural == text("/spec/names/plural")) {
        refuse("metadata.name", format!("Invalid value: \"{expected}\": this resource is built into the server"));
    }
    for field in ["spec.group", "spec.scope", "spec.names.kind"] {
        let pointer = format!("/{}", field.replace('.', "/"));
        if let Some(old) = old
            && old.pointer(&pointer) != crd.pointer(&pointer)
        {
            refuse(field, format!("Invalid value: \"{}\": field is immutable", text(&pointer)));
        }
    }
    errors.extend(approval);
    for field in ["singular", "kind", "listKind"] {
        // The server makes the others from the kind.
        if text("/spec/names/kind").is_empty() {
            errors.push(FieldError::required(format!("spec.names.{field}"), ""));
        }
    }
    errors.extend(stored_versions(crd));
    for (index, version) in versions(crd).enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            errors.push(FieldError {
                reason: "FieldValueRequired",
                field: format!("spec.versions[{index}].schema.openAPIV3Schema"),
                message: "Required value".to_owned(),
            });
        }
    }
    // Compiling rules takes its time: not for a new label.
    if errors.is_empty() && old.is_none_or(|old| old.get("spec") != crd.get("spec")) {
        errors = schemas(crd);
    }
    errors
}

/// Whether only Kubernetes' own projects may define kinds in this group.
fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"].iter().any(|domain| group == *domain || group.ends_with(&format!(".{domain}")))
}

/// Versions under which objects may be kept: there is one, and each is still defined.
fn stored_versions(crd: &Value) -> Vec<FieldError> {
    let stored = crd.pointer("/status/storedVersions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if stored.is_empty() {
        return vec![FieldError::invalid("status.storedVersions", &Value::Null, "must have at least one stored version")];
    }
    let gone = stored.iter().enumerate().filter(|(_, name)| !versions(crd).any(|version| version.get("name") == Some(*name)));
    let refuse = |(index, name): (usize, &Value)| {
        let shown = name.as_str().unwrap_or_default();
        let detail = format!(
            "missing from spec.versions; {shown} was previously a storage version, and must remain in spec.versions until a storage \
             migration ensures no data remains persisted in {shown} and removes {shown} from status.storedVersions"
        );
        FieldError::invalid(format!("status.storedVersions[{index}]"), name, &detail)
    };
    gone.map(refuse).collect()
}

/// What is wrong with the schemas, and with the rules in them.
fn schemas(crd: &Value) -> Vec<FieldError> {
    let (mut errors, mut room) = (Vec::new(), Room::default());
    let only = versions(crd).count() == 1;
    for (index, version) in versions(crd).enumerate() {
        let schema = version.pointer("/schema/openAPIV3Schema").unwrap_or(&Value::Null);
        // Where there is one version, its schema is checked as the whole definition's, which has another path.
        let path = if only { "spec.validation".to_owned() } else { format!("spec.versions[{index}].schema") };
        let unstructured = structure::check(schema, &format!("{path}.openAPIV3Schema"));
        if !unstructured.is_empty() {
            errors.extend(unstructured);
            continue;
        }
        match Structural::from_json(schema) {
            Ok(structural) => errors.extend(rules::check(schema, &structural.root, &format!("{path}.openAPIV3Schema"), &mut room)),
            Err(problem) => errors.push(FieldError {
                reason: "FieldValueInvalid",
                field: format!("spec.versions[{index}].schema.openAPIV3Schema"),
                message: format!("Invalid value: {problem}"),
            }),
        }
    }
    errors
}

fn versions(crd: &Value) -> impl Iterator<Item = &Value> {
    crd.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten()
}
