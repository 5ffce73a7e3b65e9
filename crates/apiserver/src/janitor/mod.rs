//! The background task that finishes deletions: owned objects, namespaces' content, custom resources of a deleted CRD.
//!
//! The store names suspects: objects that are being deleted or have owners, whenever they or their owners change. Each is looked at
//! anew from the store, so that nothing depends on the order of events, and a failure is tried again. Events end by their age alone.

mod contents;
mod expiry;
mod owners;

use std::sync::Arc;
use std::time::Duration;

use crate::api::Api;
use crate::registry::{CRDS, NAMESPACES};
use crate::status::ApiError;
use crate::store::Key;

/// How long to wait before looking again at what could not be finished.
const RETRY: Duration = Duration::from_secs(1);

/// Runs until the server stops.
pub(crate) async fn run(api: Arc<Api>) {
    tokio::join!(collect(&api), expiry::run(&api));
}

async fn collect(api: &Arc<Api>) {
    loop {
        let keys = tokio::select! {
            () = api.stop.cancelled() => return,
            keys = api.store.garbage() => keys,
        };
        for key in keys {
            if let Err(error) = look(api, &key).await
                && error.code != 404
            {
                tracing::warn!(shelf = %key.shelf, namespace = %key.namespace, name = %key.name, reason = %error.message, "a deletion is tried again");
                retry(api, key);
            }
        }
    }
}

fn retry(api: &Arc<Api>, key: Key) {
    let api = Arc::clone(api);
    tokio::spawn(async move {
        tokio::select! {
            () = api.stop.cancelled() => {}
            () = tokio::time::sleep(RETRY) => api.store.suspect(key),
        }
    });
}

async fn look(api: &Api, key: &Key) -> Result<(), ApiError> {
    match &*key.shelf {
        NAMESPACES => contents::namespace(api, key).await?,
        CRDS => contents::definition(api, key).await?,
        _ => {}
    }
    owners::look(api, key).await
}
