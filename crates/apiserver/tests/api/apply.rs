//! Server-side apply and the owners of fields, as clients see them.

use serde_json::{Value, json};

use crate::client::{Answer, MAPS, WIDGETS, World, map, widget};

const APPLY: &str = "application/apply-patch+yaml";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

async fn apply(world: &World, path: &str, manager: &str, body: &Value) -> Answer {
    let join = if path.contains('?') { '&' } else { '?' };
    world.send("PATCH", &format!("{path}{join}fieldManager={manager}"), &[("content-type", APPLY)], body.to_string()).await
}

/// The entries of an answer, as `manager operation subresource: fieldsV1`.
fn owners(answer: &Answer) -> Vec<String> {
    let entries = answer.at("/metadata/managedFields").as_array().cloned().unwrap_or_default();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|e| {
            assert_eq!(e["fieldsType"], "FieldsV1");
            assert!((e["time"].is_null() || text(e, "time").ends_with('Z')) && !text(e, "apiVersion").is_empty(), "{e}");
            format!("{} {} {}: {}", text(e, "manager"), text(e, "operation"), text(e, "subresource"), e["fieldsV1"])
        })
        .collect()
}

#[tokio::test]
async fn applying_makes_changes_and_removes() {
    let world = World::new().await;
    let path = format!("{MAPS}/a");
    let made = apply(&world, &path, "one", &map("a", json!({"k": "1", "l": "1"}))).await.expect(201);
    assert_eq!(owners(&made), [r#"one Apply : {"f:data":{"f:k":{},"f:l":{}}}"#]);
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: \"1\"\n  m: '2'\n";
    let changed = world.send("PATCH", &format!("{path}?fieldManager=one"), &[("content-type", APPLY)], yaml).await.expect(200);
    assert_eq!(changed.at("/data"), &json!({"k": "1", "m": "2"}));
    let again = world.send("PATCH", &format!("{path}?fieldManager=one"), &[("content-type", APPLY)], yaml).await.expect(200);
    assert_eq!(again.at("/metadata/resourceVersion"), changed.at("/metadata/resourceVersion"));
    let world = world.restart().await;
    assert_eq!(owners(&world.get(&path).await), owners(&changed));
    let list = world.get(MAPS).await;
    assert_eq!(list.at("/items/0/metadata/managedFields"), changed.at("/metadata/managedFields"));
}

#[tokio::test]
async fn conflicts_are_told_in_full() {
    let world = World::new().await;
    let path = format!("{WIDGETS}/w");
    world.post(&format!("{WIDGETS}?fieldManager=hand"), &widget("w", json!({"size": 1, "color": "blue"}))).await.expect(201);
    let refused = apply(&world, &path, "robot", &widget("w", json!({"size": 2}))).await.expect(409);
    assert_eq!(
        refused.body,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Apply failed with 1 conflict: conflict with \"hand\" using example.com/v1: .spec.size", "reason": "Conflict",
            "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"hand\" using example.com/v1", "field": ".spec.size"}]},
            "code": 409})
    );
    let forced = apply(&world, &format!("{path}?force=true"), "robot", &widget("w", json!({"size": 2}))).await.expect(200);
    assert_eq!(owners(&forced), [r#"robot Apply : {"f:spec":{"f:size":{}}}"#, r#"hand Update : {"f:spec":{".":{},"f:color":{}}}"#]);
    // A change of the spec by applying is one.
    assert_eq!(forced.at("/metadata/generation"), 2);
    let stale =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "resourceVersion": "1"}, "spec": {"size": 3}});
    let stale = apply(&world, &path, "robot", &stale).await.expect(409);
    assert!(stale.message().contains("the object has been modified"), "{}", stale.message());
}

