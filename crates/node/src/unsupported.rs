//! Kinds that would make pods on a cluster and do not here: each object says so in an Event, instead of staying silent.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::events::{Recorder, reference};
use crate::plan::Note;

/// Watches those of the kinds that the API serves.
pub(crate) fn start(client: &kube::Client, recorder: &Recorder, stop: &CancellationToken) {
    let (client, recorder, stop) = (client.clone(), recorder.clone(), stop.clone());
    tokio::spawn(async move {
        let all = async {
            tokio::join!(
                watch::<StatefulSet>(&client, &recorder, "statefulsets"),
                watch::<DaemonSet>(&client, &recorder, "daemonsets"),
                watch::<Job>(&client, &recorder, "jobs"),
                watch::<CronJob>(&client, &recorder, "cronjobs"),
            )
        };
        tokio::select! {
            _ = all => {}
            () = stop.cancelled() => {}
        }
    });
}

async fn watch<K>(client: &kube::Client, recorder: &Recorder, plural: &str)
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let (group, api_version, kind) = (K::group(&()), K::api_version(&()), K::kind(&()));
    let Ok(resources) = client.list_api_group_resources(&api_version).await else { return };
    if !resources.resources.iter().any(|r| r.name == plural) {
        return;
    }
    tracing::debug!(%group, %kind, "watched to say that it does not run here");
    let mut events = Box::pin(watcher::watcher(kube::Api::<K>::all(client.clone()), watcher::Config::default()));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) if is_new(object.meta()) => {
                recorder.note(Note {
                    about: reference(&api_version, &kind, object.meta()),
                    component: "weir-node",
                    warning: true,
                    reason: "Unsupported",
                    message: format!("{kind} is not run by this node yet; use a Deployment"),
                });
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// Objects older than this have been told by the run of the process that saw them come.
const NEW_FOR_SECONDS: i64 = 60;

/// Once per change of the spec would be too much; once when it appears is enough.
fn is_new(meta: &ObjectMeta) -> bool {
    let now = jiff::Timestamp::now().as_second();
    let young = meta.creation_timestamp.as_ref().is_none_or(|t| now - t.0.as_second() < NEW_FOR_SECONDS);
    young && meta.generation.unwrap_or(1) <= 1 && meta.deletion_timestamp.is_none()
}
