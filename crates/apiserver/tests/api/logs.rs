//! Pod logs, live columns, and what pods cannot do: the hooks.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};
use weir_apiserver::table::Column;
use weir_apiserver::{Hooks, LiveColumns, LogError, LogRequest, LogStream, PodLogs};

use crate::client::{WIDGETS, World, widget};

#[derive(Default)]
struct Reader {
    asked: Mutex<Vec<LogRequest>>,
}

impl PodLogs for Reader {
    fn open(&self, request: LogRequest) -> BoxFuture<'static, Result<LogStream, LogError>> {
        let (container, previous) = (request.container.clone(), request.previous);
        self.asked.lock().unwrap().push(request);
        async move {
            match container.as_str() {
                _ if previous => Err(LogError::Other("previous terminated container \"c\" in pod \"one\" not found".to_owned())),
                "slow" => Err(LogError::Waiting("ContainerCreating".to_owned())),
                _ => Ok(stream::iter([Bytes::from_static(b"one\n"), Bytes::from_static(b"two\n")]).boxed()),
            }
        }
        .boxed()
    }
}

const PODS: &str = "/api/v1/namespaces/default/pods";

async fn world(reader: &Arc<Reader>) -> World {
    let refusal = |what: &str, pod: &Value| format!("{what}: use {} instead", pod["metadata"]["name"].as_str().unwrap());
    let hooks =
        Hooks { pod_logs: Some(reader.clone()), refusal: Some(Arc::new(refusal)), live_columns: Some(Arc::new(Sizes)), ..Hooks::default() };
    let world = World::with(hooks).await;
    let container = |name: &str| json!({"name": name, "image": "i"});
    for (name, containers) in [("one", vec![container("c")]), ("two", vec![container("a"), container("slow")])] {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers}});
        world.post(PODS, &pod).await.expect(201);
    }
    world
}

#[tokio::test]
async fn logs_are_streamed() {
    let reader = Arc::new(Reader::default());
    let world = world(&reader).await;
    let answer = world.get(&format!("{PODS}/one/log?follow=true&tailLines=2&timestamps=true&limitBytes=100")).await.expect(200);
    assert_eq!((answer.text.as_str(), answer.headers["content-type"].to_str().unwrap()), ("one\ntwo\n", "text/plain"));
    let asked = reader.asked.lock().unwrap().pop().unwrap();
    assert_eq!((asked.pod.as_str(), asked.container.as_str(), asked.follow, asked.tail_lines), ("one", "c", true, Some(2)));
    assert_eq!((asked.timestamps, asked.limit_bytes, asked.since, asked.previous), (true, Some(100), None, false));
    world.get(&format!("{PODS}/one/log?sinceTime=1970-01-01T00%3A01%3A00Z&follow=false")).await.expect(200);
    let asked = reader.asked.lock().unwrap().pop().unwrap();
    assert_eq!((asked.since, asked.follow), (Some(60), false));
}

#[tokio::test]
async fn log_refusals_have_the_words_that_clients_know() {
    let world = world(&Arc::new(Reader::default())).await;
    let refused = async |path: &str, code: u16| world.get(&format!("{PODS}/{path}")).await.expect(code).message().to_owned();
    assert_eq!(refused("one/log?container=nope", 400).await, "container nope is not valid for pod one");
    assert_eq!(refused("two/log", 400).await, "a container name must be specified for pod two, choose one of: [a slow]");
    assert_eq!(refused("two/log?container=slow", 400).await, "container \"slow\" in pod \"two\" is waiting to start: ContainerCreating");
    assert_eq!(
        refused("one/log?tailLines=-1", 422).await,
        "PodLogOptions \"one\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"
    );
    assert_eq!(
        refused("one/log?sinceSeconds=0", 422).await,
        "PodLogOptions \"one\" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0"
    );
    assert!(
        refused("one/log?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z", 422)
            .await
            .contains("at most one of `sinceTime` or `sinceSeconds`")
    );
    assert_eq!(refused("one/log?previous=true", 400).await, "previous terminated container \"c\" in pod \"one\" not found");
    assert_eq!(refused("none/log", 404).await, "pods \"none\" not found");
    assert_eq!(refused("one/exec?command=ls", 400).await, "exec: use one instead");
    assert_eq!(refused("one/portforward", 400).await, "portforward: use one instead");
}

struct Sizes;

impl LiveColumns for Sizes {
    fn columns(&self, group: &str, resource: &str) -> Option<Vec<Column>> {
        let column = |name: &str| Column {
            name: name.to_owned(),
            kind: "string".to_owned(),
            format: String::new(),
            description: String::new(),
            priority: 0,
        };
        (group == "example.com" && resource == "widgets").then(|| vec![column("Name"), column("Live")])
    }

    fn cells(&self, _: &str, _: &str, object: &Value) -> Vec<Value> {
        vec![object["metadata"]["name"].clone(), json!("now")]
    }
}

#[tokio::test]
async fn live_columns_replace_a_resources_own() {
    let world = world(&Arc::new(Reader::default())).await;
    world.post(WIDGETS, &widget("w", json!({"size": 1}))).await.expect(201);
    let table = world.table(WIDGETS).await.expect(200);
    assert_eq!(table.at("/columnDefinitions/1/name"), "Live");
    assert_eq!(table.at("/rows/0/cells"), &json!(["w", "now"]));
    let pods = world.table(PODS).await.expect(200);
    assert_ne!(pods.at("/columnDefinitions/1/name"), "Live");
}
