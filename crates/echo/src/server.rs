//! What all backends share: accepting, TLS, serving HTTP/1 and HTTP/2, stopping.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::tls::{Facts, Tls};

/// How long requests in flight may take to end once a backend is told to stop.
pub const GRACE: Duration = Duration::from_secs(1);

/// How long a client may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// After an error of `accept` that is no single connection's (out of descriptors): how long to wait for better times.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A request that is answered by resetting its connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset on purpose")]
pub(crate) struct Reset;

/// The body of an answer.
pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// Which protocols a listener speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// HTTP/1.
    Http1,
    /// HTTP/1, and HTTP/2 by prior knowledge or ALPN.
    Http1And2,
}

/// Who is at the other end of a connection.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// What was agreed on, if the connection is TLS.
    pub(crate) tls: Option<Arc<Facts>>,
}

/// Answers one request from `peer`.
pub(crate) trait Handler: Send + Sync + 'static {
    fn handle(&self, request: Request<Incoming>, peer: &Peer) -> impl Future<Output = Result<Response<Body>, Reset>> + Send;
}

/// A client's connection: TCP, or TLS over it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// Serves HTTP until `stop` is cancelled and every connection is closed. Dropping the future closes them at once.
pub(crate) async fn serve(
    listener: TcpListener,
    protocols: Protocols,
    tls: Option<Tls>,
    handler: Arc<impl Handler>,
    stop: CancellationToken,
) {
    let stopped = stop.clone();
    let connection = move |stream: TcpStream, address: SocketAddr| {
        let (tls, handler, stop) = (tls.clone(), handler.clone(), stopped.clone());
        async move {
            // Only delays answers when it fails.
            let _ = stream.set_nodelay(true);
            let reset = Arc::new(AtomicBool::new(false));
            let stream = Resettable { stream, reset: reset.clone() };
            let Some(tls) = tls else {
                return http(stream, Peer { address, tls: None }, reset, protocols, handler, stop).await;
            };
            match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok((stream, facts))) => http(stream, Peer { address, tls: Some(facts) }, reset, protocols, handler, stop).await,
                Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
            }
        }
    };
    accept(listener, connection, stop).await;
}

/// Gives each connection to `serve` until `stop` is cancelled; then waits for those that are open, for [`GRACE`] at the most.
pub(crate) async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream, SocketAddr) -> F, stop: CancellationToken)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(serve(stream, peer));
            }
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn http(
    stream: impl Stream,
    peer: Peer,
    reset: Arc<AtomicBool>,
    protocols: Protocols,
    handler: Arc<impl Handler>,
    stop: CancellationToken,
) {
    let address = peer.address;
    let peer = Arc::new(peer);
    let service = service_fn(move |request| {
        let (handler, reset, peer) = (handler.clone(), reset.clone(), peer.clone());
        async move {
            let answer = handler.handle(request, &peer).await;
            reset.store(answer.is_err(), Ordering::Relaxed);
            answer
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // As Go writes them.
    builder.http1().title_case_headers(true);
    if protocols == Protocols::Http1 {
        builder = builder.http1_only();
    }
    let mut served = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(peer = %address, error, "connection ended");
    }
}

/// A connection that ends by RST instead of FIN once `reset` is set.
struct Resettable {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            // When it fails the peer sees FIN, which is an unexpected end too.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
