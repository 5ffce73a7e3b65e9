//! How lists and maps of the built-in kinds merge, which k8s-openapi's schemas do not say.
//!
//! A line of `merging.txt` is a definition's name without `io.k8s.`, then `field=HOW`: `map:KEY,KEY` and `set` for lists, `atomic` for maps;
//! the field `.` is the definition itself. Taken from the OpenAPI that Kubernetes 1.37 publishes; lists that are not named are atomic.

use serde_json::{Map, Value, json};

/// Writes `x-kubernetes-list-type` and its like into definitions.
pub(super) fn annotate(definitions: &mut Map<String, Value>) {
    for line in include_str!("merging.txt").lines() {
        let mut words = line.split(' ');
        let name = format!("io.k8s.{}", words.next().unwrap_or_default());
        let Some(definition) = definitions.get_mut(&name).and_then(Value::as_object_mut) else { continue };
        for (field, how) in words.filter_map(|word| word.split_once('=')) {
            let place = match field {
                "." => Some(&mut *definition),
                _ => definition.get_mut("properties").and_then(|p| p.get_mut(field)).and_then(Value::as_object_mut),
            };
            if let Some(schema) = place {
                mark(schema, how);
            }
        }
    }
    // Part of a key, so that it must be known where it is left out.
    for name in ["ContainerPort", "ServicePort"] {
        let protocol = definitions.get_mut(&format!("io.k8s.api.core.v1.{name}"));
        if let Some(protocol) = protocol.and_then(|d| d.pointer_mut("/properties/protocol")).and_then(Value::as_object_mut) {
            protocol.insert("default".to_owned(), json!("TCP"));
        }
    }
}

fn mark(schema: &mut Map<String, Value>, how: &str) {
    match (how, how.strip_prefix("map:")) {
        (_, Some(keys)) => {
            schema.insert("x-kubernetes-list-type".to_owned(), json!("map"));
            schema.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys.split(',').collect::<Vec<_>>()));
        }
        ("set", _) => drop(schema.insert("x-kubernetes-list-type".to_owned(), json!("set"))),
        _ => drop(schema.insert("x-kubernetes-map-type".to_owned(), json!("atomic"))),
    }
}
