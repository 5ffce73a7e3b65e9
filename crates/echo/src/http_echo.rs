//! `hashicorp/http-echo` (1.0): one text for everybody.

use std::sync::Arc;
use std::time::Instant;

use http::header::{HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::echo_basic::text;
use crate::server::{self, Body, Handler, Peer, Protocols, Reset};
use crate::{Log, duration};

/// The version whose behaviour this is.
const VERSION: &str = "1.0.0";

/// What it is told on its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpEcho {
    /// `-text`: what it answers.
    pub text: String,
    /// `-listen`, by default `:5678`: an optional address, and a port.
    pub listen: String,
    /// `-status-code`, by default 200.
    pub status: StatusCode,
}

/// Why a command line is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// There is nothing to answer.
    #[error("Missing -text option!")]
    MissingText,
    /// Something that is no flag.
    #[error("Too many arguments!")]
    TooManyArguments,
    /// A flag that it does not have.
    #[error("flag provided but not defined: -{0}")]
    UnknownFlag(String),
    /// A flag at the end, without its value.
    #[error("flag needs an argument: -{0}")]
    MissingValue(String),
    /// A status that is none.
    #[error("invalid value \"{0}\" for flag -status-code: parse error")]
    Status(String),
    /// `-listen` without a port.
    #[error("listen tcp: address {0}: missing port in address")]
    Listen(String),
}

impl UsageError {
    /// What the process exits with.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::MissingText | Self::TooManyArguments => 127,
            Self::UnknownFlag(_) | Self::MissingValue(_) | Self::Status(_) => 2,
            Self::Listen(_) => 1,
        }
    }
}

impl HttpEcho {
    /// Reads the arguments behind the program's name. Flags have one dash or two, and their value behind `=` or as the next argument.
    ///
    /// # Errors
    /// [`UsageError`], in the program's own words.
    pub fn from_args(args: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, UsageError> {
        let mut parsed = Self { text: String::new(), listen: ":5678".to_owned(), status: StatusCode::OK };
        let mut args = args.into_iter().map(Into::into);
        while let Some(arg) = args.next() {
            let flag = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).ok_or(UsageError::TooManyArguments)?;
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (flag.to_owned(), args.next()),
            };
            let value = || value.ok_or_else(|| UsageError::MissingValue(name.clone()));
            match name.as_str() {
                "text" => parsed.text = value()?,
                "listen" => parsed.listen = value()?,
                "status-code" => {
                    let text = value()?;
                    parsed.status =
                        text.parse().ok().filter(|status: &StatusCode| status.as_u16() >= 200).ok_or(UsageError::Status(text))?;
                }
                _ => return Err(UsageError::UnknownFlag(name)),
            }
        }
        if parsed.text.is_empty() {
            return Err(UsageError::MissingText);
        }
        parsed.port()?;
        Ok(parsed)
    }

    /// The port of `listen`.
    ///
    /// # Errors
    /// [`UsageError::Listen`] when it has none.
    pub fn port(&self) -> Result<u16, UsageError> {
        let port = self.listen.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.ok_or_else(|| UsageError::Listen(self.listen.clone()))
    }
}

/// Serves the text on `listener` until `stop`; `/health` says that it is well.
pub async fn serve_http_echo(listener: TcpListener, config: HttpEcho, log: Log, stop: CancellationToken) {
    log(&format!("{} [INFO] server is listening on {}", time(), config.listen));
    server::serve(listener, Protocols::Http1, None, Arc::new(Echo { config, log }), stop).await;
}

struct Echo {
    config: HttpEcho,
    log: Log,
}

impl Handler for Echo {
    async fn handle(&self, mut request: Request<Incoming>, peer: &Peer) -> Result<Response<Body>, Reset> {
        let start = Instant::now();
        while let Some(Ok(_)) = request.body_mut().frame().await {}
        let is_health = request.uri().path() == "/health";
        let body = if is_health { "{\"status\":\"ok\"}\n".to_owned() } else { format!("{}\n", self.config.text) };
        let length = body.len();
        let mut response = text(if is_health { StatusCode::OK } else { self.config.status }, body);
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("x-app-name"), HeaderValue::from_static("http-echo"));
        headers.insert(HeaderName::from_static("x-app-version"), HeaderValue::from_static(VERSION));
        if !is_health {
            self.log(&request, peer, length, start);
        }
        Ok(response)
    }
}

impl Echo {
    fn log(&self, request: &Request<Incoming>, peer: &Peer, length: usize, start: Instant) {
        let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        let (host, agent, path) = (header(HOST), header(USER_AGENT), request.uri().path());
        let (method, proto, status) = (request.method(), request.version(), self.config.status.as_u16());
        let took = duration::show(start.elapsed());
        (self.log)(&format!("{} {host} {} \"{method} {path} {proto:?}\" {status} {length} \"{agent}\" {took}", time(), peer.address));
    }
}

fn time() -> String {
    Timestamp::now().strftime("%Y/%m/%d %H:%M:%S").to_string()
}
