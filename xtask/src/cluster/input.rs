//! What is applied to both servers: the golden inputs of `translate`, each in namespaces and of classes of its own, so that many can be there
//! at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// One file.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) settings: Settings,
    /// In the order of their creation; the number says in which second, counted from the first. What makes an older object win does so then.
    pub(super) objects: Vec<(usize, Value)>,
}

/// What the controller must be told for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Settings {
    enable_backend: bool,
    controller_name: Option<String>,
    pub(super) cluster_domain: Option<String>,
}

impl Settings {
    /// The controller's name unless it is told another.
    pub(super) const CONTROLLER_NAME: &str = "gateway.envoyproxy.io/gatewayclass-controller";

    pub(super) fn controller_name(&self) -> &str {
        self.controller_name.as_deref().unwrap_or(Self::CONTROLLER_NAME)
    }

    /// As an `EnvoyGateway` file.
    pub(super) fn file(&self) -> String {
        let mut file = json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyGateway",
            "extensionApis": { "enableBackend": self.enable_backend },
        });
        if let Some(name) = &self.controller_name {
            file["gateway"] = json!({ "controllerName": name });
        }
        file.to_string()
    }
}

/// All golden inputs in `folder` whose names contain one of `filters`; all of them when there are no filters.
pub(super) fn all(folder: &Path, filters: &[String]) -> Result<Vec<Input>> {
    let mut pems = Vec::new();
    for entry in fs::read_dir(folder.join("pem")).context("cannot read the certificates")? {
        let entry = entry?;
        pems.push((format!("PEM:{}", entry.file_name().to_string_lossy()), json!(fs::read_to_string(entry.path())?).to_string()));
    }
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        names.extend(entry?.file_name().to_string_lossy().strip_suffix(".in.yaml").map(str::to_owned));
    }
    names.sort();
    let wanted = |name: &&String| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let read = |(index, name): (usize, &String)| -> Result<Input> {
        let text = fs::read_to_string(folder.join(format!("{name}.in.yaml")))?;
        let text = pems.iter().fold(text, |text, (mark, pem)| text.replace(mark, pem));
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)?;
        Ok(input(name, &format!("n{index}-"), documents))
    };
    names.iter().enumerate().filter(|(_, name)| wanted(name)).map(|it| read(it).with_context(|| format!("in {}", it.1))).collect()
}

fn input(name: &str, prefix: &str, documents: Vec<Value>) -> Input {
    let mut settings = Settings::default();
    let mut objects = Vec::new();
    for document in documents {
        if let Some(found) = document.get("settings") {
            let text = |field: &str| found[field].as_str().map(str::to_owned);
            settings.enable_backend = found["enableBackend"] == true;
            settings.controller_name = text("controllerName");
            settings.cluster_domain = text("clusterDomain");
        } else if document.get("kind").is_some() {
            objects.push(document);
        }
    }
    let namespaces: BTreeSet<String> = objects.iter().filter_map(|it| it["metadata"]["namespace"].as_str().map(str::to_owned)).collect();
    for namespace in &namespaces {
        if !objects.iter().any(|it| it["kind"] == "Namespace" && it["metadata"]["name"] == **namespace) {
            objects.push(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }));
        }
    }
    let born: BTreeSet<String> = objects.iter().filter_map(|it| Some(it["metadata"]["creationTimestamp"].as_str()?.to_owned())).collect();
    let second = |it: &Value| {
        let time = it["metadata"]["creationTimestamp"].as_str();
        time.and_then(|time| born.iter().position(|other| other == time)).unwrap_or(0)
    };
    let mut objects: Vec<(usize, Value)> = objects.iter().map(|it| (second(it), renamed(it, prefix, &namespaces))).collect();
    // Of those that are made in one second the first by name wins: so names are in order even where a second ends between two of them.
    objects.sort_by_key(|(second, it)| (*second, rank(it), it["metadata"]["namespace"].to_string(), it["metadata"]["name"].to_string()));
    Input { name: name.to_owned(), settings, objects }
}

/// What must be there before the rest.
fn rank(object: &Value) -> (usize, String) {
    let kind = object["kind"].as_str().unwrap_or_default();
    (usize::from(kind != "Namespace"), kind.to_owned())
}

