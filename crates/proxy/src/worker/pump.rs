//! Moves one message from one connection to another: the head as it was written anew, then the body as it arrives, taken out of its
//! framing and put into ours. No more is read before what was read is written, which is all there is to backpressure.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use weir_http1::{Body, Chunked, Invalid, write};

use super::buffer::{Buffer, Spares};
use super::trailers::Trailers;

/// Bodies up to this size travel in one write with the head: copying is cheaper than a write of several parts.
const INLINE: usize = 8 * 1024;

/// A message on its way.
#[derive(Default)]
pub(crate) struct Pump {
    /// What goes first: the head, a chunk's size line, a small piece of the body.
    pub(crate) head: Vec<u8>,
    /// Then this many bytes of the buffer,
    data: usize,
    /// without these behind them (framing),
    skip: usize,
    /// and then this.
    tail: &'static [u8],
    /// How much of all that is written.
    written: usize,
    source: Source,
    encode: bool,
    /// Which trailers pass; none: none does.
    trailers: Option<Box<Trailers>>,
    /// Nothing comes after this message.
    pub(crate) last: bool,
    /// Bytes of the body that were passed on.
    pub(crate) moved: u64,
    /// All bytes that were read and written.
    pub(crate) traffic: (u64, u64),
    full_reads: u8,
}

/// Where a message goes.
pub(crate) trait Sink: AsyncWrite + Unpin {
    /// As [`AsyncWrite::poll_write`], of the last bytes before the end: they may wait until that is said, and travel with it.
    fn poll_write_last(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write(cx, data)
    }
}

impl Sink for TcpStream {}

/// What is still to come of the body.
#[derive(Default)]
enum Source {
    #[default]
    Done,
    Length(u64),
    Chunked(Chunked),
    /// Nothing but this: the last chunk and the trailers that pass.
    Trailers(Vec<u8>),
    UntilClose,
}

/// Why a message did not get through.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The sender has closed too early or failed.
    Read,
    /// The receiver has closed or failed.
    Write,
    /// The sender breaks the grammar.
    Invalid(Invalid),
}

impl Pump {
    /// Makes it ready for a message; [`Self::head`] is to be filled then.
    pub(crate) fn reset(&mut self, body: Body, encode: bool) {
        self.head.clear();
        (self.data, self.skip, self.written, self.tail) = (0, 0, 0, &[]);
        (self.moved, self.traffic, self.full_reads) = (0, (0, 0), 0);
        (self.encode, self.trailers, self.last) = (encode, None, false);
        self.source = match body {
            Body::None => Source::Done,
            Body::Length(length) => Source::Length(length),
            Body::Chunked => Source::Chunked(Chunked::default()),
            Body::UntilClose => Source::UntilClose,
        };
    }

    /// Passes on those trailers that `rule` lets through, if the body comes and goes in chunks. To be said before anything is read.
    pub(crate) fn pass_trailers(&mut self, rule: Option<Box<Trailers>>) {
        if rule.is_some() && self.encode && matches!(self.source, Source::Chunked(_)) {
            (self.source, self.trailers) = (Source::Chunked(Chunked::keeping_trailers()), rule);
        }
    }

