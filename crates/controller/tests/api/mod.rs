//! A small Kubernetes API on a real socket: objects in memory, lists, watches, merge patches, and faults on demand. It knows no kind.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::StreamExt;
use futures::channel::mpsc;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

type Body = BoxBody<Bytes, Infallible>;

/// Where an object is: the collection's path without the namespace (`/apis/apps/v1/deployments`), namespace, name.
pub(crate) type Place = (String, String, String);

/// A request that changes something: method, path, body.
pub(crate) type Write = (String, String, Value);

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<Place, Value>,
    history: Vec<(u64, &'static str, Place, Value)>,
    watches: Vec<Watch>,
    writes: Vec<Write>,
    /// Answers to give instead: method, what the path contains, status.
    faults: VecDeque<(Method, String, u16)>,
    absent: Vec<String>,
    /// Watches are refused.
    closed: bool,
    /// What happened up to this version is forgotten; a watch from before it is told so, in the one way or the other.
    forgotten: u64,
    gone_as_status: bool,
}

/// A watch that is open.
struct Watch {
    collection: String,
    namespace: Option<String>,
    selector: Vec<(String, String)>,
    events: mpsc::UnboundedSender<Bytes>,
}

/// The API.
#[derive(Clone, Default)]
pub(crate) struct Api {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Api {
    /// Serves on a port of its own.
    pub(crate) async fn start() -> (Self, kube::Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("bound");
        let api = Self::default();
        let served = api.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("accepts");
                let api = served.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let api = api.clone();
                        async move { Ok::<_, Infallible>(api.answer(request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        let config = kube::Config::new(format!("http://{address}").parse().expect("a URL"));
        (api, kube::Client::try_from(config).expect("a client"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// Adds or replaces an object, as a user would.
    pub(crate) fn put(&self, collection: &str, mut object: Value) {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        let place = (collection.to_owned(), namespace, name);
        let mut state = self.state();
        let before = state.objects.get(&place).cloned();
        let generation = before.as_ref().map_or(0, |it| it["metadata"]["generation"].as_u64().unwrap_or(0));
        object["metadata"]["uid"] = before.as_ref().map_or_else(|| json!(format!("uid-{}", place.2)), |it| it["metadata"]["uid"].clone());
        object["metadata"]["generation"] = json!(generation + 1);
        object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        if let Some(status) = before.and_then(|it| it.get("status").cloned()) {
            object["status"] = status;
        }
        state.store(place, object);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, collection: &str, namespace: &str, name: &str) {
        self.state().remove(&(collection.to_owned(), namespace.to_owned(), name.to_owned()));
        self.changed.notify_waiters();
    }

    /// Changes an object in place.
    pub(crate) fn edit(&self, collection: &str, namespace: &str, name: &str, edit: impl FnOnce(&mut Value)) {
        let place = (collection.to_owned(), namespace.to_owned(), name.to_owned());
        let mut state = self.state();
        let mut object = state.objects.get(&place).expect("it exists").clone();
        edit(&mut object);
        state.store(place, object);
        drop(state);
        self.changed.notify_waiters();
    }

    /// The next request of this method to a path that contains `path` gets this status.
    pub(crate) fn fail(&self, method: Method, path: &str, status: u16) {
        self.state().faults.push_back((method, path.to_owned(), status));
    }

    /// The kind is unknown until it is not.
    pub(crate) fn set_absent(&self, collection: &str, absent: bool) {
        let mut state = self.state();
        state.absent.retain(|it| it != collection);
        if absent {
            state.absent.push(collection.to_owned());
        }
    }

    /// Cuts off all watches, makes changes that nobody sees happen, and forgets that they happened.
    pub(crate) fn lapse(&self, gone_as_status: bool, changes: impl FnOnce(&Self)) {
        self.cut(true);
        changes(self);
        let mut state = self.state();
        state.version += 1;
        state.forgotten = state.version;
        state.gone_as_status = gone_as_status;
        state.history.clear();
        state.closed = false;
    }

    /// Cuts off all watches. They may be opened again, unless they are to stay closed.
    pub(crate) fn cut(&self, closed: bool) {
        let mut state = self.state();
        state.closed = closed;
        state.watches.clear();
    }

    /// All requests so far that changed something.
    pub(crate) fn writes(&self) -> Vec<Write> {
        self.state().writes.clone()
    }

    /// An object.
    pub(crate) fn get(&self, collection: &str, namespace: &str, name: &str) -> Option<Value> {
        self.state().objects.get(&(collection.to_owned(), namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All objects of a collection.
    pub(crate) fn all(&self, collection: &str) -> Vec<Value> {
        self.state().objects.iter().filter(|((it, _, _), _)| it == collection).map(|(_, object)| object.clone()).collect()
    }

    /// Waits until something holds.
    pub(crate) async fn until<T>(&self, what: &str, check: impl Fn(&Self) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = check(self) {
                    return found;
                }
                changed.await;
            }
        };
        let limit = std::time::Duration::from_secs(20);
        tokio::time::timeout(limit, wait).await.unwrap_or_else(|_| panic!("never: {what}\n{:#?}", self.state().objects))
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let mut state = self.state();
        let path = head.uri.path();
        if let Some(at) = state.faults.iter().position(|(method, part, _)| *method == head.method && path.contains(part)) {
            let (_, _, status) = state.faults.remove(at).expect("found");
            return failure(status, "Scripted");
        }
        let query: BTreeMap<String, String> = query(head.uri.query().unwrap_or_default());
        let target = Target::parse(path);
        if state.absent.contains(&target.collection) {
            return failure(404, "NotFound");
        }
        let response = match head.method {
            Method::GET if query.get("watch").is_some_and(|it| it == "true") => state.watch(&target, &query),
            Method::GET => state.read(&target, &query),
            _ => {
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                state.writes.push((head.method.to_string(), path.to_owned(), body.clone()));
                state.write(&head.method, &target, body)
            }
        };
        drop(state);
        self.changed.notify_waiters();
        response
    }
}

struct Target {
    collection: String,
    namespace: Option<String>,
    name: Option<String>,
    status: bool,
}

impl Target {
    fn parse(path: &str) -> Self {
        let mut parts: VecDeque<&str> = path.trim_matches('/').split('/').collect();
        let mut take = || parts.pop_front().map(str::to_owned);
        let root = take().expect("a root");
        let mut collection = format!("/{root}/{}", take().expect("a group or version"));
        if root == "apis" {
            collection = format!("{collection}/{}", take().expect("a version"));
        }
        let mut next = take().expect("a resource");
        let mut namespace = None;
        let mut name = take();
        // `/namespaces/X` is an object, `/namespaces/X/things` a collection.
        let mut last = take();
        if next == "namespaces"
            && let Some(resource) = last
        {
            namespace = name;
            next = resource;
            name = take();
            last = take();
        }
        Self { collection: format!("{collection}/{next}"), namespace, name, status: last.as_deref() == Some("status") }
    }
}

impl State {
    fn store(&mut self, place: Place, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let verb = if self.objects.contains_key(&place) { "MODIFIED" } else { "ADDED" };
        self.objects.insert(place.clone(), object.clone());
        self.tell(verb, place, object.clone());
        object
    }

    fn remove(&mut self, place: &Place) -> Option<Value> {
        let mut object = self.objects.remove(place)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.tell("DELETED", place.clone(), object.clone());
        Some(object)
    }

    fn tell(&mut self, verb: &'static str, place: Place, object: Value) {
        let line = event(verb, &object);
        self.watches.retain(|watch| {
            let here = watch.collection == place.0 && watch.namespace.as_ref().is_none_or(|it| *it == place.1);
            !here || !selected(&object, &watch.selector) || watch.events.unbounded_send(line.clone()).is_ok()
        });
        self.history.push((self.version, verb, place, object));
    }

    fn matching(&self, target: &Target, selector: &[(String, String)]) -> Vec<Value> {
        let wanted = |(place, object): &(&Place, &Value)| {
            place.0 == target.collection && target.namespace.as_ref().is_none_or(|it| *it == place.1) && selected(object, selector)
        };
        self.objects.iter().filter(wanted).map(|(_, object)| object.clone()).collect()
    }

    fn read(&self, target: &Target, query: &BTreeMap<String, String>) -> Response<Body> {
        assert!(!query.contains_key("sendInitialEvents"), "streaming lists are not served");
        match &target.name {
            None => {
                let items = self.matching(target, &selector(query));
                answer(
                    200,
                    &json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": self.version.to_string() }, "items": items }),
                )
            }
            Some(name) => {
                let place = (target.collection.clone(), target.namespace.clone().unwrap_or_default(), name.clone());
                self.objects.get(&place).map_or_else(|| failure(404, "NotFound"), |it| answer(200, it))
            }
        }
    }

    fn watch(&mut self, target: &Target, query: &BTreeMap<String, String>) -> Response<Body> {
        assert!(!query.contains_key("sendInitialEvents"), "streaming lists are not served");
        let since: u64 = query.get("resourceVersion").and_then(|it| it.parse().ok()).expect("a resourceVersion");
        if self.closed {
            return failure(503, "ServiceUnavailable");
        }
        if since < self.forgotten && self.gone_as_status {
            return failure(410, "Expired");
        }
        let selector = selector(query);
        let (events, receiver) = mpsc::unbounded();
        if since < self.forgotten {
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "message": "too old", "code": 410 });
            let _ = events.unbounded_send(event("ERROR", &status));
        }
        for (version, verb, place, object) in &self.history {
            let wanted = place.0 == target.collection && target.namespace.as_ref().is_none_or(|it| *it == place.1);
            if *version > since && wanted && selected(object, &selector) {
                let _ = events.unbounded_send(event(verb, object));
            }
        }
        self.watches.push(Watch { collection: target.collection.clone(), namespace: target.namespace.clone(), selector, events });
        let body = StreamBody::new(receiver.map(|line| Ok(Frame::data(line))));
        Response::new(BodyExt::boxed(body))
    }

    fn write(&mut self, method: &Method, target: &Target, body: Value) -> Response<Body> {
        let namespace = target.namespace.clone().unwrap_or_default();
        let name = target.name.clone().or_else(|| body["metadata"]["name"].as_str().map(str::to_owned)).expect("a name");
        let place = (target.collection.clone(), namespace, name);
        let before = self.objects.get(&place).cloned();
        match (method, before) {
            (&Method::POST, Some(_)) => failure(409, "AlreadyExists"),
            (&Method::POST, None) => {
                let mut object = body;
                object["metadata"]["uid"] = json!(format!("uid-{}", place.2));
                answer(201, &self.store(place, object))
            }
            (_, None) => failure(404, "NotFound"),
            (&Method::DELETE, Some(_)) => {
                self.remove(&place);
                answer(200, &json!({ "kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {} }))
            }
            (&Method::PATCH, Some(before)) => {
                let version = &body["metadata"]["resourceVersion"];
                if !version.is_null() && *version != before["metadata"]["resourceVersion"] {
                    return failure(409, "Conflict");
                }
                let mut object = before.clone();
                if target.status {
                    merge(&mut object["status"], &body["status"]);
                } else {
                    merge(&mut object, &body);
                }
                if object == before {
                    return answer(200, &before);
                }
                answer(200, &self.store(place, object))
            }
            _ => failure(405, "MethodNotAllowed"),
        }
    }
}

fn selector(query: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let texts = [("labelSelector", ""), ("fieldSelector", "field:")];
    let pairs = texts.iter().filter_map(|(key, prefix)| Some((query.get(*key)?, prefix)));
    pairs
        .filter_map(|(text, prefix)| {
            let (key, value) = text.split_once('=')?;
            Some((format!("{prefix}{key}"), value.to_owned()))
        })
        .collect()
}

fn selected(object: &Value, selector: &[(String, String)]) -> bool {
    selector.iter().all(|(key, value)| match key.strip_prefix("field:metadata.") {
        Some(field) => object["metadata"][field] == **value,
        None => object["metadata"]["labels"][key.as_str()] == **value,
    })
}

fn query(text: &str) -> BTreeMap<String, String> {
    let decode = |it: &str| it.replace("%3D", "=").replace("%2F", "/");
    text.split('&').filter_map(|it| it.split_once('=')).map(|(key, value)| (key.to_owned(), decode(value))).collect()
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().expect("made one");
    for (key, value) in patch {
        if value.is_null() {
            fields.shift_remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn event(verb: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({ "type": verb, "object": object })).into()
}

fn answer(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Full::from(body.to_string()).boxed());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn failure(status: u16, reason: &str) -> Response<Body> {
    answer(
        status,
        &json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": status }),
    )
}
