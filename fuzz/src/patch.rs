//! Patches and configurations to apply. The input is a choice of an object and of what to do with it, then JSON. Promised: no panic; a merge
//! patch changes nothing the second time, nor does a configuration; an applier owns what he applied, and has it.

use std::sync::OnceLock;

use serde_json::{Value, json};
use weir_apiserver::builtin::{self, Builtin};
use weir_apiserver::{patch as patches, strangers};

use crate::choices::Choices;

pub(crate) fn patch(data: &[u8]) {
    let mut choices = Choices(data);
    let live = &objects()[choices.below(objects().len())];
    let what = choices.below(3);
    let Ok(given) = serde_json::from_slice::<Value>(choices.0) else { return };
    let kind = kind(live);
    match what {
        0 => {
            let mut once = live.clone();
            patches::json_merge(&mut once, &given);
            let mut twice = once.clone();
            patches::json_merge(&mut twice, &given);
            assert_eq!(twice, once, "merged twice");
        }
        1 => {
            assert_eq!(patches::strategic(kind, live, &json!({})).as_ref(), Ok(live), "an empty patch");
            let _ = patches::strategic(kind, live, &given);
        }
        _ => apply(kind, live, &given),
    }
}

fn apply(kind: &Builtin, live: &Value, config: &Value) {
    // Before it is applied a server looks at these.
    if config.get("apiVersion") != live.get("apiVersion") || config.get("kind") != live.get("kind") {
        return;
    }
    let one = |live: &Value, managed: &Value, manager: &str, force: bool| strangers::apply(kind, live, managed, manager, force, config);
    let Ok((object, owners)) = one(live, &json!([]), "a", true) else { return };
    let again = one(&object, &owners, "a", false).expect("one's own fields are no conflict");
    assert_eq!(again, (object.clone(), owners.clone()), "applied twice");
    let (shared, both) = one(&object, &owners, "b", false).expect("the same values are no conflict");
    assert_eq!(shared, object, "applied by another");
    if let Some(owned) = by(&owners, "a") {
        assert_eq!(by(&both, "a"), Some(owned.clone()), "shared fields stay owned");
        assert_eq!(by(&both, "b"), Some(owned), "both own the same");
    }
}

/// What a manager owns.
fn by(owners: &Value, manager: &str) -> Option<Value> {
    let entry = owners.as_array()?.iter().find(|entry| entry["manager"] == manager)?;
    Some(entry["fieldsV1"].clone())
}

fn kind(object: &Value) -> &'static Builtin {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    builtin::by_kind(group, version, object["kind"].as_str().unwrap_or_default()).expect("built in")
}

fn objects() -> &'static [Value] {
    static OBJECTS: OnceLock<Vec<Value>> = OnceLock::new();
    OBJECTS.get_or_init(|| {
        let metadata = json!({"name": "a", "namespace": "n", "labels": {"a": "b"}, "finalizers": ["x.io/a", "x.io/b"]});
        let containers = json!([
            {"name": "c", "image": "c:1", "ports": [{"containerPort": 80, "protocol": "TCP"}], "env": [{"name": "E", "value": "1"}]},
            {"name": "d", "image": "d:1", "args": ["x"]},
        ]);
        vec![
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1", "b": "2"}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {
                "selector": {"a": "b"}, "ports": [{"name": "x", "port": 80, "protocol": "TCP"}, {"name": "y", "port": 81, "protocol": "UDP"}]}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {
                "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}}}),
        ]
    })
}
