//! Built-in kinds: create, read, update, list, and the words of refusals.

use serde_json::json;

use crate::client::{MAPS, World, map};

#[tokio::test]
async fn an_object_lives() {
    let world = World::new().await;
    let made = world.post(MAPS, &map("a", json!({"k": "1"}))).await.expect(201);
    assert_eq!(made.at("/metadata/namespace"), "default");
    assert!(made.at("/metadata/uid").as_str().is_some_and(|u| u.len() == 36));
    assert!(made.at("/metadata/creationTimestamp").as_str().is_some_and(|t| t.ends_with('Z')));
    assert!(made.at("/metadata/generation").is_null(), "a ConfigMap has no generation");
    let path = format!("{MAPS}/a");
    assert_eq!(world.get(&path).await.expect(200).body, made.body);

    let mut changed = made.body.clone();
    changed["data"]["k"] = json!("2");
    let put = world.put(&path, &changed).await.expect(200);
    assert_ne!(put.at("/metadata/resourceVersion"), made.at("/metadata/resourceVersion"));
    assert_eq!(put.at("/metadata/uid"), made.at("/metadata/uid"));
    let stale = world.put(&path, &changed).await.expect(409);
    assert_eq!(
        stale.message(),
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version \
         and try again"
    );
    // Without a version the last writer wins, and writing the same again changes nothing.
    let again = world.put(&path, &map("a", json!({"k": "2"}))).await.expect(200);
    assert_eq!(again.at("/metadata/resourceVersion"), put.at("/metadata/resourceVersion"));

    let gone = world.delete(&path, json!({})).await.expect(200);
    assert_eq!(gone.at("/status"), "Success");
    assert_eq!(gone.at("/details/uid"), made.at("/metadata/uid"));
    let missing = world.get(&path).await.expect(404);
    assert_eq!(missing.message(), "configmaps \"a\" not found");
    assert_eq!(missing.at("/details"), &json!({"name": "a", "kind": "configmaps"}));
}

#[tokio::test]
async fn refusals_have_the_words_that_clients_know() {
    let world = World::new().await;
    world.post(MAPS, &map("a", json!({}))).await.expect(201);
    let exists = world.post(MAPS, &map("a", json!({}))).await.expect(409);
    assert_eq!((exists.at("/reason"), exists.message()), (&json!("AlreadyExists"), "configmaps \"a\" already exists"));
    let nowhere = world.post("/api/v1/namespaces/nope/configmaps", &map("a", json!({}))).await.expect(404);
    assert_eq!(nowhere.message(), "namespaces \"nope\" not found");
    let list = world.get("/api/v1/namespaces/nope/configmaps").await.expect(200);
    assert_eq!(list.at("/items"), &json!([]));

    let mut elsewhere = map("b", json!({}));
    elsewhere["metadata"]["namespace"] = json!("other");
    let text = "the namespace of the provided object does not match the namespace sent on the request";
    assert_eq!(world.post(MAPS, &elsewhere).await.expect(400).message(), text);
    let renamed = world.put(&format!("{MAPS}/a"), &map("z", json!({}))).await.expect(400);
    assert_eq!(renamed.message(), "the name of the object (z) does not match the name on the URL (a)");
    let mut versioned = map("b", json!({}));
    versioned["metadata"]["resourceVersion"] = json!("7");
    assert_eq!(world.post(MAPS, &versioned).await.expect(500).message(), "resourceVersion should not be set on objects to be created");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}});
    let kind = world.post(MAPS, &secret).await.expect(422);
    assert_eq!(kind.message(), "Secret \"b\" is invalid: kind: Invalid value: \"Secret\": must be ConfigMap");
    let version = json!({"apiVersion": "v9", "kind": "ConfigMap", "metadata": {"name": "b"}});
    let text = "the API version in the data (v9) does not match the expected API version (v1)";
    assert_eq!(world.post(MAPS, &version).await.expect(400).message(), text);
    assert!(world.post(MAPS, &json!({"apiVersion": "v1"})).await.expect(400).message().contains("Object 'Kind' is missing"));
    assert_eq!(world.post(MAPS, &json!({"metadata": {"name": "plain"}})).await.expect(201).at("/kind"), "ConfigMap");
    let broken = world.send("POST", MAPS, &[("content-type", "application/json")], "{bad").await.expect(400);
    assert!(
        broken
            .message()
            .starts_with("the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: ")
    );
    assert!(broken.message().ends_with("({bad)"), "{}", broken.message());
    world.put(MAPS, &map("a", json!({}))).await.expect(405);
    assert_eq!(world.put(crate::client::WIDGETS, &map("a", json!({}))).await.expect(400).message(), "name must be provided");
    assert_eq!(world.post(&format!("{MAPS}/a"), &map("a", json!({}))).await.expect(405).at("/details"), &json!({}));
    assert_eq!(world.get("/nothing/here").await.expect(404).text, "404 page not found\n");
}

