//! Pruning: what the schema does not know is dropped, and named.

use std::collections::HashSet;

use serde_json::{Number, Value};

use super::{Additional, Node, path::Path};
use crate::texts::Texts;

/// Prunes a whole object and returns the paths of what was dropped, sorted.
pub(super) fn prune_root(root: &Node, object: &mut Value) -> Vec<String> {
    let mut dropped = Texts::default();
    prune(root, object, true, &mut Path::root(), &mut dropped);
    let mut dropped = dropped.into_vec();
    dropped.sort();
    dropped
}

fn prune(node: &Node, value: &mut Value, resource: bool, path: &mut Path, dropped: &mut Texts) {
    match value {
        Value::Object(fields) => {
            let resource = resource || node.embedded;
            let mut unknown = HashSet::new();
            for (name, field) in fields.iter_mut() {
                if resource && matches!(name.as_str(), "apiVersion" | "kind") {
                    continue;
                }
                if resource && name == "metadata" {
                    path.child(name, |path| prune(crate::builtin::object_meta(), field, false, path, dropped));
                    continue;
                }
                match (node.properties.get(name.as_str()), &node.additional) {
                    (Some(child), _) => path.child(name, |path| prune(child, field, false, path, dropped)),
                    (None, Additional::Schema(child)) => path.child(name, |path| prune(child, field, false, path, dropped)),
                    (None, Additional::Any) => whole_numbers(field),
                    (None, Additional::None) if node.preserve => whole_numbers(field),
                    (None, Additional::None) => {
                        path.child(name, |path| dropped.push(|| path.as_str().to_owned()));
                        unknown.insert(name.clone());
                    }
                }
            }
            // All at once: each on its own would move all that follow.
            if !unknown.is_empty() {
                fields.retain(|name, _| !unknown.contains(name));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                match &node.items {
                    Some(child) => path.index(index, |path| prune(child, item, false, path, dropped)),
                    None => whole_numbers(item),
                }
            }
        }
        number @ Value::Number(_) => whole_number(number),
        _ => {}
    }
}

/// Go writes a float without a fraction as an integer, so `5.0` and `1e3` are stored as 5 and 1000.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        number => whole_number(number),
    }
}

fn whole_number(value: &mut Value) {
    /// Beyond this Go's encoder writes an exponent, which stays a float.
    const LARGEST: f64 = 9.0e18;
    if let Value::Number(n) = value
        && n.is_f64()
        && let Some(f) = n.as_f64()
        && f.fract() == 0.0
        && f.abs() < LARGEST
    {
        *n = Number::from(f as i64);
    }
}
