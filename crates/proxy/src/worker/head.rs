//! The head for the backend, written anew from what was parsed.

use std::net::{IpAddr, SocketAddr};

use weir_http1::{Body, Connection, Known, write};
use weir_model::{ClientSettings, ForwardedClientCert};
use weir_route::Matched;

use super::answer::write_field;
use super::edit::{RequestFilters, configured, rewritten_path};
use super::trailers;
use super::view::View;
use crate::tls::Fingerprints;
use crate::{access_log, client_ip};

/// What a proxy says of a client's certificate.
const CERTIFICATE: &[u8] = b"x-forwarded-client-cert";

/// Writes the head for the backend.
pub(crate) struct Head<'a, 'f> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) view: &'a View<'a>,
    pub(crate) filters: &'a RequestFilters<'f>,
    pub(crate) settings: &'a ClientSettings,
    /// The connection's other end.
    pub(crate) peer: SocketAddr,
    /// Whose request it is.
    pub(crate) client: IpAddr,
    pub(crate) request_id: Option<&'a [u8]>,
    pub(crate) scheme: &'static str,
    /// The other protocol is offered to the backend.
    pub(crate) upgrade: bool,
    /// What may be told of the client's certificate, if it presented one.
    pub(crate) certificate: Option<&'a str>,
    /// What its hello says of its software, if the listener wants to know.
    pub(crate) fingerprints: Option<&'a Fingerprints>,
}

impl Head<'_, '_> {
    pub(crate) fn write(&mut self, authority: &str, matched: &Matched<'_>) {
        let View { head, request, path, query, .. } = *self.view;
        let filters = self.filters;
        let out = &mut *self.out;
        out.clear();
        out.extend_from_slice(request.method.bytes(head));
        out.push(b' ');
        rewritten_path(filters.path, path, matched.prefix_len, out);
        if let Some(query) = query {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
        let host = filters.hostname.or_else(|| filters.edits.value("host")).unwrap_or(authority);
        write::field(out, b"host", host.as_bytes());
        let mut had_length = false;
        let keeps_case = self.settings.http1.preserve_header_case;
        for field in &request.fields {
            let name = field.name.bytes(head);
            match field.known {
                Known::ContentLength => had_length = true,
                Known::Other | Known::UserAgent | Known::Date
                    if filters.edits.keep(name)
                        && self.view.keeps(name)
                        && !(request.connection.names && self.is_for_this_connection(name)) =>
                {
                    write_field(self.out, name, field.value.bytes(head), keeps_case);
                }
                // Edited away, said anew below, or for this connection alone, or not for a client to say.
                _ => {}
            }
        }
        self.write_ours();
        for (name, value) in self.view.added() {
            if name != "host" && filters.edits.keep(name.as_bytes()) {
                configured(name, value, self.fingerprints, self.out);
            }
        }
        self.filters.edits.write(self.fingerprints, self.out);
        if self.upgrade {
            self.out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
        }
        if self.settings.http1.trailers {
            trailers::announce(self.view, self.out);
        }
        match request.body {
            Body::Length(length) => write_length(self.out, length),
            Body::Chunked => self.out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Body::None if had_length => write_length(self.out, 0),
            Body::None | Body::UntilClose => {}
        }
        if self.settings.headers.envoy_headers
            && let Some(limit) = matched.rule.timeouts.request
        {
            self.out.extend_from_slice(b"x-envoy-expected-rq-timeout-ms: ");
            write::number(self.out, u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
            self.out.extend_from_slice(b"\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// What a proxy says of itself and of the client.
    fn write_ours(&mut self) {
        let edits = &self.filters.edits;
        self.write_forwarded();
        self.write_certificate();
        let out = &mut *self.out;
        if edits.keep(b"x-forwarded-proto") {
            write::field(out, b"x-forwarded-proto", self.scheme.as_bytes());
        }
        if edits.keep(b"x-envoy-external-address") {
            out.extend_from_slice(b"x-envoy-external-address: ");
            access_log::address(out, SocketAddr::new(self.client, 0), false);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(id) = self.request_id
            && edits.keep(b"x-request-id")
        {
            write::field(out, b"x-request-id", id);
        }
    }

    /// Who the client is by its certificate. What a client says of itself is believed only where the listener's settings say so.
    fn write_certificate(&mut self) {
        let View { head, request, .. } = *self.view;
        let (forward, tell) = match (self.settings.headers.forwarded_client_cert, self.certificate) {
            (ForwardedClientCert::AlwaysForwardOnly, _) | (ForwardedClientCert::ForwardOnly, Some(_)) => (true, None),
            (ForwardedClientCert::AppendForward, Some(certificate)) => (true, Some(certificate)),
            (ForwardedClientCert::SanitizeSet, Some(certificate)) => (false, Some(certificate)),
            _ => return,
        };
        if !self.filters.edits.keep(CERTIFICATE) {
            return;
        }
        let keep = forward && self.view.keeps(CERTIFICATE);
        let sent = request.fields.iter().filter(|field| keep && field.known == Known::XForwardedClientCert);
        let mut values = sent.map(|field| field.value.bytes(head)).chain(tell.map(str::as_bytes));
        let Some(first) = values.next() else { return };
        let out = &mut *self.out;
        out.extend_from_slice(CERTIFICATE);
        out.extend_from_slice(b": ");
        out.extend_from_slice(first);
        for value in values {
            out.push(b',');
            out.extend_from_slice(value);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_forwarded(&mut self) {
        const NAME: &[u8] = b"x-forwarded-for";
        let View { head, request, .. } = *self.view;
        let append = client_ip::appends(&self.settings.client_ip);
        let keep = self.view.keeps(NAME);
        let sent = || request.fields.iter().filter(|field| keep && field.known == Known::XForwardedFor);
        if !self.filters.edits.keep(NAME) || (!append && sent().next().is_none()) {
            return;
        }
        let out = &mut *self.out;
        out.extend_from_slice(b"x-forwarded-for: ");
        for (place, field) in sent().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(field.value.bytes(head));
        }
        if append {
            if sent().next().is_some() {
                out.push(b',');
            }
            access_log::address(out, self.peer, false);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Whether a Connection field names this one. Credentials cannot be taken away like that: a client that could hide them from the
    /// backend could pass for another.
    fn is_for_this_connection(&self, name: &[u8]) -> bool {
        let View { head, request, .. } = *self.view;
        !name.eq_ignore_ascii_case(b"authorization")
            && !name.eq_ignore_ascii_case(b"cookie")
            && !name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-"))
            && request.fields.iter().any(|field| field.known == Known::Connection && Connection::names(field.value.bytes(head), name))
    }
}

/// Appends a Content-Length.
pub(crate) fn write_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    write::number(out, length);
    out.extend_from_slice(b"\r\n");
}
