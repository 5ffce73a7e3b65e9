//! A TLS connection over a socket, with the least memory while it is idle.
//!
//! rustls is driven without buffers of its own: what is read and written passes through one scratch buffer per thread, and a connection keeps
//! only what could not be moved on, a record that has not arrived whole and bytes that the socket did not take. An idle connection has
//! neither (a buffered one keeps 4 KiB for its life; measured 2026-08).

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{Error, HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Fingerprints;
use crate::config::SecureListener;
use crate::socket;

/// The most bytes of one record, with its header.
const RECORD: usize = 5 + 16 * 1024 + 256;
/// How much is read at once: three records.
const READ: usize = 3 * RECORD;
/// How much is encrypted before it is written: four records.
const WRITE: usize = 64 * 1024;
/// What is around a record's bytes: header, nonce, content type and tag, generously.
const AROUND: usize = 64;
/// The most bytes that a handshake may leave unread: a chain of client certificates has 64 KiB at the most.
const MAX_HANDSHAKE: usize = 80 * 1024;
/// Up to here, bytes that are waiting to be written go out together with the next ones: the tickets with the first answer.
const TOGETHER: usize = 4 * 1024;

/// Buffers that a call uses while it lasts.
struct Scratch {
    input: Vec<u8>,
    output: Vec<u8>,
    gathered: Vec<u8>,
    /// For a connection that has something decrypted and no buffer to put it into, until it has.
    plain: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        const { RefCell::new(Scratch { input: Vec::new(), output: Vec::new(), gathered: Vec::new(), plain: Vec::new() }) };
}

/// What is known of a TLS connection.
pub(crate) struct Session {
    /// The listener that its server name chose.
    pub(crate) listener: Arc<SecureListener>,
    /// The name, lower case.
    pub(crate) server_name: Option<Box<str>>,
    /// What its hello says of the client's software, if the listener wants to know.
    pub(crate) fingerprints: Option<Rc<Fingerprints>>,
}

/// A TLS connection.
pub(crate) struct Secure {
    // First: the socket is closed before anything else goes.
    tcp: TcpStream,
    tls: UnbufferedServerConnection,
    /// Bytes of a record that is not here whole.
    incoming: Vec<u8>,
    /// What was decrypted and not taken, and how much of it was.
    plain: (Vec<u8>, usize),
    /// What the socket has not taken.
    outgoing: Vec<u8>,
    /// The peer sends no more.
    ended: bool,
    /// We have said that we send no more.
    said_end: bool,
    pub(crate) session: Session,
}

/// How far a handshake has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The client must send more.
    Waits,
    /// It is over.
    Done,
}

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The client presented no certificate and must.
    NoCertificate,
    /// It presented one that is not accepted.
    WrongCertificate,
    /// Anything else.
    Other,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(_) | Error::InvalidCertRevocationList(_) => Self::WrongCertificate,
            _ => Self::Other,
        }
    }
}

impl Secure {
    /// A connection whose client has said `hello`, which has not been looked at yet.
    pub(crate) fn new(tcp: TcpStream, config: Arc<ServerConfig>, session: Session, hello: Vec<u8>) -> Result<Self, Error> {
        Ok(Self {
            tcp,
            tls: UnbufferedServerConnection::new(config)?,
            incoming: hello,
            plain: (Vec::new(), 0),
            outgoing: Vec::new(),
            ended: false,
            said_end: false,
            session,
        })
    }

    /// Does the work that what has come makes possible: this is where the keys are used. What there is to say waits for
    /// [`Self::poll_hear`].
    ///
    /// # Errors
    /// When the handshake has failed; what there is to say about it is sent by [`Self::farewell`].
    pub(crate) fn advance(&mut self) -> Result<Progress, Failed> {
        let mut bytes = std::mem::take(&mut self.incoming);
        let used = self.digest(&mut bytes, None)?;
        bytes.drain(..used.min(bytes.len()));
        self.incoming = if bytes.is_empty() { Vec::new() } else { bytes };
        if self.incoming.len() > MAX_HANDSHAKE {
            return Err(Failed::Other);
        }
        Ok(if self.tls.is_handshaking() { Progress::Waits } else { Progress::Done })
    }

    /// Whether the client waits for the last words of a handshake: in TLS 1.3 there are only tickets, which can go with the first answer.
    pub(crate) fn must_flush(&self) -> bool {
        self.tls.protocol_version() != Some(ProtocolVersion::TLSv1_3)
    }

