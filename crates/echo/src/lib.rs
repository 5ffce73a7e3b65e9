//! Echo backends that stand in for well-known images, so that a walkthrough or a conformance run needs no container.
//!
//! - [`serve_http`] and [`serve_h2c`] are the HTTP mode of the Gateway API conformance suite's `echo-basic`: the same JSON, byte by byte, and
//!   the same paths and query parameters. Written from its contract (v1.6), not from its code.
//! - [`serve_http_echo`] is `hashicorp/http-echo`: one text for everybody.
//!
//! Each serves a listener until `stop` is cancelled, then closes it, lets requests in flight end for [`GRACE`], and closes every connection.

mod duration;
mod echo_basic;
mod form;
mod http_echo;
mod json;
mod retry;
mod server;

use std::sync::Arc;

pub use echo_basic::{Identity, serve_h2c, serve_http};
pub use http_echo::{HttpEcho, UsageError, serve_http_echo};
pub use server::GRACE;

/// Where a backend writes its standard output, line by line, without line ends.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

#[cfg(test)]
mod tests;
