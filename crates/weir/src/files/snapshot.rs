//! What the API holds already, read at once where there is much of it: one list instead of a question for each document.

use std::collections::HashMap;

use kube::Client;
use serde::Deserialize;

use super::MANY;

/// How lists are asked for: metadata is all that matters here.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Of the collections that many documents are about: what they hold.
#[derive(Default)]
pub(super) struct Snapshot(HashMap<String, HashMap<String, Held>>);

/// An object that the API holds.
pub(super) struct Held {
    pub(super) uid: String,
    /// The manifest that it was last applied from, as text.
    pub(super) last_applied: String,
}

/// What a snapshot says of an object.
pub(super) enum Known<'s> {
    /// Nothing: ask for it.
    Unknown,
    /// It is not there.
    Absent,
    There(&'s Held),
}

#[derive(Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    uid: String,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
struct Annotations {
    #[serde(default, rename = "kubectl.kubernetes.io/last-applied-configuration")]
    last_applied: String,
}

impl Snapshot {
    /// Reads the collections that are named often. One that cannot be listed is left to be asked about object by object, which tells why.
    pub(super) async fn take(client: &Client, collections: impl Iterator<Item = String>) -> Self {
        let mut counts: HashMap<String, usize> = HashMap::new();
        collections.for_each(|it| *counts.entry(it).or_default() += 1);
        let mut snapshot = Self::default();
        for (collection, _) in counts.into_iter().filter(|(_, count)| *count >= MANY) {
            let Ok(request) = http::Request::get(&collection).header("accept", METADATA).body(Vec::new()) else { continue };
            let Ok(list) = client.request::<List>(request).await else { continue };
            let held =
                |Item { metadata: Metadata { name, uid, annotations } }| (name, Held { uid, last_applied: annotations.last_applied });
            snapshot.0.insert(collection, list.items.into_iter().map(held).collect());
        }
        snapshot
    }

    pub(super) fn known(&self, collection: &str, name: &str) -> Known<'_> {
        match self.0.get(collection) {
            None => Known::Unknown,
            Some(held) => held.get(name).map_or(Known::Absent, Known::There),
        }
    }
}
