//! Discovery, OpenAPI, version, and who gets in.

use serde_json::{Value, json};

use crate::client::{Answer, World};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

async fn aggregated(world: &World, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("accept", AGGREGATED)];
    all.extend_from_slice(headers);
    world.send("GET", path, &all, "").await
}

#[tokio::test]
async fn aggregated_discovery() {
    let world = World::new().await;
    let core = aggregated(&world, "/api", &[]).await.expect(200);
    assert_eq!(core.headers["content-type"], "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    assert_eq!(core.at("/items/0/metadata"), &json!({}));
    let groups = aggregated(&world, "/apis?timeout=32s", &[]).await.expect(200);
    let widgets = groups.at("/items").as_array().unwrap().iter().find(|g| g["metadata"]["name"] == "example.com").unwrap();
    assert_eq!(widgets["versions"][0]["version"], "v1", "stable first");
    assert_eq!(
        widgets["versions"][0]["resources"][0],
        json!({
            "resource": "widgets", "responseKind": {"group": "example.com", "version": "v1", "kind": "Widget"}, "scope": "Namespaced",
            "singularResource": "widget", "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
            "shortNames": ["wd"], "subresources": [
                {"subresource": "scale", "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}, "verbs": ["get", "patch", "update"]},
                {"subresource": "status", "responseKind": {"group": "example.com", "version": "v1", "kind": "Widget"}, "verbs": ["get", "patch", "update"]},
            ],
        })
    );
    let etag = groups.headers["etag"].to_str().unwrap().to_owned();
    aggregated(&world, "/apis", &[("if-none-match", &etag)]).await.expect(304);
    let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    let beta = world.send("GET", "/apis", &[("accept", beta)], "").await.expect(200);
    assert_eq!(beta.at("/apiVersion"), "apidiscovery.k8s.io/v2beta1");
}

#[tokio::test]
async fn plain_discovery() {
    let world = World::new().await;
    assert_eq!(world.get("/api").await.expect(200).at("/versions"), &json!(["v1"]));
    let groups = world.get("/apis").await.expect(200);
    assert!(groups.at("/groups").as_array().unwrap().iter().any(|g| g["preferredVersion"]["groupVersion"] == "example.com/v1"));
    assert_eq!(world.get("/apis/example.com").await.expect(200).at("/kind"), "APIGroup");
    let core = world.get("/api/v1").await.expect(200);
    let names: Vec<&str> = core.at("/resources").as_array().unwrap().iter().filter_map(|r| r["name"].as_str()).collect();
    for name in ["pods", "pods/log", "pods/status", "namespaces", "configmaps"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    world.get("/apis/example.com/v9").await.expect(404);
    world.get("/apis/none.example.com").await.expect(404);
}

#[tokio::test]
async fn kube_rs_finds_its_way() {
    let world = World::new().await;
    let discovery = kube::discovery::Discovery::new(world.client.clone()).run().await.unwrap();
    let (resource, _) = discovery.get("example.com").unwrap().recommended_kind("Widget").unwrap();
    assert_eq!(resource.plural, "widgets");
}

#[tokio::test]
async fn openapi_documents_are_addressed_by_hash() {
    let world = World::new().await;
    let root = world.get("/openapi/v3").await.expect(200);
    assert!(root.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    let address = root.at("/paths").get("apis/example.com/v1").and_then(|d| d["serverRelativeURL"].as_str()).unwrap().to_owned();
    let document = world.get(&address).await.expect(200);
    assert!(document.headers["cache-control"].to_str().unwrap().contains("immutable"));
    assert_eq!(document.at("/openapi"), "3.0.0");
    let wrong = world.get("/openapi/v3/apis/example.com/v1?hash=0").await.expect(301);
    assert_eq!(wrong.headers["location"].to_str().unwrap(), address);
    world.get("/openapi/v3/apis/none/v1").await.expect(404);
}

#[tokio::test]
async fn openapi_v2_is_one_document() {
    let world = World::new().await;
    // kubectl asks for it about kinds that v3 lacks, and goes on to say that there is no such kind only when it gets one.
    let protobuf = [("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")];
    let answer = world.send("GET", "/openapi/v2", &protobuf, "").await.expect(200);
    assert!(answer.headers["content-type"].to_str().unwrap().ends_with("+protobuf"));
    let document = world.get("/openapi/v2").await.expect(200);
    assert_eq!((document.at("/swagger"), document.at("/info/title")), (&json!("2.0"), &json!("Kubernetes")));
    let widget = &document.body["definitions"]["com.example.v1.Widget"];
    assert_eq!(widget["properties"]["spec"]["properties"]["size"]["type"], "integer");
    assert_eq!(widget["properties"]["metadata"]["$ref"], "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let containers = &document.body["definitions"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!((&containers["x-kubernetes-list-type"], &containers["x-kubernetes-list-map-keys"]), (&json!("map"), &json!(["name"])));
    let patch = &document.body["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert!(patch["consumes"].as_array().unwrap().contains(&json!("application/apply-patch+yaml")));
    assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["in"] == "body"));
    for name in references(&document.body) {
        assert!(document.body["definitions"][&name].is_object(), "{name} is not defined");
    }
    let etag = document.headers["etag"].to_str().unwrap();
    world.send("GET", "/openapi/v2", &[("if-none-match", etag)], "").await.expect(304);
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).map(|r| r.strip_prefix("#/definitions/").expect(r).to_owned());
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn version_says_what_kubectl_parses() {
    let world = World::new().await;
    let version = world.get("/version").await.expect(200);
    assert_eq!((version.at("/major"), version.at("/minor")), (&json!("1"), &json!("33")));
    assert_eq!(version.at("/gitVersion"), "v1.33.0+weir.1.2.3");
}

#[tokio::test]
async fn reviews_allow_everything() {
    let world = World::new().await;
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let answer = world.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await.expect(201);
    assert_eq!(answer.at("/status/allowed"), true);
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = world.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await.expect(201);
    assert_eq!(answer.at("/status/userInfo/username"), "weir-admin");
    let rules = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "default"}});
    let answer = world.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", &rules).await.expect(201);
    assert_eq!(answer.at("/status/resourceRules/0/verbs"), &json!(["*"]));
    for (user, allowed) in [("weir-admin", true), ("somebody", false)] {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user": user}});
        let answer = world.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await.expect(201);
        assert_eq!(answer.at("/status/allowed"), allowed, "{user}");
        world.post("/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews", &review).await.expect(201);
    }
    world.get("/apis/authorization.k8s.io/v1/subjectaccessreviews").await.expect(405);
    let groups = world.send("GET", "/apis", &[("accept", AGGREGATED)], "").await;
    let groups = groups.at("/items").as_array().unwrap();
    let names = |group: &Value| group["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(groups.iter().filter(|g| names(g) == "authorization.k8s.io").count(), 1);
}

/// A client with another token, or none.
async fn stranger(world: &World, token: Option<&str>) -> kube::Client {
    let mut config: Value = serde_json::to_value(kube::config::Kubeconfig::from_yaml(&world.server.kubeconfig()).unwrap()).unwrap();
    config["users"][0]["user"] = token.map_or(json!({}), |t| json!({"token": t}));
    let config = serde_json::from_value(config).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

#[tokio::test]
async fn nobody_gets_in_without_the_token() {
    let world = World::new().await;
    let anonymous = stranger(&world, None).await;
    let get = async |client: &kube::Client, path: &str| crate::client::send(client, "GET", path, &[], "").await;
    let refused = get(&anonymous, "/api/v1/namespaces").await.expect(403);
    assert_eq!(
        refused.message(),
        "namespaces is forbidden: User \"system:anonymous\" cannot list resource \"namespaces\" in API group \"\" at the cluster scope"
    );
    get(&anonymous, "/apis").await.expect(403);
    for open in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(get(&anonymous, open).await.expect(200).text, "ok");
    }
    get(&anonymous, "/version").await.expect(200);
    let wrong = stranger(&world, Some("wrong")).await;
    assert_eq!(get(&wrong, "/api/v1/namespaces").await.expect(401).at("/reason"), "Unauthorized");
}
