//! From a request's head to what becomes of it: one pass, nothing awaited, and the head for the backend written on the way.

use std::borrow::Cow;
use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;

use smallvec::SmallVec;
use weir_http1::{Body, Connection, Form, Known, Request, authority, write};
use weir_model::{Action, Redirect, Rule, Scheme};
use weir_route::{Found, Matched, RequestView, path};

use super::Worker;
use super::answer::{Details, Reply};
use super::edit::{RequestFilters, rewritten_path};
use super::local::{Choice, LocalConfig, LocalSocket, redirect_port};
use super::upstream::Endpoint;
use super::work::{Plan, Work};
use crate::access_log;

/// What becomes of a request.
pub(crate) enum Decision {
    /// It goes to the endpoint in the work's plan; the head for it is in `Work::request_head`.
    Forward(Rc<Endpoint>),
    /// It is answered here.
    Reply(Reply),
}

/// A request as routes see it.
struct View<'a> {
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    head: &'a [u8],
    request: &'a Request,
}

impl RequestView for View<'_> {
    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.path
    }

    fn method(&self) -> &str {
        std::str::from_utf8(self.request.method.bytes(self.head)).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let is_it = |field: &&weir_http1::Field| field.name.bytes(self.head).eq_ignore_ascii_case(name.as_bytes());
        let mut values = self.request.fields.iter().filter(is_it).map(|field| field.value.bytes(self.head));
        let first = values.next()?;
        match values.next() {
            None => Some(Cow::Borrowed(first)),
            Some(second) => {
                let mut all = [first, second].join(&b',');
                values.for_each(|value| {
                    all.push(b',');
                    all.extend_from_slice(value);
                });
                Some(Cow::Owned(all))
            }
        }
    }

    fn query(&self) -> Option<&str> {
        self.query
    }
}

/// Decides about the request in `work.request`, whose head is the first `length` bytes of `work.input`.
pub(crate) fn decide(worker: &Worker, socket: &LocalSocket, peer: SocketAddr, work: &mut Work, length: usize) -> Decision {
    let config = socket.config();
    work.logged = config.port.access_log;
    worker.uuid(&mut work.request_id);
    let Work { input, request, host, request_head, record, plan, location, request_id, .. } = work;
    let head = input.filled().get(..length).unwrap_or_default();
    if work.logged {
        record.describe(head, request, request_id, peer);
    }
    if let Some(reply) = refusal(head, request) {
        return Decision::Reply(reply);
    }
    let text = std::str::from_utf8(request.target.bytes(head)).unwrap_or_default();
    let (raw_path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let Ok(normal) = normal_path(request.form, raw_path) else {
        return Decision::Reply(Reply::new(400, "-", Details::Text("path_normalization_failed"), "the path cannot be normalised\n"));
    };
    let full_authority = std::str::from_utf8(request.authority.bytes(head)).unwrap_or_default();
    let name = authority(full_authority.as_bytes()).map_or(full_authority, |it| it.host);
    let name = lower_case(name, host);
    if normal.redirect {
        location.clear();
        // Writing into a Vec cannot fail.
        let _ = write!(
            location,
            "http://{full_authority}{}{}{}",
            normal.path,
            if query.is_some() { "?" } else { "" },
            query.unwrap_or_default()
        );
        return Decision::Reply(Reply::redirect(307, "path_normalized_and_redirected"));
    }
    let view = View { host: name, path: &normal.path, query, head, request };
    let matched = match config.port.table.find(&view) {
        Found::Rule(matched) => matched,
        Found::NoRoute { .. } => {
            return Decision::Reply(Reply::new(404, "NR", Details::Text("route_not_found"), "no route matches this request\n"));
        }
    };
    plan.set(&config, &matched, work.started, &worker.clock);
    match &matched.rule.action {
        Action::Fail(reason) => fail(reason),
        Action::Redirect(redirect) => {
            write_location(location, redirect, &view, &matched, redirect_port(&socket.socket, &config.port));
            Decision::Reply(Reply::redirect(redirect.status, "direct_response"))
        }
        Action::Forward(targets) => match config.choose(matched.id as usize, &worker.endpoints) {
            Choice::Endpoint(index, endpoint) => {
                plan.target = Some(index);
                let of_target = targets.get(index).map(|target| target.filters.as_slice()).unwrap_or_default();
                let filters = RequestFilters::of(matched.rule.filters.iter().chain(of_target));
                let mut out = Out { head: request_head, view: &view, filters: &filters, peer, request_id };
                out.write(full_authority, &matched);
                Decision::Forward(endpoint)
            }
            Choice::NoEndpoint(index) => {
                plan.target = Some(index);
                Decision::Reply(Reply::new(503, "UH", Details::Text("no_healthy_upstream"), "no healthy upstream\n"))
            }
            Choice::Fail(reason) => fail(&reason),
            Choice::NoTarget => Decision::Reply(Reply::new(500, "-", Details::Text("no_backend"), "the route has no backend\n")),
        },
    }
}

/// The path that routes see and the backend gets.
fn normal_path(form: Form, raw: &str) -> Result<path::Normal<'_>, path::BadPath> {
    match (form, raw) {
        (Form::Asterisk, _) => Ok(path::Normal { path: Cow::Borrowed("*"), redirect: false }),
        (Form::Absolute, "") => Ok(path::Normal { path: Cow::Borrowed("/"), redirect: false }),
        (_, raw) => path::normalise(raw.as_bytes(), &path::Options::default()),
    }
}

/// `name` in lower case; in `place` if it is not.
fn lower_case<'a>(name: &'a str, place: &'a mut String) -> &'a str {
    if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return name;
    }
    place.clear();
    place.push_str(name);
    place.make_ascii_lowercase();
    place
}

