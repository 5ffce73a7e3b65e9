//! Custom kinds: generation, defaults, unknown fields, subresources, versions, and CRDs that come and go.

use serde_json::json;

use crate::client::{WIDGETS, World, widget, widgets};

#[tokio::test]
async fn generation_follows_the_spec_alone() {
    let world = World::new().await;
    let mut object = widget("w", json!({"size": 1}));
    object["status"] = json!({"ready": true});
    let made = world.post(WIDGETS, &object).await.expect(201);
    assert_eq!(made.at("/metadata/generation"), 1);
    assert_eq!(made.at("/spec/color"), "red");
    assert!(made.at("/status").is_null(), "status is not written by POST");
    let path = format!("{WIDGETS}/w");
    let labelled = world.merge(&path, &json!({"metadata": {"labels": {"a": "b"}}, "status": {"ready": true}})).await.expect(200);
    assert_eq!(labelled.at("/metadata/generation"), 1);
    assert!(labelled.at("/status").is_null());
    let status = world.merge(&format!("{path}/status"), &json!({"status": {"ready": true}, "spec": {"size": 9}})).await.expect(200);
    assert_eq!((status.at("/status/ready"), status.at("/spec/size")), (&json!(true), &json!(1)));
    assert_eq!(status.at("/metadata/generation"), 1);
    let grown = world.merge(&path, &json!({"spec": {"size": 2}})).await.expect(200);
    assert_eq!(grown.at("/metadata/generation"), 2);
    assert_eq!(grown.at("/status/ready"), true);
    let same = world.merge(&path, &json!({"spec": {"size": 2}})).await.expect(200);
    assert_eq!(same.at("/metadata/resourceVersion"), grown.at("/metadata/resourceVersion"));
}

#[tokio::test]
async fn an_update_needs_a_version() {
    let world = World::new().await;
    world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201);
    let put = world.put(&format!("{WIDGETS}/w"), &widget("w", json!({"size": 2}))).await.expect(422);
    assert_eq!(
        put.message(),
        "widgets.example.com \"w\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
    assert_eq!(put.at("/details/kind"), "widgets");
}

#[tokio::test]
async fn unknown_fields_warn_or_are_refused() {
    let world = World::new().await;
    let object = widget("w", json!({"size": 1, "sise": 2}));
    let strict = world.post(&format!("{WIDGETS}?fieldValidation=Strict"), &object).await.expect(400);
    assert_eq!(
        strict.message(),
        "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field \"spec.sise\""
    );
    let warned = world.post(WIDGETS, &object).await.expect(201);
    assert_eq!(warned.warnings(), ["299 - \"unknown field \\\"spec.sise\\\"\""]);
    assert!(warned.at("/spec/sise").is_null());
    let patch = json!({"spec": {"sise": 2}});
    let strict = world.merge(&format!("{WIDGETS}/w?fieldValidation=Strict"), &patch).await.expect(422);
    assert!(strict.message().starts_with(" \"\" is invalid: patch: Invalid value: \"{"), "{}", strict.message());
    assert!(strict.message().ends_with("}\": strict decoding error: unknown field \"spec.sise\""), "{}", strict.message());
    assert_eq!(strict.at("/details/causes/0/field"), "patch");
    let ignored = world.merge(&format!("{WIDGETS}/w?fieldValidation=Ignore"), &patch).await.expect(200);
    assert!(ignored.warnings().is_empty());
    let twice = r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"d"},"spec":{"size":1,"size":2}}"#;
    let twice = world.send("POST", &format!("{WIDGETS}?fieldValidation=Strict"), &[("content-type", "application/json")], twice).await;
    assert!(twice.expect(400).message().ends_with("strict decoding error: duplicate field \"spec.size\""));
    let bogus = world.post(&format!("{WIDGETS}?fieldValidation=Bogus"), &object).await.expect(422);
    assert!(bogus.message().contains("supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""));
}

#[tokio::test]
async fn schemas_are_enforced() {
    let world = World::new().await;
    let bad = world.post(WIDGETS, &widget("w", json!({"size": 0}))).await.expect(422);
    assert_eq!(bad.at("/details/kind"), "Widget");
    assert_eq!(bad.at("/details/causes/0/field"), "spec.size");
    assert!(bad.message().starts_with("Widget.example.com \"w\" is invalid: spec.size: Invalid value: 0"), "{}", bad.message());
}

#[tokio::test]
async fn scale_is_a_view() {
    let world = World::new().await;
    world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201);
    let path = format!("{WIDGETS}/w/scale");
    assert_eq!(world.get(&path).await.expect(200).at("/spec/replicas"), 0);
    let scaled = world.merge(&path, &json!({"spec": {"replicas": 3}})).await.expect(200);
    assert_eq!((scaled.at("/kind"), scaled.at("/spec/replicas")), (&json!("Scale"), &json!(3)));
    let object = world.get(&format!("{WIDGETS}/w")).await.expect(200);
    assert_eq!((object.at("/spec/replicas"), object.at("/metadata/generation")), (&json!(3), &json!(2)));
    let mut scale = scaled.body.clone();
    scale["spec"]["replicas"] = json!(4);
    scale["metadata"]["resourceVersion"] = json!("1");
    world.put(&path, &scale).await.expect(409);
    world.get("/api/v1/namespaces/default/configmaps/x/scale").await.expect(404);
}

#[tokio::test]
async fn versions_show_the_same_object() {
    let world = World::new().await;
    world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201);
    let old = world.get("/apis/example.com/v1beta1/namespaces/default/widgets").await.expect(200);
    assert_eq!(old.at("/apiVersion"), "example.com/v1beta1");
    assert_eq!(old.at("/items/0/apiVersion"), "example.com/v1beta1");
    let path = "/apis/example.com/v1beta1/namespaces/default/widgets/w";
    let patched = world.merge(path, &json!({"spec": {"size": 5}})).await.expect(200);
    assert_eq!(patched.at("/apiVersion"), "example.com/v1beta1");
    let new = world.get(&format!("{WIDGETS}/w")).await.expect(200);
    assert_eq!((new.at("/apiVersion"), new.at("/spec/size")), (&json!("example.com/v1"), &json!(5)));
}

#[tokio::test]
async fn definitions_come_and_go() {
    let world = World::new().await;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let mut crd = widgets();
    crd["metadata"]["name"] = json!("gadgets.example.com");
    crd["spec"]["names"] = json!({"plural": "gadgets", "kind": "Gadget"});
    let made = world.post(crds, &crd).await.expect(201);
    assert_eq!(made.at("/spec/names/listKind"), "GadgetList");
    assert_eq!(made.at("/status/conditions/1/type"), "Established");
    let gadgets = "/apis/example.com/v1/namespaces/default/gadgets";
    let gadget = json!({"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": 1}});
    world.post(gadgets, &gadget).await.expect(201);
    assert!(world.get("/apis/example.com/v1").await.expect(200).text.contains("gadgets/scale"));
    world.delete(&format!("{crds}/gadgets.example.com"), json!({})).await.expect(200);
    world.gone(&format!("{crds}/gadgets.example.com")).await;
    world.get(gadgets).await.expect(404);
    // A definition of the same name finds nothing of the old one's objects.
    world.post(crds, &crd).await.expect(201);
    assert_eq!(world.get(gadgets).await.expect(200).at("/items"), &json!([]));
    let mut nameless = widgets();
    nameless["metadata"]["name"] = json!("x.example.com");
    assert!(world.post(crds, &nameless).await.expect(422).message().contains("must be spec.names.plural"));
}
