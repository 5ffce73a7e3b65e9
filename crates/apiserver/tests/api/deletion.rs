//! Finalizers, grace, preconditions, owners, namespaces.

use serde_json::{Value, json};

use crate::client::{MAPS, WIDGETS, World, map, widget};

fn owned(name: &str, owner: &Value) -> Value {
    let mut object = map(name, json!({}));
    let uid = owner.pointer("/metadata/uid").unwrap();
    let owner_name = owner.pointer("/metadata/name").unwrap();
    let kind = owner.get("kind").unwrap();
    let version = owner.get("apiVersion").unwrap();
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": version, "kind": kind, "name": owner_name, "uid": uid, "controller": true, "blockOwnerDeletion": true}]);
    object
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let world = World::new().await;
    let mut object = widget("w", json!({"size": 1}));
    object["metadata"]["finalizers"] = json!(["x.io/f"]);
    world.post(WIDGETS, &object).await.expect(201);
    let path = format!("{WIDGETS}/w");
    let marked = world.delete(&path, json!({})).await.expect(200);
    assert_eq!(marked.at("/kind"), "Widget");
    assert!(!marked.at("/metadata/deletionTimestamp").is_null());
    assert_eq!((marked.at("/metadata/generation"), marked.at("/metadata/deletionGracePeriodSeconds")), (&json!(2), &json!(0)));
    let more = world.merge(&path, &json!({"metadata": {"finalizers": ["x.io/f", "y.io/f"]}})).await.expect(422);
    assert!(
        more.message().contains("no new finalizers can be added if the object is being deleted, found new finalizers []string{\"y.io/f\"}")
    );
    world.merge(&path, &json!({"metadata": {"finalizers": null}})).await.expect(200);
    world.get(&path).await.expect(404);
}

#[tokio::test]
async fn preconditions_are_checked() {
    let world = World::new().await;
    world.post(MAPS, &map("a", json!({}))).await.expect(201);
    let refused = world.delete(&format!("{MAPS}/a"), json!({"preconditions": {"uid": "zzz"}})).await.expect(409);
    assert!(
        refused.message().starts_with("Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (zzz) does not match")
    );
    let refused = world.delete(&format!("{MAPS}/a"), json!({"preconditions": {"resourceVersion": "1"}})).await.expect(409);
    assert!(refused.message().ends_with("The object might have been modified"));
    assert!(
        world
            .delete(&format!("{MAPS}/a"), json!({"propagationPolicy": "Bogus"}))
            .await
            .expect(422)
            .message()
            .contains("\"Orphan\", \"nil\"")
    );
}

#[tokio::test]
async fn pods_get_their_grace() {
    let world = World::new().await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |name: &str, node: Option<&str>| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}});
    world.post(pods, &pod("a", Some("n1"))).await.expect(201);
    let marked = world.delete(&format!("{pods}/a"), json!({"propagationPolicy": "Background"})).await.expect(200);
    assert_eq!(marked.at("/metadata/deletionGracePeriodSeconds"), 30);
    let list = world.get(&format!("{pods}?fieldSelector=spec.nodeName%3Dn1")).await.expect(200);
    assert_eq!(list.at("/items").as_array().unwrap().len(), 1);
    // The node says that the pod has ended.
    world.delete(&format!("{pods}/a"), json!({"gracePeriodSeconds": 0})).await.expect(200);
    world.get(&format!("{pods}/a")).await.expect(404);
    world.post(pods, &pod("b", None)).await.expect(201);
    world.delete(&format!("{pods}/b"), json!({})).await.expect(200);
    world.get(&format!("{pods}/b")).await.expect(404);
}

#[tokio::test]
async fn dependents_go_with_their_owner() {
    let world = World::new().await;
    let owner = world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201).body;
    let child = world.post(MAPS, &owned("child", &owner)).await.expect(201).body;
    world.post(MAPS, &owned("grandchild", &child)).await.expect(201);
    world.post(MAPS, &map("stranger", json!({}))).await.expect(201);
    world.delete(&format!("{WIDGETS}/w"), json!({"propagationPolicy": "Background"})).await.expect(200);
    world.gone(&format!("{MAPS}/child")).await;
    world.gone(&format!("{MAPS}/grandchild")).await;
    world.get(&format!("{MAPS}/stranger")).await.expect(200);
    // Born after its owner's death.
    world.post(MAPS, &owned("late", &owner)).await.expect(201);
    world.gone(&format!("{MAPS}/late")).await;
}

