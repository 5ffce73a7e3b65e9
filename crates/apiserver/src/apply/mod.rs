//! Server-side apply: who owns which field, and what applying a configuration makes of an object and of its owners.
//!
//! Pure: objects, owners and a time go in, objects and owners come out. The rules are those of structured merge diff, which every
//! Kubernetes API server follows: lists and maps merge as the schema says ([`typed`]), a field belongs to whoever set it last
//! ([`update`]), and an applier that leaves out what it applied before gives it up ([`applying`]).
//!
//! ```text
//!  live object ──┐                        ┌─► new object
//!  configuration ┼─► merge ─► prune ─► compare ─► conflicts, or owners
//!  owners ───────┘        (what was applied     (what changed is taken from
//!                          and is not now)       others, if forced)
//! ```

mod applying;
mod compact;
mod compare;
mod conflict;
mod element;
mod fields_v1;
mod last_applied;
mod managers;
mod merge;
mod remove;
mod set;
#[cfg(test)]
mod tests;
mod to_set;
mod typed;
mod update;
mod validate;

pub(crate) use applying::{Applied, ApplyError, Configuration, apply};
pub(crate) use compact::{Interner, Managed, Shared};
pub(crate) use conflict::Conflict;
pub(crate) use managers::{Managers, Operation, Who};
pub(crate) use typed::Typed;
pub(crate) use update::update;
