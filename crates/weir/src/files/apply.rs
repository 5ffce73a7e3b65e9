//! Keeping the API in step with the files: what they declare exists, as `kubectl apply` would make it, while they declare it.
//!
//! The manifest as it was applied stands in the annotation that `kubectl apply` uses, so the two can take turns: a field that leaves the file
//! leaves the object, a field that others set stays, and an object whose text has not changed is left as it is.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use kube::Client;
use serde_json::{Map, Value, json};

use super::MANY;
use super::check::{Checker, Resource};
use super::declared::{Declared, Key};
use super::read::{Document, ReadError};
use super::snapshot::{Known, Snapshot};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Said with every write: who writes, and that a field nobody knows is an error.
const QUERY: &str = "fieldManager=weir-files&fieldValidation=Strict";

/// How many objects of a large set are written at once: the server commits together what comes together.
const AT_ONCE: usize = 64;

/// A document and where its object belongs.
struct Placed<'d> {
    document: &'d Document,
    namespace: &'d str,
    collection: String,
}

/// What one document asks for.
enum Change {
    /// The object is not there: this is it.
    Create(Value),
    /// The object is there, and this merge patch makes it what the document says.
    Configure(Value),
    /// The object, of this uid, was made from this very text.
    None(String),
}

/// What one pass did, in numbers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) created: usize,
    pub(crate) configured: usize,
    pub(crate) unchanged: usize,
    pub(crate) deleted: usize,
}

/// What became of one object.
#[derive(Debug, Clone, Copy)]
enum Effect {
    Created,
    Configured,
    None,
}

impl Summary {
    fn count(&mut self, effect: Effect) {
        match effect {
            Effect::Created => self.created += 1,
            Effect::Configured => self.configured += 1,
            Effect::None => self.unchanged += 1,
        }
    }
}

/// Applies sets of documents, each set replacing the one before.
pub(crate) struct Applier {
    client: Client,
    declared: Declared,
}

impl Applier {
    /// Applies through `client`; what was declared is remembered in `state`.
    ///
    /// # Errors
    /// When `state` exists and cannot be read.
    pub(crate) fn new(client: Client, state: std::path::PathBuf) -> Result<Self, String> {
        Ok(Self { client, declared: Declared::load(state)? })
    }

    /// Asks the API what it would refuse of `documents` beyond what a schema can tell, such as a namespace that does not exist or a change of a
    /// field that may not change, and changes nothing. New objects are judged by their schemas alone.
    ///
    /// # Errors
    /// Every document that the API would refuse, with its answer.
    pub(crate) async fn rehearse(&self, documents: &[Document], checker: &Checker) -> Result<(), Vec<String>> {
        let mut errors = self.missing_namespaces(documents, checker).await;
        let placed: Vec<Placed<'_>> = documents.iter().filter_map(|document| place(document, checker)).collect();
        let snapshot = Snapshot::take(&self.client, placed.iter().map(|it| it.collection.clone())).await;
        let refused = stream::iter(&placed).map(|it| self.try_change(it, &snapshot)).buffered(AT_ONCE);
        errors.extend(refused.filter_map(std::future::ready).collect::<Vec<_>>().await);
        if errors.is_empty() { Ok(()) } else { Err(super::told(errors)) }
    }

