//! From a request's head to what becomes of it: one pass, nothing awaited, and the head for the backend written on the way.

use std::borrow::Cow;
use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;

use weir_http1::{Body, Form, Known, Request, authority};
use weir_limits::{Refusal, Slot};
use weir_model::{Action, ClientIp, ClientSettings, Http10, LimitScope, Redirect, RequestId, Rule, Scheme, Underscores};
use weir_route::{Found, Matched, path};

use super::Worker;
use super::answer::{Details, Reply};
use super::connection::Link;
use super::edit::{RequestFilters, rewritten_path};
use super::head::Head;
use super::local::{Choice, redirect_port};
use super::upstream::Endpoint;
use super::view::View;
use super::work::{Plan, Work};
use crate::client::Client;
use crate::control::Refusee;
use crate::{access_log, client_ip};

/// What becomes of a request.
pub(crate) enum Decision {
    /// It goes to the endpoint in the work's plan; the head for it is in `Work::request_head`.
    Forward(Rc<Endpoint>),
    /// It is answered here.
    Reply(Reply),
}

/// Decides about the request in `work.request`, whose head is the first `length` bytes of `work.input`. A connection's first request for a
/// route takes the route's slot.
pub(crate) fn decide(link: &Link, slot: &mut Slot, work: &mut Work, length: usize) -> Decision {
    let Some(config) = work.plan.config.clone() else { return no_route() };
    let (worker, client) = (&link.worker, config.port.client_of(work.plan.listener));
    let settings = &*client.settings;
    let Work { input, request, host, request_head, record, plan, location, request_id, .. } = work;
    let head = input.filled().get(..length).unwrap_or_default();
    let request_id = identify(settings.headers.request_id, worker, head, request, request_id);
    let address = find_client(settings, link.peer, head, request);
    if let client_ip::Client::At(address) = address
        && address != link.peer.ip()
    {
        work.client = SocketAddr::new(address, 0);
    }
    if work.logged {
        let appended = client_ip::appends(&settings.client_ip).then_some(link.peer);
        record.describe(head, request, request_id, appended);
    }
    if let Some(reply) = refusal(settings, address, head, request) {
        return Decision::Reply(reply);
    }
    let text = std::str::from_utf8(request.target.bytes(head)).unwrap_or_default();
    let (raw_path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let Ok(normal) = normal_path(request.form, raw_path, &client.path) else {
        return Decision::Reply(Reply::new(400, "-", Details::Text("path_normalization_failed"), "the path cannot be normalised\n"));
    };
    if settings.health_check.as_deref().is_some_and(|path| path == normal.path) {
        return Decision::Reply(Reply::new(200, "-", Details::Text("health_check_ok"), ""));
    }
    let full_authority = host_of(client, head, request);
    let name = authority(full_authority.as_bytes()).map_or(&*full_authority, |it| it.host);
    let name = lower_case(name, host);
    if normal.redirect {
        location.clear();
        // Writing into a Vec cannot fail.
        let _ = write!(
            location,
            "{}://{full_authority}{}{}{}",
            link.scheme(),
            normal.path,
            if query.is_some() { "?" } else { "" },
            query.unwrap_or_default()
        );
        return Decision::Reply(Reply::redirect(307, "path_normalized_and_redirected"));
    }
    let drops_underscores = request.underscores && settings.headers.underscores == Underscores::Drop;
    let view = View { host: name, path: &normal.path, query, head, request, early: &client.early, drops_underscores };
    let found = config.port.table.find(&view);
    if is_misdirected(link, &found) {
        let body = "this connection is for another host: connect again\n";
        return Decision::Reply(Reply::new(421, "-", Details::Text("misdirected_request"), body));
    }
    let Found::Rule(matched) = found else { return no_route() };
    plan.set(&matched, work.started, &worker.clock);
    if let Some(cell) = config.port.rules.get(matched.id as usize).and_then(|rule| rule.cell(plan.listener))
        && let Err(refusal) = slot.extend(cell)
    {
        return over_limit(link, record, refusal);
    }
    match &matched.rule.action {
        Action::Fail(reason) => fail(reason),
        Action::Redirect(redirect) => {
            let from = (link.scheme(), redirect_port(&link.socket.socket, &config.port));
            write_location(location, redirect, &view, &matched, from);
            Decision::Reply(Reply::redirect(redirect.status, "direct_response"))
        }
        Action::Forward(targets) => match config.choose(matched.id as usize, &worker.endpoints) {
            Choice::Endpoint(index, endpoint) => {
                plan.target = Some(index);
                plan.upgrade = offers_websocket(client, head, request);
                let of_target = targets.get(index).map(|target| target.filters.as_slice()).unwrap_or_default();
                let filters = RequestFilters::of(matched.rule.filters.iter().chain(of_target));
                let scheme = forwarded_scheme(link, settings, head, request);
                let (peer, client, upgrade) = (link.peer, work.client.ip(), plan.upgrade);
                let certificate = link.certificate.as_ref().map(|it| it.as_str());
                let mut out = Head {
                    out: request_head,
                    view: &view,
                    filters: &filters,
                    settings,
                    peer,
                    client,
                    request_id,
                    scheme,
                    upgrade,
                    certificate,
                    fingerprints: plan.fingerprints.as_deref(),
                };
                out.write(&full_authority, &matched);
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

fn no_route() -> Decision {
    Decision::Reply(Reply::new(404, "NR", Details::Text("route_not_found"), "no route matches this request\n"))
}

/// The answer to a request whose route has no room for another connection.
fn over_limit(link: &Link, record: &mut access_log::Record, refusal: Refusal) -> Decision {
    let refusee = Refusee { client: link.peer, local: link.socket.socket.address, current: refusal.current };
    link.worker.team.refusals.note(&refusal.limit, refusee);
    record.limit = Some((LimitScope::Route, refusal));
    let body = "the connection limit of this route is reached\n";
    Decision::Reply(Reply::new(503, "-", Details::Text("over_connection_limit"), body).closing())
}

/// The request's identity, if it is to have one.
fn identify<'a>(rule: RequestId, worker: &Worker, head: &'a [u8], request: &Request, place: &'a mut [u8; 36]) -> Option<&'a [u8]> {
    let sent = || {
        let field = request.fields.iter().find(|field| field.known == Known::XRequestId);
        field.map(|field| field.value.bytes(head)).filter(|value| !value.is_empty())
    };
    let sent = match rule {
        RequestId::Generate => None,
        RequestId::PreserveOrGenerate => sent(),
        RequestId::Preserve => return sent(),
        RequestId::Disable => return None,
    };
    match sent {
        Some(sent) => Some(sent),
        None => {
            worker.uuid(place);
            Some(place)
        }
    }
}

fn find_client(settings: &ClientSettings, peer: SocketAddr, head: &[u8], request: &Request) -> client_ip::Client {
    let rule = &settings.client_ip;
    if matches!(rule, ClientIp::Peer | ClientIp::Direct) {
        return client_ip::Client::At(peer.ip());
    }
    let values = |wanted: fn(&ClientIp, &[u8]) -> bool| {
        let fields = request.fields.iter().filter(move |field| wanted(rule, field.name.bytes(head)));
        fields.map(|field| field.value.bytes(head))
    };
    let forwarded = values(|_, name| name.eq_ignore_ascii_case(b"x-forwarded-for"));
    let named = values(|rule, name| match rule {
        ClientIp::Header { name: wanted, .. } => name.eq_ignore_ascii_case(wanted.as_str().as_bytes()),
        _ => false,
    });
    client_ip::find(rule, peer.ip(), forwarded, named)
}

/// What `x-forwarded-proto` says: what this connection is, unless a trusted proxy in front knows better.
fn forwarded_scheme(link: &Link, settings: &ClientSettings, head: &[u8], request: &Request) -> &'static str {
    let trusted = match &settings.client_ip {
        ClientIp::TrustedHops { .. } => true,
        ClientIp::TrustedRanges { ranges, .. } => ranges.iter().any(|range| range.contains(link.peer.ip())),
        ClientIp::Peer | ClientIp::Direct | ClientIp::Header { .. } => false,
    };
    let said = request.fields.iter().find(|field| trusted && field.known == Known::XForwardedProto).map(|field| field.value.bytes(head));
    match said {
        Some(b"https") => "https",
        Some(b"http") => "http",
        _ => link.scheme(),
    }
}

/// The host that the request is for, after the listener's own changes.
fn host_of<'a>(client: &'a Client, head: &'a [u8], request: &Request) -> Cow<'a, str> {
    if !client.early.is_empty()
        && let Some((_, host)) = client.early.fields(|_| true).find(|(name, _)| *name == "host")
    {
        return Cow::Borrowed(host);
    }
    let sent = std::str::from_utf8(request.authority.bytes(head)).unwrap_or_default();
    let sent = match &client.settings.http1.http10 {
        Some(Http10 { default_host: Some(host) }) if request.is_old && sent.is_empty() => host,
        _ => sent,
    };
    if client.settings.headers.strip_trailing_host_dot
        && let Some(it) = authority(sent.as_bytes())
        && let Some(host) = it.host.strip_suffix('.')
    {
        let port = sent.get(it.host.len()..).unwrap_or_default();
        return if port.is_empty() { Cow::Borrowed(host) } else { Cow::Owned(format!("{host}{port}")) };
    }
    Cow::Borrowed(sent)
}

/// Whether the request offers to speak WebSocket, and the backend is to be asked. Other offers are passed over (RFC 9110, section 7.8): the
/// request goes on without them.
fn offers_websocket(client: &Client, head: &[u8], request: &Request) -> bool {
    let offer = || request.fields.iter().find(|field| field.known == Known::Upgrade).map(|field| field.value.bytes(head));
    request.connection.upgrade
        && request.body == Body::None
        && request.method.bytes(head) == b"GET"
        && offer().is_some_and(|offer| offer.eq_ignore_ascii_case(b"websocket") && !client.ignores_upgrade(offer))
}

/// The path that routes see and the backend gets.
fn normal_path<'a>(form: Form, raw: &'a str, options: &path::Options) -> Result<path::Normal<'a>, path::BadPath> {
    match (form, raw) {
        (Form::Asterisk, _) => Ok(path::Normal { path: Cow::Borrowed("*"), redirect: false }),
        (Form::Absolute, "") => Ok(path::Normal { path: Cow::Borrowed("/"), redirect: false }),
        (_, raw) => path::normalise(raw.as_bytes(), options),
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

/// Whether a request came by a TLS connection to one listener and is for another (RFC 9110, section 15.5.20): that one may want to see
/// other certificates. A host that no listener answers for is 404, by the Gateway API.
fn is_misdirected(link: &Link, found: &Found<'_>) -> bool {
    let asked = match found {
        Found::Rule(matched) => Some(matched.listener),
        Found::NoRoute { listener } => *listener,
    };
    matches!((&link.listener, asked), (Some(chosen), Some(asked)) if chosen.name.listener != asked.listener)
}

/// What is refused whatever the routes say.
fn refusal(settings: &ClientSettings, client: client_ip::Client, head: &[u8], request: &Request) -> Option<Reply> {
    if request.underscores && settings.headers.underscores == Underscores::Reject {
        let details = Details::Text("http1.unexpected_underscore");
        return Some(Reply::new(400, "DPE", details, "the request is malformed\n").closing());
    }
    if client == client_ip::Client::Unknown {
        return Some(Reply::new(403, "-", Details::Text("original_ip_detection_failed"), "the client's address is not known\n"));
    }
    let has_host = !request.authority.bytes(head).is_empty();
    if request.is_old && !has_host && settings.http1.http10.as_ref().is_none_or(|it| it.default_host.is_none()) {
        return Some(Reply::new(400, "DPE", Details::Text("http1.invalid_host"), "the request names no host\n").closing());
    }
    // One expectation that is not known is enough, whatever stands beside it.
    let is_unknown =
        |field: &weir_http1::Field| field.known == Known::Expect && !field.value.bytes(head).eq_ignore_ascii_case(b"100-continue");
    (!request.is_old && request.fields.iter().any(is_unknown))
        .then(|| Reply::new(417, "-", Details::Text("unknown_expectation"), "only `Expect: 100-continue` is understood\n"))
}

/// The `Location` of a redirect (Gateway API, `HTTPRequestRedirectFilter`): what it does not give stays as the request had it, and the
/// scheme's own port is left out.
fn write_location(out: &mut Vec<u8>, redirect: &Redirect, view: &View<'_>, matched: &Matched<'_>, (scheme, port): (&str, u16)) {
    let (scheme, own_port) = match redirect.scheme {
        Some(Scheme::Https) => ("https", 443),
        Some(Scheme::Http) => ("http", 80),
        None => (scheme, if scheme == "https" { 443 } else { 80 }),
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

impl Plan {
    fn set(&mut self, matched: &Matched<'_>, started: std::time::Instant, clock: &crate::clock::Clock) {
        self.rule = matched.id as usize;
        self.rule_index = matched.rule_index;
        self.deadline = matched.rule.timeouts.request.map_or(u32::MAX, |limit| clock.tick(started + limit).saturating_add(1));
        self.attempt = matched.rule.timeouts.backend_request;
    }

    /// How the connection's listener treats its clients.
    pub(crate) fn client(&self) -> Option<&Client> {
        self.config.as_ref().map(|config| config.port.client_of(self.listener))
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
