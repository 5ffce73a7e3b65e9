//! Answers: the backend's, written anew, and our own.

use std::sync::Arc;

use weir_http1::{Body, Connection, Known, write};

use super::decide::write_length;
use super::edit::Edits;
use super::work::Work;
use crate::clock;

/// An answer of our own.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Envoy's response flags.
    pub(crate) flags: &'static str,
    pub(crate) details: Details,
    pub(crate) body: &'static str,
    /// `Work::location` goes into a `Location` field.
    pub(crate) has_location: bool,
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
        Self { status, flags, details, body, has_location: false }
    }

    pub(crate) fn redirect(status: u16, details: &'static str) -> Self {
        Self { status, flags: "-", details: Details::Text(details), body: "", has_location: true }
    }
}

/// Writes the head of the backend's answer, the first `length` bytes of `work.output`, anew and makes the download ready.
pub(crate) fn begin(work: &mut Work, length: usize, close: bool) {
    let Work { output, response, request, download, plan, .. } = work;
    let encode = matches!(response.body, Body::Chunked | Body::UntilClose);
    download.reset(response.body, encode);
    let head = output.filled().get(..length).unwrap_or_default();
    let edits = Edits::of_answer(plan.filters());
    let out = &mut download.head;
    write::status_line(out, response.status, response.reason.bytes(head));
    for field in &response.fields {
        let name = field.name.bytes(head);
        let keep = match field.known {
            Known::ContentLength => request.is_head || response.status == 304,
            Known::Connection | Known::HopByHop | Known::TransferEncoding | Known::Upgrade => false,
            _ => edits.keep(name) && !(response.connection.names && is_named(response, head, name)),
        };
        if keep {
            write::field(out, name, field.value.bytes(head));
        }
    }
    edits.write(out);
    let bodiless = request.is_head || response.status == 204 || response.status == 304;
    match response.body {
        Body::Length(length) => write_length(out, length),
        Body::Chunked | Body::UntilClose => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
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
    Edits::of_answer(work.plan.filters()).write(out);
    write_length(out, reply.body.len() as u64);
    if close {
        out.extend_from_slice(if reply.status == 426 { b"connection: upgrade, close\r\n".as_slice() } else { b"connection: close\r\n" });
    }
    out.extend_from_slice(b"\r\n");
    if !work.request.is_head {
        out.extend_from_slice(reply.body.as_bytes());
    }
}
