//! Messages to a thread from senders that must not wait: few in number, so the queue needs no bound of its own. And a valve.

use std::cell::Cell;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Whether connections come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Flow {
    #[default]
    Open,
    /// The kernel refuses them.
    Stopped,
}

/// Something that is open or stopped, for one task that follows it. Of its own thread.
#[derive(Default)]
pub(crate) struct Valve {
    flow: Cell<Flow>,
    wake: Notify,
}

impl Valve {
    pub(crate) fn set(&self, flow: Flow) {
        self.flow.set(flow);
        self.wake.notify_one();
    }

    /// Waits until it is so.
    pub(crate) async fn is(&self, wanted: Flow) {
        while self.flow.get() != wanted {
            self.wake.notified().await;
        }
    }
}

/// A queue with a wake-up call.
pub(crate) struct Mailbox<T> {
    queue: Mutex<Vec<T>>,
    wake: Notify,
}

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Self {
        Self { queue: Mutex::new(Vec::new()), wake: Notify::new() }
    }

    /// Puts a message in.
    pub(crate) fn send(&self, message: T) {
        self.queue.lock().push(message);
        self.wake.notify_one();
    }

    /// All that is there, at least one.
    pub(crate) async fn take(&self) -> Vec<T> {
        loop {
            let messages = std::mem::take(&mut *self.queue.lock());
            if !messages.is_empty() {
                return messages;
            }
            self.wake.notified().await;
        }
    }
}
