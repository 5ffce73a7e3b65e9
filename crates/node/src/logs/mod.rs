//! Container logs: files below the data directory, bounded and rotated, one set per container run.
//!
//! ```text
//! logs/NAMESPACE_POD_UID/CONTAINER/RUN.GENERATION.log   the lines, plain text
//! logs/NAMESPACE_POD_UID/CONTAINER/RUN.GENERATION.idx   16 bytes per batch: offset in the log, time
//! ```
//!
//! A run is one start of the container; the current one and the one before it are kept. A run writes generation after generation and keeps the last
//! two, so a run is never larger than twice [`run::GENERATION_BYTES`] plus a batch.

mod reader;
mod run;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use parking_lot::Mutex;

pub use run::PodLog;

use crate::meta::ObjectName;

/// What `pods/log` may ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogOptions {
    /// Goes on until the container ends.
    pub follow: bool,
    /// The run before the current one.
    pub previous: bool,
    /// Puts the time before each line.
    pub timestamps: bool,
    /// Only this many lines at the end.
    pub tail_lines: Option<u64>,
    /// Only what was written at this time or later.
    pub since: Option<Timestamp>,
    /// Ends after this many bytes.
    pub limit_bytes: Option<u64>,
}

/// Why there is no log; the text is what the API answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// 400.
    #[error("{0}")]
    BadRequest(String),
    /// 500.
    #[error("{0}")]
    Internal(String),
}

/// A log, piece by piece.
pub type LogStream = BoxStream<'static, Bytes>;

/// All logs of a node. Cheap to clone.
#[derive(Clone)]
pub struct LogStore {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    pods: Mutex<HashMap<ObjectName, PodEntry>>,
}

struct PodEntry {
    uid: String,
    containers: Vec<ContainerEntry>,
}

struct ContainerEntry {
    name: String,
    waiting: String,
    current: Option<PodLog>,
    previous: Option<PodLog>,
    /// The current run has ended and another one is to follow: it is then the previous one, too.
    between_runs: bool,
}

impl LogStore {
    /// Uses, and if need be makes, a folder.
    pub(crate) fn open_dir(dir: &Path) -> io::Result<LogStore> {
        std::fs::create_dir_all(dir)?;
        Ok(LogStore { inner: Arc::new(Inner { dir: dir.to_owned(), pods: Mutex::new(HashMap::new()) }) })
    }

    /// Opens a container's log. Without a container's name the pod must have only one.
    pub fn open(&self, namespace: &str, pod: &str, container: Option<&str>, options: &LogOptions) -> Result<LogStream, LogError> {
        let log = self.find(namespace, pod, container, options.previous)?;
        reader::open(log, options).map_err(|e| LogError::Internal(format!("cannot read the log of pod {pod}: {e}")))
    }

    fn find(&self, namespace: &str, pod: &str, container: Option<&str>, previous: bool) -> Result<PodLog, LogError> {
        let pods = self.inner.pods.lock();
        let Some(entry) = pods.get(&ObjectName::new(namespace, pod)) else {
            // Whether the pod exists is for the API to know; here it has not begun.
            return Err(match container {
                Some(name) => waiting(name, pod, "ContainerCreating"),
                None => LogError::NotFound(format!("pods \"{pod}\" not found")),
            });
        };
        let found = match (container, entry.containers.as_slice()) {
            (None, [only]) => only,
            (None, several) => {
                let names: Vec<&str> = several.iter().map(|c| c.name.as_str()).collect();
                let text = format!("a container name must be specified for pod {pod}, choose one of: [{}]", names.join(" "));
                return Err(LogError::BadRequest(text));
            }
            (Some(name), containers) => containers
                .iter()
                .find(|c| c.name == name)
                .ok_or_else(|| LogError::BadRequest(format!("container {name} is not valid for pod {pod}")))?,
        };
        let name = &found.name;
        match (previous, &found.current, &found.previous) {
            (true, Some(log), _) if found.between_runs => Ok(log.clone()),
            (false, Some(log), _) | (true, _, Some(log)) => Ok(log.clone()),
            (true, ..) => Err(LogError::BadRequest(format!("previous terminated container \"{name}\" in pod \"{pod}\" not found"))),
            (false, None, _) => Err(waiting(name, pod, &found.waiting)),
        }
    }

