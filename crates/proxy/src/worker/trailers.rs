//! Trailers that pass: where the listener wants them, and as far as they say nothing that was to be said, or taken away, in the head.

use weir_http1::{Known, Request, Response, trailer, write};
use weir_model::ClientIp;

use super::answer::write_field;
use super::edit::{Edits, RequestFilters};
use super::view::View;
use super::work::Plan;
use crate::client::Client;

/// The rules for one message's trailers, which come long after its head is gone.
pub(crate) struct Trailers {
    plan: Plan,
    of_answer: bool,
}

impl Trailers {
    /// For a request's; none: they are dropped.
    pub(crate) fn of_request(plan: &Plan, request: &Request) -> Option<Box<Self>> {
        // What the Connection field names goes no further; a trailer cannot be told from it any more when it comes.
        let passes = are_wanted(plan) && !request.connection.names;
        passes.then(|| Box::new(Self { plan: plan.clone(), of_answer: false }))
    }

    /// For an answer's; none: they are dropped.
    pub(crate) fn of_answer(plan: &Plan, response: &Response) -> Option<Box<Self>> {
        let passes = are_wanted(plan) && !response.connection.names;
        passes.then(|| Box::new(Self { plan: plan.clone(), of_answer: true }))
    }

    /// Appends the lines that pass.
    pub(crate) fn write(&self, lines: &[u8], out: &mut Vec<u8>) {
        let Some(client) = self.plan.client() else { return };
        let keeps_case = client.settings.http1.preserve_header_case;
        let edits = if self.of_answer { Edits::of_answer(self.plan.filters()) } else { RequestFilters::of(self.plan.filters()).edits };
        for (name, value) in trailer::fields(lines) {
            if trailer::may_trail(name) && edits.keep(name) && self.keeps(client, name) {
                write_field(out, name, value, keeps_case);
            }
        }
    }

    /// Whether the listener's own changes leave a field of that name alone.
    fn keeps(&self, client: &Client, name: &[u8]) -> bool {
        if self.of_answer {
            return client.late.keeps(name);
        }
        let says_who = matches!(&client.settings.client_ip, ClientIp::Header { name: it, .. } if is(it.as_str(), name));
        client.early.keeps(name) && !says_who
    }
}

fn is(known: &str, name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(known.as_bytes())
}

/// Whether the listener passes trailers on.
fn are_wanted(plan: &Plan) -> bool {
    plan.client().is_some_and(|client| client.settings.http1.trailers)
}

/// Writes what a client says of trailers in its head: which it sends, and that it takes some (RFC 9110, sections 6.6.2 and 10.1.4).
pub(crate) fn announce(view: &View<'_>, out: &mut Vec<u8>) {
    let View { head, request, .. } = *view;
    let mut takes = false;
    for field in request.fields.iter().filter(|field| field.known == Known::HopByHop) {
        let (name, value) = (field.name.bytes(head), field.value.bytes(head));
        if is("trailer", name) && !request.connection.names {
            write::field(out, b"trailer", value);
        }
        takes |= is("te", name) && value.split(|byte| *byte == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(b"trailers"));
    }
    if takes {
        out.extend_from_slice(b"te: trailers\r\nconnection: te\r\n");
    }
}
