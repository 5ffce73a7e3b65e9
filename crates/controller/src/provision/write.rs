//! Creating, patching and deleting one object.

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use serde_json::Value;

use super::fleet::{Item, ItemKind, Op, Outcome};
use super::spec::is_own;
use crate::kinds::Kind;

impl Item {
    /// What the rest of the controller calls its kind.
    pub(crate) fn kind(&self) -> Kind {
        match self.kind {
            ItemKind::Deployment => Kind::Deployment,
            ItemKind::Service => Kind::Service,
        }
    }
}

/// Carries out one operation.
pub(crate) async fn write(client: kube::Client, namespace: &str, item: &Item, op: Op) -> Outcome {
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &item.kind().resource());
    let result = match op {
        Op::Create(object) => match serde_json::from_value(without_nulls(object)) {
            Ok(object) => api.create(&PostParams::default(), &object).await,
            Err(error) => return Outcome::Failed(error.to_string()),
        },
        Op::Patch(patch) => api.patch(&item.name, &PatchParams::default(), &Patch::Merge(patch)).await,
        Op::Delete(uid) => return delete(&api, &item.name, uid).await,
    };
    match result {
        Ok(object) => stored(object),
        Err(kube::Error::Api(status)) if status.code == 404 => Outcome::Gone,
        // Either another's, or ours and the watch has not told yet.
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => match api.get(&item.name).await {
            Ok(object) => match stored(object) {
                Outcome::Stored(object) if !is_own(&object) => Outcome::Foreign,
                outcome => outcome,
            },
            Err(error) => Outcome::Failed(error.to_string()),
        },
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

async fn delete(api: &Api<DynamicObject>, name: &str, uid: String) -> Outcome {
    let preconditions = (!uid.is_empty()).then_some(Preconditions { uid: Some(uid), resource_version: None });
    match api.delete(name, &DeleteParams { preconditions, ..DeleteParams::background() }).await {
        // With a finalizer it is still there, and says so.
        Ok(answer) => answer.left().filter(|it| it.metadata.deletion_timestamp.is_some()).map_or(Outcome::Gone, stored),
        Err(kube::Error::Api(status)) if status.code == 404 => Outcome::Gone,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn stored(object: DynamicObject) -> Outcome {
    match serde_json::to_value(object) {
        Ok(object) => Outcome::Stored(object),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// A null says that a field must not be there; one that is made has it not.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, it)| !it.is_null()).map(|(key, it)| (key, without_nulls(it))).collect())
        }
        other => other,
    }
}
