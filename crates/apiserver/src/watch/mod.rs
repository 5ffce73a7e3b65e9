//! Watches: what there is, then what changes, one JSON line per event.
//!
//! A watch holds a position, not a queue: it reads the shelf's window of events when it can send. One that falls out of the window is
//! told so (410) and ends. So a slow client makes nothing queue up; until it has read the list that a watch may begin with, it keeps that
//! list's objects in memory.

mod filter;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::Response;
use rand::Rng;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::api::Api;
use crate::object::set_or_remove;
use crate::proto;
use crate::registry::Resource;
use crate::rest::{Accept, Body, Form, Query, Request, Shape, Target, Writer, body_stream, table, wanted_version};
use crate::selector::Selector;
use crate::status::ApiError;
use crate::store::Stored;
use filter::{Kind, Seen};

/// Events read from the window at a time.
const CHUNK: usize = 16;
/// How often an idle watch that asked for them gets a bookmark.
const BOOKMARK: Duration = Duration::from_secs(60);
/// It also gets one when so many events, or so many bytes of them, have gone by that its selection leaves out: a quarter of the shelf's window.
/// Otherwise the version that its client comes back with, when the connection breaks, could be older than the window.
const PASSED_EVENTS: usize = 1024;
const PASSED_BYTES: usize = 2 << 20;

/// The real server refuses a version that is no number later for a watch than for a list, where it no longer knows whose fault it is.
fn refused_version(mut error: ApiError) -> ApiError {
    if error.code == 400 {
        (error.code, error.reason) = (500, "");
        error.message = error.message.replacen("invalid resource version: ", "", 1);
    }
    error
}

/// Starts a watch.
pub(crate) fn serve(
    api: &Arc<Api>,
    request: &Request,
    target: &Target,
    resource: &Arc<Resource>,
    accept: Accept,
) -> Result<Response<Body>, ApiError> {
    let query = &request.query;
    let begin = Begin::of(query)?;
    let selector = Selector::from_query(query, resource)?;
    let from = wanted_version(query, api.store.version()).map_err(refused_version)?;
    let changed = api.store.subscribe(&resource.shelf);
    let mut watch = Watch {
        api: Arc::clone(api),
        resource: Arc::clone(resource),
        selector,
        query: query.clone(),
        accept,
        namespace: target.namespace.clone(),
        changed,
        served: api.served(),
        position: from,
        lines: VecDeque::new(),
        bookmarks: query.flag("allowWatchBookmarks"),
        initial: false,
        next_bookmark: Instant::now() + BOOKMARK,
        passed: Passed::default(),
        deadline: Instant::now() + timeout(query)?,
        sent_columns: false,
        ended: false,
    };
    match begin {
        Begin::Bare if from == 0 => watch.position = api.store.version(),
        Begin::List => {
            watch.begin_with_all();
            watch.initial = watch.bookmarks;
        }
        Begin::Plain if from == 0 => watch.begin_with_all(),
        Begin::Plain | Begin::Bare => {}
    }
    let content_type = if accept.form == Form::Protobuf { proto::STREAM_TYPE } else { "application/json" };
    let lines = stream::unfold(watch, |mut watch| async move { watch.next().await.map(|line| (line, watch)) });
    let mut response = Response::new(body_stream(lines));
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache, private"));
    Ok(response)
}

/// How a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// After the version asked for; with all there is when that is none or 0.
    Plain,
    /// With all there is, and a bookmark that says when that is told: `sendInitialEvents=true`.
    List,
    /// Without what there is: `sendInitialEvents=false`.
    Bare,
}

