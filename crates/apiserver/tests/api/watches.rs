//! Watches.

use serde_json::json;

use crate::client::{MAPS, World, map};

#[tokio::test]
async fn a_watch_begins_with_what_there_is() {
    let world = World::new().await;
    world.post(MAPS, &map("a", json!({}))).await.expect(201);
    let mut unset = world.watch(MAPS).await;
    let mut zero = world.watch(&format!("{MAPS}?resourceVersion=0")).await;
    let version = world.get(MAPS).await.at("/metadata/resourceVersion").as_str().unwrap().to_owned();
    let mut later = world.watch(&format!("{MAPS}?resourceVersion={version}")).await;
    world.post(MAPS, &map("b", json!({}))).await.expect(201);
    world.merge(&format!("{MAPS}/b"), &json!({"data": {"k": "1"}})).await.expect(200);
    world.delete(&format!("{MAPS}/b"), json!({})).await.expect(200);
    let changes = [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "b")].map(|(t, n)| (t.to_owned(), n.to_owned()));
    for watch in [&mut unset, &mut zero] {
        assert_eq!(watch.step().await, ("ADDED".to_owned(), "a".to_owned()));
    }
    for watch in [&mut unset, &mut zero, &mut later] {
        for change in &changes {
            assert_eq!(&watch.step().await, change);
        }
    }
}

