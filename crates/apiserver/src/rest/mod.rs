//! The REST interface: from a path and a method to a handler.

mod accept;
pub(crate) mod admit;
mod apply;
mod binding;
mod body;
mod collection;
pub(crate) mod create;
pub(crate) mod deletion;
mod duplicates;
mod jobs;
mod logs;
mod options;
mod owners;
mod paging;
mod patch;
mod path;
mod present;
mod query;
mod read;
mod reply;
mod review;
mod route;
mod scale;
mod services;
mod static_paths;
pub(crate) mod update;

pub(crate) use accept::{Accept, Form, Shape};
pub(crate) use path::Target;
pub(crate) use present::{Writer, table};
pub(crate) use query::Query;
pub(crate) use read::wanted_version;
pub(crate) use reply::{Body, Reply, body_stream};
pub(crate) use route::{Request, handle, refuse};

/// The largest request body, in bytes.
pub(crate) const MAX_BODY: usize = 3 << 20;

/// How often a read-modify-write is tried when others write the same object.
pub(crate) const ATTEMPTS: usize = 64;
