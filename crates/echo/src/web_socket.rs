//! `/ws` of `echo-basic`: every message comes back.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::header::{CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::echo_basic::text;
use crate::server::Body;

/// Agrees to speak WebSocket (RFC 6455, section 4.2) and echoes until the client closes. Like the image, it wants an `Origin`.
pub(crate) fn upgrade(request: Request<Incoming>) -> Response<Body> {
    let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let asks = header(UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    let Some(key) = header(SEC_WEBSOCKET_KEY).filter(|_| asks && header(SEC_WEBSOCKET_VERSION) == Some("13")) else {
        return text(StatusCode::BAD_REQUEST, "a WebSocket handshake is expected (RFC 6455, version 13)");
    };
    if header(ORIGIN).is_none_or(str::is_empty) {
        return text(StatusCode::FORBIDDEN, "an Origin is expected");
    }
    let accept = derive_accept_key(key.as_bytes());
    tokio::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(stream) => echo(WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await).await,
            Err(error) => tracing::debug!(%error, "no WebSocket after all"),
        }
    });
    let mut response = Response::new(http_body_util::Empty::new().boxed());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// The image sends every payload back as text, whatever it came as.
async fn echo<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) {
    let as_text = |payload: Bytes| Message::Frame(Frame::message(payload, OpCode::Data(Data::Text), true));
    while let Some(Ok(message)) = socket.next().await {
        let sent = match message {
            Message::Text(payload) => socket.send(as_text(payload.into())).await,
            Message::Binary(payload) => socket.send(as_text(payload)).await,
            // Pings and closes are answered by the library as it reads on.
            _ => socket.flush().await,
        };
        if sent.is_err() {
            return;
        }
    }
}
