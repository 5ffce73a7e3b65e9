//! Statuses: what each object should say, what it says, and the writes that make the two equal.

mod board;
mod merge;
mod write;

pub(crate) use board::{Board, Job, Known, Outcome};
pub(crate) use merge::Ownership;
pub(crate) use write::write;
