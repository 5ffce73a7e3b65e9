//! One LIST and WATCH per kind, into the driver's channel.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self as kube_watcher, Event};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::driver::Input;
use crate::plan::Kind;
use crate::world::Object;

/// Before a broken watch is opened again; doubles.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// What a watch saw.
pub(crate) enum Change {
    Applied(Object),
    Deleted(Object),
    /// All there is of a kind.
    Listed(Kind, Vec<Object>),
}

pub(crate) fn start(client: &kube::Client, inputs: &mpsc::Sender<Input>, stop: &CancellationToken) {
    watch::<Deployment>(client, inputs, stop, Kind::Deployment, |o| Object::Deployment(Box::new(o)));
    watch::<ReplicaSet>(client, inputs, stop, Kind::ReplicaSet, |o| Object::ReplicaSet(Box::new(o)));
    watch::<Job>(client, inputs, stop, Kind::Job, |o| Object::Job(Box::new(o)));
    watch::<Pod>(client, inputs, stop, Kind::Pod, |o| Object::Pod(Box::new(o)));
    watch::<Service>(client, inputs, stop, Kind::Service, |o| Object::Service(Box::new(o)));
    watch::<EndpointSlice>(client, inputs, stop, Kind::Slice, |o| Object::Slice(Box::new(o)));
}

fn watch<K>(client: &kube::Client, inputs: &mpsc::Sender<Input>, stop: &CancellationToken, kind: Kind, wrap: fn(K) -> Object)
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let api: kube::Api<K> = kube::Api::all(client.clone());
    let (inputs, stop) = (inputs.clone(), stop.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = run(api, inputs, kind, wrap) => {}
            () = stop.cancelled() => {}
        }
    });
}

async fn run<K>(api: kube::Api<K>, inputs: mpsc::Sender<Input>, kind: Kind, wrap: fn(K) -> Object)
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = Box::pin(kube_watcher::watcher(api, kube_watcher::Config::default()));
    let mut listed = Vec::new();
    let mut retry = FIRST_RETRY;
    while let Some(event) = events.next().await {
        let change = match event {
            Ok(Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listed.push(wrap(object));
                continue;
            }
            Ok(Event::InitDone) => Change::Listed(kind, std::mem::take(&mut listed)),
            Ok(Event::Apply(object)) => Change::Applied(wrap(object)),
            Ok(Event::Delete(object)) => Change::Deleted(wrap(object)),
            Err(error) => {
                tracing::debug!(?kind, %error, "a watch broke; it is opened again");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(LONGEST_RETRY);
                continue;
            }
        };
        retry = FIRST_RETRY;
        if inputs.send(Input::Watch(change)).await.is_err() {
            return;
        }
    }
}
