//! Starting, stopping, crashing, and data directories that cannot be used.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use weir_apiserver::{Config, Server, StartError};

use crate::client::{MAPS, WIDGETS, World, client, config, map, send, widget, widgets};

#[tokio::test]
async fn a_restart_keeps_everything() {
    let world = World::new().await;
    let before = (world.server.url(), world.server.token().to_owned(), world.server.ca_pem().to_owned());
    let made = world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201);
    let world = world.restart().await;
    assert_eq!(before, (world.server.url(), world.server.token().to_owned(), world.server.ca_pem().to_owned()));
    assert_eq!(world.get(&format!("{WIDGETS}/w")).await.expect(200).body, made.body);
}

fn copy(from: &Path, to: &Path) {
    for name in ["state.redb", "token", "ca.crt", "ca.key"] {
        std::fs::create_dir_all(to.join("api")).unwrap();
        std::fs::copy(from.join("api").join(name), to.join("api").join(name)).unwrap();
    }
}

#[tokio::test]
async fn an_acknowledged_write_survives_a_crash() {
    let world = World::new().await;
    let mut last = String::new();
    for n in 0..20 {
        let made = world.post(MAPS, &map(&format!("m{n}"), json!({}))).await.expect(201);
        last = made.at("/metadata/resourceVersion").as_str().unwrap().to_owned();
    }
    // What the disk holds while the server runs is what a killed server leaves.
    let crashed = tempfile::tempdir().unwrap();
    copy(world.folder.path(), crashed.path());
    let server = Server::start(config(crashed.path())).await.unwrap();
    let client = client(&server).await;
    let list = send(&client, "GET", MAPS, &[], "").await.expect(200);
    assert_eq!(list.at("/items").as_array().unwrap().len(), 20);
    let headers = [("content-type", "application/json")];
    let next = send(&client, "POST", MAPS, &headers, map("next", json!({})).to_string()).await.expect(201);
    let number = |text: &str| text.parse::<u64>().unwrap();
    assert!(number(next.at("/metadata/resourceVersion").as_str().unwrap()) > number(&last));
}

#[tokio::test]
async fn deletions_go_on_after_a_restart() {
    let world = World::new().await;
    let mut object = widget("w", json!({"size": 1}));
    object["metadata"]["finalizers"] = json!(["x.io/f"]);
    world.post(WIDGETS, &object).await.expect(201);
    world.post("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "zz"}})).await.expect(201);
    let mut held = map("held", json!({}));
    held["metadata"]["finalizers"] = json!(["x.io/f"]);
    world.post("/api/v1/namespaces/zz/configmaps", &held).await.expect(201);
    world.delete("/api/v1/namespaces/zz", json!({})).await.expect(200);
    let world = world.restart().await;
    world.merge("/api/v1/namespaces/zz/configmaps/held", &json!({"metadata": {"finalizers": null}})).await.expect(200);
    world.gone("/api/v1/namespaces/zz").await;
}

#[tokio::test]
async fn secrets_are_readable_by_their_owner_only() {
    let world = World::new().await;
    for name in ["kubeconfig", "api/token", "api/ca.key", "api/state.redb"] {
        let mode = std::fs::metadata(world.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let text = std::fs::read_to_string(world.folder.path().join("kubeconfig")).unwrap();
    assert_eq!(text, world.server.kubeconfig());
}

#[tokio::test]
async fn a_changed_definition_is_taken_over_at_start() {
    let world = World::new().await;
    let World { server, folder, .. } = world;
    server.shutdown().await;
    let mut crd = widgets();
    crd["spec"]["names"]["shortNames"] = json!(["wdg"]);
    let server = Server::start(Config { crds: vec![crd], ..config(folder.path()) }).await.unwrap();
    let client = client(&server).await;
    let list = send(&client, "GET", "/apis/example.com/v1", &[], "").await.expect(200);
    assert!(list.text.contains("\"wdg\""), "{}", list.text);
}

async fn failure(config: Config) -> String {
    Server::start(config).await.map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn each_bad_start_says_what_to_do() {
    let world = World::new().await;
    let second = failure(config(world.folder.path())).await;
    assert!(second.contains("is in use by another process (process ") && second.contains("--data-dir"), "{second}");

    let folder = tempfile::tempdir().unwrap();
    let taken = failure(Config { address: Some(world.server.address()), ..config(folder.path()) }).await;
    assert!(taken.contains("cannot be listened on") && taken.contains("--api-address"), "{taken}");

    std::fs::create_dir_all(folder.path().join("api")).unwrap();
    std::fs::write(folder.path().join("api/state.redb"), vec![1u8; 50_000]).unwrap();
    let damaged = failure(config(folder.path())).await;
    assert!(damaged.contains("state.redb is damaged"), "{damaged}");

    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let no_folder = Server::start(config(&file.join("below"))).await.unwrap_err();
    assert!(matches!(no_folder, StartError::Io(..)), "{no_folder}");

    let mut crd = widgets();
    crd["spec"]["versions"] = json!([]);
    let other = tempfile::tempdir().unwrap();
    let bad = failure(Config { crds: vec![crd], ..config(other.path()) }).await;
    assert!(bad.starts_with("CustomResourceDefinition widgets.example.com: "), "{bad}");
}

#[tokio::test]
async fn shutdown_ends_watches() {
    let world = World::new().await;
    let mut watch = world.watch(MAPS).await;
    world.server.shutdown().await;
    assert!(watch.next().await.is_null());
}
