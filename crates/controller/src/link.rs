//! The line to the data plane, as a state machine without a channel: what to send next, and what an answer means.
//!
//! ```text
//!            next(): whole Model, base 0             answer(): applied
//!   Broken ─────────────────────────────► Waiting ─────────────────────► Settled
//!     ▲                                    │   ▲                            │
//!     │       lost(), answer(): refused    │   │   next(): delta            │
//!     └────────────────────────────────────┘   └────────────────────────────┤
//!     ▲                                                                     │
//!     └──────────────────────────── lost() ─────────────────────────────────┘
//! ```
//!
//! One message is under way at a time, so a slow data plane gets the newest Model next, not every Model in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_model::{Acknowledgement, Model, Publish};

/// What an acknowledgement meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answers nothing that is under way (an earlier line's, or another epoch's).
    Stale,
    /// The Model sent last is in force.
    Applied,
    /// It was refused, for this reason; the next message carries the whole Model.
    Refused(String),
}

#[derive(Debug)]
enum State {
    Broken,
    Waiting { version: u64, model: Arc<Model> },
    Settled { version: u64, model: Arc<Model> },
}

/// The state of the line.
#[derive(Debug)]
pub(crate) struct Link {
    epoch: u64,
    version: u64,
    state: State,
    applied: Option<(u64, Arc<Model>)>,
}

impl Link {
    /// A line that has not been opened yet.
    pub(crate) fn new(epoch: u64) -> Self {
        Self { epoch, version: 0, state: State::Broken, applied: None }
    }

    /// The epoch it speaks for.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What to send so that `wanted` gets in force; none while an answer is awaited or when nothing differs.
    pub(crate) fn next(&mut self, wanted: &Arc<Model>) -> Option<Publish> {
        let (base, delta) = match &self.state {
            State::Waiting { .. } => return None,
            State::Broken => (0, Model::default().diff(wanted)),
            // Asked on every turn of the loop, so the common case must cost nothing.
            State::Settled { model, .. } if Arc::ptr_eq(model, wanted) => return None,
            State::Settled { version, model } => {
                let delta = model.diff(wanted);
                if delta.is_empty() {
                    return None;
                }
                (*version, delta)
            }
        };
        self.version += 1;
        self.state = State::Waiting { version: self.version, model: wanted.clone() };
        Some(Publish { epoch: self.epoch, version: self.version, base, delta })
    }

    /// Takes an acknowledgement.
    pub(crate) fn answer(&mut self, answer: &Acknowledgement) -> Verdict {
        match &self.state {
            State::Waiting { version, model } if answer.epoch == self.epoch && answer.version == *version => match &answer.refused {
                None => {
                    self.applied = Some((*version, model.clone()));
                    self.state = State::Settled { version: *version, model: model.clone() };
                    Verdict::Applied
                }
                Some(reason) => {
                    self.state = State::Broken;
                    Verdict::Refused(reason.clone())
                }
            },
            _ => Verdict::Stale,
        }
    }

    /// The line broke: whatever was under way may or may not have arrived, so the next message carries the whole Model.
    pub(crate) fn lost(&mut self) {
        self.state = State::Broken;
    }

    /// Whether an answer is awaited.
    pub(crate) fn waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// The Model that was acknowledged last, with its version. A data plane serves on with it when the line breaks.
    pub(crate) fn applied(&self) -> Option<&(u64, Arc<Model>)> {
        self.applied.as_ref()
    }
}

/// An epoch higher than any that this process has used, and than any before it as long as the clock does not run backwards between
/// processes (a data plane in the same process forgets with it).
pub(crate) fn new_epoch(unix_nanos: u64) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let mut epoch = unix_nanos;
    let _ = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
        epoch = unix_nanos.max(last.saturating_add(1));
        Some(epoch)
    });
    epoch
}

#[cfg(test)]
mod tests;
