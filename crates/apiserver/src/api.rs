//! What every handler and background task shares.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::apply::Managed;
use crate::hooks::Hooks;
use crate::registry::{CRDS, NAMESPACES, Registry, Resource};
use crate::status::ApiError;
use crate::store::{Change, CommitError, Expect, Key, Store, Stored, Unkept};

/// The inside of a server.
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) hooks: Hooks,
    pub(crate) git_version: String,
    /// `host:port` as clients see it.
    pub(crate) address: String,
    pub(crate) stop: CancellationToken,
    registry: RwLock<Arc<Registry>>,
    /// Counts registries.
    served: watch::Sender<u64>,
    /// Held while a registry is made, so that an older one never replaces a newer one.
    remake: Mutex<()>,
    /// Held from the choice of a Service's address and ports until they are written.
    allotting: tokio::sync::Mutex<()>,
}

impl Api {
    pub(crate) fn new(store: Store, hooks: Hooks, git_version: String, address: String, stop: CancellationToken) -> Self {
        let registry = Registry::new(&store.list(CRDS, None).0, None);
        Self {
            store,
            hooks,
            git_version,
            address,
            stop,
            registry: RwLock::new(Arc::new(registry)),
            served: watch::Sender::new(0),
            remake: Mutex::new(()),
            allotting: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read())
    }

    /// Told when other resources are served.
    pub(crate) fn served(&self) -> watch::Receiver<u64> {
        self.served.subscribe()
    }

    /// Serves what the CRDs now say.
    pub(crate) fn refresh_registry(&self) {
        let _one_at_a_time = self.remake.lock();
        let before = self.registry();
        let now = Registry::new(&self.store.list(CRDS, None).0, Some(&before));
        *self.registry.write() = Arc::new(now);
        self.served.send_modify(|count| *count += 1);
    }

    /// Waits for the turn to allot what no two objects may have, until what this returns is dropped. Only Services are allotted such things.
    pub(crate) async fn allotting(&self, resource: &Resource) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if resource.is("", "services") { Some(self.allotting.lock().await) } else { None }
    }

    /// Writes, and keeps the registry true when a CRD was written.
    pub(crate) async fn commit(&self, change: Change) -> Result<Arc<Stored>, CommitError> {
        let crd = &*change.key.shelf == CRDS;
        let stored = self.store.commit(change).await?;
        if crd {
            self.refresh_registry();
        }
        Ok(stored)
    }

    /// Replaces (or with `None` removes) what was read as `old`.
    pub(crate) async fn replace(&self, key: &Key, old: &Stored, object: Option<Value>) -> Result<Arc<Stored>, CommitError> {
        self.replace_managed(key, old, object, old.managed.clone()).await
    }

    /// The same, with other owners.
    pub(crate) async fn replace_managed(
        &self,
        key: &Key,
        old: &Stored,
        object: Option<Value>,
        managed: Managed,
    ) -> Result<Arc<Stored>, CommitError> {
        self.commit(Change { key: key.clone(), expect: Expect::Version(old.version), object, managed, guard: None }).await
    }

    pub(crate) fn namespace(&self, name: &str) -> Option<(Key, Arc<Stored>)> {
        let key = Key::new(&NAMESPACES.into(), "", name);
        let stored = self.store.get(&key)?;
        Some((key, stored))
    }

    /// The resource whose rules an object is kept under: events.k8s.io is another view of the core group's Events.
    pub(crate) fn keeper(&self, resource: &Arc<Resource>) -> Arc<Resource> {
        let core = if resource.is("events.k8s.io", "events") { self.resource("", "v1", "events") } else { None };
        core.unwrap_or_else(|| Arc::clone(resource))
    }

    pub(crate) fn resource(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.registry().find(group, version, plural).cloned()
    }
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        match error {
            // Every caller tries again on its own first.
            CommitError::Stale => {
                let mut error = Self::new(500, "ServerTimeout", "too many concurrent writers; please try again");
                error.retry_after = Some(1);
                error
            }
            CommitError::Disk(_) => Self::internal(error.to_string()),
            // A cluster's answer, in its words.
            CommitError::TooLarge => Self::new(500, "", error.to_string()),
            CommitError::Unkept(error) => error.into(),
            CommitError::Closed => Self::new(503, "ServiceUnavailable", error.to_string()),
        }
    }
}

impl From<Unkept> for ApiError {
    fn from(error: Unkept) -> Self {
        Self::internal(error.to_string())
    }
}
