//! The election carried out: the Lease read and written.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{Candidate, LEASE, Step, Times};

/// How long giving the Lease back may hold up the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a leader is one no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// Another has it.
    #[error("Lease {0} is {1}'s now: this controller writes no more, and ends")]
    Taken(String, String),
    /// It could not be renewed.
    #[error("Lease {0} could not be renewed in time ({1}): this controller writes no more, and ends")]
    Silent(String, String),
}

/// Tries to become the leader, says so in `leads`, and renews; returns only when the Lease is lost, which `leads` says before.
pub(crate) async fn campaign(client: &kube::Client, namespace: &str, identity: &str, times: Times, leads: watch::Sender<bool>) -> Lost {
    let lost = lead(client, namespace, identity, times, &leads).await;
    leads.send_replace(false);
    lost
}

async fn lead(client: &kube::Client, namespace: &str, identity: &str, times: Times, leads: &watch::Sender<bool>) -> Lost {
    let (api, place) = (api(client, namespace), format!("{namespace}/{LEASE}"));
    let mut candidate = Candidate::new(identity.to_owned(), times);
    // When the last attempt began that succeeded: from then on nobody else takes the Lease for as long as it lasts.
    let mut renewed: Option<Instant> = None;
    let mut told = None;
    loop {
        let begun = Instant::now();
        let patience = renewed.map_or(times.renew, |at| (at + times.renew).saturating_duration_since(begun));
        let attempt = timeout(patience, attempt(&api, &mut candidate)).await;
        let problem = match attempt {
            Ok(Ok(None)) => {
                renewed = Some(begun);
                if !leads.send_replace(true) {
                    tracing::info!(lease = place, identity, "this controller leads: it writes");
                }
                None
            }
            Ok(Ok(Some(holder))) if renewed.is_some() => return Lost::Taken(place, holder),
            Ok(Ok(Some(holder))) => Some(format!("{holder} leads: this controller stands by, and writes nothing")),
            Ok(Err(error)) => Some(format!("cannot get the Lease that says which controller writes; trying again: {error}")),
            Err(_) => Some("the API server does not answer".to_owned()),
        };
        if let (Some(at), Some(problem)) = (renewed, &problem)
            && at + times.renew <= Instant::now() + times.retry
        {
            // One more attempt would end too late.
            return Lost::Silent(place, problem.clone());
        }
        if let Some(text) = &problem
            && told.as_ref() != Some(text)
        {
            tracing::warn!(lease = place, "{text}");
        }
        told = problem;
        sleep(times.retry).await;
    }
}

/// Gives the Lease back, so that another need not wait until it lapses. Nothing may be written after it.
pub(crate) async fn release(client: &kube::Client, namespace: &str, identity: &str) {
    let api = api(client, namespace);
    let done = timeout(FAREWELL, async {
        loop {
            let Some(lease) = api.get_opt(LEASE).await? else { return Ok(()) };
            if lease.data["spec"]["holderIdentity"].as_str() != Some(identity) {
                return Ok(());
            }
            match patch(&api, &lease, &json!({ "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": time() })).await {
                // A renewal was still on its way.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                outcome => return outcome.map(drop),
            }
        }
    });
    if let Ok(Err(error)) = done.await {
        tracing::debug!(%error, "the Lease could not be given back");
    }
}

/// One look at the Lease, and what follows from it; none: it is ours now, else who holds it.
async fn attempt(api: &Api<DynamicObject>, candidate: &mut Candidate) -> Result<Option<String>, kube::Error> {
    let lease = api.get_opt(LEASE).await?;
    let spec = lease.as_ref().map(|it| it.data["spec"].clone());
    match (candidate.look(spec.as_ref(), Instant::now(), &time()), &lease) {
        (Step::Create(spec), _) => api.create(&PostParams::default(), &object(spec)?).await.map(|_| None),
        (Step::Take(change), Some(lease)) => patch(api, lease, &change).await.map(|_| None),
        _ => Ok(Some(spec.as_ref().and_then(|spec| candidate.other(spec)).unwrap_or("another").to_owned())),
    }
}

/// Changes the Lease's spec; the server refuses when somebody else was faster.
async fn patch(api: &Api<DynamicObject>, lease: &DynamicObject, change: &Value) -> Result<DynamicObject, kube::Error> {
    let body = json!({ "metadata": { "resourceVersion": lease.metadata.resource_version }, "spec": change });
    api.patch(LEASE, &PatchParams::default(), &Patch::Merge(body)).await
}

fn object(spec: Value) -> Result<DynamicObject, kube::Error> {
    let text = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": LEASE }, "spec": spec });
    serde_json::from_value(text).map_err(kube::Error::SerdeError)
}

fn api(client: &kube::Client, namespace: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease"), "leases");
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// As `metav1.MicroTime` has it.
fn time() -> String {
    format!("{:.6}", Timestamp::now())
}
