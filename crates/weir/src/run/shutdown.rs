//! Signals, and what becomes of the command after `--` when they come.

use rustix::process::Signal;
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};

use super::child;
use crate::exit::Failure;

/// SIGINT and SIGTERM.
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// From now on they do not end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        // Once asked for, it no longer ends the process: a write beyond `ulimit -f` fails, and is told as such.
        drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?);
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
        }
    }
}

/// Waits for the command's end, sending signals on to it; its exit status is the outcome.
pub(crate) async fn accompany(mut child: Child, signals: &mut Signals) -> Result<(), Failure> {
    loop {
        tokio::select! {
            ended = child.wait() => return child::status(ended?),
            signal = signals.next() => child::forward(&child, signal),
        }
    }
}