impl Begin {
    fn of(query: &Query) -> Result<Self, ApiError> {
        let forbidden = |field: &str, message: &str| {
            let message = format!("Forbidden: {message}");
            Err(ApiError::invalid_options("ListOptions", field, "FieldValueForbidden", message))
        };
        let list = query.get("sendInitialEvents");
        match (list, query.get("resourceVersionMatch")) {
            (None, None) => Ok(Self::Plain),
            (None, Some(_)) => {
                forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
            }
            (Some(_), Some("NotOlderThan")) if query.flag("sendInitialEvents") => Ok(Self::List),
            (Some(_), Some("NotOlderThan")) => Ok(Self::Bare),
            (Some(_), _) => forbidden("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        }
    }
}

/// What the client asks for, else half an hour to an hour, spread so that clients do not all come back at once.
fn timeout(query: &Query) -> Result<Duration, ApiError> {
    match query.get("timeoutSeconds") {
        None => Ok(Duration::from_secs(rand::rng().random_range(1800..3600))),
        Some(text) => match text.parse::<u64>() {
            Ok(0) => Ok(Duration::from_secs(1800)),
            Ok(seconds) => Ok(Duration::from_secs(seconds.min(86_400))),
            Err(_) => Err(ApiError::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))),
        },
    }
}

struct Watch {
    api: Arc<Api>,
    resource: Arc<Resource>,
    selector: Selector,
    query: Query,
    accept: Accept,
    namespace: Option<String>,
    changed: tokio::sync::watch::Receiver<u64>,
    /// Told when other resources are served.
    served: tokio::sync::watch::Receiver<u64>,
    /// Everything up to this version is sent or in `lines`.
    position: u64,
    lines: VecDeque<Line>,
    bookmarks: bool,
    /// What there was at the beginning is still being told.
    initial: bool,
    next_bookmark: Instant,
    /// Since the client was last told a version.
    passed: Passed,
    deadline: Instant,
    sent_columns: bool,
    ended: bool,
}

/// Events that the selection leaves out.
#[derive(Debug, Default)]
struct Passed {
    events: usize,
    bytes: usize,
}

/// An event that waits for the client to read; rendered only then.
struct Line {
    kind: Kind,
    object: Arc<Stored>,
    /// The version to show when it is not the object's own.
    version: u64,
}

impl Watch {
    fn begin_with_all(&mut self) {
        let (objects, version) = self.api.store.list(&self.resource.shelf, self.namespace.as_deref());
        self.position = version;
        let matching = objects.into_iter().filter(|o| self.selector.matches(o));
        self.lines = matching.map(|object| Line { kind: Kind::Added, version: object.version, object }).collect();
    }

