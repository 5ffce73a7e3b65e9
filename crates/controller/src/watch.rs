//! Watching: lists and watches of untyped objects, turned into changes for the loop.

use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, watcher};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::backoff::Backoff;
use crate::kinds::{Kind, Scope};

/// The label that the controller's own objects carry.
pub(crate) const OWN: (&str, &str) = ("app.kubernetes.io/managed-by", "envoy-gateway");

/// After the first failure; see [`CEILING`].
const FIRST: Duration = Duration::from_millis(200);
/// Long enough to spare an API server that has trouble, short enough to be back soon after it.
const CEILING: Duration = Duration::from_secs(5);

/// Something that a watch saw.
#[derive(Debug)]
pub(crate) enum Change {
    /// These are all objects of the kind.
    Listed(Kind, Vec<Value>),
    /// This object is new or changed.
    Applied(Kind, Value),
    /// This object is gone.
    Deleted(Kind, Value),
    /// The API server does not know the kind (yet): its CRD is not installed.
    Absent(Kind),
}

/// Watches one kind for ever; ends when nobody listens any more.
pub(crate) async fn watch(client: kube::Client, kind: Kind, namespace: String, changes: mpsc::Sender<Change>) {
    let resource = kind.resource();
    let (api, config): (Api<DynamicObject>, _) = match kind.scope() {
        Scope::All => (Api::all_with(client, &resource), watcher::Config::default()),
        Scope::Own => {
            let labels = format!("{}={}", OWN.0, OWN.1);
            (Api::namespaced_with(client, &namespace, &resource), watcher::Config::default().labels(&labels))
        }
    };
    let mut eyes = Eyes { kind, changes, backoff: Backoff::new(FIRST, CEILING), trouble: Trouble::default() };
    while !eyes.changes.is_closed() {
        eyes.follow(watcher(api.clone(), config.clone())).await;
    }
}

/// What one watch remembers.
struct Eyes {
    kind: Kind,
    changes: mpsc::Sender<Change>,
    backoff: Backoff,
    trouble: Trouble,
}

impl Eyes {
    /// Hands on what `events` say until a new list is needed, or nobody listens any more.
    async fn follow(&mut self, events: impl Stream<Item = Result<watcher::Event<DynamicObject>, watcher::Error>>) {
        let mut events = std::pin::pin!(events);
        let mut listing = Vec::new();
        while let Some(event) = events.next().await {
            let (change, error) = match event {
                Ok(event) => {
                    if !matches!(event, watcher::Event::Init) {
                        self.backoff.reset();
                        self.trouble.over(self.kind);
                    }
                    (step(self.kind, event, &mut listing), None)
                }
                Err(error) if is_absent(&error) => (Some(Change::Absent(self.kind)), Some(error)),
                Err(error) => (None, Some(error)),
            };
            if let Some(change) = change
                && self.changes.send(change).await.is_err()
            {
                return;
            }
            let Some(error) = error else { continue };
            let text = if is_absent(&error) { "its CRD is not installed".to_owned() } else { error.to_string() };
            self.trouble.note(self.kind, &text, is_routine(&error));
            tokio::time::sleep(self.backoff.next()).await;
            if is_stale(&error) {
                return;
            }
        }
    }
}

/// What an event means. A list is collected until it is complete, so that nothing is taken away while it arrives.
fn step(kind: Kind, event: watcher::Event<DynamicObject>, listing: &mut Vec<Value>) -> Option<Change> {
    match event {
        watcher::Event::Init => {
            listing.clear();
            None
        }
        watcher::Event::InitApply(object) => {
            listing.extend(value(kind, object));
            None
        }
        watcher::Event::InitDone => Some(Change::Listed(kind, std::mem::take(listing))),
        watcher::Event::Apply(object) => value(kind, object).map(|it| Change::Applied(kind, it)),
        watcher::Event::Delete(object) => value(kind, object).map(|it| Change::Deleted(kind, it)),
    }
}

/// The object as JSON, without the bookkeeping of who set which field: it is often larger than the rest and nobody here reads it. Items of
/// lists of built-in kinds come without their type.
fn value(kind: Kind, mut object: DynamicObject) -> Option<Value> {
    object.metadata.managed_fields = None;
    let mut value = serde_json::to_value(object).ok()?;
    let fields = value.as_object_mut()?;
    let (_, _, name, _) = kind.names();
    fields.insert("apiVersion".to_owned(), Value::String(kind.api_version()));
    fields.insert("kind".to_owned(), Value::String(name.to_owned()));
    Some(value)
}

/// A list answered 404: the path, and so the kind, is unknown.
fn is_absent(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

/// A watch that cannot be started where the last one ended. `watcher` would try the same version again, for ever.
fn is_stale(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 410)
}

/// A watch that has fallen behind starts over (410 Gone), and one that is cut off resumes; neither is worth a warning.
fn is_routine(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        watcher::Error::WatchFailed(_) => true,
        other => is_stale(other),
    }
}

/// Says each trouble once, however often it is met in a row.
#[derive(Default)]
struct Trouble {
    last: Option<String>,
    told: bool,
}

impl Trouble {
    fn note(&mut self, kind: Kind, text: &str, routine: bool) {
        let (_, _, name, _) = kind.names();
        if self.last.as_deref() != Some(text) {
            if routine {
                tracing::debug!(kind = name, error = text, "watch interrupted");
            } else {
                tracing::warn!(kind = name, error = text, "cannot watch; trying again");
                self.told = true;
            }
        }
        self.last = Some(text.to_owned());
    }

    fn over(&mut self, kind: Kind) {
        let (_, _, name, _) = kind.names();
        if self.last.take().is_some() && std::mem::take(&mut self.told) {
            tracing::info!(kind = name, "watching again");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str) -> DynamicObject {
        let text = json!({ "metadata": { "name": name, "managedFields": [{ "manager": "x" }] }, "data": { "a": "b" } });
        serde_json::from_value(text).expect("an object")
    }

    #[test]
    fn a_list_is_one_change_and_its_items_have_a_type() {
        let mut listing = Vec::new();
        let mut next = |event| step(Kind::ConfigMap, event, &mut listing);
        assert!(next(watcher::Event::Init).is_none());
        assert!(next(watcher::Event::InitApply(object("half"))).is_none());
        assert!(next(watcher::Event::Init).is_none(), "started over");
        assert!(next(watcher::Event::InitApply(object("a"))).is_none());
        let Some(Change::Listed(Kind::ConfigMap, items)) = next(watcher::Event::InitDone) else { panic!("not a list") };
        let expected = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "a": "b" } });
        assert_eq!(items, [expected]);
        assert!(matches!(next(watcher::Event::Apply(object("b"))), Some(Change::Applied(..))));
        assert!(matches!(next(watcher::Event::Delete(object("b"))), Some(Change::Deleted(..))));
    }
}
