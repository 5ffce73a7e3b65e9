//! What decoding alone does not find: unknown fields, unused ones, and values that cannot be.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{EnvoyGateway, FieldProblem, LogEncoder, LogLevel, ProviderType, WatchType};
use crate::duration;

/// The fields that have an effect.
const USED: [&str; 8] = [
    "gateway.controllerName",
    "provider.type",
    "provider.kubernetes.leaderElection.disable",
    "provider.kubernetes.leaderElection.leaseDuration",
    "provider.kubernetes.leaderElection.renewDeadline",
    "provider.kubernetes.leaderElection.retryPeriod",
    "logging.level",
    "extensionApis.enableBackend",
];

/// What may be named in `logging.level`.
const LOG_COMPONENTS: [&str; 8] =
    ["default", "provider", "gateway-api", "xds-translator", "xds-server", "xds", "infrastructure", "global-ratelimit"];

/// Unknown fields with what was probably meant, and the paths of known ones that are set without effect.
pub(super) fn fields(document: &Value) -> (Vec<FieldProblem>, Vec<String>) {
    let generator = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let types = generator.into_root_schema_for::<EnvoyGateway>();
    let mut found = Found::default();
    found.walk(document, types.as_value(), "");
    (found.unknown, found.unused)
}

#[derive(Default)]
struct Found {
    unknown: Vec<FieldProblem>,
    unused: Vec<String>,
}

impl Found {
    fn walk(&mut self, value: &Value, types: &Value, path: &str) {
        let types = types["anyOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null")).unwrap_or(types);
        match (value, types["properties"].as_object()) {
            (Value::Object(fields), Some(known)) => {
                for (name, field) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    match known.get(name) {
                        Some(types) => self.walk(field, types, &path),
                        None => self.unknown.push(unknown(path, name, known.keys())),
                    }
                }
            }
            (Value::Array(items), _) if types["items"]["properties"].is_object() => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(item, &types["items"], &format!("{path}[{index}]"));
                }
            }
            // Nothing is set by these.
            (Value::Null | Value::Bool(false), _) => {}
            _ if USED.contains(&path) => {}
            _ => self.unused.push(path.to_owned()),
        }
    }
}

fn unknown<'a>(path: String, name: &str, known: impl Iterator<Item = &'a String>) -> FieldProblem {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let near = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&candidate.to_lowercase(), &name.to_lowercase()), *candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(left, _), (right, _)| left.total_cmp(right));
    let message = match near {
        Some((_, candidate)) => format!("unknown field; did you mean {candidate:?}?"),
        None => format!("unknown field; known here are {}", known.join(", ")),
    };
    FieldProblem { path, message }
}

/// Values that cannot be, all of them.
pub(super) fn values(config: &EnvoyGateway) -> Vec<FieldProblem> {
    let mut problems = Problems(Vec::new());
    let name = &config.gateway.controller_name;
    if !name.is_empty() && !is_controller_name(name) {
        problems.add("gateway.controllerName", format!("{name:?} must be a domain and a path, such as example.com/gateway-controller"));
    }
    match &config.provider.type_ {
        ProviderType::Kubernetes if config.provider.custom.is_some() => {
            problems.add("provider.custom", "belongs to provider.type Custom");
        }
        ProviderType::Kubernetes => {}
        ProviderType::Custom => problems
            .add("provider.type", "Custom is not served: to run from files, without a cluster, use `weir run -f PATH` and leave this out"),
        ProviderType::Unknown(text) => problems.add("provider.type", format!("{text:?} must be Kubernetes")),
    }
    kubernetes(config, &mut problems);
    for (component, level) in &config.logging.level {
        let path = format!("logging.level.{component}");
        if !LOG_COMPONENTS.contains(&component.as_str()) {
            problems.add(&path, format!("unknown component; known are {}", LOG_COMPONENTS.join(", ")));
        }
        if let LogLevel::Unknown(text) = level {
            problems.add(&path, format!("{text:?} must be one of {}", LogLevel::WORDS.join(", ")));
        }
    }
    if let Some(LogEncoder::Unknown(text)) = &config.logging.encoder {
        problems.add("logging.encoder", format!("{text:?} must be one of {}", LogEncoder::WORDS.join(", ")));
    }
    let apis = &config.extension_apis;
    if apis.disable_lua.is_some_and(|disable| disable == apis.enable_lua) {
        problems.add("extensionApis.disableLua", "contradicts enableLua, which replaces it");
    }
    problems.0
}

fn kubernetes(config: &EnvoyGateway, problems: &mut Problems) {
    let kubernetes = &config.provider.kubernetes;
    if let Some(watch) = &kubernetes.watch {
        match &watch.type_ {
            Some(WatchType::Namespaces) if watch.namespaces.is_empty() => {
                problems.add("provider.kubernetes.watch.namespaces", "type Namespaces needs at least one");
            }
            Some(WatchType::NamespaceSelector) if watch.namespace_selector.is_none() => {
                problems.add("provider.kubernetes.watch.namespaceSelector", "type NamespaceSelector needs one");
            }
            Some(WatchType::Namespaces | WatchType::NamespaceSelector) => {}
            None | Some(WatchType::Unknown(_)) => {
                problems.add("provider.kubernetes.watch.type", format!("must be one of {}", WatchType::WORDS.join(", ")));
            }
        }
    }
    let election = &kubernetes.leader_election;
    let durations = [
        ("provider.kubernetes.leaderElection.leaseDuration", &election.lease_duration),
        ("provider.kubernetes.leaderElection.renewDeadline", &election.renew_deadline),
        ("provider.kubernetes.leaderElection.retryPeriod", &election.retry_period),
        ("provider.kubernetes.cacheSyncPeriod", &kubernetes.cache_sync_period),
    ];
    for (path, text) in durations {
        if let Some(Err(error)) = text.as_deref().map(duration::parse) {
            problems.add(path, error.to_string());
        }
    }
}

struct Problems(Vec<FieldProblem>);

impl Problems {
    fn add(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(FieldProblem { path: path.to_owned(), message: message.into() });
    }
}

/// What a GatewayClass's controllerName may be; another name would never be found.
fn is_controller_name(name: &str) -> bool {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    name.len() <= 253
        && name.split_once('/').is_some_and(|(domain, rest)| domain.split('.').all(label) && !rest.is_empty() && rest.bytes().all(path))
}

/// The parser draws the place under the message; a status or a log line has room for the message alone.
pub(super) fn one_line(error: &serde_saphyr::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
