//! What is on a server: the objects that the controller reads and writes, and what follows from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use anyhow::{Result, bail};
use regex::Regex;
use serde_json::{Value, json};

use super::SYSTEM;
use super::ask::{self, Request};
use crate::api::scrub;
use crate::api::target::Target;

/// The collections that are compared.
pub(super) const COLLECTIONS: [&str; 16] = [
    "/apis/gateway.networking.k8s.io/v1/gatewayclasses",
    "/apis/gateway.networking.k8s.io/v1/gateways",
    "/apis/gateway.networking.k8s.io/v1/httproutes",
    "/apis/gateway.networking.k8s.io/v1beta1/referencegrants",
    "/apis/gateway.envoyproxy.io/v1alpha1/backends",
    "/apis/gateway.envoyproxy.io/v1alpha1/clienttrafficpolicies",
    "/apis/gateway.envoyproxy.io/v1alpha1/envoyproxies",
    "/api/v1/services",
    "/api/v1/secrets",
    "/api/v1/configmaps",
    "/api/v1/events",
    "/api/v1/pods",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/coordination.k8s.io/v1/leases",
];

/// Whether these change without anything new to say: Leases are renewed, and kubelets go on telling of images that they cannot pull.
pub(super) fn is_restless(collection: &str) -> bool {
    ["/leases", "/events", "/pods"].iter().any(|kind| collection.ends_with(kind))
}

/// All of it, at one time.
#[derive(Debug, Default)]
pub(super) struct World {
    /// By collection, namespace and name.
    objects: BTreeMap<(&'static str, String, String), Value>,
}

impl World {
    /// What is there now, without `before`.
    pub(super) fn read(target: &Target, before: &BTreeSet<String>) -> Result<Self> {
        let requests: Vec<Request> = COLLECTIONS.iter().map(|path| Request::get(*path)).collect();
        let mut objects = BTreeMap::new();
        for (path, (status, mut list)) in COLLECTIONS.iter().zip(ask::all(target, &requests)?) {
            let Value::Array(items) = list["items"].take() else { bail!("{}: {path} answers {status}: {list}", target.name) };
            for item in items {
                let text = |field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
                if !before.contains(&text("uid")) {
                    objects.insert((*path, text("namespace"), text("name")), item);
                }
            }
        }
        Ok(Self { objects })
    }

    /// The uids of all that is there.
    pub(super) fn uids(&self) -> BTreeSet<String> {
        self.objects.values().filter_map(|it| it["metadata"]["uid"].as_str().map(str::to_owned)).collect()
    }

    /// Which version of which object is there: where this is the same twice, no controller has written between.
    pub(super) fn versions(&self) -> BTreeMap<String, &str> {
        let objects = self.objects.iter().filter(|((path, ..), _)| !is_restless(path));
        objects.map(|(key, it)| (path(key), it["metadata"]["resourceVersion"].as_str().unwrap_or_default())).collect()
    }

    /// What a cloud's load balancers would do, and the embedded node does: an address for each Service that asks for one.
    pub(super) fn addresses(&self) -> Vec<Request> {
        let waiting = self
            .of("/services")
            .filter(|(_, it)| it["spec"]["type"] == "LoadBalancer" && it["status"]["loadBalancer"]["ingress"].is_null());
        let request = |((_, namespace, name), service): (&(&str, String, String), &Value)| {
            let address = service["spec"]["externalIPs"][0].as_str().or(service["spec"]["clusterIP"].as_str()).unwrap_or_default();
            let status = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": address }] } } });
            Request::merge(format!("/api/v1/namespaces/{namespace}/services/{name}/status"), status)
        };
        waiting.map(request).collect()
    }

    /// How many Gateways of this controller's classes it has said nothing of yet.
    pub(super) fn unheard(&self, controller: &str) -> usize {
        let classes = self.of("/gatewayclasses").filter(|(_, it)| it["spec"]["controllerName"] == controller);
        let names: BTreeSet<&str> = classes.map(|((_, _, name), _)| name.as_str()).collect();
        let ours = self.of("/gateways").filter(|(_, it)| it["spec"]["gatewayClassName"].as_str().is_some_and(|it| names.contains(it)));
        let conditions = ours.map(|(_, it)| it["status"]["conditions"].as_array().cloned().unwrap_or_default());
        conditions.filter(|all| all.is_empty() || all.iter().any(|it| it["status"] == "Unknown")).count()
    }

    /// How many objects have a status that a controller has written.
    pub(super) fn statuses(&self) -> usize {
        let ours = |path: &str| path.contains(".networking.k8s.io/") || path.contains(".envoyproxy.io/");
        let spoken = |it: &Value| {
            let entries = ["conditions", "parents", "ancestors"].iter().filter_map(|list| it["status"][*list].as_array()).flatten();
            entries.filter(|it| it["status"] != "Unknown").count() > 0
        };
        self.objects.iter().filter(|((path, ..), it)| ours(path) && spoken(it)).count()
    }

    /// How many objects Gateways were provisioned with, and what those made.
    pub(super) fn provisioned(&self) -> usize {
        let kinds = ["/services", "/deployments", "/replicasets", "/pods"];
        kinds.iter().flat_map(|kind| self.of(kind)).filter(|((_, namespace, _), _)| namespace == SYSTEM).count()
    }

