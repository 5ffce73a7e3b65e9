//! Echo backends that stand in for well-known images, so that a walkthrough or a conformance run needs no container.
//!
//! - [`serve_http`], [`serve_h2c`] and [`serve_https`] are the HTTP mode of the Gateway API conformance suite's `echo-basic`: the same JSON,
//!   byte by byte, and the same paths and query parameters. [`serve_grpc`], [`serve_tcp`] and [`serve_udp`] are its other modes. Written
//!   from its contract (v1.6), not from its code.
//! - [`serve_dns`] answers as CoreDNS does, as far as that suite looks.
//! - [`serve_http_echo`] is `hashicorp/http-echo`: one text for everybody.
//!
//! Each serves a listener until `stop` is cancelled, then closes it, lets requests in flight end for [`GRACE`], and closes every connection.

mod duration;
mod echo_basic;
mod form;
mod grpc;
mod http_echo;
mod json;
mod retry;
mod server;
mod tcp;
mod tls;
mod udp;
mod web_socket;

use std::sync::Arc;

use tokio::net::TcpListener;

pub use echo_basic::{Identity, serve_h2c, serve_http, serve_https};
pub use grpc::serve_grpc;
pub use http_echo::{HttpEcho, UsageError, serve_http_echo};
pub use server::GRACE;
pub use tcp::serve_tcp;
pub use tls::{Tls, TlsError};
pub use udp::{serve_dns, serve_udp};

/// Where a backend writes its standard output, line by line, without line ends.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

fn announce(listener: &TcpListener, mode: &str, log: &Log) {
    let port = listener.local_addr().map_or(0, |address| address.port());
    log(&format!("Starting server, listening on port {port} ({mode})"));
}

#[cfg(test)]
mod tests;
