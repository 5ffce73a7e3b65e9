use serde_json::{Value, json};

use super::*;
use crate::builtin::{self, Builtin};

#[test]
fn json_patches_do_not_outgrow_their_text() {
    let patched = |operations: Vec<Value>| {
        let mut object = json!({"a": {"b": "x".repeat(100)}});
        json_patch(&mut object, &serde_json::from_value::<json_patch::Patch>(operations.into()).unwrap()).map(|()| object)
    };
    let copy = |n: usize| json!({"op": "copy", "from": "/a", "path": format!("/a/{n}")});
    assert_eq!(patched((0..4).map(copy).collect()).unwrap().pointer("/a/3/2/1/0/b"), Some(&json!("x".repeat(100))));
    assert!(patched((0..40).map(copy).collect()).unwrap_err().contains("copies more"), "each doubles the object");
    let nest = |n: usize| json!({"op": "add", "path": "/c".repeat(n + 1), "value": {}});
    assert!(patched((0..100).map(nest).collect()).is_ok());
    assert!(patched((0..5000).map(nest).collect()).unwrap_err().contains("too deeply"));
    let there_and_back = [json!({"op": "move", "from": "/a", "path": "/d"}), json!({"op": "move", "from": "/d", "path": "/a"})];
    assert!(patched(vec![there_and_back; 1000].concat()).is_ok());
    assert!(patched(vec![json!({"op": "copy", "from": "/none", "path": "/d"})]).is_err());
}

#[test]
fn merge_patches_follow_rfc_7386() {
    // The cases of appendix A.
    for (target, patch, result) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(["c"]), json!(["c"])),
        (json!({"a": "foo"}), json!(null), json!(null)),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ] {
        let mut merged = target.clone();
        json_merge(&mut merged, &patch);
        assert_eq!(merged, result, "{target} with {patch}");
    }
}

fn kind(kind: &str) -> &'static Builtin {
    builtin::all().iter().find(|b| b.kind == kind).unwrap()
}

fn pod(spec: Value, patch: Value) -> Result<Value, String> {
    let wrap = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
    strategic(kind("Deployment"), &wrap(spec), &wrap(patch)).map(|mut merged| merged["spec"]["template"]["spec"].take())
}

#[test]
fn lists_merge_by_their_keys() {
    let spec = json!({"containers": [{"name": "a", "image": "x", "env": [{"name": "E", "value": "1"}]}, {"name": "b", "image": "y"}]});
    let merged = pod(
        spec.clone(),
        json!({"containers": [{"name": "a", "image": "z", "env": [{"name": "F", "value": null}, {"name": "E", "value": "2"}]}, {"name": "c"}]}),
    );
    assert_eq!(
        merged.unwrap(),
        json!({"containers": [
            {"name": "a", "image": "z", "env": [{"name": "F"}, {"name": "E", "value": "2"}]}, {"name": "c"}, {"name": "b", "image": "y"},
        ]})
    );
    let merged = pod(json!({"tolerations": [{"key": "a"}]}), json!({"tolerations": [{"key": "b"}]})).unwrap();
    assert_eq!(merged, json!({"tolerations": [{"key": "b"}]}), "tolerations are atomic");
    let merged = strategic(
        kind("Service"),
        &json!({"spec": {"ports": [{"port": 80, "name": "a"}]}}),
        &json!({"spec": {"ports": [{"port": 80, "targetPort": 1}, {"port": 81}]}}),
    );
    assert_eq!(merged.unwrap(), json!({"spec": {"ports": [{"port": 80, "name": "a", "targetPort": 1}, {"port": 81}]}}));
    let merged = strategic(
        kind("Deployment"),
        &json!({"status": {"conditions": [{"type": "A", "status": "True"}]}, "metadata": {"finalizers": ["x/a"]}}),
        &json!({"status": {"conditions": [{"type": "A", "status": "False"}]}, "metadata": {"finalizers": ["x/b", "x/a"]}}),
    );
    assert_eq!(
        merged.unwrap(),
        json!({"status": {"conditions": [{"type": "A", "status": "False"}]}, "metadata": {"finalizers": ["x/b", "x/a"]}})
    );
    assert!(pod(spec, json!({"containers": [{"image": "z"}]})).unwrap_err().contains("does not contain declared merge key: name"));
}

#[test]
fn rollout_restart_and_labels() {
    let merged = strategic(
        kind("Deployment"),
        &json!({"spec": {"replicas": 1, "template": {"metadata": {"labels": {"a": "b"}}}}}),
        &json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "t"}, "labels": {"a": null, "c": "d"}}}}}),
    );
    assert_eq!(
        merged.unwrap(),
        json!({"spec": {"replicas": 1, "template": {"metadata": {"labels": {"c": "d"}, "annotations": {"kubectl.kubernetes.io/restartedAt": "t"}}}}})
    );
}

#[test]
fn directives_are_obeyed() {
    let spec = json!({"containers": [{"name": "a", "x": 1}, {"name": "b"}], "dnsConfig": {"a": 1}});
    let cases = [
        (json!({"containers": [{"$patch": "delete", "name": "a"}]}), json!([{"name": "b"}])),
        (json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}), json!([{"name": "c"}])),
        (
            json!({"containers": [{"name": "b", "y": 1}], "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
            json!([{"name": "b", "y": 1}, {"name": "a", "x": 1}]),
        ),
        (json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}), json!([{"name": "b"}, {"name": "a", "x": 1}])),
        (
            json!({"containers": [{"name": "c"}], "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}]}),
            json!([{"name": "c"}, {"name": "a", "x": 1}, {"name": "b"}]),
        ),
    ];
    for (patch, containers) in cases {
        assert_eq!(pod(spec.clone(), patch.clone()).unwrap()["containers"], containers, "{patch}");
    }
    assert_eq!(pod(spec.clone(), json!({"dnsConfig": {"$patch": "replace", "b": 2}})).unwrap()["dnsConfig"], json!({"b": 2}));
    assert_eq!(pod(spec.clone(), json!({"dnsConfig": {"$patch": "delete"}})).unwrap()["dnsConfig"], json!({}));
    assert!(pod(spec.clone(), json!({"dnsConfig": {"$patch": "bogus"}})).unwrap_err().contains("unknown patch type"));
    assert_eq!(pod(spec, json!({"affinity": {"a": null, "b": {"$patch": "delete"}, "c": 1}})).unwrap()["affinity"], json!({"c": 1}));
    let merged = strategic(
        kind("Deployment"),
        &json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}}),
        &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}, "spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
    );
    assert_eq!(merged.unwrap(), json!({"metadata": {"finalizers": ["b"]}, "spec": {"strategy": {"type": "Recreate"}}}));
    let bad = json!({"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}});
    assert!(strategic(kind("Deployment"), &json!({}), &json!([])).is_err());
    assert!(strategic(kind("Deployment"), &json!({"spec": {"strategy": {}}}), &bad).unwrap_err().contains("retainKeys"));
}
