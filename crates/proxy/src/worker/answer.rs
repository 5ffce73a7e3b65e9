//! Answers: the backend's, written anew, and our own.

use std::sync::Arc;

use weir_http1::{Body, Connection, Known, write};

use super::edit::{Edits, configured};
use super::head::write_length;
use super::trailers::Trailers;
use super::work::Work;
use crate::clock;
use crate::mutation::Mutation;
use crate::tls::Fingerprints;

/// An answer of our own.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Envoy's response flags.
    pub(crate) flags: &'static str,
    pub(crate) details: Details,
    pub(crate) body: &'static str,
    /// `Work::location` goes into a `Location` field.
    pub(crate) has_location: bool,
    /// The connection ends with it.
    pub(crate) close: bool,
}

/// Envoy's response code details.
#[derive(Debug, Clone, Default)]
pub(crate) enum Details {
    #[default]
    None,
    Text(&'static str),
    Shared(Arc<str>),
}

impl Details {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::None => "",
            Self::Text(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl Reply {
    pub(crate) fn new(status: u16, flags: &'static str, details: Details, body: &'static str) -> Self {
        Self { status, flags, details, body, has_location: false, close: false }
    }

    /// The same, as a connection's last.
    pub(crate) fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    pub(crate) fn redirect(status: u16, details: &'static str) -> Self {
        Self { status, flags: "-", details: Details::Text(details), body: "", has_location: true, close: false }
    }
}

/// Writes the head of the backend's answer, the first `length` bytes of `work.output`, anew and makes the download ready.
pub(crate) fn begin(work: &mut Work, length: usize, close: bool) {
    let Work { output, response, request, download, plan, started, .. } = work;
    // HTTP/1.0 has no chunks: its end is the connection's.
    let encode = matches!(response.body, Body::Chunked | Body::UntilClose) && !request.is_old;
    download.reset(response.body, encode);
    if response.body == Body::Chunked {
        download.pass_trailers(Trailers::of_answer(plan, response));
    }
    download.last = close;
    let head = output.filled().get(..length).unwrap_or_default();
    let edits = Edits::of_answer(plan.filters());
    let client = plan.client();
    let (keeps_case, trailers) = client.map_or((false, false), |it| (it.settings.http1.preserve_header_case, it.settings.http1.trailers));
    let out = &mut download.head;
    write::status_line(out, response.status, response.reason.bytes(head));
    for field in &response.fields {
        let name = field.name.bytes(head);
        let keep = match field.known {
            Known::ContentLength => request.is_head || response.status == 304,
            Known::HopByHop => trailers && name.eq_ignore_ascii_case(b"trailer") && !response.connection.names,
            Known::Connection | Known::TransferEncoding | Known::Upgrade => false,
            _ => {
                edits.keep(name)
                    && client.is_none_or(|it| it.late.keeps(name))
                    && !(response.connection.names && is_named(response, head, name))
            }
        };
        if keep {
            write_field(out, name, field.value.bytes(head), keeps_case);
        }
    }
    if let Some(client) = client {
        if client.settings.headers.envoy_headers {
            out.extend_from_slice(b"x-envoy-upstream-service-time: ");
            write::number(out, u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
            out.extend_from_slice(b"\r\n");
        }
        let has = |name: &[u8]| response.fields.iter().any(|field| field.name.bytes(head).eq_ignore_ascii_case(name)) || edits.adds(name);
        write_late(&client.late, &edits, has, plan.fingerprints.as_deref(), out);
    } else {
        edits.write(None, out);
    }
    let bodiless = request.is_head || response.status == 204 || response.status == 304;
    match response.body {
        Body::Length(length) => write_length(out, length),
        Body::Chunked | Body::UntilClose if encode => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Body::Chunked | Body::UntilClose => {}
        Body::None if !bodiless => write_length(out, 0),
        Body::None if request.is_head && response.chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Body::None => {}
    }
    if close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    output.consume(length);
}

/// Writes the answer that the backend speaks WebSocket from now on, the first `length` bytes of `work.output`.
pub(crate) fn switch(work: &mut Work, length: usize) {
    let keeps_case = work.plan.client().is_some_and(|it| it.settings.http1.preserve_header_case);
    let Work { output, response, download, upload, .. } = work;
    let head = output.filled().get(..length).unwrap_or_default();
    download.reset(Body::UntilClose, false);
    upload.reset(Body::UntilClose, false);
    let out = &mut download.head;
    write::status_line(out, 101, b"Switching Protocols");
    for field in &response.fields {
        if matches!(field.known, Known::Other | Known::Date) {
            write_field(out, field.name.bytes(head), field.value.bytes(head), keeps_case);
        }
    }
    out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n");
    output.consume(length);
}

/// Appends a field of a message that passes: its name as the sender wrote it, or in lower case, which is Envoy's way.
#[inline]
pub(crate) fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8], keeps_case: bool) {
    if keeps_case { write::field(out, name, value) } else { write::lower_field(out, name, value) }
}

/// Writes what filters add, unless the listener takes it away again, and what the listener adds.
fn write_late(late: &Mutation, edits: &Edits<'_>, has: impl Fn(&[u8]) -> bool, prints: Option<&Fingerprints>, out: &mut Vec<u8>) {
    if late.is_empty() {
        return edits.write(prints, out);
    }
    for (name, value) in edits.fields().filter(|(name, _)| late.keeps(name.as_bytes())) {
        configured(name, value, prints, out);
    }
    for (name, value) in late.fields(has) {
        configured(name, value, prints, out);
    }
}

fn is_named(response: &weir_http1::Response, head: &[u8], name: &[u8]) -> bool {
    response.fields.iter().any(|field| field.known == Known::Connection && Connection::names(field.value.bytes(head), name))
}

/// Writes an answer of our own into the download.
pub(crate) fn reply(work: &mut Work, reply: &Reply, close: bool) {
    work.download.reset(Body::None, false);
    let out = &mut work.download.head;
    write::status_line(out, reply.status, b"");
    if reply.has_location {
        write::field(out, b"location", &work.location);
    }
    if !reply.body.is_empty() {
        out.extend_from_slice(b"content-type: text/plain\r\n");
    }
    if reply.status == 426 {
        // Required with this status (RFC 9110, section 15.5.22).
        out.extend_from_slice(b"upgrade: HTTP/1.1\r\n");
    }
    out.extend_from_slice(b"date: ");
    clock::http_date(out);
    out.extend_from_slice(b"\r\n");
    let edits = Edits::of_answer(work.plan.filters());
    match work.plan.client() {
        Some(client) => write_late(&client.late, &edits, |name| edits.adds(name), work.plan.fingerprints.as_deref(), out),
        None => edits.write(None, out),
    }
    write_length(out, reply.body.len() as u64);
    if close {
        out.extend_from_slice(if reply.status == 426 { b"connection: upgrade, close\r\n".as_slice() } else { b"connection: close\r\n" });
    }
    out.extend_from_slice(b"\r\n");
    if !work.request.is_head {
        out.extend_from_slice(reply.body.as_bytes());
    }
}
