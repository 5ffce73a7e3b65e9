//! A client's stream, in the clear or not. Two arms and no table of functions: what is in the clear pays one comparison.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pump::Sink;
use super::tcp::{self, Tcp};
use crate::tls::{Secure, Session};

/// A client's stream.
pub(crate) enum Stream {
    Plain(Tcp),
    /// In a box, so that a connection in the clear is no larger for it.
    Secure(Box<Secure>),
}

impl Stream {
    /// What is known of it, if it is TLS.
    pub(crate) fn session(&self) -> Option<&Session> {
        match self {
            Self::Plain(_) => None,
            Self::Secure(secure) => Some(&secure.session),
        }
    }

    /// Waits until a read would give something, or the end. Holds no buffer.
    #[inline]
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => tcp.poll_readable(cx),
            Self::Secure(secure) => secure.poll_readable(cx),
        }
    }

    /// Whether the client has closed; none when that cannot be known since it has sent something more.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Option<bool>> {
        match self {
            Self::Plain(tcp) => tcp.poll_closed(cx),
            Self::Secure(secure) => secure.poll_ended(cx),
        }
    }

    /// Whether it may stay unwatched while something else is waited for; see [`Tcp::put_off`].
    pub(crate) fn put_off(&mut self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.put_off(),
            Self::Secure(_) => false,
        }
    }

    /// Whether a TLS record has begun to come and is not here whole.
    pub(crate) fn is_amid_record(&self) -> bool {
        matches!(self, Self::Secure(secure) if secure.is_amid_record())
    }

    /// Whether there is something that nobody has read, or the end, as far as that is known without waiting.
    pub(crate) fn has_unread(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.has_unread(),
            Self::Secure(secure) => secure.is_amid_record() || tcp::is_readable(secure.tcp()),
        }
    }

    /// Sends what waits for the end, and says that this is it. Does not wait.
    pub(crate) fn finish(&mut self) {
        match self {
            Self::Plain(tcp) => tcp.end(),
            Self::Secure(secure) => secure.finish(),
        }
    }

    /// Says that there is no more, where the protocol has a word for it. Does not wait.
    pub(crate) fn farewell(&mut self) {
        if let Self::Secure(secure) = self {
            secure.farewell();
        }
    }
}

impl Sink for Stream {
    fn poll_write_last(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => tcp.poll_write_last(cx, data),
            Self::Secure(secure) => secure.poll_write_last(cx, data),
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, into),
            Self::Secure(secure) => secure.poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, data),
            Self::Secure(secure) => secure.poll_write(cx, data),
        }
    }

    #[inline]
    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, parts),
            Self::Secure(secure) => secure.poll_write_vectored(cx, parts),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Secure(secure) => secure.poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Secure(secure) => secure.poll_shutdown(cx),
        }
    }
}
