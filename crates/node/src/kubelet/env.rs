//! A container's environment, command and arguments with all references resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret};
use kube::Api;

/// The objects that an environment refers to, as text by key. None: it does not exist.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) config_maps: BTreeMap<String, Option<BTreeMap<String, String>>>,
    pub(crate) secrets: BTreeMap<String, Option<BTreeMap<String, String>>>,
}

/// What a pod knows of itself once it runs.
pub(crate) struct Own<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) ip: Ipv4Addr,
    pub(crate) host_ip: Ipv4Addr,
}

/// What a container is started with, as far as the pod says it.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
}

/// The bytes of one string and of all together that `execve` takes on Linux: `MAX_ARG_STRLEN`, and a quarter of the usual stack.
const LONGEST: usize = 128 * 1024;
const WHOLE: usize = 2 * 1024 * 1024;

/// What is left of the whole.
struct Room(usize);

impl Room {
    /// Takes a string in. What a variable is made of may be that variable's own name many times over, so this is asked before it is made.
    fn take(&mut self, what: &str, bytes: usize) -> Result<(), String> {
        let left = self.0.checked_sub(bytes.saturating_add(1)).filter(|_| bytes < LONGEST);
        self.0 = left.ok_or_else(|| too_long(what))?;
        Ok(())
    }

    fn expand(&mut self, what: &str, text: &str, env: &BTreeMap<String, String>) -> Result<String, String> {
        let value = expand(text, env, LONGEST.min(self.0)).ok_or_else(|| too_long(what))?;
        self.take(what, value.len())?;
        Ok(value)
    }
}

fn too_long(what: &str) -> String {
    format!("{what}: argument list too long: a string may have {LONGEST} bytes, all together {WHOLE}")
}

impl Sources {
    /// Reads what `container` refers to. Containers that refer to nothing ask for nothing.
    pub(crate) async fn read(client: &kube::Client, namespace: &str, container: &Container) -> Result<Sources, kube::Error> {
        let (mut config_maps, mut secrets) = (BTreeSet::new(), BTreeSet::new());
        for from in container.env_from.iter().flatten() {
            config_maps.extend(from.config_map_ref.as_ref().map(|r| r.name.clone()));
            secrets.extend(from.secret_ref.as_ref().map(|r| r.name.clone()));
        }
        for from in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
            config_maps.extend(from.config_map_key_ref.as_ref().map(|r| r.name.clone()));
            secrets.extend(from.secret_key_ref.as_ref().map(|r| r.name.clone()));
        }
        let mut sources = Sources::default();
        for name in config_maps {
            let found = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(&name).await?;
            sources.config_maps.insert(name, found.map(|c| c.data.unwrap_or_default()));
        }
        for name in secrets {
            let found = Api::<Secret>::namespaced(client.clone(), namespace).get_opt(&name).await?;
            let text = |data: BTreeMap<String, k8s_openapi::ByteString>| {
                data.into_iter().map(|(k, v)| (k, String::from_utf8_lossy(&v.0).into_owned())).collect()
            };
            sources.secrets.insert(name, found.map(|s| text(s.data.unwrap_or_default())));
        }
        Ok(sources)
    }
}

/// The environment, command and arguments; or in the kubelet's words what is missing, or what is too long.
pub(crate) fn resolve(container: &Container, own: &Own<'_>, sources: &Sources) -> Result<Invocation, String> {
    let mut room = Room(WHOLE);
    let env = environment(container, own, sources, &mut room)?;
    let mut expand = |what, list: Option<&Vec<String>>| -> Result<Vec<String>, String> {
        list.into_iter().flatten().map(|text| room.expand(what, text, &env)).collect()
    };
    let command = expand("command", container.command.as_ref())?;
    let args = expand("args", container.args.as_ref())?;
    Ok(Invocation { env, command, args })
}