    /// Whether the whole body has been read.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.source, Source::Done)
    }

    /// Whether everything that was read is written, so that only the sender is waited for.
    pub(crate) fn is_dry(&self) -> bool {
        self.pending() == 0
    }

    fn pending(&self) -> usize {
        self.head.len() + self.data + self.tail.len() - self.written
    }

    /// Moves what can be moved; ready when the whole message is written.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
        spares: &Spares,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut impl Sink,
    ) -> Poll<Result<(), Broken>> {
        loop {
            if self.written == 0 && self.data == 0 && self.tail.is_empty() {
                self.stage(buffer).map_err(Broken::Invalid)?;
            }
            if self.pending() > 0 {
                ready!(self.poll_write(cx, buffer, to)).map_err(|_| Broken::Write)?;
                continue;
            }
            if self.is_read() {
                // Written is not sent where there is a buffer in between, as in TLS.
                return Pin::new(to).poll_flush(cx).map_err(|_| Broken::Write);
            }
            if self.full_reads >= 2 {
                buffer.enlarge(spares);
            }
            let Poll::Ready(read) = buffer.poll_fill(cx, from) else {
                // What was written goes out now, since nobody knows when there is more.
                return match Pin::new(to).poll_flush(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(Err(Broken::Write)),
                    _ => Poll::Pending,
                };
            };
            match read.map_err(|_| Broken::Read)? {
                0 if matches!(self.source, Source::UntilClose) => {
                    self.source = Source::Done;
                    if self.encode {
                        self.tail = write::LAST_CHUNK;
                    }
                }
                0 => return Poll::Ready(Err(Broken::Read)),
                count => {
                    self.traffic.0 += count as u64;
                    self.full_reads = if buffer.is_full() { self.full_reads.saturating_add(1) } else { 0 };
                }
            }
        }
    }

    /// Decides what is written next.
    fn stage(&mut self, buffer: &mut Buffer) -> Result<(), Invalid> {
        if self.is_read() {
            return Ok(());
        }
        let here = buffer.filled().len();
        match &mut self.source {
            Source::Done => {}
            Source::Length(left) => {
                self.data = usize::try_from(*left).unwrap_or(usize::MAX).min(here);
                *left -= self.data as u64;
                if *left == 0 {
                    self.source = Source::Done;
                }
            }
            Source::Chunked(decoder) => {
                let decoded = decoder.decode(buffer.filled_mut())?;
                (self.data, self.skip) = (decoded.data, decoded.consumed - decoded.data);
                if decoded.done {
                    let last = self.trailers.as_ref().and_then(|rule| last_chunk(rule, &decoder.take_trailers()));
                    self.source = last.map_or(Source::Done, Source::Trailers);
                }
            }
            Source::Trailers(_) => {}
            Source::UntilClose => self.data = here,
        }
        // Behind the data, if there is some: then it is this one's turn when that is written.
        if self.data == 0
            && let Source::Trailers(last) = &mut self.source
        {
            self.head.append(last);
            (self.source, self.encode) = (Source::Done, false);
        }
        self.moved += self.data as u64;
        if self.encode {
            self.tail = match (self.data > 0, self.is_read()) {
                (true, true) => write::CHUNK_END_LAST,
                (true, false) => write::CHUNK_END,
                (false, true) => write::LAST_CHUNK,
                (false, false) => &[],
            };
            if self.data > 0 {
                write::chunk_size(&mut self.head, self.data);
            }
        }
        if !self.head.is_empty() && self.data <= INLINE {
            self.head.extend_from_slice(buffer.filled().get(..self.data).unwrap_or_default());
            self.head.extend_from_slice(self.tail);
            (self.skip, self.data, self.tail) = (self.skip + self.data, 0, &[]);
        }
        if self.data == 0 && self.skip > 0 {
            buffer.consume(self.skip);
            self.skip = 0;
        }
        Ok(())
    }

    /// Writes once, or to the end of what is staged.
    fn poll_write(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer, to: &mut impl Sink) -> Poll<io::Result<()>> {
        let data = buffer.filled().get(..self.data).unwrap_or_default();
        let count = if data.is_empty() && self.tail.is_empty() {
            let head = self.head.get(self.written..).unwrap_or_default();
            ready!(if self.last && self.is_read() { to.poll_write_last(cx, head) } else { Pin::new(to).poll_write(cx, head) })?
        } else if self.head.is_empty() && self.tail.is_empty() {
            ready!(Pin::new(to).poll_write(cx, data.get(self.written..).unwrap_or_default()))?
        } else {
            let mut skip = self.written;
            let parts = [self.head.as_slice(), data, self.tail].map(|part| {
                let gone = skip.min(part.len());
                skip -= gone;
                IoSlice::new(part.get(gone..).unwrap_or_default())
            });
            ready!(Pin::new(to).poll_write_vectored(cx, &parts))?
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.written += count;
        self.traffic.1 += count as u64;
        if self.pending() == 0 {
            buffer.consume(self.data + self.skip);
            self.head.clear();
            (self.data, self.skip, self.written, self.tail) = (0, 0, 0, &[]);
        }
        Poll::Ready(Ok(()))
    }
}

/// The last chunk with the trailers of `lines` that pass; none: none does.
fn last_chunk(rule: &Trailers, lines: &[u8]) -> Option<Vec<u8>> {
    let mut out = b"0\r\n".to_vec();
    let empty = out.len();
    rule.write(lines, &mut out);
    (out.len() > empty).then(|| {
        out.extend_from_slice(b"\r\n");
        out
    })
}

#[cfg(test)]
mod tests;
