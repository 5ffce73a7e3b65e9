//! The kinds of patches, and those that are refused.

use serde_json::{Value, json};

use crate::client::{Answer, MAPS, WIDGETS, World, map, widget};

async fn patch(world: &World, path: &str, kind: &str, body: &Value) -> Answer {
    world.send("PATCH", path, &[("content-type", kind)], body.to_string()).await
}

const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON: &str = "application/json-patch+json";

#[tokio::test]
async fn merge_patch_removes_by_null_and_keeps_versions_honest() {
    let world = World::new().await;
    let made = world.post(MAPS, &map("a", json!({"k": "1", "l": "2"}))).await.expect(201);
    let path = format!("{MAPS}/a");
    let patched = world.merge(&path, &json!({"data": {"k": null}})).await.expect(200);
    assert_eq!(patched.at("/data"), &json!({"l": "2"}));
    let stale = json!({"metadata": {"resourceVersion": made.at("/metadata/resourceVersion")}, "data": {"k": "3"}});
    world.merge(&path, &stale).await.expect(409);
    assert_eq!(
        world.merge(&path, &json!([1])).await.expect(400).message(),
        "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
    );
    let broken = world.send("PATCH", &path, &[("content-type", "application/merge-patch+json")], "{bad").await.expect(400);
    assert_eq!(broken.message(), "invalid JSON patch");
    world.merge(&format!("{MAPS}/none"), &json!({})).await.expect(404);
    assert_eq!(
        world.merge(&path, &json!({"metadata": {"name": "b"}})).await.expect(400).message(),
        "the name of the object (b) does not match the name on the URL (a)"
    );
}

#[tokio::test]
async fn strategic_merge_is_for_built_in_kinds() {
    let world = World::new().await;
    world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201);
    let refused = patch(&world, &format!("{WIDGETS}/w"), STRATEGIC, &json!({"spec": {"size": 2}})).await.expect(415);
    assert_eq!(
        refused.message(),
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, \
         application/merge-patch+json, application/apply-patch+yaml"
    );
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let container = |name: &str| json!({"name": name, "image": format!("{name}:1")});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container("x"), container("y")]}}},
    });
    world.post(deployments, &deployment).await.expect(201);
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "y", "image": "y:2"}]}}}});
    let patched = patch(&world, &format!("{deployments}/d"), STRATEGIC, &image).await.expect(200);
    assert_eq!(patched.at("/spec/template/spec/containers/0/image"), "x:1", "both were there, and stay in their order");
    assert_eq!(patched.at("/spec/template/spec/containers/1/image"), "y:2");
    let side = json!({"spec": {"template": {"spec": {"containers": [container("side")]}}}});
    let patched = patch(&world, &format!("{deployments}/d"), STRATEGIC, &side).await.expect(200);
    assert_eq!(patched.at("/spec/template/spec/containers/0/name"), "side", "what the patch brings goes first");
    assert_eq!(patched.at("/metadata/generation"), 3);
    let unknown = json!({"spec": {"replicass": 1}});
    let strict = patch(&world, &format!("{deployments}/d?fieldValidation=Strict"), STRATEGIC, &unknown).await.expect(422);
    assert!(strict.message().contains("Invalid value: \"map[spec:map[replicass:1]]\": strict decoding error"), "{}", strict.message());
}

#[tokio::test]
async fn json_patch_works_and_other_types_are_refused() {
    let world = World::new().await;
    world.post(MAPS, &map("a", json!({"k": "1"}))).await.expect(201);
    let path = format!("{MAPS}/a");
    let replace = json!([{"op": "test", "path": "/data/k", "value": "1"}, {"op": "replace", "path": "/data/k", "value": "2"}]);
    assert_eq!(patch(&world, &path, JSON, &replace).await.expect(200).at("/data/k"), "2");
    let failed = patch(&world, &path, JSON, &replace).await.expect(422);
    assert_eq!(failed.message(), "the server rejected our request due to an error in our request");
    patch(&world, &path, JSON, &json!([{"op": "odd", "path": "/data/k"}])).await.expect(422);
    let none = patch(&world, &path, JSON, &json!({})).await.expect(400);
    assert_eq!(none.message(), "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp");
    let merge = |metadata: Value| json!({"metadata": metadata});
    let uid = world.merge(&path, &merge(json!({"uid": "mine"}))).await.expect(422);
    assert_eq!(uid.message(), "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"mine\": field is immutable");
    world.merge(&path, &json!({"kind": "Secret"})).await.expect(422);
    world.merge(&path, &json!({"apiVersion": "v2"})).await.expect(422);
    world.merge(&path, &merge(json!({"deletionTimestamp": "2001-01-01T00:00:00Z"}))).await.expect(422);
    world.merge(&path, &merge(json!({"resourceVersion": "x"}))).await.expect(500);
    assert_eq!(patch(&world, &path, "application/json", &json!({})).await.expect(415).message(), "415: Unsupported Media Type");
}

#[tokio::test]
async fn concurrent_patches_all_arrive() {
    let world = World::new().await;
    world.post(MAPS, &map("a", json!({}))).await.expect(201);
    let tasks: Vec<_> = (0..60)
        .map(|n| {
            let client = world.client.clone();
            tokio::spawn(async move {
                let body = json!({"data": {format!("k{n}"): "1"}}).to_string();
                let headers = [("content-type", "application/merge-patch+json")];
                crate::client::send(&client, "PATCH", &format!("{MAPS}/a"), &headers, body).await.expect(200);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.get(&format!("{MAPS}/a")).await.at("/data").as_object().unwrap().len(), 60);
}

#[tokio::test]
async fn patches_cannot_nest_an_object_deeper_than_it_can_be_read_back() {
    let world = World::new().await;
    world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201);
    let path = format!("{WIDGETS}/w/status");
    let nest = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({"a": inner}));
    world.merge(&path, &json!({"status": nest(90)})).await.expect(200);
    let deeper = json!([{"op": "add", "path": format!("/status{}", "/a".repeat(90)), "value": nest(60)}]);
    let refused = patch(&world, &path, JSON, &deeper).await.expect(400);
    assert!(refused.message().contains("nested too deeply"), "{}", refused.message());
    // Nor may what is told of the owners, wherever it is put.
    let whole = format!("{WIDGETS}/w");
    let fields = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({"f:a": inner}));
    let place = "/metadata/managedFields/0/fieldsV1".to_owned();
    let deeper = json!([
        {"op": "replace", "path": place, "value": fields(80)},
        {"op": "add", "path": format!("{place}{}", "/f:a".repeat(80)), "value": fields(60)},
    ]);
    patch(&world, &whole, JSON, &deeper).await.expect(200);
    let world = world.restart().await;
    world.get(&path).await.expect(200);
}

#[tokio::test]
async fn json_patches_are_bounded() {
    let world = World::new().await;
    world.post(MAPS, &map("a", json!({"k": "1"}))).await.expect(201);
    let path = format!("{MAPS}/a");
    let copy = |n: usize| json!({"op": "copy", "from": "/data", "path": format!("/data/{n}")});
    patch(&world, &path, JSON, &(0..60).map(copy).collect()).await.expect(422);
    let many = json!(vec![json!({"op": "test", "path": "/kind", "value": "ConfigMap"}); 10_001]);
    assert!(patch(&world, &path, JSON, &many).await.expect(413).message().ends_with("is 10000, got 10001"));
}