#[tokio::test]
async fn a_deletion_has_a_version_of_its_own() {
    let world = World::new().await;
    let made = world.post(MAPS, &map("a", json!({}))).await.expect(201);
    let version = made.at("/metadata/resourceVersion").as_str().unwrap();
    let mut watch = world.watch(&format!("{MAPS}?resourceVersion={version}")).await;
    world.delete(&format!("{MAPS}/a"), json!({})).await.expect(200);
    let event = watch.next().await;
    assert_eq!(event["type"], "DELETED");
    assert_eq!((&event["object"]["kind"], &event["object"]["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
    let last: u64 = event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    assert!(last > version.parse().unwrap());
}

#[tokio::test]
async fn selectors_turn_changes_into_comings_and_goings() {
    let world = World::new().await;
    let mut watch = world.watch(&format!("{MAPS}?labelSelector=app%3Dx")).await;
    world.post(MAPS, &map("a", json!({}))).await.expect(201);
    let path = format!("{MAPS}/a");
    world.merge(&path, &json!({"metadata": {"labels": {"app": "x"}}})).await.expect(200);
    world.merge(&path, &json!({"data": {"k": "1"}})).await.expect(200);
    world.merge(&path, &json!({"metadata": {"labels": {"app": "y"}}})).await.expect(200);
    for kind in ["ADDED", "MODIFIED"] {
        assert_eq!(watch.step().await.0, kind);
    }
    let left = watch.next().await;
    assert_eq!(left["type"], "DELETED");
    assert_eq!(left["object"]["metadata"]["labels"]["app"], "x", "as it was when it was still selected");
}

#[tokio::test]
async fn no_op_writes_are_silent() {
    let world = World::new().await;
    world.post(MAPS, &map("a", json!({"k": "1"}))).await.expect(201);
    let version = world.get(MAPS).await.at("/metadata/resourceVersion").as_str().unwrap().to_owned();
    let mut watch = world.watch(&format!("{MAPS}?resourceVersion={version}")).await;
    world.merge(&format!("{MAPS}/a"), &json!({"data": {"k": "1"}})).await.expect(200);
    world.post(MAPS, &map("b", json!({}))).await.expect(201);
    assert_eq!(watch.step().await, ("ADDED".to_owned(), "b".to_owned()));
}

#[tokio::test]
async fn the_past_is_gone_after_a_restart() {
    let world = World::new().await;
    world.post(MAPS, &map("a", json!({}))).await.expect(201);
    let world = world.restart().await;
    let mut watch = world.watch(&format!("{MAPS}?resourceVersion=1")).await;
    let event = watch.next().await;
    assert_eq!(event["type"], "ERROR");
    assert_eq!((&event["object"]["code"], &event["object"]["reason"]), (&json!(410), &json!("Expired")));
    assert!(event["object"]["message"].as_str().unwrap().starts_with("too old resource version: 1 ("));
    assert!(watch.next().await.is_null(), "the watch ends");
}

#[tokio::test]
async fn a_watch_list_tells_when_it_has_told_all() {
    let world = World::new().await;
    for name in ["b", "a"] {
        world.post(MAPS, &map(name, json!({}))).await.expect(201);
    }
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = world.watch(&format!("{MAPS}?{query}")).await;
    assert_eq!(watch.step().await, ("ADDED".to_owned(), "a".to_owned()));
    assert_eq!(watch.step().await, ("ADDED".to_owned(), "b".to_owned()));
    let end = watch.next().await;
    assert_eq!((&end["type"], &end["object"]["kind"]), (&json!("BOOKMARK"), &json!("ConfigMap")));
    assert_eq!(end["object"]["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
    let version = world.get(MAPS).await.at("/metadata/resourceVersion").clone();
    assert_eq!(end["object"]["metadata"]["resourceVersion"], version);
    world.post(MAPS, &map("c", json!({}))).await.expect(201);
    assert_eq!(watch.step().await, ("ADDED".to_owned(), "c".to_owned()));
    // Without what there is, and through a selector that matches nothing.
    let mut bare = world.watch(&format!("{MAPS}?sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0")).await;
    let mut none = world.watch(&format!("{MAPS}?{query}&labelSelector=a")).await;
    assert_eq!(none.next().await["type"], "BOOKMARK");
    world.post(MAPS, &map("d", json!({}))).await.expect(201);
    assert_eq!(bare.step().await, ("ADDED".to_owned(), "d".to_owned()));
    let refused = world.get(&format!("{MAPS}?watch=true&sendInitialEvents=true")).await.expect(422);
    assert!(refused.message().contains("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"), "{}", refused.message());
    world.get(&format!("{MAPS}?watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1")).await.expect(422);
}

#[tokio::test]
async fn a_watch_ends_with_the_version_to_come_back_with() {
    let world = World::new().await;
    let mut watch = world.watch(&format!("{MAPS}?labelSelector=a&timeoutSeconds=1&allowWatchBookmarks=true")).await;
    let made = world.post(MAPS, &map("a", json!({}))).await.expect(201);
    let end = watch.next().await;
    assert_eq!(end["type"], "BOOKMARK");
    let version = |object: &serde_json::Value| object["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(version(&end["object"]) >= version(&made.body), "{end}");
    assert!(watch.next().await.is_null());
    let answer = world.get(&format!("{MAPS}?watch=true&labelSelector=a&timeoutSeconds=1")).await.expect(200);
    assert_eq!(answer.text, "", "for those who ask for bookmarks alone");
}

#[tokio::test]
async fn a_watch_that_leaves_out_much_is_told_where_it_is() {
    let world = World::new().await;
    let mut watch = world.watch(&format!("{MAPS}?labelSelector=a&allowWatchBookmarks=true")).await;
    let text = "x".repeat(900_000);
    // More than a quarter of the window, less than half of it.
    for name in ["a", "b", "c"] {
        world.post(MAPS, &map(name, json!({"k": text}))).await.expect(201);
    }
    assert_eq!(watch.next().await["type"], "BOOKMARK");
}

#[tokio::test]
async fn tables_are_watched_with_one_heading() {
    let world = World::new().await;
    world.post(MAPS, &map("a", json!({}))).await.expect(201);
    world.post(MAPS, &map("b", json!({}))).await.expect(201);
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let answer = world.send("GET", &format!("{MAPS}?watch=true&timeoutSeconds=1"), &accept, "").await.expect(200);
    let events: Vec<serde_json::Value> = answer.text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(events.len(), 2);
    assert!(events[0]["object"]["columnDefinitions"].is_array() && events[1]["object"]["columnDefinitions"].is_null());
    assert_eq!(events[1]["object"]["rows"][0]["object"]["metadata"]["name"], "b");
}

#[tokio::test]
async fn the_old_path_of_watches_works() {
    let world = World::new().await;
    world.post(MAPS, &map("a", json!({}))).await.expect(201);
    let answer = world.get("/api/v1/watch/namespaces/default/configmaps?timeoutSeconds=1").await.expect(200);
    assert!(answer.text.starts_with("{\"type\":\"ADDED\""));
}

#[tokio::test]
async fn a_slow_watch_is_told_to_list_again() {
    let world = World::new().await;
    let mut watch = world.watch(MAPS).await;
    let text = "x".repeat(900_000);
    // More than the window, the sockets and the event in hand can hold.
    for n in 0..40 {
        world.post(MAPS, &map(&format!("m{n}"), json!({"k": text}))).await.expect(201);
    }
    let mut seen = 0;
    let last = loop {
        let event = watch.next().await;
        if event["type"] != "ADDED" {
            break event;
        }
        seen += 1;
    };
    assert_eq!((&last["type"], &last["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert!(seen < 40, "{seen}");
}

#[tokio::test]
async fn a_deleted_definition_ends_its_watches() {
    let world = World::new().await;
    let mut watch = world.watch(crate::client::WIDGETS).await;
    world.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com", json!({})).await.expect(200);
    assert!(watch.next().await.is_null());
}

#[tokio::test]
async fn a_watch_from_the_future_is_to_be_asked_for_again() {
    let world = World::new().await;
    let refused = world.get(&format!("{MAPS}?watch=true&resourceVersion=99999999&timeoutSeconds=1")).await.expect(504);
    assert!(refused.message().starts_with("Timeout: Too large resource version: 99999999"), "{}", refused.message());
}

#[tokio::test]
async fn informers_list_in_pages_or_stream_and_do_not_start_over() {
    use futures::{StreamExt, TryStreamExt};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::watcher::{Config, Event, watcher};
    let world = World::new().await;
    for n in 0..5 {
        world.post(MAPS, &map(&format!("m{n}"), json!({}))).await.expect(201);
    }
    for config in [Config::default().page_size(2), Config::default().streaming_lists()] {
        let api: kube::Api<ConfigMap> = kube::Api::namespaced(world.client.clone(), "default");
        let mut events = watcher(api, config.clone()).boxed();
        assert!(matches!(events.try_next().await.unwrap(), Some(Event::Init)));
        let mut names = Vec::new();
        while let Some(Event::InitApply(object)) = events.try_next().await.unwrap() {
            names.push(object.metadata.name.unwrap());
        }
        assert_eq!(names, ["m0", "m1", "m2", "m3", "m4"], "{config:?}");
        for n in 0..20 {
            world.merge(&format!("{MAPS}/m0"), &json!({"data": {"k": n.to_string()}})).await.expect(200);
            match events.try_next().await.unwrap() {
                Some(Event::Apply(object)) => assert_eq!(object.data.unwrap()["k"], n.to_string()),
                other => panic!("{config:?}: {other:?}"),
            }
        }
    }
}
