//! The HTTP mode of `echo-basic`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING, UPGRADE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::form::Form;
use crate::retry::{Attempt, Retries};
use crate::server::{self, Body, Handler, Peer, Protocols, Reset};
use crate::tls::Facts;
use crate::{Log, Tls, announce, duration, json, web_socket};

/// What a backend says about itself in every echo; in the image these are environment variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `NAMESPACE`.
    pub namespace: String,
    /// `POD_NAME`.
    pub pod: String,
    /// `SERVICE_NAME`.
    pub service: String,
    /// `INGRESS_NAME`.
    pub ingress: String,
    /// The port that it says it serves, `HTTP_PORT` or `TCP_PORT`, by default `3000`. It is echoed, not listened to.
    pub http_port: String,
    /// The same with TLS, in TCP mode: `TLS_PORT`, by default `8443`.
    pub tls_port: String,
}

/// Serves the echo on `listener` until `stop`.
///
/// `/health`, `/status/NNN` and `/retry/...?uuid=&succeedAfter=` answer as in the image; `/ws` echoes WebSocket
/// messages; everything else is echoed, after `?delay=DURATION` where given.
pub async fn serve_http(listener: TcpListener, identity: Identity, log: Log, stop: CancellationToken) {
    announce(&listener, "http", &log);
    let handler = Echo { identity, log, retries: Retries::default(), h2c: false };
    server::serve(listener, Protocols::Http1, None, Arc::new(handler), stop).await;
}

/// Serves the echo over TLS until `stop`; it then tells what was agreed on, too. HTTP/2 is spoken where `tls` offers it.
pub async fn serve_https(listener: TcpListener, tls: Tls, identity: Identity, log: Log, stop: CancellationToken) {
    announce(&listener, "https", &log);
    let handler = Echo { identity, log, retries: Retries::default(), h2c: false };
    server::serve(listener, Protocols::Http1And2, Some(tls), Arc::new(handler), stop).await;
}

/// Serves the echo over HTTP/2 without TLS until `stop`; HTTP/1 requests are answered 400, unless they offer the upgrade.
pub async fn serve_h2c(listener: TcpListener, identity: Identity, log: Log, stop: CancellationToken) {
    announce(&listener, "h2c", &log);
    let handler = Echo { identity, log, retries: Retries::default(), h2c: true };
    server::serve(listener, Protocols::Http1And2, None, Arc::new(handler), stop).await;
}

struct Echo {
    identity: Identity,
    log: Log,
    retries: Retries,
    h2c: bool,
}

/// The echo; fields in the order of the image's JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Assertions<'a> {
    path: &'a str,
    host: &'a str,
    method: &'a str,
    proto: &'a str,
    headers: BTreeMap<String, Vec<String>>,
    http_port: &'a str,
    namespace: &'a str,
    ingress: &'a str,
    service: &'a str,
    pod: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'a Facts>,
}

impl Handler for Echo {
    async fn handle(&self, mut request: Request<Incoming>, peer: &Peer) -> Result<Response<Body>, Reset> {
        if !self.h2c && request.uri().path() == "/ws" {
            return Ok(web_socket::upgrade(request));
        }
        // The whole body is read before the answer: a client that is still sending would get a reset instead of the answer.
        let form = Form::read(&mut request).await;
        while let Some(Ok(_)) = request.body_mut().frame().await {}

        if self.h2c {
            let upgrade = request.headers().get(UPGRADE).is_some_and(|value| value == "h2c");
            if request.version() != Version::HTTP_2 && !upgrade {
                return Ok(text(StatusCode::BAD_REQUEST, "Expected h2c request"));
            }
            return Ok(self.echo(&request, &form, peer).await);
        }
        // Only routing sees the merged slashes, the echo does not.
        let path = request.uri().path().replace("//", "/");
        match path.as_str() {
            "/health" => Ok(text(StatusCode::OK, "OK")),
            _ if path.starts_with("/status/") => Ok(empty(status_of(request.uri()))),
            _ if path.starts_with("/retry/") => self.retry(&request, &form, peer).await,
            _ => Ok(self.echo(&request, &form, peer).await),
        }
    }
}

impl Echo {
    async fn echo(&self, request: &Request<Incoming>, form: &Form, peer: &Peer) -> Response<Body> {
        let target = target(request);
        (self.log)(&format!("Echoing back request made to {target} to client ({})", peer.address));
        if let Err(error) = wait(form.value("delay")).await {
            return failure(&error);
        }
        let assertions = Assertions {
            path: &target,
            host: host(request),
            method: request.method().as_str(),
            proto: proto(request.version()),
            headers: headers(request.headers()),
            http_port: &self.identity.http_port,
            namespace: &self.identity.namespace,
            ingress: &self.identity.ingress,
            service: &self.identity.service,
            pod: &self.identity.pod,
            tls: peer.tls.as_deref(),
        };
        let mut response = Response::new(body(json::indented(&assertions)));
        *response.headers_mut() = wanted_headers(request.headers());
        mark_json(response.headers_mut());
        response
    }

