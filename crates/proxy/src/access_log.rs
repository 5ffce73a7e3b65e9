//! The access log: Envoy Gateway's default keys, one JSON object a line, written into a buffer of the worker and handed to the log thread.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use weir_http1::{Known, Request};
use weir_limits::Refusal;
use weir_model::LimitScope;

use crate::LogSink;
use crate::clock::{self, Clock};
use crate::worker::Details;

/// A buffer of this size is handed over at once, others at the next tick.
const FLUSH_AT: usize = 32 * 1024;
/// How many buffers may wait for the log thread. Beyond, lines are dropped and counted: a slow disk must not slow requests down.
const MAX_WAITING: usize = 256;

/// The way to the log thread.
#[derive(Clone)]
pub(crate) struct Logger {
    lines: mpsc::Sender<(Arc<dyn LogSink>, Vec<u8>)>,
    dropped: Arc<AtomicU64>,
}

impl Logger {
    /// Starts the log thread. It ends when all loggers are gone.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (lines, mut receiver) = mpsc::channel::<(Arc<dyn LogSink>, Vec<u8>)>(MAX_WAITING);
        std::thread::Builder::new().name("weir-log".into()).spawn(move || {
            while let Some((sink, lines)) = receiver.blocking_recv() {
                sink.write(&lines);
            }
        })?;
        Ok(Self { lines, dropped: Arc::default() })
    }

    /// Hands whole lines over, if there is room.
    pub(crate) fn send(&self, sink: &Arc<dyn LogSink>, lines: Vec<u8>) {
        if let Err(error) = self.lines.try_send((sink.clone(), lines)) {
            let (_, lines) = error.into_inner();
            let count = memchr::memchr_iter(b'\n', &lines).count();
            self.dropped.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A worker's lines for one sink.
pub(crate) struct LogBuffer {
    sink: Arc<dyn LogSink>,
    logger: Logger,
    lines: RefCell<Vec<u8>>,
}

impl LogBuffer {
    pub(crate) fn new(sink: Arc<dyn LogSink>, logger: Logger) -> Self {
        Self { sink, logger, lines: RefCell::default() }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&self) {
        let lines = std::mem::take(&mut *self.lines.borrow_mut());
        if !lines.is_empty() {
            self.logger.send(&self.sink, lines);
        }
    }

    /// Writes a line.
    pub(crate) fn write(&self, line: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = self.lines.borrow_mut();
        if lines.capacity() == 0 {
            lines.reserve(FLUSH_AT + 4096);
        }
        line(&mut lines);
        if lines.len() >= FLUSH_AT {
            drop(lines);
            self.flush();
        }
    }
}

/// What the log will say about an exchange.
#[derive(Default)]
pub(crate) struct Record {
    /// The members that come from the request, as JSON. Written first, since the request's buffer is used again before the exchange ends.
    request: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) flags: &'static str,
    pub(crate) details: Details,
    pub(crate) upstream_failure: Option<String>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) upstream_local: Option<SocketAddr>,
    pub(crate) upstream_time: Option<Duration>,
    /// The limit that refused the request.
    pub(crate) limit: Option<(LimitScope, Refusal)>,
}

/// What is known from elsewhere.
pub(crate) struct Context<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) started: std::time::Instant,
    pub(crate) duration: Duration,
    pub(crate) cluster: Option<&'a str>,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    /// What the client asked for in TLS.
    pub(crate) server_name: Option<&'a str>,
}

impl Record {
    /// Forgets the exchange before.
    pub(crate) fn reset(&mut self) {
        let mut request = std::mem::take(&mut self.request);
        request.clear();
        *self = Self { request, flags: "-", ..Self::default() };
    }

    /// Takes down what the request says. `peer`: what is appended to its `x-forwarded-for`.
    pub(crate) fn describe(&mut self, head: &[u8], request: &Request, id: Option<&[u8]>, peer: Option<SocketAddr>) {
        let out = &mut self.request;
        out.clear();
        let find = |known| request.fields.iter().find(|field| field.known == known).map(|field| field.value.bytes(head));
        member(out, "method", Some(request.method.bytes(head)));
        member(out, "x-envoy-origin-path", Some(request.target.bytes(head)));
        member(out, "protocol", Some(if request.is_old { b"HTTP/1.0" } else { b"HTTP/1.1" }));
        out.extend_from_slice(b"\"x-forwarded-for\":\"");
        let start = out.len();
        for field in request.fields.iter().filter(|field| field.known == Known::XForwardedFor) {
            escaped(out, field.value.bytes(head));
            out.push(b',');
        }
        match peer {
            Some(peer) => address(out, peer, false),
            None => out.truncate(out.len().saturating_sub(1).max(start)),
        }
        out.extend_from_slice(b"\",");
        member(out, "user-agent", find(Known::UserAgent));
        member(out, "x-request-id", id);
        member(out, ":authority", Some(request.authority.bytes(head)));
    }

