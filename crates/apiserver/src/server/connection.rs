//! Accepting connections, speaking HTTP/1.1 or HTTP/2 on them, and reading requests within bounds.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::api::Api;
use crate::auth::{Caller, Token};
use crate::rest::{Body, MAX_BODY, Query, Reply, Request, handle, refuse};
use crate::status::ApiError;

/// Connections at once. The process's own clients need a few, kubectl one each, and watchers that speak HTTP/1 one for each watch.
const CONNECTIONS: usize = 2048;
/// For the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For a request's head; it also ends connections that idle, so it is above the 90 s after which Go's and hyper's clients let go.
const HEAD: Duration = Duration::from_secs(120);
/// For a request's body.
const BODY: Duration = Duration::from_secs(30);
/// Bytes of a body that is too large are thrown away up to here; then the connection closes.
const MAX_DISCARDED: usize = 32 << 20;
/// HTTP/2: requests at once on a connection, as kube-apiserver allows.
const STREAMS: u32 = 250;
const PING: Duration = Duration::from_secs(30);

/// What a connection needs.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) api: Arc<Api>,
    pub(crate) token: Token,
    pub(crate) tls: Arc<rustls::ServerConfig>,
}

/// Serves until the server stops, then lets open connections finish what they do.
pub(crate) async fn accept_loop(listener: TcpListener, front: Front) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let tracker = tokio_util::task::TaskTracker::new();
    let stop = front.api.stop.clone();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = async {
                // At the bound, new connections wait in the kernel's queue.
                let slot = Arc::clone(&slots).acquire_owned().await.ok();
                listener.accept().await.map(|(stream, _)| (stream, slot))
            } => accepted,
        };
        match accepted {
            Ok((stream, slot)) => {
                let front = front.clone();
                tracker.spawn(async move {
                    connection(stream, front).await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of descriptors, mostly: others must close some first.
                tracing::warn!(%error, "the API could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    tracker.close();
    tracker.wait().await;
}

async fn connection(stream: TcpStream, front: Front) {
    // Latency over throughput; a socket that cannot do it still works.
    let _ = stream.set_nodelay(true);
    let acceptor = TlsAcceptor::from(Arc::clone(&front.tls));
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let result = if h2 { http2(stream, front).await } else { http1(stream, front).await };
    if let Err(error) = result {
        tracing::debug!(%error, "an API connection ended");
    }
}

async fn http1(stream: TlsStream<TcpStream>, front: Front) -> hyper::Result<()> {
    let stop = front.api.stop.clone();
    let service = service_fn(move |request| serve(front.clone(), request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        done = connection.as_mut() => done,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

async fn http2(stream: TlsStream<TcpStream>, front: Front) -> hyper::Result<()> {
    let stop = front.api.stop.clone();
    let service = service_fn(move |request| serve(front.clone(), request));
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(64 << 10)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        done = connection.as_mut() => done,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

async fn serve(front: Front, request: http::Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let path = head.uri.path();
    match front.token.check(&head.headers) {
        Caller::Known => {}
        Caller::Anonymous => return Ok(refuse(&front.api, &head.method, path, &query)),
        Caller::Wrong => return Ok(Reply::from(ApiError::new(401, "Unauthorized", "Unauthorized")).into_response()),
    }
    let body = match read(body).await {
        Ok(body) => body,
        Err(error) => return Ok(Reply::from(error).into_response()),
    };
    let request = Request { method: head.method, path: path.to_owned(), query, headers: head.headers, body };
    if matches!(request.method, Method::GET | Method::HEAD) {
        return Ok(handle(front.api, request).await);
    }
    // To its end, also when the client goes away meanwhile: a write has more to do once it is stored.
    let handled = tokio::spawn(handle(front.api, request)).await;
    Ok(handled.unwrap_or_else(|_| Reply::from(ApiError::internal("the request could not be handled")).into_response()))
}

/// Reads a whole body. One that is too large is read on for a while without being kept: a client that is still sending when the
/// connection closes does not see the answer.
async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY, collect(body)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(ApiError::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {MAX_BODY}"))),
        Ok(Err(error)) => Err(ApiError::bad_request(format!("the request body could not be read: {error}"))),
        Err(_) => Err(ApiError::new(408, "Timeout", "the request body did not arrive in time")),
    }
}

async fn collect(mut body: Incoming) -> hyper::Result<Option<Bytes>> {
    let mut kept = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len();
        if length <= MAX_BODY {
            kept.extend_from_slice(&data);
        } else if length <= MAX_DISCARDED {
            kept.clear();
        } else {
            break;
        }
    }
    Ok((length <= MAX_BODY).then(|| kept.freeze()))
}
