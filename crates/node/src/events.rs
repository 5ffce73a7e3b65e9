//! Events: written in the background, the same one again as a count.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::meta::time;
use crate::plan::Note;

/// Events that wait to be written. Beyond this they are dropped: an Event is best effort, and the API is busy.
const WAITING: usize = 1024;
/// Events remembered so that a repetition counts up.
const REMEMBERED: usize = 1024;
/// Of the object's name in an Event's: with a dot and 16 digits it fits into the 253 bytes of a name.
const LONGEST_NAME: usize = 253 - 17;

/// A reference to an object for an Event.
pub(crate) fn reference(api_version: &str, kind: &str, meta: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}

/// Takes notes for the task that writes them.
#[derive(Clone)]
pub(crate) struct Recorder {
    notes: mpsc::Sender<Note>,
}

impl Recorder {
    /// Starts the writer; it ends when the last recorder is dropped, or at once when told so: then the API is about to end, too.
    pub(crate) fn start(client: kube::Client, node_name: String, stop: CancellationToken) -> Recorder {
        let (recorder, mut receiver) = Recorder::channel();
        let writing = async move {
            let mut writer = Writer { client, node_name, seen: HashMap::new(), order: VecDeque::new() };
            while let Some(note) = receiver.recv().await {
                writer.write(note).await;
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(writing).await });
        recorder
    }

    /// A recorder and what it takes.
    pub(crate) fn channel() -> (Recorder, mpsc::Receiver<Note>) {
        let (notes, receiver) = mpsc::channel(WAITING);
        (Recorder { notes }, receiver)
    }

    pub(crate) fn note(&self, note: Note) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.notes.try_send(note) {
            tracing::debug!("too many events at once; one was dropped");
        }
    }
}

struct Writer {
    client: kube::Client,
    node_name: String,
    seen: HashMap<u64, Seen>,
    order: VecDeque<u64>,
}

struct Seen {
    name: String,
    count: i32,
}

impl Writer {
    async fn write(&mut self, note: Note) {
        let namespace = note.about.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let events: kube::Api<Event> = kube::Api::namespaced(self.client.clone(), &namespace);
        let key = fingerprint(&note);
        if let Some(seen) = self.seen.get_mut(&key) {
            seen.count = seen.count.saturating_add(1);
            let patch = json!({"count": seen.count, "lastTimestamp": time(Timestamp::now())});
            match events.patch(&seen.name, &PatchParams::default(), &Patch::Merge(patch)).await {
                Ok(_) => return,
                // Deleted meanwhile: told afresh.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return tracing::debug!(%error, "an event was not written"),
            }
        }
        let event = self.event(&note, namespace);
        let name = event.metadata.name.clone().unwrap_or_default();
        match events.create(&PostParams::default(), &event).await {
            Ok(_) => self.remember(key, name),
            Err(error) => tracing::debug!(%error, "an event was not written"),
        }
    }

    fn remember(&mut self, key: u64, name: String) {
        if self.seen.insert(key, Seen { name, count: 1 }).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }

    fn event(&self, note: &Note, namespace: String) -> Event {
        let now = Timestamp::now();
        let mut about = note.about.name.clone().unwrap_or_default();
        about.truncate(LONGEST_NAME);
        let host = (note.component == "kubelet").then(|| self.node_name.clone());
        Event {
            metadata: ObjectMeta {
                // The usual form: the object's name and a time in hexadecimal.
                name: Some(format!("{about}.{:x}", now.as_nanosecond())),
                namespace: Some(namespace),
                ..Default::default()
            },
            involved_object: note.about.clone(),
            reason: Some(note.reason.to_owned()),
            message: Some(note.message.clone()),
            type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
            count: Some(1),
            first_timestamp: Some(time(now)),
            last_timestamp: Some(time(now)),
            source: Some(EventSource { component: Some(note.component.to_owned()), host: host.clone() }),
            reporting_component: Some(note.component.to_owned()),
            reporting_instance: Some(host.unwrap_or_default()),
            ..Default::default()
        }
    }
}

/// Two notes with the same fingerprint are the same Event again.
fn fingerprint(note: &Note) -> u64 {
    let mut hasher = DefaultHasher::new();
    let about = &note.about;
    (&about.kind, &about.namespace, &about.name, &about.uid, &about.field_path).hash(&mut hasher);
    (note.component, note.warning, note.reason, &note.message).hash(&mut hasher);
    hasher.finish()
}