    /// Writes the line.
    pub(crate) fn write(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"start_time\":\"");
        context.clock.timestamp(context.started, out);
        out.extend_from_slice(b"\",");
        if self.request.is_empty() {
            out.extend_from_slice(
                b"\"method\":null,\"x-envoy-origin-path\":null,\"protocol\":null,\"x-forwarded-for\":null,\"user-agent\":null,\"x-request-id\":null,\":authority\":null,",
            );
        }
        out.extend_from_slice(&self.request);
        number(out, "response_code", u64::from(self.status));
        member(out, "response_flags", Some(self.flags.as_bytes()));
        member(out, "response_code_details", Some(self.details.as_str().as_bytes()).filter(|text| !text.is_empty()));
        out.extend_from_slice(b"\"connection_termination_details\":null,");
        member(out, "upstream_transport_failure_reason", self.upstream_failure.as_deref().map(str::as_bytes));
        number(out, "bytes_received", self.received);
        number(out, "bytes_sent", self.sent);
        number(out, "duration", millis(context.duration));
        match self.upstream_time {
            Some(time) => {
                out.extend_from_slice(b"\"x-envoy-upstream-service-time\":\"");
                out.extend_from_slice(itoa::Buffer::new().format(millis(time)).as_bytes());
                out.extend_from_slice(b"\",");
            }
            None => out.extend_from_slice(b"\"x-envoy-upstream-service-time\":null,"),
        }
        address_member(out, "upstream_host", self.upstream);
        member(out, "upstream_cluster", context.cluster.map(str::as_bytes));
        address_member(out, "upstream_local_address", self.upstream_local);
        address_member(out, "downstream_local_address", Some(context.local));
        address_member(out, "downstream_remote_address", Some(context.peer));
        member(out, "requested_server_name", context.server_name.map(str::as_bytes));
        member(out, "route_name", context.cluster.map(str::as_bytes));
        if let Some((scope, refusal)) = &self.limit {
            member(out, "limit_scope", Some(scope.as_str().as_bytes()));
            member(out, "limit_name", Some(refusal.limit.as_bytes()));
            number(out, "limit_value", refusal.value);
            number(out, "current", refusal.current);
        }
        end(out);
    }
}

/// What the log says about connections that a limit refused.
pub(crate) struct RefusedLine<'a> {
    pub(crate) scope: &'a str,
    pub(crate) limit: &'a str,
    pub(crate) value: u64,
    pub(crate) current: u64,
    pub(crate) refused: u64,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) client: SocketAddr,
}

impl RefusedLine<'_> {
    /// Writes the line.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"start_time\":\"");
        clock::timestamp(out);
        out.extend_from_slice(b"\",");
        for key in ["method", "x-envoy-origin-path", "protocol"] {
            member(out, key, None);
        }
        number(out, "response_code", 0);
        member(out, "response_flags", Some(b"-"));
        member(out, "response_code_details", None);
        member(out, "connection_termination_details", Some(b"over_connection_limit"));
        address_member(out, "downstream_local_address", self.local);
        address_member(out, "downstream_remote_address", Some(self.client));
        member(out, "limit_scope", Some(self.scope.as_bytes()));
        member(out, "limit_name", Some(self.limit.as_bytes()));
        number(out, "limit_value", self.value);
        number(out, "current", self.current);
        number(out, "refused", self.refused);
        end(out);
    }
}

fn end(out: &mut Vec<u8>) {
    // The last member left a comma.
    out.pop();
    out.extend_from_slice(b"}\n");
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    key_of(out, key);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.push(b',');
}

fn member(out: &mut Vec<u8>, key: &str, value: Option<&[u8]>) {
    key_of(out, key);
    match value {
        None => out.extend_from_slice(b"null,"),
        Some(value) => {
            out.push(b'"');
            escaped(out, value);
            out.extend_from_slice(b"\",");
        }
    }
}

fn key_of(out: &mut Vec<u8>, key: &str) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn address_member(out: &mut Vec<u8>, key: &str, value: Option<SocketAddr>) {
    key_of(out, key);
    match value {
        None => out.extend_from_slice(b"null,"),
        Some(value) => {
            out.push(b'"');
            address(out, value, true);
            out.extend_from_slice(b"\",");
        }
    }
}

/// Appends an address, with its port or without. Without the formatting machinery, since every request needs it.
pub(crate) fn address(out: &mut Vec<u8>, value: SocketAddr, port: bool) {
    let mut digits = itoa::Buffer::new();
    match value {
        SocketAddr::V4(value) => {
            for (place, part) in value.ip().octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(digits.format(part).as_bytes());
            }
        }
        SocketAddr::V6(value) if port => out.extend_from_slice(format!("[{}]", value.ip()).as_bytes()),
        SocketAddr::V6(value) => out.extend_from_slice(value.ip().to_string().as_bytes()),
    }
    if port {
        out.push(b':');
        out.extend_from_slice(digits.format(value.port()).as_bytes());
    }
}

/// Appends `text` as the inside of a JSON string. Bytes beyond ASCII are read as Latin-1, so that whatever a client sends, the line is
/// valid JSON and a line break in it stays inside the string.
fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let plain = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\';
    if text.iter().all(plain) {
        return out.extend_from_slice(text);
    }
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            byte if plain(byte) => out.push(*byte),
            byte => {
                let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or_default();
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_client_sends_the_line_is_json() {
        let mut out = b"{".to_vec();
        member(&mut out, "user-agent", Some(b"a\"b\\c\nd\xffe"));
        member(&mut out, "none", None);
        number(&mut out, "count", 7);
        address_member(&mut out, "v4", Some("127.0.0.1:80".parse().expect("an address")));
        address_member(&mut out, "v6", Some("[::1]:80".parse().expect("an address")));
        end(&mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).expect("valid JSON");
        assert_eq!(value["user-agent"], "a\"b\\c\nd\u{ff}e");
        assert_eq!(value["none"], serde_json::Value::Null);
        assert_eq!((&value["count"], &value["v4"], &value["v6"]), (&7.into(), &"127.0.0.1:80".into(), &"[::1]:80".into()));
    }
}
