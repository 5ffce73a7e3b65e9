//! What the files declared when they were last applied, kept across runs: an object that leaves them is deleted, even when that happened while
//! Weir was not running; an object that kubectl made since, under the same name, is not.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Names an object, and the version of its kind through which it was declared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    /// The object, whatever the version of its kind: group, kind, namespace, name.
    pub(crate) fn object(&self) -> (&str, &str, &str, &str) {
        let group = self.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        (group, &self.kind, &self.namespace, &self.name)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// The objects that files declared, each with its uid.
#[derive(Debug)]
pub(crate) struct Declared {
    file: PathBuf,
    pub(crate) objects: BTreeMap<Key, String>,
}

impl Declared {
    /// Reads `file`; nothing was declared when it is missing.
    pub(crate) fn load(file: PathBuf) -> Result<Self, String> {
        let objects: Vec<(Key, String)> = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| format!("{} is damaged ({error}); remove it to start over", file.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(format!("{}: {error}", file.display())),
        };
        Ok(Self { file, objects: objects.into_iter().collect() })
    }

    /// Writes the file anew, whole or not at all.
    pub(crate) fn save(&self) -> Result<(), String> {
        let told = |error: std::io::Error| format!("{}: {error}", self.file.display());
        let text = serde_json::to_vec_pretty(&self.objects.iter().collect::<Vec<_>>()).map_err(|error| error.to_string())?;
        let next = self.file.with_extension("next");
        let mut out = std::fs::File::create(&next).map_err(told)?;
        out.write_all(&text).and_then(|()| out.sync_all()).map_err(told)?;
        std::fs::rename(&next, &self.file).map_err(told)
    }
}