    /// Makes a pod and its containers known, with what earlier processes logged of them.
    pub(crate) fn declare(&self, pod: &ObjectName, uid: &str, containers: &[String]) {
        let of = |name: &String| {
            let dir = self.pod_dir(pod, uid).join(path_part(name));
            let mut runs = run::runs_in(&dir).unwrap_or_default();
            let mut last = || runs.pop_last().and_then(|run| PodLog::reopen(&dir, run).ok());
            let (current, previous) = (last(), last());
            ContainerEntry { name: name.clone(), waiting: "ContainerCreating".to_owned(), current, previous, between_runs: false }
        };
        let entry = PodEntry { uid: uid.to_owned(), containers: containers.iter().map(of).collect() };
        self.inner.pods.lock().insert(pod.clone(), entry);
    }

    /// The same for a pod whose containers ended in an earlier process; nothing if it is known.
    pub(crate) fn adopt(&self, pod: &ObjectName, uid: &str, containers: &[String]) {
        let is_known = self.inner.pods.lock().get(pod).is_some_and(|known| known.uid == uid);
        if !is_known {
            self.declare(pod, uid, containers);
        }
    }

    /// Says why a container has no log yet.
    pub(crate) fn set_waiting(&self, pod: &ObjectName, container: &str, reason: &str) {
        let mut pods = self.inner.pods.lock();
        if let Some(entry) = pods.get_mut(pod).and_then(|p| p.containers.iter_mut().find(|c| c.name == container)) {
            entry.waiting = reason.to_owned();
            entry.between_runs = entry.current.is_some();
        }
    }

    /// Starts the log of a container's next run. The run before it stays readable, older ones go.
    pub(crate) fn begin_run(&self, pod: &ObjectName, uid: &str, container: &str) -> io::Result<PodLog> {
        let dir = self.pod_dir(pod, uid).join(path_part(container));
        std::fs::create_dir_all(&dir)?;
        let mut runs = run::runs_in(&dir)?;
        let before = runs.pop_last();
        for old in runs {
            run::remove(&dir, old);
        }
        let log = PodLog::create(&dir, before.map_or(0, |n| n + 1))?;
        let found = before.and_then(|n| PodLog::reopen(&dir, n).ok());
        let mut pods = self.inner.pods.lock();
        if let Some(entry) = pods.get_mut(pod).filter(|p| p.uid == uid)
            && let Some(entry) = entry.containers.iter_mut().find(|c| c.name == container)
        {
            if let Some(ended) = entry.current.replace(log.clone()) {
                ended.close();
            }
            entry.previous = found;
            entry.between_runs = false;
        }
        Ok(log)
    }

    /// Ends all readers of a pod's logs and removes the files.
    pub(crate) fn forget(&self, pod: &ObjectName, uid: &str) {
        let mut pods = self.inner.pods.lock();
        if pods.get(pod).is_some_and(|p| p.uid == uid)
            && let Some(entry) = pods.remove(pod)
        {
            entry.containers.iter().filter_map(|c| c.current.as_ref()).for_each(PodLog::close);
        }
        drop(pods);
        if let Err(error) = std::fs::remove_dir_all(self.pod_dir(pod, uid))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%pod, %error, "cannot remove the pod's logs");
        }
    }

    /// Removes what earlier runs of the process left of pods that no longer exist.
    pub(crate) fn sweep<'a>(&self, alive: impl Iterator<Item = (&'a ObjectName, &'a str)>) {
        let alive: std::collections::HashSet<PathBuf> = alive.map(|(pod, uid)| self.pod_dir(pod, uid)).collect();
        let Ok(entries) = std::fs::read_dir(&self.inner.dir) else { return };
        for path in entries.flatten().map(|e| e.path()).filter(|p| !alive.contains(p)) {
            if let Err(error) = std::fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove an old log");
            }
        }
    }

    fn pod_dir(&self, pod: &ObjectName, uid: &str) -> PathBuf {
        let name = format!("{}_{}_{}", path_part(&pod.namespace), path_part(&pod.name), path_part(uid));
        self.inner.dir.join(name)
    }
}

fn waiting(container: &str, pod: &str, reason: &str) -> LogError {
    LogError::BadRequest(format!("container \"{container}\" in pod \"{pod}\" is waiting to start: {reason}"))
}

/// Names come from the API, which allows no separators; this keeps a file below its folder even if one slipped through.
fn path_part(name: &str) -> String {
    let name = name.replace(['/', '\0'], "-");
    if name.starts_with('.') { format!("-{name}") } else { name }
}