/// The object in this input's own namespaces, of its own class, without what the server gives it.
fn renamed(object: &Value, prefix: &str, namespaces: &BTreeSet<String>) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for given in ["generation", "creationTimestamp", "uid", "resourceVersion"] {
            metadata.shift_remove(given);
        }
    }
    rename(&mut object, prefix, namespaces);
    if let ("Namespace" | "GatewayClass", Some(name)) = (object["kind"].as_str().unwrap_or_default(), object["metadata"]["name"].as_str()) {
        object["metadata"]["name"] = json!(format!("{prefix}{name}"));
    }
    object
}

fn rename(value: &mut Value, prefix: &str, namespaces: &BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            // A selector of namespaces by name.
            let by_name = fields.get("key").is_some_and(|key| key == "kubernetes.io/metadata.name");
            for (key, value) in fields.iter_mut() {
                match (key.as_str(), &mut *value) {
                    ("namespace" | "gatewayClassName" | "kubernetes.io/metadata.name", Value::String(name)) if !name.is_empty() => {
                        *name = format!("{prefix}{name}");
                    }
                    // A cluster's Services take no loopback addresses.
                    ("value", Value::String(address)) if address.starts_with("127.") => *address = address.replacen("127.", "198.", 1),
                    ("values", Value::Array(values)) if by_name => {
                        for name in values {
                            *name = json!(format!("{prefix}{}", name.as_str().unwrap_or_default()));
                        }
                    }
                    ("hostname", Value::String(name)) => {
                        for namespace in namespaces {
                            *name = name.replace(&format!(".{namespace}.svc"), &format!(".{prefix}{namespace}.svc"));
                        }
                    }
                    _ => rename(value, prefix, namespaces),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, prefix, namespaces)),
        _ => {}
    }
}

/// The path of the collection that an object belongs in.
pub(super) fn collection(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let kind = text(&object["kind"]).to_lowercase();
    let plural = match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with('a') => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        _ => format!("{kind}s"),
    };
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{plural}"),
    }
}

/// `KIND NAMESPACE/NAME`.
pub(super) fn title(object: &Value) -> String {
    let metadata = object["metadata"].as_object().cloned().unwrap_or_else(Map::new);
    let text = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default();
    let kind = object["kind"].as_str().unwrap_or_default();
    if text("namespace").is_empty() { format!("{kind} {}", text("name")) } else { format!("{kind} {}/{}", text("namespace"), text("name")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_gets_namespaces_and_a_class_of_its_own() {
        let gateway = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": { "name": "eg", "namespace": "default", "generation": 3 },
            "spec": { "gatewayClassName": "eg", "listeners": [{ "name": "http" }] },
        });
        let class = json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": { "name": "eg" } });
        let backend = json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "Backend", "metadata": { "name": "b", "namespace": "default" },
            "spec": { "endpoints": [{ "fqdn": { "hostname": "app.default.svc.cluster.local" } }] },
        });
        let input = input("x", "n7-", vec![json!({ "settings": { "enableBackend": true } }), gateway, class, backend]);
        let names: Vec<String> = input.objects.iter().map(|(_, it)| title(it)).collect();
        assert_eq!(names, ["Namespace n7-default", "Backend n7-default/b", "Gateway n7-default/eg", "GatewayClass n7-eg"]);
        assert_eq!(input.objects[1].1["spec"]["endpoints"][0]["fqdn"]["hostname"], "app.n7-default.svc.cluster.local");
        assert_eq!(input.objects[2].1["spec"]["gatewayClassName"], "n7-eg");
        assert!(input.settings.enable_backend);
    }

    #[test]
    fn collections_are_found() {
        let of = |version: &str, kind: &str| collection(&json!({ "apiVersion": version, "kind": kind, "metadata": { "namespace": "a" } }));
        for (kind, plural) in [("Gateway", "gateways"), ("ClientTrafficPolicy", "clienttrafficpolicies"), ("EnvoyProxy", "envoyproxies")] {
            assert_eq!(of("g/v1", kind), format!("/apis/g/v1/namespaces/a/{plural}"));
        }
        assert_eq!(of("v1", "Service"), "/api/v1/namespaces/a/services");
        assert_eq!(collection(&json!({ "apiVersion": "g/v1", "kind": "GatewayClass", "metadata": {} })), "/apis/g/v1/gatewayclasses");
    }
}