    /// How many Events are compared.
    pub(super) fn events(&self) -> usize {
        self.of("/events").filter(|((path, ..), it)| comparable(path, it).is_some()).count()
    }

    /// The paths of the Gateways.
    pub(super) fn gateways(&self) -> Vec<String> {
        self.of("/gateways").map(|(key, _)| path(key)).collect()
    }

    /// The paths of what users made, apart from namespaces.
    pub(super) fn given(&self) -> Vec<String> {
        let made_here = |(path, namespace, _): &(&str, String, String), it: &Value| {
            let by_itself = ["/events", "/leases", "/replicasets", "/pods"].iter().any(|kind| path.ends_with(kind));
            by_itself || namespace == SYSTEM || !it["metadata"]["ownerReferences"].is_null()
        };
        self.objects.iter().filter(|(key, it)| !made_here(key, it)).map(|(key, _)| path(key)).collect()
    }

    fn of<'w>(&'w self, kind: &'w str) -> impl Iterator<Item = (&'w (&'static str, String, String), &'w Value)> {
        self.objects.iter().filter(move |((path, ..), _)| path.ends_with(kind))
    }

    /// Every object, comparable. Objects with random names may have the same title.
    pub(super) fn texts(&self) -> BTreeMap<String, Vec<String>> {
        let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for ((path, ..), object) in &self.objects {
            if let Some((title, text)) = comparable(path, object) {
                texts.entry(title).or_default().push(text);
            }
        }
        texts.values_mut().for_each(|texts| texts.sort());
        texts
    }
}

fn path((collection, namespace, name): &(&str, String, String)) -> String {
    match collection.rsplit_once('/') {
        Some((root, plural)) if !namespace.is_empty() => format!("{root}/namespaces/{namespace}/{plural}/{name}"),
        _ => format!("{collection}/{name}"),
    }
}

/// A generated name as long as they get: what is before its random end was cut.
#[expect(clippy::expect_used, reason = "the pattern is written here")]
static CUT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b([a-z0-9-]{58})[bcdfghjklmnpqrstvwxz2456789]{5}\b").expect("a pattern"));

/// An object's title, and all of it that can be compared.
fn comparable(path: &str, object: &Value) -> Option<(String, String)> {
    let mut object: Value = serde_json::from_str(&CUT.replace_all(&object.to_string(), "$1-HASH")).ok()?;
    let kind = path.rsplit('/').next().unwrap_or_default();
    let metadata = object["metadata"].as_object_mut()?;
    for given in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        metadata.shift_remove(given);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    let title = match kind {
        "events" => {
            let about = &object["involvedObject"];
            // What kubelets and schedulers tell of: there is none of them beside the real server.
            if matches!(about["kind"].as_str(), Some("Pod" | "Node")) {
                return None;
            }
            // What the real server tells of its own repairs, and of having been too early: at times, and of nobody's concern here.
            if matches!(object["reportingComponent"].as_str(), Some("ipallocator-repair-controller" | "endpoint-controller")) {
                return None;
            }
            let (kind, name) = (text(&about["kind"]), text(&about["name"]));
            object["metadata"]["name"] = "NAME".into();
            scrub::words(&format!("event {namespace}/{name} ({kind}) {}", text(&object["reason"])))
        }
        "pods" => {
            // What a scheduler and a kubelet add is theirs.
            object["spec"] = json!({ "containers": object["spec"]["containers"] });
            object["status"] = Value::Null;
            scrub::words(&format!("{kind} {namespace}/{name}"))
        }
        "endpointslices" if !object["metadata"]["ownerReferences"].is_null() => slice(&mut object),
        "replicasets" => scrub::words(&format!("{kind} {namespace}/{name}")),
        "leases" => {
            object["spec"]["holderIdentity"] = "HOLDER".into();
            format!("{kind} {namespace}/{name}")
        }
        "services" => {
            service(&mut object);
            format!("{kind} {namespace}/{name}")
        }
        _ => format!("{kind} {namespace}/{name}"),
    };
    Some((title, scrub::scrub(&object.to_string(), NOWHERE)))
}

/// A slice that a server's own controller keeps, by what it is called but for its random end. How often that was written is a matter of time, and
/// when the first of the changes was that it says: ours does not count that for metrics as the real one does.
fn slice(object: &mut Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let title = format!("endpointslices {}/{}", text(&object["metadata"]["namespace"]), text(&object["metadata"]["generateName"]));
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("annotations");
        metadata.shift_remove("generation");
        metadata.insert("name".to_owned(), "NAME".into());
    }
    // A real server keeps them in no order.
    if let Some(ports) = object["ports"].as_array_mut() {
        ports.sort_by_key(Value::to_string);
    }
    for endpoint in object["endpoints"].as_array_mut().into_iter().flatten() {
        if let Some(node) = endpoint.get_mut("nodeName") {
            *node = "NODE".into();
        }
    }
    title
}

/// Without the ports of nodes: ours has no use for them.
fn service(object: &mut Value) {
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.shift_remove("healthCheckNodePort");
    }
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        port.shift_remove("nodePort");
    }
}

/// Namespaces are the same on both servers, so none is replaced.
const NOWHERE: &str = "\u{0}";