    /// The next line, or none when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.api.stop.is_cancelled() || Instant::now() >= self.deadline {
                return self.last_word();
            }
            if let Some(line) = self.lines.pop_front() {
                return Some(self.render(&line));
            }
            if self.ended {
                return None;
            }
            if std::mem::take(&mut self.initial) {
                return Some(self.bookmark(true));
            }
            self.changed.borrow_and_update();
            match self.read() {
                Err(gone) => {
                    self.ended = true;
                    return Some(event(self.accept.form, "ERROR", &gone.body()));
                }
                Ok(_) if !self.lines.is_empty() => continue,
                Ok(_) if self.bookmarks && self.bookmark_is_due() => return Some(self.bookmark(false)),
                Ok(true) => continue,
                Ok(false) => {}
            }
            let bookmark = self.bookmarks.then_some(self.next_bookmark);
            tokio::select! {
                changed = self.changed.changed() => if changed.is_err() { return None },
                served = self.served.changed() => if served.is_err() || !self.is_served() { return None },
                () = self.api.stop.cancelled() => {}
                () = tokio::time::sleep_until(bookmark.unwrap_or(self.deadline).min(self.deadline)) => {}
            }
        }
    }

    fn bookmark_is_due(&self) -> bool {
        self.passed.events >= PASSED_EVENTS || self.passed.bytes >= PASSED_BYTES || Instant::now() >= self.next_bookmark
    }

    /// When time is up: a bookmark, so that the client comes back with a version that is as young as can be. Not when it has not read what it was
    /// to be told, which the bookmark would pass over.
    fn last_word(&mut self) -> Option<Bytes> {
        if !self.bookmarks || self.initial || !self.lines.is_empty() || std::mem::replace(&mut self.ended, true) {
            return None;
        }
        self.read().ok()?;
        self.lines.is_empty().then(|| self.bookmark(false))
    }

    /// A deleted definition takes its watches with it.
    fn is_served(&self) -> bool {
        let resource = &self.resource;
        self.api.resource(&resource.group, &resource.version, &resource.plural).is_some()
    }

    /// Takes the next events from the window; says whether there may be more.
    fn read(&mut self) -> Result<bool, ApiError> {
        let (events, position) =
            self.api.store.events_after(&self.resource.shelf, self.position, CHUNK).map_err(|expired| {
                ApiError::new(410, "Expired", format!("too old resource version: {} ({})", self.position, expired.floor))
            })?;
        self.position = position;
        let more = events.len() == CHUNK;
        for happened in events {
            let inside = |o: &Stored| self.namespace.as_deref().is_none_or(|n| n == o.namespace()) && self.selector.matches(o);
            if let Some(Seen { kind, object }) = filter::seen(&happened, inside) {
                self.lines.push_back(Line { kind, object, version: happened.version });
                self.passed = Passed::default();
            } else {
                self.passed.events += 1;
                self.passed.bytes += happened.size;
            }
        }
        Ok(more)
    }

    fn render(&mut self, line: &Line) -> Bytes {
        let kind = line.kind.as_str();
        // What leaves the selection is told as it was inside, under the version of its leaving.
        let object = if line.version == line.object.version { Arc::clone(&line.object) } else { line.object.under(line.version).into() };
        let writer = match self.accept.shape {
            Shape::Table(meta) => {
                let head = !std::mem::replace(&mut self.sent_columns, true);
                let version = line.version.to_string();
                return match table(&self.api, &self.resource, meta, &self.query, &version, &mut std::iter::once(&*object), head) {
                    Ok(table) => event(self.accept.form, kind, &table),
                    Err(error) => self.fail(&error),
                };
            }
            Shape::Partial(meta) => Writer::metadata(meta),
            Shape::Object | Shape::Discovery(_) => Writer::whole(&self.resource),
        };
        written(self.accept.form, kind, object.json_size(), |json| writer.write(&object, json)).unwrap_or_else(|error| {
            let (namespace, name) = (object.namespace(), object.name());
            tracing::warn!(namespace, name, error, "an event could not be written in protobuf");
            self.fail(&ApiError::internal(format!("protobuf: {namespace}/{name}: {error}")))
        })
    }

    /// The last event: what cannot be told is not passed over, else the client would go on without knowing of it.
    fn fail(&mut self, error: &ApiError) -> Bytes {
        self.ended = true;
        self.lines.clear();
        event(self.accept.form, "ERROR", &error.body())
    }

    /// A version to come back with. `initial`: everything that was there at the beginning has been told.
    fn bookmark(&mut self, initial: bool) -> Bytes {
        self.passed = Passed::default();
        self.next_bookmark = Instant::now() + BOOKMARK;
        let (kind, api_version) = match self.accept.shape {
            Shape::Table(meta) => ("Table", format!("meta.k8s.io/{meta}")),
            Shape::Partial(meta) => ("PartialObjectMetadata", format!("meta.k8s.io/{meta}")),
            Shape::Object | Shape::Discovery(_) => (self.resource.kind.as_str(), self.resource.api_version()),
        };
        let mut metadata = json!({"resourceVersion": self.position.to_string()});
        if initial {
            set_or_remove(&mut metadata, "annotations", Some(&json!({"k8s.io/initial-events-end": "true"})));
        }
        event(self.accept.form, "BOOKMARK", &json!({"kind": kind, "apiVersion": api_version, "metadata": metadata}))
    }
}

fn event(form: Form, kind: &str, object: &impl Serialize) -> Bytes {
    // Maps of text to JSON, and in protobuf a status or a version under a kind that has a message: nothing in it can fail.
    written(form, kind, 0, |line| drop(serde_json::to_writer(line, object))).unwrap_or_default()
}

/// A line whose object is written by `object`, in about `size` bytes; or what it says in protobuf. The error says what has no form there.
fn written(form: Form, kind: &str, size: usize, object: impl FnOnce(&mut Vec<u8>)) -> Result<Bytes, String> {
    if form == Form::Protobuf {
        let mut json = Vec::with_capacity(size);
        object(&mut json);
        let value = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        return Ok(proto::watch_event(kind, &value)?.into());
    }
    let mut line = Vec::with_capacity(size + 64);
    line.extend_from_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
    object(&mut line);
    line.extend_from_slice(b"}\n");
    Ok(line.into())
}

#[cfg(test)]
mod tests;
