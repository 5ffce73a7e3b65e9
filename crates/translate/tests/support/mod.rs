//! What the golden tests and the property tests share: cases in files, and the world that they suppose.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use weir_model::{ListenerState, Model};
use weir_translate::{Observed, Output, ProxyState, Resources, Settings, Translator};

/// A case: the documents of one file.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) objects: Vec<Value>,
    pub(crate) settings: Settings,
    observed: Option<ObservedFile>,
    pub(crate) show_proxies: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SettingsFile {
    enable_backend: Option<bool>,
    controller_name: Option<String>,
    cluster_domain: Option<String>,
}

/// Without one, all is well: everything is applied and bound, and each Gateway has an address and a proxy.
#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ObservedFile {
    loopback_backends: bool,
    /// Addresses by `NAMESPACE/GATEWAY`; `healthy` gives each Gateway its own.
    addresses: BTreeMap<String, Vec<String>>,
    /// Why listeners could not be bound, by `NAMESPACE/GATEWAY/LISTENER`; the others are bound.
    failed: BTreeMap<String, String>,
    /// Whether nothing has been applied yet.
    not_applied: bool,
    /// Whether no listener was reported yet.
    not_reported: bool,
    /// Whether no proxy is available.
    no_proxies: bool,
    /// Whether no Gateway got an address.
    no_addresses: bool,
}

pub(crate) fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// Certificates, keys and lists, by the names of their files: cases say `PEM:a.crt` for what is in `pem/a.crt`.
fn pem() -> impl Iterator<Item = (String, String)> {
    let files = std::fs::read_dir(testdata().join("pem")).expect("the folder is there").map(|it| it.expect("readable"));
    files.map(|it| (it.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(it.path()).expect("readable")))
}

/// All cases, by name.
pub(crate) fn cases() -> Vec<Case> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(testdata()).expect("the folder is there").map(|it| it.expect("readable").path()).collect();
    files.retain(|it| it.to_string_lossy().ends_with(".in.yaml"));
    files.sort();
    files.iter().map(|it| Case::read(it)).collect()
}

impl Case {
    fn read(path: &Path) -> Self {
        let name = path.file_name().expect("a file").to_string_lossy().trim_end_matches(".in.yaml").to_owned();
        let text = std::fs::read_to_string(path).expect("readable");
        let text = pem().fold(text, |text, (name, pem)| text.replace(&format!("PEM:{name}"), &json!(pem).to_string()));
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut case = Self { name, objects: Vec::new(), settings: Settings::default(), observed: None, show_proxies: false };
        for document in documents {
            if let Some(settings) = document.get("settings") {
                let it: SettingsFile = serde_json::from_value(settings.clone()).expect("settings");
                case.settings.enable_backend = it.enable_backend.unwrap_or_default();
                case.settings.controller_name = it.controller_name.map_or(case.settings.controller_name, Arc::from);
                case.settings.cluster_domain = it.cluster_domain.map_or(case.settings.cluster_domain, Arc::from);
            } else if let Some(observed) = document.get("observed") {
                case.observed = Some(serde_json::from_value(observed.clone()).expect("observed"));
            } else if document.get("show").is_some() {
                case.show_proxies = true;
            } else {
                case.objects.push(document);
            }
        }
        case
    }

    /// Translates the case's objects in the order given, in the world that it supposes.
    pub(crate) fn translate(&self, objects: &[Value]) -> Output {
        let resources = resources(objects);
        let observed = self.observed(&resources);
        Translator::new().translate(&resources, &self.settings, &observed)
    }

