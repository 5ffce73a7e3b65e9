//! The PROXY protocol's header, before anything else of a connection is read.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::io::Interest;
use tokio::net::TcpStream;
use weir_model::ProxyProtocol;

use super::connection::Link;
use super::upstream::peek;
use crate::proxy_protocol::{Header, MAX, parse};

/// Takes the header off the connection, and nothing else. The outer none: there is none, or a bad one, or not in time: close the
/// connection. The inner: it does not say whose the connection is.
pub(crate) async fn read(link: &Link, stream: &TcpStream, rule: ProxyProtocol) -> Option<Option<SocketAddr>> {
    let read = link.wait(|cx| {
        loop {
            match stream.poll_read_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Ready(Ok(())) => {}
            }
            // Before the bytes are looked at: those that come in between are not the last ones then.
            let ended = is_ended(stream);
            match stream.try_io(Interest::READABLE, || look(stream, rule)) {
                Ok(found) => return Poll::Ready(found),
                // Too little is here: the readiness is taken back, and more bytes bring it again. That the peer has ended stays ready for
                // ever, though, and is not to be waited for again and again.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !ended => {}
                Err(_) => return Poll::Ready(None),
            }
        }
    });
    read.await.ok().flatten()
}

/// Whether the peer sends no more, as far as is known without waiting.
fn is_ended(stream: &TcpStream) -> bool {
    let ready = pin!(stream.ready(Interest::READABLE)).poll(&mut Context::from_waker(Waker::noop()));
    matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
}

fn look(stream: &TcpStream, rule: ProxyProtocol) -> io::Result<Option<Option<SocketAddr>>> {
    let mut bytes = [0; MAX];
    let count = peek(stream, &mut bytes)?;
    if count == 0 {
        return Ok(None);
    }
    match parse(bytes.get(..count).unwrap_or_default()) {
        Ok(Header::Partial) => Err(io::ErrorKind::WouldBlock.into()),
        Ok(Header::Absent) if rule.optional => Ok(Some(None)),
        Ok(Header::Complete { length, source }) => {
            // It was seen to be here.
            let mut rest = bytes.get_mut(..length).unwrap_or_default();
            while !rest.is_empty() {
                let (taken, _) = rustix::net::recv(stream, &mut *rest, rustix::net::RecvFlags::empty())?;
                if taken == 0 {
                    return Ok(None);
                }
                rest = rest.get_mut(taken..).unwrap_or_default();
            }
            Ok(Some(source))
        }
        Ok(Header::Absent) | Err(_) => Ok(None),
    }
}
