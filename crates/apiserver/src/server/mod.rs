//! Listening: TLS, connections, and the way from bytes to the REST handlers.

mod certificate;
mod connection;

pub(crate) use certificate::Identity;
pub(crate) use connection::{Front, accept_loop};
