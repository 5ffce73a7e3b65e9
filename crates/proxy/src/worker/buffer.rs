//! Buffers, borrowed only while bytes are in flight: an idle connection holds none.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What a buffer usually holds: most heads with small bodies.
const SMALL: usize = 16 * 1024;
/// What a buffer grows to for a large head: one byte beyond the bound shows that it is too large.
const HEAD: usize = weir_http1::MAX_HEAD + 1024;
/// What a buffer is exchanged for when much is moved: half the system calls of 64 KiB (measured 2026-08: 0.42 s of CPU per GiB at 256 KiB,
/// 0.53 to 0.61 at 8 to 64 KiB).
const LARGE: usize = 256 * 1024;

/// The most large buffers that are in use at once, in a worker: the bound that a listener sets for a connection holds for many, and a few
/// may have more.
const MAX_LARGE: usize = 16;

/// Bytes that were read and not yet consumed.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// The usual bytes, while `bytes` are large ones.
    small: Option<Vec<u8>>,
    start: usize,
    end: usize,
    /// No more than this is held of a body.
    limit: usize,
}

/// Large buffers: those that nobody uses, and how many are in use.
#[derive(Default)]
pub(crate) struct Spares {
    free: RefCell<Vec<Vec<u8>>>,
    lent: Cell<usize>,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; SMALL], small: None, start: 0, end: 0, limit: usize::MAX }
    }

    /// Holds no more than `bytes` of a body at once; heads have a bound of their own.
    pub(crate) fn set_limit(&mut self, bytes: u32) {
        self.limit = usize::try_from(bytes).unwrap_or(usize::MAX).max(1024);
    }

    pub(crate) fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Makes room for more of a head. False: it is too large.
    pub(crate) fn make_room(&mut self) -> bool {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() && self.bytes.len() < HEAD {
            self.bytes.resize(HEAD, 0);
        }
        self.end < self.bytes.len()
    }

    /// Reads once. 0: the peer has closed. Call it only when there is room, as in an empty buffer.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, stream: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<usize>> {
        self.poll_read_most(cx, stream, usize::MAX)
    }

    /// The same, for a body: reads no more than may be held of one.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, stream: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<usize>> {
        // Many connections share the memory of a few large buffers, so that a connection that has one may use all of it.
        let most = if self.small.is_some() { usize::MAX } else { self.limit };
        self.poll_read_most(cx, stream, most)
    }

    fn poll_read_most(&mut self, cx: &mut Context<'_>, stream: &mut (impl AsyncRead + Unpin), most: usize) -> Poll<io::Result<usize>> {
        let end = self.bytes.len().min(self.end.saturating_add(most));
        let mut space = ReadBuf::new(self.bytes.get_mut(self.end..end).unwrap_or_default());
        debug_assert!(space.capacity() > 0, "a read into no space looks like an end");
        // Unlike `try_read`, this takes a short read as a sign that there is no more, and saves the read that would find that out.
        ready!(Pin::new(stream).poll_read(cx, &mut space))?;
        let count = space.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }

    /// Whether the last read could have been larger.
    pub(crate) fn is_full(&self) -> bool {
        self.end == self.bytes.len()
    }

    /// Exchanges an empty buffer for a large one.
    pub(crate) fn enlarge(&mut self, spares: &Spares) {
        if self.is_empty() && self.small.is_none() && self.limit > SMALL && spares.lent.get() < MAX_LARGE {
            spares.lent.set(spares.lent.get() + 1);
            let large = spares.free.borrow_mut().pop().unwrap_or_else(|| vec![0; LARGE]);
            self.small = Some(std::mem::replace(&mut self.bytes, large));
        }
    }

    /// Makes it empty and of the usual size again.
    pub(crate) fn reset(&mut self, spares: &Spares) {
        (self.start, self.end) = (0, 0);
        if let Some(small) = self.small.take() {
            let large = std::mem::replace(&mut self.bytes, small);
            spares.lent.set(spares.lent.get() - 1);
            spares.free.borrow_mut().push(large);
        }
        if self.bytes.len() > SMALL {
            self.bytes.truncate(SMALL);
            self.bytes.shrink_to_fit();
        }
    }
}
