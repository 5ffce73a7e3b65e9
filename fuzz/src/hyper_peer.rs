//! hyper as a second reader of the same bytes.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;

/// A message as hyper read it.
#[derive(Debug)]
pub(crate) struct Message {
    /// `METHOD TARGET`, or the status.
    pub(crate) first: String,
    /// Sorted; names in lower case.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// None: it is broken, or not whole.
    pub(crate) body: Option<Vec<u8>>,
}

/// The first request in `bytes`.
pub(crate) fn request(bytes: &[u8]) -> Option<Message> {
    let seen = RefCell::new(None);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let seen = &seen;
        async move {
            let (head, body) = request.into_parts();
            let first = format!("{} {}", head.method, head.uri.path_and_query().map_or("/", |it| it.as_str()));
            let fields = fields(&head.headers);
            seen.borrow_mut().get_or_insert(Message { first, fields, body: None });
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            if let Some(message) = &mut *seen.borrow_mut() {
                message.body = body;
            }
            Ok::<_, Infallible>(hyper::Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.keep_alive(false).half_close(true).header_read_timeout(None);
    finish(server.serve_connection(Wire::new(bytes, false), service));
    seen.into_inner()
}

/// The first answer in `bytes` with a status of 200 and more, to a HEAD request or to a GET.
pub(crate) fn response(bytes: &[u8], to_head: bool) -> Option<Message> {
    finish(async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(Wire::new(bytes, true)).await.ok()?;
        let request = hyper::Request::builder().method(if to_head { "HEAD" } else { "GET" }).uri("/").header("host", "a");
        let exchange = async {
            let response = sender.send_request(request.body(Empty::<Bytes>::new()).ok()?).await.ok()?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            Some(Message { first: head.status.as_u16().to_string(), fields: fields(&head.headers), body })
        };
        let (mut exchange, mut connection, mut connected) = (pin!(exchange), pin!(connection), true);
        poll_fn(|cx| {
            if connected && connection.as_mut().poll(cx).is_ready() {
                connected = false;
            }
            exchange.as_mut().poll(cx)
        })
        .await
    })
    .flatten()
}

fn fields(headers: &hyper::HeaderMap) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> = headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    fields.sort();
    fields
}

/// Polls to the end. Everything is there from the start, so it ends soon or never.
fn finish<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    (0..1000).find_map(|_| match future.as_mut().poll(&mut cx) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    })
}

/// Gives its bytes and then the end, and takes whatever it is given.
struct Wire {
    bytes: Vec<u8>,
    at: usize,
    /// Nothing comes before something was sent.
    waits: bool,
}

impl Wire {
    fn new(bytes: &[u8], waits: bool) -> Self {
        Self { bytes: bytes.to_vec(), at: 0, waits }
    }
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.waits {
            return Poll::Pending;
        }
        let count = buffer.remaining().min(self.bytes.len() - self.at);
        buffer.put_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.waits = false;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
