//! A client's socket, which the runtime watches from the moment that it must be waited for, and not before.
//!
//! What a client asks for is often here when its connection is accepted, and answered before anything more is wanted of it. Where such a
//! connection carries one request, the kernel need never be asked to watch it: two system calls of nine, and one way through the event loop.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::upstream::peek;
use crate::socket;

/// A client's socket.
pub(crate) enum Tcp {
    /// As the runtime has it.
    Watched(TcpStream),
    New(New),
    /// The runtime could not take it: each use fails.
    Lost,
}

/// A connection that was just accepted, and does not block.
pub(crate) struct New {
    stream: net::TcpStream,
    /// It was said to be readable; that was a guess, and the only one.
    guessed: bool,
    put_off: bool,
}

impl Tcp {
    pub(crate) fn new(descriptor: OwnedFd) -> Self {
        Self::New(New { stream: descriptor.into(), guessed: false, put_off: false })
    }

    /// The same, as the runtime has it.
    #[inline]
    pub(crate) fn watch(&mut self) -> io::Result<&mut TcpStream> {
        if !matches!(self, Self::Watched(_)) {
            self.register()?;
        }
        match self {
            Self::Watched(tcp) => Ok(tcp),
            Self::New(_) | Self::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn register(&mut self) -> io::Result<()> {
        if let Self::New(new) = std::mem::replace(self, Self::Lost) {
            *self = Self::Watched(TcpStream::from_std(new.stream)?);
        }
        Ok(())
    }

    /// Whether it may stay unwatched while something else is waited for. True once at most: who is told so asks again at the next tick.
    pub(crate) fn put_off(&mut self) -> bool {
        match self {
            Self::New(new) => !std::mem::replace(&mut new.put_off, true),
            Self::Watched(_) | Self::Lost => false,
        }
    }

    /// Waits until a read would give something, or the end.
    #[inline]
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::New(new) = self
            && !std::mem::replace(&mut new.guessed, true)
        {
            return Poll::Ready(Ok(()));
        }
        self.watch()?.poll_read_ready(cx)
    }

    /// Whether the client has closed; none when that cannot be known since it has sent something more.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Option<bool>> {
        let Ok(tcp) = self.watch() else { return Poll::Ready(Some(true)) };
        loop {
            match tcp.poll_read_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Some(true)),
                Poll::Ready(Ok(())) => {
                    let mut byte = [0];
                    match tcp.try_io(Interest::READABLE, || peek(tcp, &mut byte)) {
                        Ok(0) => return Poll::Ready(Some(true)),
                        Ok(_) => return Poll::Ready(None),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return Poll::Ready(Some(true)),
                    }
                }
            }
        }
    }

    /// Whether there is something that nobody has read, or the end, as far as that is known without waiting.
    pub(crate) fn has_unread(&self) -> bool {
        match self {
            Self::Watched(tcp) => is_readable(tcp),
            Self::New(new) => {
                let mut byte = [0];
                !matches!(rustix::net::recv(&new.stream, &mut byte, RecvFlags::PEEK), Err(Errno::AGAIN))
            }
            Self::Lost => false,
        }
    }

    /// Says that no more is sent, and sends what was held.
    pub(crate) fn end(&self) {
        match self {
            Self::Watched(tcp) => socket::end(tcp),
            Self::New(new) => socket::end(&new.stream),
            Self::Lost => {}
        }
    }

    /// Writes the last bytes; see [`socket::poll_write_last`].
    pub(crate) fn poll_write_last(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.at_once(|stream| socket::write_last(stream, data)) {
            Some(sent) => Poll::Ready(sent),
            None => socket::poll_write_last(self.watch()?, cx, data),
        }
    }

    /// Does something with a new socket; none if it is not new, or that would have to be waited for.
    #[inline]
    fn at_once<T>(&mut self, mut what: impl FnMut(&mut net::TcpStream) -> io::Result<T>) -> Option<io::Result<T>> {
        let Self::New(new) = self else { return None };
        Some(what(&mut new.stream)).filter(|done| !matches!(done, Err(error) if error.kind() == io::ErrorKind::WouldBlock))
    }
}

/// Whether the runtime knows of something to read, or of the end.
pub(crate) fn is_readable(tcp: &TcpStream) -> bool {
    tcp.poll_read_ready(&mut Context::from_waker(Waker::noop())).is_ready()
}

impl AsyncRead for Tcp {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tcp = self.get_mut();
        match tcp.at_once(|stream| stream.read(into.initialize_unfilled())) {
            Some(read) => Poll::Ready(read.map(|count| into.advance(count))),
            None => Pin::new(tcp.watch()?).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Tcp {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let tcp = self.get_mut();
        match tcp.at_once(|stream| stream.write(data)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(tcp.watch()?).poll_write(cx, data),
        }
    }

    #[inline]
    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let tcp = self.get_mut();
        match tcp.at_once(|stream| stream.write_vectored(parts)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(tcp.watch()?).poll_write_vectored(cx, parts),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}