fn fail(reason: &weir_model::FailReason) -> Decision {
    Decision::Reply(Reply::new(500, "-", Details::Shared(reason.0.clone()), "the route's backend reference is invalid\n"))
}

/// What is refused whatever the routes say.
fn refusal(head: &[u8], request: &Request) -> Option<Reply> {
    if request.connection.upgrade {
        let offer = request.fields.iter().find(|field| field.known == Known::Upgrade)?.value.bytes(head);
        // An offer of HTTP/2 may be passed over (RFC 9110, section 7.8), and curl makes it with each `--http2`; Envoy does the same.
        if !offer.eq_ignore_ascii_case(b"h2c") {
            return Some(Reply::new(403, "-", Details::Text("upgrade_failed"), "upgrades are not supported yet\n"));
        }
    }
    // One expectation that is not known is enough, whatever stands beside it.
    let is_unknown =
        |field: &weir_http1::Field| field.known == Known::Expect && !field.value.bytes(head).eq_ignore_ascii_case(b"100-continue");
    request
        .fields
        .iter()
        .any(is_unknown)
        .then(|| Reply::new(417, "-", Details::Text("unknown_expectation"), "only `Expect: 100-continue` is understood\n"))
}

/// The `Location` of a redirect (Gateway API, `HTTPRequestRedirectFilter`): what it does not give stays as the request had it, and the
/// scheme's own port is left out.
fn write_location(out: &mut Vec<u8>, redirect: &Redirect, view: &View<'_>, matched: &Matched<'_>, port: u16) {
    let (scheme, own_port) = match redirect.scheme {
        Some(Scheme::Https) => ("https", 443),
        Some(Scheme::Http) | None => ("http", 80),
    };
    let port = redirect.port.unwrap_or(if redirect.scheme.is_some() { own_port } else { port });
    out.clear();
    let _ = write!(out, "{scheme}://{}", redirect.hostname.as_deref().unwrap_or(view.host));
    if port != own_port {
        let _ = write!(out, ":{port}");
    }
    rewritten_path(redirect.path.as_ref(), view.path, matched.prefix_len, out);
    if let Some(query) = view.query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
}

/// Writes the head for the backend.
struct Out<'a, 'f> {
    head: &'a mut Vec<u8>,
    view: &'a View<'a>,
    filters: &'a RequestFilters<'f>,
    peer: SocketAddr,
    request_id: &'a [u8; 36],
}

impl Out<'_, '_> {
    fn write(&mut self, authority: &str, matched: &Matched<'_>) {
        let View { head, request, path, query, .. } = *self.view;
        let filters = self.filters;
        let out = &mut *self.head;
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
        for field in &request.fields {
            let name = field.name.bytes(head);
            match field.known {
                Known::ContentLength => had_length = true,
                Known::Other | Known::UserAgent | Known::Date
                    if filters.edits.keep(name) && !(request.connection.names && self.is_for_this_connection(name)) =>
                {
                    write::field(self.head, name, field.value.bytes(head));
                }
                // Edited away, said anew below, or for this connection alone, or not for a client to say.
                _ => {}
            }
        }
        self.write_ours();
        self.filters.edits.write(self.head);
        match request.body {
            Body::Length(length) => write_length(self.head, length),
            Body::Chunked => self.head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Body::None if had_length => write_length(self.head, 0),
            Body::None | Body::UntilClose => {}
        }
        self.head.extend_from_slice(b"\r\n");
    }

    /// What a proxy says of itself and of the client.
    fn write_ours(&mut self) {
        let View { head, request, .. } = *self.view;
        let edits = &self.filters.edits;
        let mut address = SmallVec::<[u8; 48]>::new();
        access_log::address(&mut address, self.peer, false);
        let address = address.as_slice();
        let out = &mut *self.head;
        if edits.keep(b"x-forwarded-for") {
            out.extend_from_slice(b"x-forwarded-for: ");
            for field in request.fields.iter().filter(|field| field.known == Known::XForwardedFor) {
                out.extend_from_slice(field.value.bytes(head));
                out.push(b',');
            }
            out.extend_from_slice(address);
            out.extend_from_slice(b"\r\n");
        }
        for (name, value) in [
            (b"x-forwarded-proto".as_slice(), b"http".as_slice()),
            (b"x-envoy-external-address", address),
            (b"x-request-id", self.request_id.as_slice()),
        ] {
            if edits.keep(name) {
                write::field(out, name, value);
            }
        }
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

impl Plan {
    fn set(&mut self, config: &Rc<LocalConfig>, matched: &Matched<'_>, started: std::time::Instant, clock: &crate::clock::Clock) {
        self.config = Some(config.clone());
        self.rule = matched.id as usize;
        self.target = None;
        self.rule_index = matched.rule_index;
        self.deadline = matched.rule.timeouts.request.map_or(u32::MAX, |limit| clock.tick(started + limit).saturating_add(1));
        self.attempt = matched.rule.timeouts.backend_request;
    }

    /// The rule that the request met.
    pub(crate) fn rule(&self) -> Option<&Rule> {
        let (_, rule) = self.config.as_ref()?.port.rule(self.rule)?;
        Some(rule)
    }

    /// The filters of the rule and of the target that was chosen.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &weir_model::Filter> {
        let rule = self.rule();
        let of_rule = rule.map(|rule| rule.filters.as_slice()).unwrap_or_default();
        let of_target = match (rule.map(|rule| &rule.action), self.target) {
            (Some(Action::Forward(targets)), Some(index)) => targets.get(index).map(|target| target.filters.as_slice()),
            _ => None,
        };
        of_rule.iter().chain(of_target.unwrap_or_default())
    }
}
