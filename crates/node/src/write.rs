//! Makes the writes of a plan, one after the other.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::Status;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::meta::ObjectName;
use crate::plan::{Kind, Verb, Write};
use crate::world::Object;

/// What became of a write that did not fail.
pub(crate) enum Written {
    /// The object as it is now.
    Object(Object),
    /// It is gone, or was never there.
    Gone,
}

const MERGE_PATCH: &str = "application/merge-patch+json";

/// Makes one write. Nothing is made for an owner that is no more: each kind's watch tells of its own deletions, and that of what it owns may be
/// heard first.
pub(crate) async fn perform(client: &kube::Client, write: &Write) -> Result<Written, kube::Error> {
    if let Some((kind, owner, uid)) = owner(write)
        && is_gone(client, kind, &owner, &uid).await
    {
        let message = format!("{} is gone, so nothing is made for it", owner.name);
        return Err(kube::Error::Api(Status::failure(&message, "NotFound").with_code(404).boxed()));
    }
    let answer = match (send(client, write).await, &write.verb) {
        // An API without the binding subresource takes the field itself.
        (Err(kube::Error::Api(status)), Verb::Bind(node)) if status.code == 404 => {
            let verb = Verb::Patch(json!({"spec": {"nodeName": node}}));
            send(client, &Write { verb, ..write.clone() }).await
        }
        (answer, _) => answer,
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(kube::Error::Api(status)) if status.code == 404 && !matches!(write.verb, Verb::Create(_)) => return Ok(Written::Gone),
        // A precondition on the uid: the one that was meant is gone.
        Err(kube::Error::Api(status)) if status.code == 409 && matches!(write.verb, Verb::Delete { .. }) => return Ok(Written::Gone),
        Err(error) => return Err(error),
    };
    if answer.get("kind").and_then(Value::as_str) == Some("Status") {
        return Ok(Written::Gone);
    }
    decode(write.kind, answer).map(Written::Object).map_err(kube::Error::SerdeError)
}

/// Whether the object with this uid is surely no more.
pub(crate) async fn is_gone(client: &kube::Client, kind: Kind, name: &ObjectName, uid: &str) -> bool {
    let path = format!("{}/{}", collection(kind, &name.namespace), name.name);
    let Ok(request) = http::Request::get(path).body(Vec::new()) else { return false };
    match client.request::<Value>(request).await {
        Ok(found) => found.pointer("/metadata/uid").and_then(Value::as_str) != Some(uid),
        Err(kube::Error::Api(status)) => status.code == 404,
        Err(_) => false,
    }
}

/// The controlling owner of what is to be made: its kind, name and uid.
fn owner(write: &Write) -> Option<(Kind, ObjectName, String)> {
    let Verb::Create(object) = &write.verb else { return None };
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let kind = match owner["kind"].as_str()? {
        "Deployment" => Kind::Deployment,
        "ReplicaSet" => Kind::ReplicaSet,
        "Job" => Kind::Job,
        "Service" => Kind::Service,
        _ => return None,
    };
    Some((kind, ObjectName::new(&write.name.namespace, owner["name"].as_str()?), owner["uid"].as_str()?.to_owned()))
}

async fn send(client: &kube::Client, write: &Write) -> Result<Value, kube::Error> {
    client.request(request(write).map_err(kube::Error::HttpError)?).await
}

fn request(write: &Write) -> Result<http::Request<Vec<u8>>, http::Error> {
    let collection = collection(write.kind, &write.name.namespace);
    let manager = format!("fieldManager={}", manager(write));
    let item = format!("{collection}/{}", write.name.name);
    let (method, path, content, body) = match &write.verb {
        Verb::Create(body) => ("POST", format!("{collection}?{manager}"), "application/json", body.clone()),
        Verb::Patch(body) => ("PATCH", format!("{item}?{manager}"), MERGE_PATCH, body.clone()),
        Verb::PatchStatus(body) => ("PATCH", format!("{item}/status?{manager}"), MERGE_PATCH, body.clone()),
        Verb::Delete { uid, grace_seconds } => {
            let mut body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
            if let Some(options) = body.as_object_mut() {
                if !uid.is_empty() {
                    options.insert("preconditions".into(), json!({ "uid": uid }));
                }
                if let Some(seconds) = grace_seconds {
                    options.insert("gracePeriodSeconds".into(), json!(seconds));
                }
            }
            ("DELETE", item, "application/json", body)
        }
        Verb::Bind(node) => {
            let target = json!({"apiVersion": "v1", "kind": "Node", "name": node});
            let body = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": write.name.name}, "target": target});
            ("POST", format!("{item}/binding?{manager}"), "application/json", body)
        }
    };
    http::Request::builder().method(method).uri(path).header("content-type", content).body(body.to_string().into_bytes())
}