    /// An error for each namespace that is neither there nor declared, at the first document that needs it.
    async fn missing_namespaces(&self, documents: &[Document], checker: &Checker) -> Vec<ReadError> {
        let declared = documents.iter().filter(|document| document.kind() == "Namespace").map(Document::name);
        let mut namespaces: BTreeSet<&str> = declared.collect();
        let mut errors = Vec::new();
        for document in documents {
            let Some(Resource { namespaced: true, .. }) = checker.resource(document) else { continue };
            let namespace = document.namespace_or_default();
            if namespaces.insert(namespace) {
                match self.get(&format!("/api/v1/namespaces/{namespace}")).await {
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        let help = Some("declare it in the files (kind: Namespace)".to_owned());
                        errors.push(document.error("metadata.namespace", format_args!("namespace `{namespace}` does not exist"), help));
                    }
                    Err(error) => errors.push(document.error("metadata.namespace", error, None)),
                }
            }
        }
        errors
    }

    /// Why the API would refuse a document.
    async fn try_change(&self, placed: &Placed<'_>, snapshot: &Snapshot) -> Option<ReadError> {
        let document = placed.document;
        let refused = match self.change(placed, snapshot).await {
            Ok(Change::Configure(patch)) => {
                let path = format!("{}/{}?{QUERY}&dryRun=All", placed.collection, document.name());
                self.send("PATCH", &path, "application/merge-patch+json", &patch).await.err()
            }
            Ok(Change::Create(_) | Change::None(_)) => None,
            Err(error) => Some(error),
        };
        refused.map(|error| document.error("metadata.name", error, None))
    }

    /// Makes the API hold what `documents` say, then deletes what earlier sets declared and this one does not.
    ///
    /// # Errors
    /// Every object that the API refused, with its answer; the others are applied, and nothing is deleted.
    pub(crate) async fn apply(&mut self, documents: &[Document], checker: &Checker) -> Result<Summary, Vec<String>> {
        let (mut summary, mut errors) = (Summary::default(), Vec::new());
        let placed: Vec<Placed<'_>> = documents.iter().filter_map(|document| place(document, checker)).collect();
        let snapshot = Snapshot::take(&self.client, placed.iter().map(|it| it.collection.clone())).await;
        let mut wanted = BTreeSet::new();
        for run in placed.chunk_by(|a, b| a.collection == b.collection) {
            let (this, snapshot) = (&*self, &snapshot);
            let mut done = stream::iter(run).map(|it| async move { (it, this.put(it, snapshot).await) }).buffered(width(run.len()));
            let mut known = Vec::with_capacity(run.len());
            while let Some((placed, outcome)) = done.next().await {
                let key = placed.key();
                match outcome {
                    Ok((uid, effect)) => {
                        summary.count(effect);
                        known.push((key.clone(), uid));
                    }
                    Err(error) => errors.push(placed.document.error("metadata.name", format_args!("{key}: {error}"), None).to_string()),
                }
                wanted.insert(key);
            }
            drop(done);
            self.declared.objects.extend(known);
        }
        if !errors.is_empty() {
            // What was applied is remembered, so that it can be deleted once it leaves the files.
            errors.extend(self.declared.save().err());
            return Err(errors);
        }
        // The same object under another version of its kind is still declared.
        let still: BTreeSet<_> = wanted.iter().map(Key::object).collect();
        self.declared.objects.retain(|key, _| wanted.contains(key) || !still.contains(&key.object()));
        // Backwards, so that what stands on others goes before them.
        let gone: Vec<(Key, String)> = self
            .declared
            .objects
            .iter()
            .rev()
            .filter(|(key, _)| !wanted.contains(key))
            .map(|(key, uid)| (key.clone(), uid.clone()))
            .collect();
        for run in gone.chunk_by(|(a, _), (b, _)| a.kind == b.kind && a.api_version == b.api_version && a.namespace == b.namespace) {
            let this = &*self;
            let done = stream::iter(run).map(|(key, uid)| async move { (key, this.delete(key, uid, checker).await) });
            for (key, outcome) in done.buffered(width(run.len())).collect::<Vec<_>>().await {
                match outcome {
                    Ok(()) => {
                        self.declared.objects.remove(key);
                        summary.deleted += 1;
                    }
                    Err(error) => errors.push(format!("{key}: {error}")),
                }
            }
        }
        if let Err(error) = self.declared.save() {
            errors.push(error);
        }
        if errors.is_empty() { Ok(summary) } else { Err(errors) }
    }

    /// Makes the object what its document says; gives its uid.
    async fn put(&self, placed: &Placed<'_>, snapshot: &Snapshot) -> Result<(String, Effect), String> {
        let Placed { document, collection, .. } = placed;
        match self.change(placed, snapshot).await? {
            Change::Create(manifest) => {
                let path = format!("{collection}?{QUERY}");
                let created = self.send("POST", &path, "application/json", &manifest).await?;
                Ok((uid(&created), Effect::Created))
            }
            Change::Configure(patch) => {
                let path = format!("{collection}/{}?{QUERY}", document.name());
                let configured = self.send("PATCH", &path, "application/merge-patch+json", &patch).await?;
                Ok((uid(&configured), Effect::Configured))
            }
            Change::None(uid) => Ok((uid, Effect::None)),
        }
    }

    /// What there is to do for a document.
    async fn change(&self, placed: &Placed<'_>, snapshot: &Snapshot) -> Result<Change, String> {
        let Placed { document, namespace, collection } = placed;
        let mut manifest = document.object.clone();
        if !namespace.is_empty() {
            manifest["metadata"]["namespace"] = json!(namespace);
        }
        let mut manifest = sorted(&manifest);
        if let Some(fields) = manifest.as_object_mut() {
            fields.remove("status");
        }
        let text = applied_text(&manifest);
        let current = match snapshot.known(collection, document.name()) {
            Known::There(held) if held.last_applied == text => return Ok(Change::None(held.uid.clone())),
            Known::There(_) | Known::Unknown => self.get(&format!("{collection}/{}", document.name())).await?,
            Known::Absent => None,
        };
        let Some(current) = current else {
            manifest["metadata"]["annotations"][LAST_APPLIED] = json!(text);
            return Ok(Change::Create(manifest));
        };
        let last =
            current.pointer("/metadata/annotations").and_then(|all| all.get(LAST_APPLIED)).and_then(Value::as_str).unwrap_or_default();
        if last == text {
            return Ok(Change::None(uid(&current)));
        }
        let last: Value = serde_json::from_str(last).unwrap_or_else(|_| json!({}));
        let mut patch = three_way(&last, &manifest, &current);
        patch["metadata"]["annotations"][LAST_APPLIED] = json!(text);
        Ok(Change::Configure(patch))
    }

    async fn delete(&self, key: &Key, uid: &str, checker: &Checker) -> Result<(), String> {
        // A kind that is no longer served has no objects either.
        let Some(resource) = checker.resource_of(&key.api_version, &key.kind) else { return Ok(()) };
        let path = format!("{}/{}", collection_path(&key.api_version, &resource.plural, &key.namespace), key.name);
        let options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": uid}});
        match self.request("DELETE", &path, "application/json", serde_json::to_vec(&options).unwrap_or_default()).await {
            Ok(_) => Ok(()),
            // Gone already, or made anew by somebody else, whose it is now.
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => Err(told(error)),
        }
    }

    async fn get(&self, path: &str) -> Result<Option<Value>, String> {
        match self.request("GET", path, "application/json", Vec::new()).await {
            Ok(value) => Ok(Some(value)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(told(error)),
        }
    }

    async fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Result<Value, String> {
        self.request(method, path, content_type, serde_json::to_vec(body).unwrap_or_default()).await.map_err(told)
    }

    async fn request(&self, method: &str, path: &str, content_type: &str, body: Vec<u8>) -> Result<Value, kube::Error> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .header("accept", "application/json")
            .body(body)
            .map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }
}

