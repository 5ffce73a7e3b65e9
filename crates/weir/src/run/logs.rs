//! Gives the API server the node's logs. The server starts first, so the node's store comes later.

use std::sync::OnceLock;

use futures::future::BoxFuture;
use jiff::Timestamp;
use weir_apiserver::{LogError, LogRequest, LogStream, PodLogs};
use weir_node::{LogOptions, LogStore};

/// The node's logs, once there is a node.
#[derive(Default)]
pub(crate) struct Logs(OnceLock<LogStore>);

impl Logs {
    /// From now on logs can be read.
    pub(crate) fn provide(&self, store: LogStore) {
        // There is one node in a process's life, so a second store cannot come.
        let _ = self.0.set(store);
    }
}

impl PodLogs for Logs {
    fn open(&self, request: LogRequest) -> BoxFuture<'static, Result<LogStream, LogError>> {
        let opened = match self.0.get() {
            None => Err(LogError::Other("the node is still starting; try again".to_owned())),
            Some(store) => {
                let options = LogOptions {
                    follow: request.follow,
                    previous: request.previous,
                    timestamps: request.timestamps,
                    tail_lines: request.tail_lines,
                    since: request.since.and_then(|seconds| Timestamp::from_second(seconds).ok()),
                    limit_bytes: request.limit_bytes,
                };
                store.open(&request.namespace, &request.pod, Some(&request.container), &options).map_err(|error| {
                    let text = error.to_string();
                    match text.split_once("is waiting to start: ") {
                        Some((_, reason)) => LogError::Waiting(reason.to_owned()),
                        None => LogError::Other(text),
                    }
                })
            }
        };
        Box::pin(std::future::ready(opened))
    }
}
