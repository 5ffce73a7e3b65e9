//! Lists in pages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use crate::client::{Answer, MAPS, World, map};

fn names(answer: &Answer) -> Vec<&str> {
    answer.at("/items").as_array().unwrap().iter().map(|o| o["metadata"]["name"].as_str().unwrap()).collect()
}

fn token(answer: &Answer) -> String {
    answer.at("/metadata/continue").as_str().unwrap_or_default().to_owned()
}

async fn filled(count: usize) -> World {
    let world = World::new().await;
    for n in 0..count {
        world.post(MAPS, &map(&format!("m{n}"), json!({"k": "1"}))).await.expect(201);
    }
    world
}

#[tokio::test]
async fn pages_are_of_one_moment() {
    let world = filled(5).await;
    let first = world.get(&format!("{MAPS}?limit=2")).await.expect(200);
    assert_eq!((names(&first), first.at("/metadata/remainingItemCount")), (vec!["m0", "m1"], &json!(3)));
    // None of this is in the pages that follow.
    world.delete(&format!("{MAPS}/m3"), json!({})).await.expect(200);
    world.merge(&format!("{MAPS}/m2"), &json!({"data": {"k": "2"}})).await.expect(200);
    world.post(MAPS, &map("m2a", json!({}))).await.expect(201);
    let second = world.get(&format!("{MAPS}?limit=2&continue={}", token(&first))).await.expect(200);
    assert_eq!((names(&second), second.at("/items/0/data/k")), (vec!["m2", "m3"], &json!("1")));
    let third = world.get(&format!("{MAPS}?limit=2&continue={}", token(&second))).await.expect(200);
    assert_eq!((names(&third), token(&third)), (vec!["m4"], String::new()));
    assert_eq!(third.at("/metadata/remainingItemCount"), &Value::Null);
    assert_eq!(third.at("/metadata/resourceVersion"), first.at("/metadata/resourceVersion"));
    let exact = first.at("/metadata/resourceVersion").as_str().unwrap();
    let then = world.get(&format!("{MAPS}?resourceVersion={exact}&resourceVersionMatch=Exact")).await.expect(200);
    assert_eq!(names(&then), ["m0", "m1", "m2", "m3", "m4"]);
    // Without a word on how versions match, a page is of the version that is named, and a whole list of now.
    let page = world.get(&format!("{MAPS}?resourceVersion={exact}&limit=4")).await.expect(200);
    assert_eq!((names(&page), page.at("/metadata/resourceVersion").as_str()), (vec!["m0", "m1", "m2", "m3"], Some(exact)));
    let rest = world.get(&format!("{MAPS}?limit=4&continue={}", token(&page))).await.expect(200);
    assert_eq!(names(&rest), ["m4"]);
    for query in [format!("resourceVersion={exact}"), format!("resourceVersion={exact}&limit=9&resourceVersionMatch=NotOlderThan")] {
        assert_eq!(names(&world.get(&format!("{MAPS}?{query}")).await.expect(200)), ["m0", "m1", "m2", "m2a", "m4"], "{query}");
    }
}

#[tokio::test]
async fn pages_go_through_namespaces_tables_and_selectors() {
    let world = filled(3).await;
    for namespace in ["a", "default-b"] {
        world
            .post("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}))
            .await
            .expect(201);
        world.post(&format!("/api/v1/namespaces/{namespace}/configmaps"), &map("z", json!({}))).await.expect(201);
    }
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/api/v1/configmaps?limit=1&continue={next}")).await.expect(200);
        found.extend(names(&page).into_iter().map(str::to_owned));
        next = token(&page);
        if next.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["z", "z", "m0", "m1", "m2"], "in the order of `namespace/name`: `default-b/` comes before `default/`");
    let table = world.table(&format!("{MAPS}?limit=2")).await.expect(200);
    assert_eq!((table.at("/rows").as_array().unwrap().len(), table.at("/metadata/remainingItemCount")), (2, &json!(1)));
    // With a selector nobody counts what else it would match.
    let some = world.get(&format!("{MAPS}?limit=1&fieldSelector=metadata.name%21%3Dm1")).await.expect(200);
    assert_eq!(some.at("/metadata/remainingItemCount"), &Value::Null);
    let rest = world.get(&format!("{MAPS}?limit=5&fieldSelector=metadata.name%21%3Dm1&continue={}", token(&some))).await.expect(200);
    assert_eq!(names(&rest), ["m2"]);
    // Any version will do: the whole list, from memory.
    assert_eq!(names(&world.get(&format!("{MAPS}?limit=1&resourceVersion=0")).await).len(), 3);
}

#[tokio::test]
async fn an_old_page_says_how_to_go_on() {
    let world = filled(3).await;
    let first = world.get(&format!("{MAPS}?limit=1")).await.expect(200);
    world.post(MAPS, &map("m9", json!({}))).await.expect(201);
    // There are no events from before a start.
    let world = world.restart().await;
    let expired = world.get(&format!("{MAPS}?limit=5&continue={}", token(&first))).await.expect(410);
    assert_eq!(expired.at("/reason"), "Expired");
    assert!(expired.message().starts_with("The provided continue parameter is too old to display a consistent list result."));
    let rest = world.get(&format!("{MAPS}?limit=5&continue={}", token(&expired))).await.expect(200);
    assert_eq!(names(&rest), ["m1", "m2", "m9"]);
    // Nor is anything known of versions that are still to come: the server may have been put back to an older state.
    let mut later: Value = serde_json::from_slice(&BASE64.decode(token(&first)).unwrap()).unwrap();
    later["rv"] = json!(1_000_000);
    let later = BASE64.encode(later.to_string());
    world.get(&format!("{MAPS}?limit=5&continue={later}")).await.expect(410);
}

#[tokio::test]
async fn bad_pages_are_refused() {
    let world = World::new().await;
    let path = |query: &str| format!("{MAPS}?{query}");
    for query in ["continue=abc", "continue=%2e%2e%2f", "limit=abc", "continue=e30"] {
        world.get(&path(query)).await.expect(400);
    }
    assert!(world.get(&path("continue=abc")).await.message().starts_with("invalid continue token: continue key is not valid"));
    world.get(&path("resourceVersionMatch=Exact")).await.expect(422);
    world.get(&path("resourceVersionMatch=Bogus&resourceVersion=1")).await.expect(422);
    world.get(&path("sendInitialEvents=true")).await.expect(422);
    world.get(&path("limit=-1")).await.expect(200);
}
