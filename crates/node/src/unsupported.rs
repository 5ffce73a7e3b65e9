//! Kinds that would make pods on a cluster and do not here: each object says so in an Event and in its status, instead of staying silent.

use std::collections::HashSet;
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::events::{Recorder, reference};
use crate::patch::status_diff;
use crate::plan::Note;

/// Watches those of the kinds that the API serves.
pub(crate) fn start(client: &kube::Client, recorder: &Recorder, stop: &CancellationToken) {
    let (client, recorder, stop) = (client.clone(), recorder.clone(), stop.clone());
    tokio::spawn(async move {
        let all = async {
            tokio::join!(
                watch::<StatefulSet>(&client, &recorder, "statefulsets", stateful_set),
                watch::<DaemonSet>(&client, &recorder, "daemonsets", daemon_set),
                watch::<Job>(&client, &recorder, "jobs", job),
                watch::<CronJob>(&client, &recorder, "cronjobs", |_| says("CronJob", "; create a Job when one is due")),
            )
        };
        tokio::select! {
            _ = all => {}
            () = stop.cancelled() => {}
        }
    });
}

/// What there is to say about an object that does not run, or not wholly.
struct Verdict {
    message: String,
    /// The merge patch that makes its status say that it has been seen, and what is missing.
    status: Option<Value>,
}

fn says(kind: &str, way_out: &str) -> Option<Verdict> {
    Some(Verdict { message: format!("This node runs no pods for a {kind}{way_out}"), status: None })
}

/// None of its pods is there, and never will be: `kubectl rollout status` says for how many it waits.
fn stateful_set(set: &StatefulSet) -> Option<Verdict> {
    let status = StatefulSetStatus { observed_generation: set.metadata.generation, ..Default::default() };
    let verdict = says("StatefulSet", "; use a Deployment")?;
    Some(Verdict { status: unless_observed(set.status.as_ref(), status, |status| status.observed_generation), ..verdict })
}

/// There is one node, which should run one pod.
fn daemon_set(set: &DaemonSet) -> Option<Verdict> {
    let status = DaemonSetStatus {
        observed_generation: set.metadata.generation,
        desired_number_scheduled: 1,
        number_unavailable: Some(1),
        ..Default::default()
    };
    let verdict = says("DaemonSet", "; use a Deployment: this is the only node")?;
    Some(Verdict { status: unless_observed(set.status.as_ref(), status, |status| status.observed_generation), ..verdict })
}

fn unless_observed<S: Serialize>(current: Option<&S>, wanted: S, observed: fn(&S) -> Option<i64>) -> Option<Value> {
    if current.is_some_and(|current| observed(current) == observed(&wanted)) { None } else { status_diff(current, &wanted) }
}

/// A Job runs, unless it asks for what would not be done.
fn job(job: &Job) -> Option<Verdict> {
    let asked = job.spec.as_ref().map(crate::job::not_done).unwrap_or_default();
    let message = format!("This node does not run a Job with {}; leave it out", asked.join(" and "));
    (!asked.is_empty()).then_some(Verdict { message, status: None })
}

async fn watch<K>(client: &kube::Client, recorder: &Recorder, plural: &str, judge: fn(&K) -> Option<Verdict>)
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let (group, api_version, kind) = (K::group(&()), K::api_version(&()), K::kind(&()));
    let Ok(resources) = client.list_api_group_resources(&api_version).await else { return };
    if !resources.resources.iter().any(|r| r.name == plural) {
        return;
    }
    tracing::debug!(%group, %kind, "watched to say what does not run here");
    let mut events = Box::pin(watcher::watcher(kube::Api::<K>::all(client.clone()), watcher::Config::default()));
    let mut told = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let Some(Verdict { message, status }) = judge(&object) else { continue };
                let uid = object.meta().uid.clone().unwrap_or_default();
                if is_new(object.meta()) && told.insert(uid) {
                    let about = reference(&api_version, &kind, object.meta());
                    recorder.note(Note { about, component: "weir-node", warning: true, reason: "Unsupported", message });
                }
                if let Some(status) = status {
                    write(client, &object, &status).await;
                }
            }
            Ok(Event::Delete(object)) => drop(told.remove(object.meta().uid.as_deref().unwrap_or_default())),
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}
/// Best effort: with the object's next change it is tried again.
async fn write<K>(client: &kube::Client, object: &K, status: &Value)
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let (namespace, name) = (object.meta().namespace.as_deref().unwrap_or_default(), object.meta().name.as_deref().unwrap_or_default());
    let api: kube::Api<K> = kube::Api::namespaced(client.clone(), namespace);
    let parameters = PatchParams { field_manager: Some("kube-controller-manager".to_owned()), ..PatchParams::default() };
    if let Err(error) = api.patch_status(name, &parameters, &Patch::Merge(status)).await {
        tracing::debug!(%namespace, %name, %error, "a status was not written");
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
