//! What the process that embeds the server can add to it: live table columns, pod logs, words for what is refused.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::table::Column;

/// Columns that replace a resource's own in Tables, with cells made when they are asked for.
pub trait LiveColumns: Send + Sync {
    /// The columns of a resource (`group`, plural `resource`), the name included; `None` leaves the resource's own.
    fn columns(&self, group: &str, resource: &str) -> Option<Vec<Column>>;

    /// The cells of one object's row, one per column of [`LiveColumns::columns`].
    fn cells(&self, group: &str, resource: &str, object: &Value) -> Vec<Value>;
}

/// Which lines of which container's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// A container that the pod has.
    pub container: String,
    /// Of the run before the current one.
    pub previous: bool,
    /// Go on with new lines until the container ends.
    pub follow: bool,
    /// Only so many lines from the end.
    pub tail_lines: Option<u64>,
    /// Only lines since this Unix time in seconds.
    pub since: Option<i64>,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Stop after so many bytes.
    pub limit_bytes: Option<u64>,
}

/// A log as it is read, in pieces of any size.
pub type LogStream = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// Why there is no log to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The container has not started; the text is its waiting reason (`ContainerCreating`).
    #[error("waiting to start: {0}")]
    Waiting(String),
    /// Anything else, as the client shall read it.
    #[error("{0}")]
    Other(String),
}

/// Reads pods' logs.
pub trait PodLogs: Send + Sync {
    /// Opens a log.
    fn open(&self, request: LogRequest) -> BoxFuture<'static, Result<LogStream, LogError>>;
}

/// The answer to `exec`, `attach` or `portforward` (`subresource`) on this pod: what to do instead.
pub type Refusal = dyn Fn(&str, &Value) -> String + Send + Sync;

/// Everything that can be added to a server.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Live columns of Tables.
    pub live_columns: Option<Arc<dyn LiveColumns>>,
    /// The reader of pod logs; without it logs are refused.
    pub pod_logs: Option<Arc<dyn PodLogs>>,
    /// Words for `exec`, `attach` and `portforward`, which are refused.
    pub refusal: Option<Arc<Refusal>>,
    /// Somebody else gives Services their cluster addresses, since only he knows which can be reached; and no node has ports to give.
    pub addresses_elsewhere: bool,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks")
            .field("live_columns", &self.live_columns.is_some())
            .field("pod_logs", &self.pod_logs.is_some())
            .field("refusal", &self.refusal.is_some())
            .field("addresses_elsewhere", &self.addresses_elsewhere)
            .finish()
    }
}