#[tokio::test]
async fn media_types_are_negotiated() {
    let world = World::new().await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yam\ndata:\n  a: b\n";
    world.send("POST", MAPS, &[("content-type", "application/yaml")], yaml).await.expect(201);
    let shown = world.send("GET", &format!("{MAPS}/yam"), &[("accept", "application/yaml")], "").await.expect(200);
    assert!(shown.text.contains("name: yam"), "{}", shown.text);
    let text = world.send("POST", MAPS, &[("content-type", "text/plain")], yaml).await.expect(415);
    assert!(text.message().contains("application/json, application/yaml, application/vnd.kubernetes.protobuf"));
    let none = world.send("GET", MAPS, &[("accept", "application/cbor")], "").await.expect(406);
    assert_eq!(none.at("/reason"), "NotAcceptable");
    let large = "x".repeat((3 << 20) + 1);
    let large = world.send("POST", MAPS, &[("content-type", "application/json")], large).await.expect(413);
    assert_eq!(large.message(), "Request entity too large: limit is 3145728");
}

#[tokio::test]
async fn lists_select_and_cross_namespaces() {
    let world = World::new().await;
    world.post("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "zz"}})).await.expect(201);
    for (namespace, name, app) in [("zz", "a", "x"), ("default", "b", "x"), ("default", "a", "y")] {
        let mut object = map(name, json!({}));
        object["metadata"]["labels"] = json!({"app": app});
        world.post(&format!("/api/v1/namespaces/{namespace}/configmaps"), &object).await.expect(201);
    }
    let names = async |query: &str| -> Vec<String> {
        let list = world.get(&format!("/api/v1/configmaps{query}")).await.expect(200);
        assert!(list.at("/items/0/kind").is_null(), "items of built-in lists have no kind");
        let items = list.at("/items").as_array().unwrap();
        items
            .iter()
            .map(|i| format!("{}/{}", i["metadata"]["namespace"].as_str().unwrap(), i["metadata"]["name"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(names("").await, ["default/a", "default/b", "zz/a"]);
    assert_eq!(names("?limit=1").await.len(), 1);
    assert_eq!(names("?labelSelector=app%3Dx").await, ["default/b", "zz/a"]);
    assert_eq!(names("?labelSelector=app+notin+(x)").await, ["default/a"]);
    assert_eq!(names("?fieldSelector=metadata.namespace%3Dzz").await, ["zz/a"]);
    assert_eq!(
        world.get("/api/v1/configmaps?fieldSelector=spec.x%3D1").await.expect(400).message(),
        "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    );
    assert_eq!(world.get("/api/v1/pods?fieldSelector=spec.x%3D1").await.expect(400).message(), "field label not supported: spec.x");
    assert_eq!(world.get("/api/v1/foos").await.expect(404).message(), "the server could not find the requested resource");
    assert!(world.get("/api/v1/configmaps?continue=abc").await.expect(400).message().contains("continue"));
    let table = world.table("/api/v1/configmaps").await.expect(200);
    assert_eq!(table.at("/kind"), "Table");
    assert_eq!(table.at("/rows").as_array().unwrap().len(), 3);
    assert_eq!(table.at("/rows/0/object/kind"), "PartialObjectMetadata");
    assert!(
        world
            .table("/api/v1/configmaps?includeObject=Bogus")
            .await
            .expect(400)
            .message()
            .contains("must be 'Metadata', 'Object', 'None', or empty")
    );
}

#[tokio::test]
async fn secrets_take_plain_text() {
    let world = World::new().await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}});
    let made = world.post("/api/v1/namespaces/default/secrets", &secret).await.expect(201);
    assert_eq!((made.at("/data/a"), made.at("/stringData"), made.at("/type")), (&json!("Yg=="), &json!(null), &json!("Opaque")));
}

#[tokio::test]
async fn names_are_generated() {
    let world = World::new().await;
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "g-"}});
    let a = world.post(MAPS, &object).await.expect(201);
    let b = world.post(MAPS, &object).await.expect(201);
    assert_ne!(a.at("/metadata/name"), b.at("/metadata/name"));
    assert!(a.at("/metadata/name").as_str().is_some_and(|n| n.starts_with("g-") && n.len() == 7));
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let world = World::new().await;
    let dry = world.post(&format!("{MAPS}?dryRun=All"), &map("a", json!({}))).await.expect(201);
    assert!(dry.at("/metadata/resourceVersion").is_null() && !dry.at("/metadata/uid").is_null());
    world.get(&format!("{MAPS}/a")).await.expect(404);
    world.post(MAPS, &map("a", json!({"k": "1"}))).await.expect(201);
    let patched = world.merge(&format!("{MAPS}/a?dryRun=All"), &json!({"data": {"k": "2"}})).await.expect(200);
    assert_eq!(patched.at("/data/k"), "2");
    world.delete(&format!("{MAPS}/a"), json!({"dryRun": ["All"]})).await.expect(200);
    assert_eq!(world.get(&format!("{MAPS}/a")).await.expect(200).at("/data/k"), "1");
    let bogus = world.post(&format!("{MAPS}?dryRun=Bogus"), &map("b", json!({}))).await.expect(422);
    assert!(bogus.message().contains("dryRun: Unsupported value: [\"Bogus\"]: supported values: \"All\""), "{}", bogus.message());
}