fn collection(kind: Kind, namespace: &str) -> String {
    let (root, plural) = match kind {
        Kind::Deployment => ("apis/apps/v1", "deployments"),
        Kind::ReplicaSet => ("apis/apps/v1", "replicasets"),
        Kind::Job => ("apis/batch/v1", "jobs"),
        Kind::Pod => ("api/v1", "pods"),
        Kind::Service => ("api/v1", "services"),
        Kind::Slice => ("apis/discovery.k8s.io/v1", "endpointslices"),
    };
    format!("/{root}/namespaces/{namespace}/{plural}")
}

/// Who would write this on a cluster.
fn manager(write: &Write) -> &'static str {
    match (write.kind, &write.verb) {
        (Kind::Pod, Verb::Bind(_)) => "kube-scheduler",
        (Kind::Pod, Verb::PatchStatus(_)) => "kubelet",
        _ => "kube-controller-manager",
    }
}

fn decode(kind: Kind, value: Value) -> Result<Object, serde_json::Error> {
    fn boxed<K: DeserializeOwned>(value: Value) -> Result<Box<K>, serde_json::Error> {
        serde_json::from_value(value).map(Box::new)
    }
    Ok(match kind {
        Kind::Deployment => Object::Deployment(boxed::<Deployment>(value)?),
        Kind::ReplicaSet => Object::ReplicaSet(boxed::<ReplicaSet>(value)?),
        Kind::Job => Object::Job(boxed::<Job>(value)?),
        Kind::Pod => Object::Pod(boxed::<Pod>(value)?),
        Kind::Service => Object::Service(boxed::<Service>(value)?),
        Kind::Slice => Object::Slice(boxed::<EndpointSlice>(value)?),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A client of a server that gives this answer to one request.
    async fn client(status: &'static str, body: Value) -> kube::Client {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let read = stream.read(&mut [0; 4096]).await.unwrap();
            assert!(read > 0);
            let body = body.to_string();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        kube::Client::try_from(kube::Config::new(url)).unwrap()
    }

    #[tokio::test]
    async fn only_what_is_surely_gone_is_gone() {
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "m", "reason": "r", "code": 404});
        let mut busy = status.clone();
        busy["code"] = json!(500);
        let pod = |uid: &str| json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "namespace": "ns", "uid": uid}});
        let cases =
            [("404 Not Found", status, true), ("200 OK", pod("u"), false), ("200 OK", pod("other"), true), ("500 Error", busy, false)];
        for (code, body, gone) in cases {
            let client = client(code, body.clone()).await;
            assert_eq!(is_gone(&client, Kind::Pod, &ObjectName::new("ns", "p"), "u").await, gone, "{code} {body}");
        }
    }

    #[tokio::test]
    async fn nothing_is_made_for_an_owner_that_is_gone() {
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "m", "reason": "r", "code": 404});
        let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u", "controller": true});
        let set = json!({"metadata": {"name": "d-1", "namespace": "ns", "ownerReferences": [owner]}});
        let write = Write { kind: Kind::ReplicaSet, name: ObjectName::new("ns", "d-1"), verb: Verb::Create(set) };
        // It answers one request only.
        let answer = perform(&client("404 Not Found", status).await, &write).await;
        assert!(matches!(answer, Err(kube::Error::Api(status)) if status.message.starts_with("d is gone")));
    }
}
