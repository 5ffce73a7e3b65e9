//! `/healthz` and `/readyz` for the kubelet.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// More probes than this at once wait their turn.
const PROBES: usize = 32;
/// A client that has not sent its request by then is dropped.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the controller is ready; shared between the loop that knows and the server that tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ready(Arc<AtomicBool>);

impl Ready {
    /// From now on `/readyz` says so.
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why the health server cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for health checks: {source}; is another controller running there?")]
pub(crate) struct CannotListen {
    address: SocketAddr,
    source: std::io::Error,
}

/// Opens the socket.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, CannotListen> {
    TcpListener::bind(address).await.map_err(|source| CannotListen { address, source })
}

/// Answers until dropped.
pub(crate) async fn serve(listener: TcpListener, ready: Ready) {
    let probes = Arc::new(Semaphore::new(PROBES));
    loop {
        let Ok(permit) = probes.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a health probe could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let ready = ready.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, &ready);
                async move { Ok::<_, Infallible>(response) }
            });
            // A probe that breaks off is nobody's concern.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, ready: &Ready) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        "/healthz" => (StatusCode::OK, "ok\n"),
        "/readyz" if ready.is_set() => (StatusCode::OK, "ok\n"),
        "/readyz" => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: the caches are filling or no data plane has taken the configuration yet\n")
        }
        _ => (StatusCode::NOT_FOUND, "there is /healthz and /readyz\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn status(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.expect("writes");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("reads");
        text.split(' ').nth(1).expect("a status").to_owned()
    }

    #[tokio::test]
    async fn ready_only_when_it_was_said() {
        let listener = listen("127.0.0.1:0".parse().expect("an address")).await.expect("listens");
        let address = listener.local_addr().expect("bound");
        let ready = Ready::default();
        let server = tokio::spawn(serve(listener, ready.clone()));
        assert_eq!(status(address, "/healthz").await, "200");
        assert_eq!(status(address, "/readyz").await, "503");
        ready.set(true);
        assert_eq!(status(address, "/readyz").await, "200");
        assert_eq!(status(address, "/").await, "404");
        assert!(listen(address).await.expect_err("taken").to_string().contains("cannot listen on"));
        server.abort();
    }
}