#[tokio::test]
async fn a_bad_configuration_is_refused_as_the_real_server_does() {
    let world = World::new().await;
    let path = format!("{WIDGETS}/w");
    let cases = [
        (
            "?fieldManager=m",
            widget("w", json!({"size": "x"})),
            500,
            "failed to create typed patch object (/w; example.com/v1, Kind=Widget): .spec.size: expected numeric (int or float), got string",
        ),
        (
            "?fieldManager=m",
            widget("w", json!({"size": 1, "sise": 2})),
            500,
            "failed to create typed patch object (/w; example.com/v1, Kind=Widget): .spec.sise: field not declared in schema",
        ),
        (
            "?fieldManager=m",
            widget("w", json!({"size": 0})),
            422,
            "Widget.example.com \"w\" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1",
        ),
        ("?fieldManager=m", json!({"kind": "Widget"}), 400, "invalid object type: /, Kind=Widget"),
        (
            "?fieldManager=m",
            json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "managedFields": []}}),
            400,
            "metadata.managedFields must be nil",
        ),
        ("?fieldManager=m", widget("x", json!({"size": 1})), 400, "the name of the object (x) does not match the name on the URL (w)"),
        (
            "",
            widget("w", json!({"size": 1})),
            422,
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ),
    ];
    for (query, body, code, message) in cases {
        let answer = world.send("PATCH", &format!("{path}{query}"), &[("content-type", APPLY)], body.to_string()).await.expect(code);
        assert_eq!(answer.message(), message);
    }
    let bad = world.send("PATCH", &format!("{path}?fieldManager=m"), &[("content-type", APPLY)], "{a: [").await.expect(400);
    assert!(bad.message().starts_with("error decoding patch: "), "{}", bad.message());
    let force =
        world.send("PATCH", &format!("{path}?force=true"), &[("content-type", "application/merge-patch+json")], "{}").await.expect(422);
    assert!(force.message().contains("force: Forbidden: may not be specified for non-apply patch"), "{}", force.message());
    world.get(&path).await.expect(404);
    let nowhere = apply(&world, "/api/v1/namespaces/nope/configmaps/a", "m", &map("a", json!({}))).await.expect(404);
    assert_eq!(nowhere.message(), "namespaces \"nope\" not found");
}