    async fn retry(&self, request: &Request<Incoming>, form: &Form, peer: &Peer) -> Result<Response<Body>, Reset> {
        let query = |name| form.query_value(name);
        let Some(uuid) = query("uuid").filter(|uuid| !uuid.is_empty()) else {
            return Ok(text(StatusCode::BAD_REQUEST, "uuid is required"));
        };
        let Some(succeed_after) = query("succeedAfter").and_then(|text| text.parse::<i64>().ok()) else {
            return Ok(text(StatusCode::BAD_REQUEST, "succeedAfter is required"));
        };
        if self.retries.attempt(uuid, succeed_after) == Attempt::Succeeds {
            return Ok(self.echo(request, form, peer).await);
        }
        if let Err(error) = wait(form.value("delayRetry")).await {
            return Ok(failure(&error));
        }
        match query("responseCode").map(str::parse::<u16>) {
            Some(Ok(code)) => Ok(empty(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))),
            Some(Err(_)) | None => Err(Reset),
        }
    }
}

/// The request target as it was sent; over HTTP/2 its path and query.
fn target(request: &Request<Incoming>) -> String {
    match request.version() {
        Version::HTTP_2 => request.uri().path_and_query().map_or("/", |it| it.as_str()).to_owned(),
        _ => request.uri().to_string(),
    }
}

fn host(request: &Request<Incoming>) -> &str {
    let from_target = request.uri().authority().map(|authority| authority.as_str());
    from_target.or_else(|| request.headers().get(HOST).and_then(|value| value.to_str().ok())).unwrap_or_default()
}

fn proto(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

/// Headers as Go sees them: canonical names in order, without `Host` and what belongs to the framing.
fn headers(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let is_framing = name == TRANSFER_ENCODING || (name == CONTENT_LENGTH && chunked);
        if name != HOST && !is_framing {
            seen.entry(canonical(name.as_str())).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
    }
    seen
}

/// `x-forwarded-for` becomes `X-Forwarded-For`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let letter = |letter: char| {
        let it = if upper { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        upper = letter == '-';
        it
    };
    name.chars().map(letter).collect()
}

/// What `X-Echo-Set-Header: Name:value, Other:value` asks for. Values of one name are joined by commas; what cannot be a header is left
/// out, and so is the framing.
fn wanted_headers(request: &HeaderMap) -> HeaderMap {
    let mut wanted: Vec<(HeaderName, String)> = Vec::new();
    for list in request.get_all("x-echo-set-header").iter().filter_map(|value| value.to_str().ok()) {
        for pair in list.split(',') {
            let (name, value) = pair.trim().split_once(':').unwrap_or((pair.trim(), ""));
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
            if name == CONTENT_LENGTH || name == TRANSFER_ENCODING {
                continue;
            }
            match wanted.iter_mut().find(|(other, _)| *other == name) {
                Some((_, values)) => {
                    values.push(',');
                    values.push_str(value.trim());
                }
                None => wanted.push((name, value.trim().to_owned())),
            }
        }
    }
    wanted.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?))).collect()
}

/// The code of `/status/NNN`, which must be the whole target. Informational ones cannot end a request.
fn status_of(uri: &Uri) -> StatusCode {
    let target = uri.to_string();
    let code = target.strip_prefix("/status/").filter(|code| code.len() == 3 && code.bytes().all(|digit| digit.is_ascii_digit()));
    let code = code.and_then(|code| code.parse().ok()).filter(|code| *code >= 200);
    code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::BAD_REQUEST)
}

async fn wait(text: Option<&str>) -> Result<(), duration::BadDuration> {
    match text.filter(|text| !text.is_empty()).map(duration::parse).transpose()? {
        Some(delay) if delay > Duration::ZERO => tokio::time::sleep(delay).await,
        Some(_) | None => {}
    }
    Ok(())
}

fn failure(error: &duration::BadDuration) -> Response<Body> {
    #[derive(Serialize)]
    struct Message {
        message: String,
    }
    let mut response = Response::new(body(json::compact(&Message { message: error.to_string() })));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    mark_json(response.headers_mut());
    response
}

fn mark_json(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// A short text, marked as Go marks it when nobody says what it is.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}