#[tokio::test]
async fn services_get_addresses_and_keep_them() {
    let world = World::new().await;
    let services = "/api/v1/namespaces/default/services";
    let service = |name: &str, kind: &str| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"type": kind, "ports": [{"port": 80}]}});
    let plain = world.post(services, &service("a", "ClusterIP")).await.expect(201);
    let address = plain.at("/spec/clusterIP").as_str().unwrap().to_owned();
    assert!(address.starts_with("10.96."), "{address}");
    let again = world.put(&format!("{services}/a"), &service("a", "ClusterIP")).await.expect(200);
    assert_eq!(again.at("/spec/clusterIP"), &json!(address));
    assert_eq!(again.at("/metadata/resourceVersion"), plain.at("/metadata/resourceVersion"));
    let balanced = world.post(services, &service("b", "LoadBalancer")).await.expect(201);
    assert!(balanced.at("/spec/ports/0/nodePort").as_u64().is_some_and(|p| (30000..=32767).contains(&p)), "{}", balanced.text);
    let mut taken = service("c", "ClusterIP");
    taken["spec"]["clusterIP"] = json!(address);
    assert!(world.post(services, &taken).await.expect(422).message().contains("provided IP is already allocated"));
    // Nor is it given to two that ask at the same time.
    let asking = (0..8).map(|number| {
        let mut asking = service(&format!("d{number}"), "ClusterIP");
        asking["spec"]["clusterIP"] = json!("10.96.0.10");
        let world = &world;
        async move { world.post(services, &asking).await.code }
    });
    let mut codes = futures::future::join_all(asking).await;
    codes.sort_unstable();
    assert_eq!(codes, [201, 422, 422, 422, 422, 422, 422, 422]);
    let gone = world.delete(&format!("{services}/a"), json!({})).await.expect(200);
    assert_eq!(gone.at("/kind"), "Service", "deleting a Service answers the Service");
}

