//! Answers in protobuf, which client-go asks for first.

use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use weir_apiserver::proto;

use crate::client::{Answer, MAPS, WIDGETS, World, map, widget};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const BOTH: &str = "application/vnd.kubernetes.protobuf,application/json";
const PARTIAL: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

async fn ask(world: &World, accept: &str, path: &str) -> Answer {
    world.send("GET", path, &[("accept", accept)], "").await
}

fn decoded(answer: &Answer) -> Value {
    assert_eq!(answer.headers["content-type"], PROTOBUF);
    proto::decode(&answer.bytes).unwrap()
}

#[tokio::test]
async fn objects_lists_and_failures_are_answered_in_protobuf() {
    let world = World::new().await;
    let headers = [("accept", BOTH), ("content-type", "application/json")];
    let made = decoded(&world.send("POST", MAPS, &headers, map("a", json!({"k": "v"})).to_string()).await.expect(201));
    let plain = world.get(&format!("{MAPS}/a")).await.expect(200).body;
    assert_eq!(made, plain);
    assert_eq!(decoded(&ask(&world, BOTH, &format!("{MAPS}/a")).await.expect(200)), plain);
    let missing = decoded(&ask(&world, BOTH, &format!("{MAPS}/b")).await.expect(404));
    assert_eq!((&missing["kind"], &missing["reason"], &missing["details"]["name"]), (&json!("Status"), &json!("NotFound"), &json!("b")));
    let list = ask(&world, BOTH, MAPS).await.expect(200);
    assert!(list.bytes.starts_with(proto::MAGIC) && list.text.contains("ConfigMapList"), "{}", list.text);
    let gone = world.send("DELETE", &format!("{MAPS}/a"), &headers, "").await.expect(200);
    assert_eq!(decoded(&gone)["status"], "Success");
    // A Table has no message.
    let table = format!("{PROTOBUF};as=Table;g=meta.k8s.io;v=v1,application/json");
    assert_eq!(ask(&world, &table, MAPS).await.expect(200).at("/kind"), "ConfigMapList");
}

#[tokio::test]
async fn custom_kinds_have_messages_for_their_metadata_only() {
    let world = World::new().await;
    world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201);
    let path = format!("{WIDGETS}/w");
    assert_eq!(ask(&world, BOTH, &path).await.expect(200).at("/spec/size"), 1);
    assert_eq!(decoded(&ask(&world, PROTOBUF, &path).await.expect(406))["reason"], "NotAcceptable");
    let partial = decoded(&ask(&world, PARTIAL, &path).await.expect(200));
    assert_eq!((&partial["kind"], &partial["metadata"]["name"]), (&json!("PartialObjectMetadata"), &json!("w")));
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com";
    let plain = world.get(definition).await.expect(200).body;
    assert_eq!(decoded(&ask(&world, PROTOBUF, definition).await.expect(200)), plain);
}

#[tokio::test]
async fn watches_send_each_event_with_its_length() {
    let world = World::new().await;
    world.post(MAPS, &map("a", json!({"k": "v"}))).await.expect(201);
    let request = Request::get(format!("{MAPS}?watch=true&timeoutSeconds=60")).header("accept", BOTH).body(Body::empty()).unwrap();
    let response = world.client.send(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    let (mut body, mut got) = (response.into_body(), Vec::new());
    let event = loop {
        if let Some((length, rest)) = got.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if rest.len() >= length {
                break rest[..length].to_vec();
            }
        }
        got.extend_from_slice(body.frame().await.unwrap().unwrap().data_ref().unwrap());
    };
    // Field 1 is the type; in field 2 is the object in a message of its own.
    assert!(event.starts_with(b"\x0a\x05ADDED\x12"), "{event:?}");
    let begin = event.windows(4).position(|four| four == proto::MAGIC).unwrap();
    assert_eq!(proto::decode(&event[begin..]).unwrap()["data"]["k"], "v");
}
