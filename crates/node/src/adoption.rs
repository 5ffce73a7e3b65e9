//! Adoption: a controller takes what its selector matches and nobody manages, such as what `kubectl delete --cascade=orphan` left.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use serde_json::json;

use crate::meta::{ObjectName, selects};
use crate::patch::to_value;
use crate::plan::{Kind, Verb, Write};

/// The writes that make `owner` the controller of the orphans among `candidates`. Selectors with expressions adopt nothing.
pub(crate) fn adopt<'a>(
    owner: &OwnerReference,
    selector: &LabelSelector,
    kind: Kind,
    candidates: impl Iterator<Item = &'a ObjectMeta>,
) -> Vec<Write> {
    let labels = selector.match_labels.clone().unwrap_or_default();
    if selector.match_expressions.as_ref().is_some_and(|e| !e.is_empty()) {
        return Vec::new();
    }
    let orphan = |meta: &&ObjectMeta| {
        let managed = meta.owner_references.iter().flatten().any(|o| o.controller == Some(true));
        !managed && meta.deletion_timestamp.is_none() && selects(&labels, meta.labels.as_ref())
    };
    let write = |meta: &ObjectMeta| {
        let owners: Vec<&OwnerReference> = meta.owner_references.iter().flatten().chain([owner]).collect();
        // The uid is a precondition: a successor of the same name is not meant.
        let patch = json!({"metadata": {"uid": meta.uid, "ownerReferences": to_value(&owners)}});
        Write { kind, name: ObjectName::of(meta), verb: Verb::Patch(patch) }
    };
    candidates.filter(orphan).map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::owner_reference;

    #[test]
    fn only_matching_orphans_are_adopted() {
        let meta = |name: &str, app: &str, extra: serde_json::Value| {
            let mut meta = json!({"name": name, "namespace": "ns", "uid": name, "labels": {"app": app, "more": "x"}});
            crate::simulation::merge(&mut meta, &extra);
            serde_json::from_value::<ObjectMeta>(meta).unwrap()
        };
        let managed = json!({"ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "x", "controller": true}]});
        let candidates = [
            meta("orphan", "a", json!({})),
            meta("other", "b", json!({})),
            meta("managed", "a", managed),
            meta("leaving", "a", json!({"deletionTimestamp": "2026-11-23T05:00:00Z"})),
        ];
        let owner = owner_reference("apps/v1", "Deployment", &meta("app", "a", json!({})));
        let selector: LabelSelector = serde_json::from_value(json!({"matchLabels": {"app": "a"}})).unwrap();
        let writes = adopt(&owner, &selector, Kind::ReplicaSet, candidates.iter());
        assert_eq!(writes.iter().map(|w| w.name.name.as_str()).collect::<Vec<_>>(), ["orphan"]);
        let Verb::Patch(patch) = &writes[0].verb else { panic!() };
        assert_eq!((&patch["metadata"]["uid"], &patch["metadata"]["ownerReferences"][0]["name"]), (&json!("orphan"), &json!("app")));
        let expressions = json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]});
        assert!(adopt(&owner, &serde_json::from_value(expressions).unwrap(), Kind::Pod, candidates.iter()).is_empty());
        assert!(adopt(&owner, &LabelSelector::default(), Kind::Pod, candidates.iter()).is_empty());
    }
}
