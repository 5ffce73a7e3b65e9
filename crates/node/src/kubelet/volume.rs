//! A pod's volumes: Secrets, ConfigMaps and the pod's own fields as files that its containers read.
//!
//! Nothing is written to disk: a container here is a task of this process, and gets the files as [`Files`]. They are read once, when the
//! container starts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapProjection, Container, DownwardAPIVolumeFile, KeyToPath, Secret, SecretProjection, Volume, VolumeProjection,
};
use kube::Api;

use super::env::{self, Own};
use crate::workload::Files;

/// The content of an object by key. None: the object does not exist.
type Data = Option<BTreeMap<String, Bytes>>;

/// The objects that volumes refer to.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) config_maps: BTreeMap<String, Data>,
    pub(crate) secrets: BTreeMap<String, Data>,
}

/// One thing that a volume is made of.
enum Part<'a> {
    Secret { name: &'a str, items: Option<&'a Vec<KeyToPath>>, optional: bool },
    ConfigMap { name: &'a str, items: Option<&'a Vec<KeyToPath>>, optional: bool },
    Own(&'a [DownwardAPIVolumeFile]),
}

impl Sources {
    /// Reads what `volumes` refer to. Volumes that refer to nothing ask for nothing.
    pub(crate) async fn read(client: &kube::Client, namespace: &str, volumes: &[Volume]) -> Result<Sources, kube::Error> {
        let (mut config_maps, mut secrets) = (BTreeSet::new(), BTreeSet::new());
        for part in volumes.iter().filter_map(|volume| parts(volume).ok()).flatten() {
            match part {
                Part::Secret { name, .. } => drop(secrets.insert(name)),
                Part::ConfigMap { name, .. } => drop(config_maps.insert(name)),
                Part::Own(_) => {}
            }
        }
        let mut sources = Sources::default();
        for name in config_maps {
            let found = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(name).await?;
            let data = found.map(|map| {
                let text = map.data.into_iter().flatten().map(|(key, value)| (key, Bytes::from(value)));
                text.chain(map.binary_data.into_iter().flatten().map(|(key, value)| (key, Bytes::from(value.0)))).collect()
            });
            sources.config_maps.insert(name.to_owned(), data);
        }
        for name in secrets {
            let found = Api::<Secret>::namespaced(client.clone(), namespace).get_opt(name).await?;
            let data = found.map(|secret| secret.data.into_iter().flatten().map(|(key, value)| (key, Bytes::from(value.0))).collect());
            sources.secrets.insert(name.to_owned(), data);
        }
        Ok(sources)
    }
}

/// What `container` sees of the pod's volumes; or why one of them, mounted or not, cannot be set up, in the kubelet's words.
pub(crate) fn files(container: &Container, volumes: &[Volume], own: &Own<'_>, sources: &Sources) -> Result<Files, String> {
    let mut contents = BTreeMap::new();
    for volume in volumes {
        let content = content(volume, own, sources);
        let content = content.map_err(|problem| format!("MountVolume.SetUp failed for volume \"{}\" : {problem}", volume.name))?;
        contents.insert(volume.name.as_str(), content);
    }
    let mut files = BTreeMap::new();
    for mount in container.volume_mounts.iter().flatten() {
        let Some(content) = contents.get(mount.name.as_str()) else {
            return Err(format!("volume \"{}\" is mounted and not declared: add it to the pod's volumes", mount.name));
        };
        let place = mount.mount_path.trim_end_matches('/');
        match mount.sub_path.as_deref().map(|path| path.trim_matches('/')).filter(|path| !path.is_empty()) {
            None => files.extend(content.iter().map(|(path, bytes)| (format!("{place}/{path}"), bytes.clone()))),
            Some(sub) => files.extend(content.iter().filter_map(|(path, bytes)| {
                let rest = path.strip_prefix(sub)?;
                (rest.is_empty() || rest.starts_with('/')).then(|| (format!("{place}{rest}"), bytes.clone()))
            })),
        }
    }
    Ok(Files(Arc::new(files)))
}

/// A volume's files by their path within it.
fn content(volume: &Volume, own: &Own<'_>, sources: &Sources) -> Result<BTreeMap<String, Bytes>, String> {
    let mut content = BTreeMap::new();
    for part in parts(volume)? {
        match part {
            Part::Secret { name, items, optional } => {
                select(sources.secrets.get(name), &format!("secret \"{name}\""), "secret", items, optional, &mut content)?;
            }
            Part::ConfigMap { name, items, optional } => {
                select(sources.config_maps.get(name), &format!("configmap \"{name}\""), "config", items, optional, &mut content)?;
            }
            Part::Own(items) => {
                for item in items {
                    let Some(field) = &item.field_ref else {
                        return Err("resourceFieldRef is not supported by this node".to_owned());
                    };
                    let value = env::field(own, &field.field_path).ok_or_else(|| format!("unsupported fieldPath: {}", field.field_path))?;
                    content.insert(item.path.clone(), Bytes::from(value));
                }
            }
        }
    }
    Ok(content)
}

fn select(
    found: Option<&Data>,
    what: &str,
    kind: &str,
    items: Option<&Vec<KeyToPath>>,
    optional: bool,
    content: &mut BTreeMap<String, Bytes>,
) -> Result<(), String> {
    let Some(data) = found.and_then(Option::as_ref) else {
        return if optional { Ok(()) } else { Err(format!("{what} not found")) };
    };
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        content.extend(data.iter().map(|(key, value)| (key.clone(), value.clone())));
        return Ok(());
    };
    for KeyToPath { key, path, .. } in items {
        match data.get(key) {
            Some(value) => drop(content.insert(path.clone(), value.clone())),
            None if optional => {}
            None => return Err(format!("references non-existent {kind} key: {key}")),
        }
    }
    Ok(())
}

/// What a volume is made of; or that it is of a kind that has no meaning here.
fn parts(volume: &Volume) -> Result<Vec<Part<'_>>, String> {
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        return Ok(vec![Part::Secret { name, items: secret.items.as_ref(), optional: secret.optional == Some(true) }]);
    }
    if let Some(map) = &volume.config_map {
        return Ok(vec![Part::ConfigMap { name: &map.name, items: map.items.as_ref(), optional: map.optional == Some(true) }]);
    }
    if let Some(own) = &volume.downward_api {
        return Ok(vec![Part::Own(own.items.as_deref().unwrap_or_default())]);
    }
    if let Some(projected) = &volume.projected {
        return projected.sources.iter().flatten().map(projection).collect();
    }
    if volume.empty_dir.is_some() {
        return Ok(Vec::new());
    }
    Err("this node mounts secret, configMap, downwardAPI, projected and emptyDir volumes only".to_owned())
}

fn projection(source: &VolumeProjection) -> Result<Part<'_>, String> {
    match source {
        VolumeProjection { secret: Some(SecretProjection { name, items, optional }), .. } => {
            Ok(Part::Secret { name, items: items.as_ref(), optional: *optional == Some(true) })
        }
        VolumeProjection { config_map: Some(ConfigMapProjection { name, items, optional }), .. } => {
            Ok(Part::ConfigMap { name, items: items.as_ref(), optional: *optional == Some(true) })
        }
        VolumeProjection { downward_api: Some(own), .. } => Ok(Part::Own(own.items.as_deref().unwrap_or_default())),
        _ => Err("this node projects secret, configMap and downwardAPI sources only".to_owned()),
    }
}

#[cfg(test)]
mod tests;