#[tokio::test]
async fn every_way_of_writing_is_told() {
    let world = World::new().await;
    let path = format!("{WIDGETS}/w");
    let agent = |name: &'static str| [("user-agent", name), ("content-type", "application/json")];
    let body = widget("w", json!({"size": 1})).to_string();
    world.send("POST", WIDGETS, &agent("maker/v1 (linux)"), body).await.expect(201);
    let merge = [("user-agent", "patcher"), ("content-type", "application/merge-patch+json")];
    world.send("PATCH", &path, &merge, r#"{"metadata":{"labels":{"a":"b"}}}"#).await.expect(200);
    let status =
        world.send("PATCH", &format!("{path}/status?fieldManager=watcher"), &merge, r#"{"status":{"ready":true}}"#).await.expect(200);
    let scaled = world.send("PATCH", &format!("{path}/scale"), &[("user-agent", "scaler"), merge[1]], r#"{"spec":{"replicas":3}}"#).await;
    scaled.expect(200);
    let mut whole = world.get(&path).await;
    assert_eq!(status.at("/metadata/generation"), 1);
    let mut all = owners(&whole);
    all.sort();
    assert_eq!(
        all,
        [
            r#"maker Update : {"f:spec":{".":{},"f:color":{},"f:size":{}}}"#,
            r#"patcher Update : {"f:metadata":{"f:labels":{".":{},"f:a":{}}}}"#,
            r#"scaler Update scale: {"f:spec":{"f:replicas":{}}}"#,
            r#"watcher Update status: {"f:status":{".":{},"f:ready":{}}}"#,
        ]
    );
    // A PUT of what was read, by the same hand: nothing changes.
    let version = whole.at("/metadata/resourceVersion").clone();
    let put = world.send("PUT", &path, &agent("maker"), whole.body.to_string()).await.expect(200);
    assert_eq!(put.at("/metadata/resourceVersion"), &version);
    // A PUT that leaves the owners out does not take them away.
    whole.body["metadata"].as_object_mut().unwrap().remove("managedFields");
    whole.body["spec"]["size"] = json!(5);
    let put = world.send("PUT", &path, &agent("putter"), whole.body.to_string()).await.expect(200);
    assert_eq!(owners(&put).len(), 5);
    // An empty list forgets them, and nobody is told apart until somebody applies.
    let reset = world.merge(&path, &json!({"metadata": {"managedFields": [{}]}})).await.expect(200);
    assert_eq!(reset.at("/metadata/managedFields"), &Value::Null);
    let later = world.merge(&path, &json!({"spec": {"size": 6}})).await.expect(200);
    assert_eq!(later.at("/metadata/managedFields"), &Value::Null);
    let applied = apply(&world, &path, "robot", &widget("w", json!({"size": 6}))).await.expect(200);
    assert!(owners(&applied)[1].starts_with("before-first-apply Update : "), "{:?}", owners(&applied));
    assert_eq!(applied.at("/metadata/managedFields/0/time"), &Value::Null, "nothing changed");
}

#[tokio::test]
async fn a_status_is_applied_apart() {
    let world = World::new().await;
    let path = format!("{WIDGETS}/w");
    world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201);
    let mut config = widget("w", json!({"size": 9}));
    config["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}], "count": 3});
    let applied = apply(&world, &format!("{path}/status"), "watcher", &config).await.expect(200);
    assert_eq!((applied.at("/spec/size"), applied.at("/status/count")), (&json!(1), &json!(3)));
    assert_eq!(owners(&applied)[0], r#"watcher Apply status: {"f:status":{"f:conditions":{},"f:count":{}}}"#);
    config["status"] = json!({"count": 4});
    let applied = apply(&world, &format!("{path}/status"), "watcher", &config).await.expect(200);
    assert_eq!(applied.at("/status"), &json!({"count": 4}));
    apply(&world, &format!("{WIDGETS}/none/status"), "watcher", &widget("none", json!({}))).await.expect(404);
    // Applying the object itself says nothing about its status.
    config["status"] = json!({"count": 5});
    config["spec"] = json!({"size": 1});
    assert_eq!(apply(&world, &path, "one", &config).await.expect(200).at("/status/count"), 4);
}

#[tokio::test]
async fn containers_of_a_deployment_merge_by_name() {
    let world = World::new().await;
    let deployment = |containers: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}}})
    };
    let path = format!("{DEPLOYMENTS}/d");
    apply(&world, &path, "one", &deployment(json!([{"name": "x", "image": "x:1", "ports": [{"containerPort": 80}]}]))).await.expect(201);
    let second = apply(&world, &path, "two", &deployment(json!([{"name": "y", "image": "y:1"}]))).await.expect(200);
    assert_eq!(second.at("/spec/template/spec/containers/0/image"), "x:1");
    assert_eq!(second.at("/spec/template/spec/containers/1/image"), "y:1");
    let third = apply(&world, &path, "one", &deployment(json!([]))).await.expect(200);
    assert_eq!(third.at("/spec/template/spec/containers").as_array().unwrap().len(), 1);
    // Scaling by hand is a conflict from then on.
    let merge = [("content-type", "application/merge-patch+json"), ("user-agent", "kubectl")];
    world.send("PATCH", &format!("{path}/scale"), &merge, r#"{"spec":{"replicas":4}}"#).await.expect(200);
    let mut config = deployment(json!([]));
    config["spec"]["replicas"] = json!(2);
    let refused = apply(&world, &path, "one", &config).await.expect(409);
    assert_eq!(
        refused.message(),
        "Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using apps/v1: .spec.replicas"
    );
}

