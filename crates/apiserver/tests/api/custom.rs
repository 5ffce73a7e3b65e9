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
    assert_eq!(world.get(&path).await.expect(200).at("/spec"), &json!({}));
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

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

#[tokio::test]
async fn definitions_that_cannot_work_are_refused() {
    let world = World::new().await;
    let mut crd = widgets();
    crd["metadata"]["name"] = json!("gadgets.example.com");
    crd["spec"]["names"] = json!({"plural": "gadgets", "kind": "Gadget"});
    let rules = "/spec/versions/1/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations";
    let mut broken = crd.clone();
    broken["spec"]["versions"][1]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] =
        json!([{"rule": "self.size >"}]);
    let refused = world.post(CRDS, &broken).await.expect(422);
    let field = "spec.versions[1].schema.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule";
    assert_eq!(refused.at("/details/causes/0/field"), field);
    assert!(refused.message().contains("self.size >"), "{}", refused.message());
    *broken.pointer_mut(rules).unwrap() = json!([{"rule": "self.size > 1"}]);
    world.post(CRDS, &broken).await.expect(201);
    let path = format!("{CRDS}/gadgets.example.com");
    let moved = world.merge(&path, &json!({"spec": {"scope": "Cluster"}})).await.expect(422);
    assert!(moved.message().contains("spec.scope: Invalid value: \"Cluster\": field is immutable"), "{}", moved.message());
    let mut builtin = crd;
    builtin["metadata"]["name"] = json!("deployments.apps");
    builtin["spec"]["group"] = json!("apps");
    builtin["spec"]["names"] = json!({"plural": "deployments", "kind": "Deployment"});
    assert!(world.post(CRDS, &builtin).await.expect(422).message().contains("built into the server"));
}

#[tokio::test]
async fn metadata_is_typed() {
    let world = World::new().await;
    let mut object = widget("w", json!({"size": 1, "sise": 2}));
    object["metadata"]["foo"] = json!(1);
    let strict = world.post(&format!("{WIDGETS}?fieldValidation=Strict"), &object).await.expect(400);
    assert!(strict.message().ends_with("unknown field \"metadata.foo\", unknown field \"spec.sise\""), "{}", strict.message());
    object["metadata"] = json!({"name": "w", "labels": {"a": 5}});
    let wrong = world.post(WIDGETS, &object).await.expect(400);
    assert!(
        wrong.message().contains("json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"),
        "{}",
        wrong.message()
    );
}

#[tokio::test]
async fn an_object_shows_the_version_asked_for_after_the_storage_version_moved() {
    let world = World::new().await;
    world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201);
    let mut crd = world.get(&format!("{CRDS}/widgets.example.com")).await.expect(200).body;
    crd["spec"]["versions"][0]["storage"] = json!(false);
    crd["spec"]["versions"][1]["storage"] = json!(true);
    world.put(&format!("{CRDS}/widgets.example.com"), &crd).await.expect(200);
    for version in ["v1", "v1beta1"] {
        let shown = world.get(&format!("/apis/example.com/{version}/namespaces/default/widgets/w")).await.expect(200);
        assert_eq!(shown.at("/apiVersion"), &json!(format!("example.com/{version}")));
    }
}

#[tokio::test]
async fn a_definition_that_goes_takes_no_more_objects() {
    let world = World::new().await;
    let mut held = widget("held", json!({"size": 1}));
    held["metadata"]["finalizers"] = json!(["x.io/f"]);
    world.post(WIDGETS, &held).await.expect(201);
    world.delete(&format!("{CRDS}/widgets.example.com"), json!({})).await.expect(200);
    let late = world.post(WIDGETS, &widget("late", json!({"size": 1}))).await.expect(405);
    assert_eq!(late.message(), "create not allowed while custom resource definition is terminating");
    world.merge(&format!("{WIDGETS}/held"), &json!({"metadata": {"finalizers": null}})).await.expect(200);
    world.gone(&format!("{CRDS}/widgets.example.com")).await;
}

/// Whenever the client goes away: what is stored is served.
#[tokio::test]
async fn a_definition_whose_client_has_gone_is_served() {
    let world = World::new().await;
    let names: Vec<String> = (0..20).map(|n| format!("g{n}s")).collect();
    for (n, plural) in names.iter().enumerate() {
        let mut crd = widgets();
        crd["metadata"]["name"] = json!(format!("{plural}.example.com"));
        crd["spec"]["names"] = json!({"plural": plural, "kind": format!("G{n}")});
        let patience = std::time::Duration::from_micros(400 * n as u64);
        let _ = tokio::time::timeout(patience, world.post(CRDS, &crd)).await;
    }
    let served = async {
        for plural in &names {
            while world.get(&format!("{CRDS}/{plural}.example.com")).await.code == 200
                && world.get(&format!("/apis/example.com/v1/namespaces/default/{plural}")).await.code != 200
            {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), served).await.expect("every stored definition is served");
}