    /// What the case supposes of the world.
    pub(crate) fn observed(&self, resources: &Resources) -> Observed {
        let file = self.observed.clone().unwrap_or_default();
        let mut observed = Observed { loopback_backends: file.loopback_backends, ..Observed::default() };
        let first = Translator::new().translate(resources, &self.settings, &observed);
        if !file.not_applied {
            observed.applied = Arc::new(first.model.clone());
        }
        for (at, proxy) in first.proxies.iter().enumerate() {
            let available = u32::from(!file.no_proxies);
            observed.proxies.insert(proxy.gateway.clone(), ProxyState { replicas: 1, available });
            let given = file.addresses.get(&proxy.gateway.to_string()).cloned();
            let asked = if proxy.addresses.is_empty() { vec![format!("127.0.0.{}", at + 10)] } else { proxy.addresses.clone() };
            if !file.no_addresses {
                observed.addresses.insert(proxy.gateway.clone(), given.unwrap_or(asked));
            }
        }
        for name in first.model.listeners.keys().filter(|_| !file.not_reported) {
            let state = match file.failed.get(&name.to_string()) {
                Some(why) => ListenerState::Failed(why.clone()),
                None => ListenerState::Bound(Vec::new()),
            };
            observed.listeners.insert(name.clone(), state);
        }
        observed
    }
}

/// Resources of these objects; those that cannot be decoded are remembered as such.
pub(crate) fn resources(objects: &[Value]) -> Resources {
    let mut resources = Resources::default();
    for object in objects {
        drop(resources.upsert(object.clone()));
    }
    resources
}

/// An output as a file shows it.
pub(crate) fn render(output: &Output, show_proxies: bool) -> String {
    let mut document = Map::new();
    let statuses: Map<String, Value> =
        output.statuses.iter().map(|(object, it)| (object.to_string(), without_features(it.status.value()))).collect();
    document.insert("statuses".into(), statuses.into());
    document.insert("model".into(), short(model(&output.model.redacted())));
    if show_proxies {
        document.insert("proxies".into(), json!(output.proxies));
    }
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false, min_fold_chars: usize::MAX };
    let mut out = String::new();
    let document = named(Value::Object(document), &pem().collect::<Vec<_>>());
    serde_saphyr::to_fmt_writer_with_options(&mut out, &document, options).expect("YAML");
    assert!(!out.contains("PRIVATE KEY"), "a key is shown");
    out
}

/// Without what every GatewayClass says alike; that it does is checked here.
fn without_features(mut status: Value) -> Value {
    if let Some(features) = status.as_object_mut().and_then(|status| status.remove("supportedFeatures")) {
        let names = features.as_array().into_iter().flatten().map(|it| it["name"].as_str().expect("a name"));
        assert!(names.eq(weir_translate::SUPPORTED_FEATURES), "{features}");
    }
    status
}

/// Writes PEM as the names of the files that it is from.
fn named(value: Value, files: &[(String, String)]) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|it| named(it, files)).collect(),
        Value::Object(fields) => Value::Object(fields.into_iter().map(|(key, it)| (key, named(it, files))).collect()),
        Value::String(text) => {
            files.iter().fold(text, |text, (name, pem)| text.replace(pem.as_str(), &format!("PEM:{name} "))).trim_end().into()
        }
        other => other,
    }
}

fn model(model: &Model) -> Value {
    let Model { gateways, listeners, backends, routes, limits } = model;
    json!({
        "gateways": gateways.values().collect::<Vec<_>>(),
        "listeners": listeners.values().collect::<Vec<_>>(),
        "backends": backends.values().collect::<Vec<_>>(),
        "routes": routes.values().collect::<Vec<_>>(),
        "limits": limits.values().collect::<Vec<_>>(),
    })
}

/// Writes names as one reads them: `namespace/name`, `namespace/gateway/listener`.
fn short(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(short).collect(),
        Value::Object(fields) => {
            let fields: Map<String, Value> = fields.into_iter().map(|(key, value)| (key, short(value))).collect();
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            match (fields.len(), text("namespace"), text("gateway"), text("name"), text("listener"), text("policy"), text("target")) {
                (2, Some(namespace), _, Some(name), ..) => format!("{namespace}/{name}").into(),
                (2, _, Some(gateway), _, Some(listener), ..) => format!("{gateway}/{listener}").into(),
                (2, .., Some(policy), Some(target)) => format!("{policy}@{target}").into(),
                _ => fields.into(),
            }
        }
        other => other,
    }
}