    /// Reads and forgets. Ready with false when there is no more to come.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        with_scratch(|Scratch { input, .. }| {
            let mut space = ReadBuf::new(input);
            let read = ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut space));
            Poll::Ready(read.is_ok() && !space.filled().is_empty())
        })
    }

    /// During a handshake: sends what there is to say and waits for an answer. Ready with false when the client has gone.
    pub(crate) fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        ready!(self.poll_flush(cx))?;
        with_scratch(|Scratch { input, .. }| {
            let mut space = ReadBuf::new(input);
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut space))?;
            self.incoming.extend_from_slice(space.filled());
            Poll::Ready(Ok(!space.filled().is_empty()))
        })
    }

    /// Reads decrypted bytes, up to the room in `into`; nothing: the client has ended.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        self.take_plain(into);
        while into.filled().len() == before && !self.ended {
            ready!(self.poll_fill(cx, Some(into)))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until [`Self::poll_read`] has something to give, if only the end.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.has_plain() && !self.ended {
            ready!(self.poll_fill(cx, None))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the client has ended; unknown while it has sent something that nobody has read.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Option<bool>> {
        match self.poll_readable(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(Some(true)),
            Poll::Ready(Ok(())) if self.has_plain() => Poll::Ready(None),
            Poll::Ready(Ok(())) => Poll::Ready(Some(true)),
        }
    }

    /// Whether part of a record has come.
    pub(crate) fn is_amid_record(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Encrypts and writes, at most [`WRITE`] bytes. Ready when they are taken, which does not mean sent: see [`Self::poll_flush`].
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.outgoing.len() > TOGETHER {
            ready!(self.poll_flush(cx))?;
        }
        let data = data.get(..WRITE).unwrap_or(data);
        with_scratch(|Scratch { output, .. }| self.poll_write_through(cx, data, output, false).map_ok(|()| data.len()))
    }

    /// As [`Self::poll_write`], of the last bytes: what says that they are goes with them. [`Self::finish`] must follow at once.
    pub(crate) fn poll_write_last(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.outgoing.len() > TOGETHER {
            ready!(self.poll_flush(cx))?;
        }
        let (data, is_all) = data.split_at_checked(WRITE).map_or((data, true), |(first, rest)| (first, rest.is_empty()));
        with_scratch(|Scratch { output, .. }| self.poll_write_through(cx, data, output, is_all).map_ok(|()| data.len()))
    }

    /// As [`Self::poll_write`], of several parts.
    pub(crate) fn poll_write_vectored(&mut self, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.outgoing.len() > TOGETHER {
            ready!(self.poll_flush(cx))?;
        }
        with_scratch(|Scratch { output, gathered, .. }| {
            gathered.clear();
            for part in parts {
                let room = WRITE - gathered.len();
                gathered.extend_from_slice(part.get(..room).unwrap_or(part));
            }
            self.poll_write_through(cx, gathered, output, false).map_ok(|()| gathered.len())
        })
    }

    /// Writes what the socket did not take before.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut written = 0;
        while let Some(rest) = self.outgoing.get(written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.tcp).poll_write(cx, rest) {
                Poll::Ready(Ok(count)) if count > 0 => written += count,
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.outgoing.drain(..written);
                    return Poll::Pending;
                }
            }
        }
        // Not cleared: an idle connection keeps no buffer.
        self.outgoing = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Says that we send no more.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_end();
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    /// Says, if the socket takes it at once, what is left to say: that we send no more, or why a handshake failed.
    pub(crate) fn farewell(&mut self) {
        self.say_end();
        if !self.outgoing.is_empty() {
            // It is a courtesy: the connection is closed either way.
            let _ = self.tcp.try_write(&self.outgoing);
            self.outgoing = Vec::new();
        }
    }

    /// Ends our side after [`Self::poll_write_last`]. Does not wait.
    pub(crate) fn finish(&mut self) {
        self.farewell();
        socket::end(&self.tcp);
    }

    /// The socket.
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Whether the client has not proved anew who it is, but resumes a session in which it did.
    pub(crate) fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What the client presented, leaf first, if it did.
    pub(crate) fn peer_certificates(&self) -> Option<&[rustls::pki_types::CertificateDer<'static>]> {
        self.tls.peer_certificates()
    }

    fn say_end(&mut self) {
        if std::mem::replace(&mut self.said_end, true) || self.tls.is_handshaking() {
            return;
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut incoming);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
            let mut alert = [0; 128];
            if let Ok(count) = traffic.queue_close_notify(&mut alert) {
                self.outgoing.extend_from_slice(alert.get(..count).unwrap_or_default());
            }
        }
        self.incoming = incoming;
    }

    fn has_plain(&self) -> bool {
        !self.plain.0.is_empty()
    }

    fn take_plain(&mut self, into: &mut ReadBuf<'_>) {
        let (plain, taken) = &mut self.plain;
        let rest = plain.get(*taken..).unwrap_or_default();
        let count = rest.len().min(into.remaining());
        into.put_slice(rest.get(..count).unwrap_or_default());
        *taken += count;
        if *taken == plain.len() && plain.capacity() > 0 {
            let mut done = std::mem::take(plain);
            *taken = 0;
            done.clear();
            SCRATCH.with_borrow_mut(|scratch| scratch.plain = done);
        }
    }

    /// Reads once from the socket and decrypts what came.
    fn poll_fill(&mut self, cx: &mut Context<'_>, into: Option<&mut ReadBuf<'_>>) -> Poll<io::Result<()>> {
        with_scratch(|Scratch { input, plain, .. }| {
            let held = self.incoming.len();
            // No more than there is room for, or one record: the rest would have to be kept decrypted.
            let room = into.as_ref().map_or(RECORD, |into| into.remaining().clamp(RECORD, READ - RECORD));
            let Some((start, space)) = input.split_at_mut_checked(held) else { return Poll::Ready(Err(io::ErrorKind::InvalidData.into())) };
            let space = space.get_mut(..room).unwrap_or_default();
            let mut space = ReadBuf::new(space);
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut space))?;
            let count = space.filled().len();
            if count == 0 {
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            start.copy_from_slice(&self.incoming);
            self.incoming = Vec::new();
            let bytes = input.get_mut(..held + count).unwrap_or_default();
            if !self.has_plain() {
                self.plain = (std::mem::take(plain), 0);
            }
            let digested = self.digest(bytes, into);
            if !self.has_plain() {
                // An idle connection keeps no buffer.
                *plain = std::mem::take(&mut self.plain.0);
            }
            let used = digested.map_err(io::Error::other)?;
            self.incoming.extend_from_slice(bytes.get(used..).unwrap_or_default());
            Poll::Ready(Ok(()))
        })
    }

    /// Lets the library digest `bytes`, and says how many it has used. Decrypted bytes go to `into` as long as there is room.
    fn digest(&mut self, bytes: &mut [u8], mut into: Option<&mut ReadBuf<'_>>) -> Result<usize, Error> {
        let mut used = 0;
        let mut failure = None;
        loop {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(bytes.get_mut(used..).unwrap_or_default());
            let mut more = true;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let mut data = record?.payload;
                        if let Some(into) = &mut into
                            && self.plain.0.is_empty()
                        {
                            let (now, later) = data.split_at(data.len().min(into.remaining()));
                            into.put_slice(now);
                            data = later;
                        }
                        self.plain.0.extend_from_slice(data);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let at = self.outgoing.len();
                    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
                        self.outgoing.resize(at + size.required_size, 0);
                        let written = data.encode(self.outgoing.get_mut(at..).unwrap_or_default()).unwrap_or_default();
                        self.outgoing.truncate(at + written);
                    }
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Err(error) if failure.is_none() => failure = Some(error),
                // Blocked, closed, able to write: there is no more to do with what is here. (Early data is not offered.)
                Ok(_) | Err(_) => more = false,
            }
            used += discard;
            // After a failure what there is to say about it is fetched, and nothing else is looked at: the library would fail anew.
            if !more || (failure.is_some() && !self.tls.wants_write()) {
                self.said_end |= failure.is_some();
                return failure.map_or(Ok(used), Err);
            }
        }
    }

    fn poll_write_through(&mut self, cx: &mut Context<'_>, data: &[u8], output: &mut [u8], is_last: bool) -> Poll<io::Result<()>> {
        let too_little = || io::Error::from(io::ErrorKind::InvalidData);
        let mut count = 0;
        // With the bytes that are held, as always: the library may have notes on them.
        let mut incoming = std::mem::take(&mut self.incoming);
        for _ in 0..2 {
            let waiting = self.outgoing.len();
            let rest = output.get_mut(waiting..).ok_or_else(too_little)?;
            if let Ok(ConnectionState::WriteTraffic(mut traffic)) = self.tls.process_tls_records(&mut incoming).state {
                count = waiting + traffic.encrypt(data, rest).map_err(io::Error::other)?;
                if is_last {
                    let rest = output.get_mut(count..).ok_or_else(too_little)?;
                    count += traffic.queue_close_notify(rest).map_err(io::Error::other)?;
                    self.said_end = true;
                }
                break;
            }
            // It has something to say first, such as new keys.
            let used = self.digest(&mut incoming, None).map_err(io::Error::other)?;
            incoming.drain(..used.min(incoming.len()));
        }
        self.incoming = incoming;
        let all = output.get_mut(..count).filter(|all| !all.is_empty()).ok_or(io::ErrorKind::BrokenPipe)?;
        all.get_mut(..self.outgoing.len()).ok_or_else(too_little)?.copy_from_slice(&self.outgoing);
        let write = if is_last { socket::poll_write_last(&self.tcp, cx, all) } else { Pin::new(&mut self.tcp).poll_write(cx, all) };
        let written = match write {
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            // Taken all the same: who waits for it to be sent asks for that, and is woken.
            Poll::Pending => 0,
        };
        self.outgoing = all.get(written..).unwrap_or_default().to_vec();
        Poll::Ready(Ok(()))
    }
}

fn with_scratch<T>(use_it: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.input.is_empty() {
            scratch.input.resize(READ, 0);
            scratch.output.resize(TOGETHER + WRITE + (WRITE / (16 * 1024) + 1) * AROUND, 0);
            scratch.gathered.reserve(WRITE);
        }
        use_it(scratch)
    })
}
