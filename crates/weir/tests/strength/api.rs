//! A client that tells apart what was done, what was refused and what nobody knows.

use std::path::Path;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{Method, Request};
use kube::Client;
use kube::core::WatchEvent;
use serde_json::Value;

/// ConfigMaps of the namespace that is always there.
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Done(Value),
    /// Status and message.
    Refused(u16, String),
    /// The connection ended first: done or not.
    Unknown,
}

impl Answer {
    /// What was done; anything else is a failure.
    pub(crate) fn done(self) -> Value {
        match self {
            Self::Done(value) => value,
            other => panic!("not done: {other:?}"),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Api(Client);

impl Api {
    /// Through the kubeconfig in this data directory. `None`: nobody answers.
    pub(crate) async fn open(data: &Path) -> Option<Self> {
        let text = kube::config::Kubeconfig::read_from(data.join("kubeconfig")).ok()?;
        let config = kube::Config::from_custom_kubeconfig(text, &kube::config::KubeConfigOptions::default()).await.ok()?;
        let api = Self(Client::try_from(config).ok()?);
        match api.get(MAPS).await {
            Answer::Unknown => None,
            _ => Some(api),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", &Value::Null).await
    }

    pub(crate) async fn create(&self, object: &Value) -> Answer {
        self.send(Method::POST, MAPS, "application/json", object).await
    }

    pub(crate) async fn replace(&self, name: &str, object: &Value) -> Answer {
        self.send(Method::PUT, &format!("{MAPS}/{name}"), "application/json", object).await
    }

    pub(crate) async fn merge(&self, name: &str, patch: &Value) -> Answer {
        self.send(Method::PATCH, &format!("{MAPS}/{name}"), "application/merge-patch+json", patch).await
    }

    pub(crate) async fn apply(&self, name: &str, object: &Value) -> Answer {
        self.send(Method::PATCH, &format!("{MAPS}/{name}?fieldManager=test&force=true"), "application/apply-patch+yaml", object).await
    }

    pub(crate) async fn delete(&self, name: &str) -> Answer {
        self.send(Method::DELETE, &format!("{MAPS}/{name}"), "", &Value::Null).await
    }

    /// What happens after a version, until the connection ends.
    pub(crate) async fn watch(&self, path: &str, version: u64) -> Option<BoxStream<'static, WatchEvent<Value>>> {
        let request = Request::get(format!("{path}?watch=1&allowWatchBookmarks=true&resourceVersion={version}")).body(Vec::new());
        let events = self.0.request_events::<Value>(request.expect("a request")).await.ok()?;
        Some(events.take_while(|event| std::future::ready(event.is_ok())).filter_map(|event| std::future::ready(event.ok())).boxed())
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: &Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let mut request = Request::builder().method(method).uri(path);
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        match self.0.request::<Value>(request.body(bytes).expect("a request")).await {
            Ok(value) => Answer::Done(value),
            Err(kube::Error::Api(status)) => Answer::Refused(status.code, status.message),
            Err(_) => Answer::Unknown,
        }
    }
}

/// The resourceVersion of an object or a list.
pub(crate) fn version(value: &Value) -> u64 {
    let text = value.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("no version: {value}")).parse().expect("a number")
}
