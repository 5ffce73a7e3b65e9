//! Writing one object's status.

use jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::board::{Job, Known, Outcome};
use crate::events::seconds;
use crate::json::merge_patch;
use crate::kinds::Key;

/// How often a write is repeated when somebody else was faster.
const CONFLICTS: usize = 4;

/// Brings the object's status up to date: one patch, which the server refuses when the object has changed meanwhile; then it is read again.
pub(crate) async fn write(client: kube::Client, job: &Job) -> Outcome {
    let api = api(client, &job.key);
    let mut job = job.clone();
    for _ in 0..CONFLICTS {
        let merged = job.merged(&seconds(Timestamp::now()));
        let Some(change) = merge_patch(&job.known.status.value(), &merged) else { return Outcome::Stored(job.known) };
        let patch = json!({ "metadata": { "resourceVersion": job.known.resource_version }, "status": change });
        match api.patch_status(&job.key.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(object) => return Outcome::Stored(known(&object)),
            Err(kube::Error::Api(status)) if status.code == 404 => return Outcome::Gone,
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Outcome::Failed(error.to_string()),
        }
        match api.get_opt(&job.key.name).await {
            Ok(Some(object)) => {
                let fresh = known(&object);
                if fresh.uid != job.known.uid {
                    return Outcome::Gone;
                }
                job.known = fresh;
            }
            Ok(None) => return Outcome::Gone,
            Err(error) => return Outcome::Failed(error.to_string()),
        }
    }
    Outcome::Failed("it kept changing while its status was written".to_owned())
}

fn api(client: kube::Client, key: &Key) -> Api<DynamicObject> {
    let resource = key.kind.resource();
    match &*key.namespace {
        "" => Api::all_with(client, &resource),
        namespace => Api::namespaced_with(client, namespace, &resource),
    }
}

fn known(object: &DynamicObject) -> Known {
    Known {
        uid: object.metadata.uid.clone().unwrap_or_default(),
        resource_version: object.metadata.resource_version.clone().unwrap_or_default(),
        status: object.data.get("status").unwrap_or(&Value::Null).into(),
    }
}