#[tokio::test]
async fn foreground_waits_and_orphan_lets_go() {
    let world = World::new().await;
    let owner = world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201).body;
    let mut child = owned("child", &owner);
    child["metadata"]["finalizers"] = json!(["x.io/f"]);
    world.post(MAPS, &child).await.expect(201);
    let marked = world.delete(&format!("{WIDGETS}/w"), json!({"propagationPolicy": "Foreground"})).await.expect(200);
    assert_eq!(marked.at("/metadata/finalizers"), &json!(["foregroundDeletion"]));
    let mut events = world.watch(&format!("{MAPS}?fieldSelector=metadata.name%3Dchild")).await;
    while events.next().await.pointer("/object/metadata/deletionTimestamp").is_none() {}
    world.get(&format!("{WIDGETS}/w")).await.expect(200);
    world.merge(&format!("{MAPS}/child"), &json!({"metadata": {"finalizers": null}})).await.expect(200);
    world.gone(&format!("{WIDGETS}/w")).await;

    let owner = world.post(WIDGETS, &widget("o", json!({"size": 1}))).await.expect(201).body;
    world.post(MAPS, &owned("free", &owner)).await.expect(201);
    world.delete(&format!("{WIDGETS}/o"), json!({"propagationPolicy": "Orphan"})).await.expect(200);
    world.gone(&format!("{WIDGETS}/o")).await;
    assert!(world.get(&format!("{MAPS}/free")).await.expect(200).at("/metadata/ownerReferences").is_null());
}

#[tokio::test]
async fn namespaces_really_delete() {
    let world = World::new().await;
    let namespaces = "/api/v1/namespaces";
    let made = world.post(namespaces, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "zz"}})).await.expect(201);
    assert_eq!(made.at("/metadata/labels/kubernetes.io~1metadata.name"), "zz");
    assert_eq!((made.at("/spec/finalizers/0"), made.at("/status/phase")), (&json!("kubernetes"), &json!("Active")));
    let maps = "/api/v1/namespaces/zz/configmaps";
    let mut held = map("held", json!({}));
    held["metadata"]["finalizers"] = json!(["x.io/f"]);
    world.post(maps, &held).await.expect(201);
    world.post(maps, &map("plain", json!({}))).await.expect(201);
    let marked = world.delete(&format!("{namespaces}/zz"), json!({})).await.expect(200);
    assert_eq!(marked.at("/status/phase"), "Terminating");
    world.gone(&format!("{maps}/plain")).await;
    let late = world.post(maps, &map("late", json!({}))).await.expect(403);
    assert_eq!(
        late.message(),
        "configmaps \"late\" is forbidden: unable to create new content in namespace zz because it is being terminated"
    );
    assert_eq!(late.at("/details/causes/0/reason"), "NamespaceTerminating");
    world.get(&format!("{namespaces}/zz")).await.expect(200);
    world.merge(&format!("{maps}/held"), &json!({"metadata": {"finalizers": null}})).await.expect(200);
    world.gone(&format!("{namespaces}/zz")).await;
    for kept in ["default", "kube-system", "kube-public"] {
        let refused = world.delete(&format!("{namespaces}/{kept}"), json!({})).await.expect(403);
        assert_eq!(refused.message(), format!("namespaces \"{kept}\" is forbidden: this namespace may not be deleted"));
    }
}

#[tokio::test]
async fn collections_delete_what_is_selected() {
    let world = World::new().await;
    for (name, app) in [("a", "x"), ("b", "x"), ("c", "y")] {
        let mut object = map(name, json!({}));
        object["metadata"]["labels"] = json!({"app": app});
        world.post(MAPS, &object).await.expect(201);
    }
    let gone = world.delete(&format!("{MAPS}?labelSelector=app%3Dx"), json!({})).await.expect(200);
    assert_eq!(gone.at("/items").as_array().unwrap().len(), 2);
    assert_eq!(world.get(MAPS).await.at("/items").as_array().unwrap().len(), 1);
    world.delete("/api/v1/namespaces", json!({})).await.expect(405);
}

#[tokio::test]
async fn an_owner_that_waits_is_let_go_when_another_stays() {
    let world = World::new().await;
    let waiting = world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201).body;
    let staying = world.post(WIDGETS, &widget("s", json!({"size": 1}))).await.expect(201).body;
    let mut child = owned("child", &waiting);
    let mut second = owned("child", &staying)["metadata"]["ownerReferences"][0].clone();
    second["controller"] = json!(false);
    child["metadata"]["ownerReferences"].as_array_mut().unwrap().push(second);
    world.post(MAPS, &child).await.expect(201);
    world.delete(&format!("{WIDGETS}/w"), json!({"propagationPolicy": "Foreground"})).await.expect(200);
    world.gone(&format!("{WIDGETS}/w")).await;
    let child = world.get(&format!("{MAPS}/child")).await.expect(200);
    assert_eq!(child.at("/metadata/ownerReferences").as_array().unwrap().len(), 1);
    assert_eq!(child.at("/metadata/ownerReferences/0/name"), "s");
}
