//! A server to talk to, and few words to do it with.

use std::path::Path;

use http::{HeaderMap, Request};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_apiserver::{Config, Hooks, Server};

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
    /// Null when the body is not JSON.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.body.pointer(pointer).unwrap_or(&Value::Null)
    }

    pub(crate) fn message(&self) -> &str {
        self.at("/message").as_str().unwrap_or_default()
    }

    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.headers.get_all("warning").iter().map(|w| w.to_str().unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{}", self.text);
        self
    }
}

/// A running server in a directory that goes with it.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) client: kube::Client,
    pub(crate) folder: TempDir,
}

pub(crate) fn config(folder: &Path) -> Config {
    Config { data_dir: folder.to_owned(), crds: vec![widgets()], version: "1.2.3".to_owned(), ..Config::default() }
}

pub(crate) async fn client(server: &Server) -> kube::Client {
    let kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    // What the server says is what is tested.
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Hooks::default()).await
    }

    pub(crate) async fn with(hooks: Hooks) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Config { hooks, ..config(folder.path()) }).await.unwrap();
        let client = client(&server).await;
        Self { server, client, folder }
    }

    /// Stops the server and starts it again on the same directory.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, folder, .. } = self;
        server.shutdown().await;
        let server = Server::start(config(folder.path())).await.unwrap();
        let client = client(&server).await;
        Self { server, client, folder }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        send(&self.client, method, path, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub(crate) async fn merge(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, &[("content-type", "application/merge-patch+json")], body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str, options: Value) -> Answer {
        self.send("DELETE", path, &[("content-type", "application/json")], options.to_string()).await
    }

    pub(crate) async fn table(&self, path: &str) -> Answer {
        self.send("GET", path, &[("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")], "").await
    }

    /// Opens a watch. Ends it after a minute, so that a missing event fails a test instead of hanging it.
    pub(crate) async fn watch(&self, path: &str) -> Events {
        let join = if path.contains('?') { '&' } else { '?' };
        let request = Request::get(format!("{path}{join}watch=true&timeoutSeconds=60")).body(Body::empty()).unwrap();
        let response = self.client.send(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Events { body: response.into_body(), buffer: Vec::new() }
    }

    /// Waits until a path is not there any more.
    pub(crate) async fn gone(&self, path: &str) {
        while self.get(path).await.code != 404 {
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) async fn send(client: &kube::Client, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.send(request.body(Body::from(body.into())).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect_bytes().await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Answer {
        code: head.status.as_u16(),
        headers: head.headers,
        body: serde_json::from_str(&text).unwrap_or_default(),
        text,
        bytes: bytes.to_vec(),
    }
}

/// The events of a watch.
pub(crate) struct Events {
    body: Body,
    buffer: Vec<u8>,
}

impl Events {
    /// The next event; null at the end.
    pub(crate) async fn next(&mut self) -> Value {
        use http_body_util::BodyExt;
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).unwrap();
            }
            match self.body.frame().await {
                Some(frame) => self.buffer.extend_from_slice(frame.unwrap().data_ref().map_or(&[][..], |d| d)),
                None => return Value::Null,
            }
        }
    }

    /// Type and name of the next event.
    pub(crate) async fn step(&mut self) -> (String, String) {
        let event = self.next().await;
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        (text("/type"), text("/object/metadata/name"))
    }
}

/// A custom kind with a bit of everything.
pub(crate) fn widgets() -> Value {
    let spec = json!({
        "type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1}, "color": {"type": "string", "default": "red"}, "replicas": {"type": "integer"},
        },
    });
    let schema = json!({"type": "object", "properties": {
        "spec": spec, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
            "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [version("v1", true), version("v1beta1", false)],
        },
    })
}

pub(crate) const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";

pub(crate) fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

pub(crate) fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}