fn environment(container: &Container, own: &Own<'_>, sources: &Sources, room: &mut Room) -> Result<BTreeMap<String, String>, String> {
    let mut env = BTreeMap::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.clone().unwrap_or_default();
        let (found, kind, name, optional) = if let Some(r) = &from.config_map_ref {
            (sources.config_maps.get(&r.name), "configmap", &r.name, r.optional)
        } else if let Some(r) = &from.secret_ref {
            (sources.secrets.get(&r.name), "secret", &r.name, r.optional)
        } else {
            continue;
        };
        match found.and_then(Option::as_ref) {
            Some(data) => {
                for (key, value) in data {
                    room.take(key, prefix.len() + key.len() + 1 + value.len())?;
                    env.insert(format!("{prefix}{key}"), value.clone());
                }
            }
            None if optional == Some(true) => {}
            None => return Err(format!("{kind} \"{name}\" not found")),
        }
    }
    for variable in container.env.iter().flatten() {
        let what = &variable.name;
        let value = match &variable.value_from {
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), &env, LONGEST.min(room.0)).ok_or_else(|| too_long(what))?),
            Some(source) => from_source(source, own, sources)?,
        };
        if let Some(value) = value {
            room.take(what, what.len() + 1 + value.len())?;
            env.insert(variable.name.clone(), value);
        }
    }
    Ok(env)
}

fn from_source(source: &EnvVarSource, own: &Own<'_>, sources: &Sources) -> Result<Option<String>, String> {
    let namespace = own.pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(field) = &source.field_ref {
        return self::field(own, &field.field_path).map(Some).ok_or_else(|| format!("unsupported fieldPath: {}", field.field_path));
    }
    let (found, kind, long_kind, name, key, optional) = if let Some(r) = &source.config_map_key_ref {
        (sources.config_maps.get(&r.name), "configmap", "ConfigMap", &r.name, &r.key, r.optional)
    } else if let Some(r) = &source.secret_key_ref {
        (sources.secrets.get(&r.name), "secret", "Secret", &r.name, &r.key, r.optional)
    } else {
        return Err("resourceFieldRef and fileKeyRef are not supported by this node".to_owned());
    };
    match found.and_then(Option::as_ref) {
        None if optional == Some(true) => Ok(None),
        None => Err(format!("{kind} \"{name}\" not found")),
        Some(data) => match data.get(key) {
            Some(value) => Ok(Some(value.clone())),
            None if optional == Some(true) => Ok(None),
            None => Err(format!("couldn't find key {key} in {long_kind} {namespace}/{name}")),
        },
    }
}

/// A field of the pod, by its path.
pub(super) fn field(own: &Own<'_>, path: &str) -> Option<String> {
    let (meta, spec) = (&own.pod.metadata, own.pod.spec.as_ref());
    let text = |value: Option<&String>| Some(value.cloned().unwrap_or_default());
    match path {
        "metadata.name" => text(meta.name.as_ref()),
        "metadata.namespace" => text(meta.namespace.as_ref()),
        "metadata.uid" => text(meta.uid.as_ref()),
        "spec.nodeName" => text(spec.and_then(|s| s.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|s| s.service_account_name.as_ref())),
        "status.podIP" | "status.podIPs" => Some(own.ip.to_string()),
        "status.hostIP" | "status.hostIPs" => Some(own.host_ip.to_string()),
        _ => {
            let (map, rest) = match path.split_once('[')? {
                ("metadata.labels", rest) => (meta.labels.as_ref(), rest),
                ("metadata.annotations", rest) => (meta.annotations.as_ref(), rest),
                _ => return None,
            };
            let key = rest.strip_suffix(']')?.trim_matches(['\'', '"']);
            text(map.and_then(|m| m.get(key)))
        }
    }
}

/// Replaces `$(NAME)` by what the environment has so far; what it has not stays as written, and `$$` is a dollar. None: it would be longer than
/// `limit`.
fn expand(text: &str, env: &BTreeMap<String, String>, limit: usize) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = from.strip_prefix("$(").and_then(|r| r.split_once(')')) {
            match env.get(name) {
                Some(value) => out.push_str(value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = after;
        } else {
            out.push('$');
            rest = from.get(1..).unwrap_or_default();
        }
        if out.len() > limit {
            return None;
        }
    }
    out.push_str(rest);
    (out.len() <= limit).then_some(out)
}

#[cfg(test)]
mod tests;