/// Where the object of a document belongs; none if its kind is not known.
fn place<'d>(document: &'d Document, checker: &Checker) -> Option<Placed<'d>> {
    let resource = checker.resource(document)?;
    let namespace = if resource.namespaced { document.namespace_or_default() } else { "" };
    Some(Placed { document, namespace, collection: collection_path(document.api_version(), &resource.plural, namespace) })
}

impl Placed<'_> {
    fn key(&self) -> Key {
        Key {
            api_version: self.document.api_version().to_owned(),
            kind: self.document.kind().to_owned(),
            namespace: self.namespace.to_owned(),
            name: self.document.name().to_owned(),
        }
    }
}

/// How many of `count` objects of one collection are written at once.
fn width(count: usize) -> usize {
    if count < MANY { 1 } else { AT_ONCE }
}

fn told(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

fn uid(object: &Value) -> String {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The path of a collection, such as `/apis/apps/v1/namespaces/default/deployments`.
pub(crate) fn collection_path(api_version: &str, plural: &str, namespace: &str) -> String {
    let root = if api_version.contains('/') { "apis" } else { "api" };
    match namespace {
        "" => format!("/{root}/{api_version}/{plural}"),
        namespace => format!("/{root}/{api_version}/namespaces/{namespace}/{plural}"),
    }
}

/// The manifest as `kubectl apply` records it.
fn applied_text(manifest: &Value) -> String {
    let mut recorded = manifest.clone();
    if recorded["metadata"]["annotations"].is_null() {
        recorded["metadata"]["annotations"] = json!({});
    }
    format!("{}\n", sorted(&recorded))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            Value::Object(keys.into_iter().map(|key| (key.clone(), sorted(&fields[key]))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// The JSON merge patch (RFC 7386) that makes `current` hold what `wanted` says and drops what `last` said and `wanted` no longer does.
fn three_way(last: &Value, wanted: &Value, current: &Value) -> Value {
    let (Some(wanted), Some(current)) = (wanted.as_object(), current.as_object()) else { return wanted.clone() };
    let mut patch = Map::new();
    for key in last.as_object().into_iter().flat_map(Map::keys) {
        if !wanted.contains_key(key) && current.contains_key(key) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    for (key, value) in wanted {
        match current.get(key) {
            Some(now) if now == value => {}
            Some(now) if now.is_object() && value.is_object() => {
                let inner = three_way(last.get(key).unwrap_or(&Value::Null), value, now);
                if inner.as_object().is_none_or(|fields| !fields.is_empty()) {
                    patch.insert(key.clone(), inner);
                }
            }
            _ => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_left_the_file_is_dropped_and_others_stay() {
        let last = json!({"spec": {"a": 1, "b": {"c": 2, "d": 3}}});
        let wanted = json!({"spec": {"b": {"c": 5}}});
        let current = json!({"spec": {"a": 1, "b": {"c": 2, "d": 3, "defaulted": 9}, "theirs": true}, "status": {}});
        assert_eq!(three_way(&last, &wanted, &current), json!({"spec": {"a": null, "b": {"d": null, "c": 5}}}));
        assert_eq!(three_way(&wanted, &wanted, &json!({"spec": {"b": {"c": 5, "x": 1}}})), json!({}));
    }

    #[test]
    fn the_recorded_manifest_is_what_kubectl_records() {
        let manifest = sorted(&json!({"kind": "A", "apiVersion": "v1", "metadata": {"name": "a"}}));
        assert_eq!(applied_text(&manifest), "{\"apiVersion\":\"v1\",\"kind\":\"A\",\"metadata\":{\"annotations\":{},\"name\":\"a\"}}\n");
    }

    #[test]
    fn paths_are_those_of_the_api() {
        assert_eq!(collection_path("v1", "services", "default"), "/api/v1/namespaces/default/services");
        assert_eq!(collection_path("g/v1", "gatewayclasses", ""), "/apis/g/v1/gatewayclasses");
    }
}