#[tokio::test]
async fn a_scale_is_applied() {
    let world = World::new().await;
    let path = format!("{WIDGETS}/w");
    world.post(&format!("{WIDGETS}?fieldManager=hand"), &widget("w", json!({"size": 1, "replicas": 1}))).await.expect(201);
    let scale =
        |replicas: u32| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "w"}, "spec": {"replicas": replicas}});
    let refused = apply(&world, &format!("{path}/scale"), "auto", &scale(2)).await.expect(409);
    assert_eq!(refused.message(), "Apply failed with 1 conflict: conflict with \"hand\" using autoscaling/v1: .spec.replicas");
    let mut labelled = scale(2);
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let forced = apply(&world, &format!("{path}/scale?force=true"), "auto", &labelled).await.expect(200);
    assert_eq!(world.get(&path).await.at("/metadata/labels"), &Value::Null, "a Scale says how many, and nothing else");
    assert_eq!((forced.at("/kind"), forced.at("/spec/replicas")), (&json!("Scale"), &json!(2)));
    assert_eq!(owners(&world.get(&path).await)[0], r#"auto Apply scale: {"f:spec":{"f:replicas":{}}}"#);
    apply(&world, &format!("{path}/scale"), "auto", &widget("w", json!({}))).await.expect(400);
    // A Scale of none says nothing of replicas, so that asking for none is a change.
    apply(&world, &format!("{path}/scale?force=true"), "auto", &scale(0)).await.expect(200);
    apply(&world, &format!("{path}/scale"), "other", &scale(0)).await.expect(409);
}

#[tokio::test]
async fn a_dry_run_applies_nothing() {
    let world = World::new().await;
    let path = format!("{MAPS}/a");
    let dry = apply(&world, &format!("{path}?dryRun=All"), "one", &map("a", json!({"k": "1"}))).await.expect(201);
    assert_eq!(dry.at("/data/k"), "1");
    world.get(&path).await.expect(404);
    apply(&world, &path, "one", &map("a", json!({"k": "1"}))).await.expect(201);
    let dry = apply(&world, &format!("{path}?dryRun=All"), "one", &map("a", json!({"k": "2"}))).await.expect(200);
    assert_eq!((dry.at("/data/k"), world.get(&path).await.at("/data/k")), (&json!("2"), &json!("1")));
}

#[tokio::test]
async fn appliers_in_a_race_all_arrive() {
    let world = World::new().await;
    let tasks: Vec<_> = (0..24)
        .map(|n| {
            let client = world.client.clone();
            tokio::spawn(async move {
                let path = format!("{MAPS}/a?fieldManager=m{n}");
                let body = map("a", json!({format!("k{n}"): "1"})).to_string();
                crate::client::send(&client, "PATCH", &path, &[("content-type", APPLY)], body).await
            })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        made += u32::from(task.await.unwrap().code == 201);
    }
    let whole = world.get(&format!("{MAPS}/a")).await;
    assert_eq!((made, whole.at("/data").as_object().unwrap().len(), owners(&whole).len()), (1, 24, 24));
}

#[tokio::test]
async fn kube_rs_applies_and_watches_see_owners() {
    use kube::api::{Api, DynamicObject, Patch, PatchParams};
    let world = World::new().await;
    let kind = kube::core::GroupVersionKind::gvk("example.com", "v1", "Widget");
    let (resource, _) = kube::discovery::pinned_kind(&world.client, &kind).await.unwrap();
    let api: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), "default", &resource);
    let mut watch = world.watch(WIDGETS).await;
    let made = api.patch("w", &PatchParams::apply("kube-rs"), &Patch::Apply(widget("w", json!({"size": 1})))).await.unwrap();
    assert_eq!(made.metadata.managed_fields.unwrap()[0].manager.as_deref(), Some("kube-rs"));
    let event = watch.next().await;
    assert_eq!(event.pointer("/object/metadata/managedFields/0/manager"), Some(&json!("kube-rs")));
}
