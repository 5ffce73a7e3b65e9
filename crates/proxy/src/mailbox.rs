//! Messages to a thread from senders that must not wait: few in number, so the queue needs no bound of its own.

use parking_lot::Mutex;
use tokio::sync::Notify;

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