#[tokio::test]
async fn events_are_one_store_under_two_names() {
    let world = World::new().await;
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e1"}, "eventTime": "2026-01-02T03:04:05.000000Z",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "note": "hello", "reason": "R", "action": "A", "type": "Normal",
        "reportingController": "c", "reportingInstance": "i",
    });
    let made = world.post("/apis/events.k8s.io/v1/namespaces/default/events", &event).await.expect(201);
    assert_eq!(made.at("/note"), "hello");
    let core =
        world.get("/api/v1/namespaces/default/events?fieldSelector=involvedObject.kind%3DPod,involvedObject.uid%3D").await.expect(200);
    assert_eq!(core.at("/items/0/message"), "hello");
    assert_eq!(core.at("/items/0/reportingComponent"), "c");
    let patched = world.merge("/apis/events.k8s.io/v1/namespaces/default/events/e1", &json!({"note": "bye"})).await.expect(200);
    assert_eq!(patched.at("/note"), "bye");
    assert_eq!(world.get("/api/v1/namespaces/default/events/e1").await.expect(200).at("/message"), "bye");
    let table = world.table("/apis/events.k8s.io/v1/namespaces/default/events").await.expect(200);
    assert!(table.at("/rows/0/cells").to_string().contains("\"bye\""), "{}", table.at("/rows/0/cells"));
}

#[tokio::test]
async fn a_namespace_on_a_cluster_scoped_object_means_nothing() {
    let world = World::new().await;
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "namespace": "default"}});
    assert!(world.post("/api/v1/namespaces", &object).await.expect(201).at("/metadata/namespace").is_null());
}

#[tokio::test]
async fn pods_are_bound_once() {
    let world = World::new().await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    world.post(pods, &pod).await.expect(201);
    let binding = |name: &str, target: serde_json::Value| json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target});
    let path = format!("{pods}/p/binding");
    let node = json!({"kind": "Node", "name": "n1"});
    assert_eq!(
        world.post(&path, &binding("x", node.clone())).await.expect(400).message(),
        "name in URL does not match name in Binding object"
    );
    assert_eq!(world.post(&path, &binding("p", json!({"kind": "Node"}))).await.expect(500).message(), "target.name: Required value");
    assert_eq!(world.post(&path, &binding("p", node.clone())).await.expect(201).at("/status"), "Success");
    let bound = world.get(&format!("{pods}/p")).await.expect(200);
    assert_eq!((bound.at("/spec/nodeName"), bound.at("/metadata/generation")), (&json!("n1"), &json!(1)));
    assert_eq!(
        world.post(&path, &binding("p", node.clone())).await.expect(409).message(),
        "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\""
    );
    world.post(&format!("{pods}/none/binding"), &binding("none", node)).await.expect(404);
    world.get(&path).await.expect(405);
}

#[tokio::test]
async fn quotas_are_kept_and_said_not_to_be_enforced() {
    let world = World::new().await;
    for (plural, kind, spec) in [
        ("resourcequotas", "ResourceQuota", json!({"hard": {"pods": "4"}})),
        ("limitranges", "LimitRange", json!({"limits": [{"type": "Container", "max": {"cpu": "1"}}]})),
    ] {
        let path = format!("/api/v1/namespaces/default/{plural}");
        assert_eq!(world.get(&path).await.expect(200).at("/items"), &json!([]));
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "q"}, "spec": spec});
        let made = world.post(&path, &object).await.expect(201);
        assert_eq!(made.warnings(), [format!("299 - \"this server keeps a {kind} but does not enforce it\"")]);
        assert_eq!(made.at("/spec"), &spec);
    }
}
