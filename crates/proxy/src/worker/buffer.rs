//! Buffers, borrowed only while bytes are in flight: an idle connection holds none.

use std::cell::RefCell;
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

/// Bytes that were read and not yet consumed.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// The usual bytes, while `bytes` are large ones.
    small: Option<Vec<u8>>,
    start: usize,
    end: usize,
}

/// Large buffers that nobody uses.
#[derive(Default)]
pub(crate) struct Spares(RefCell<Vec<Vec<u8>>>);

impl Buffer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; SMALL], small: None, start: 0, end: 0 }
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
        let mut space = ReadBuf::new(self.bytes.get_mut(self.end..).unwrap_or_default());
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
        if self.is_empty() && self.small.is_none() {
            let large = spares.0.borrow_mut().pop().unwrap_or_else(|| vec![0; LARGE]);
            self.small = Some(std::mem::replace(&mut self.bytes, large));
        }
    }

    /// Makes it empty and of the usual size again.
    pub(crate) fn reset(&mut self, spares: &Spares) {
        (self.start, self.end) = (0, 0);
        if let Some(small) = self.small.take() {
            let large = std::mem::replace(&mut self.bytes, small);
            let mut spares = spares.0.borrow_mut();
            if spares.len() < 16 {
                spares.push(large);
            }
        }
        if self.bytes.len() > SMALL {
            self.bytes.truncate(SMALL);
            self.bytes.shrink_to_fit();
        }
    }
}
