//! The log of one run of a container: the reading side.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::watch;

use super::run::{ENTRY_BYTES, PodLog, Progress};
use super::{LogOptions, LogStream};

const CHUNK_BYTES: usize = 64 * 1024;

/// A place in a run's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    generation: u64,
    offset: u64,
}

/// Reads from the page cache in small pieces: a file's last megabytes are there, and a piece takes microseconds.
pub(super) fn open(log: PodLog, options: &LogOptions) -> io::Result<LogStream> {
    let progress = log.progress();
    let now = *progress.borrow();
    let mut start = Position { generation: now.generation.saturating_sub(1), offset: 0 };
    if let Some(since) = options.since {
        start = start.max(since_position(&log, now, since)?);
    }
    if let Some(lines) = options.tail_lines {
        start = start.max(tail_position(&log, now, lines)?);
    }
    let reader = Reader {
        end: (!options.follow).then_some(Position { generation: now.generation, offset: now.length }),
        position: start,
        file: None,
        times: options.timestamps.then(Times::default),
        line_start: true,
        left: options.limit_bytes.unwrap_or(u64::MAX),
        progress,
        log,
    };
    Ok(futures::stream::unfold(reader, |mut reader| async move { reader.next().await.map(|bytes| (bytes, reader)) }).boxed())
}

struct Reader {
    log: PodLog,
    progress: watch::Receiver<Progress>,
    position: Position,
    /// The file of `position.generation`. Stays readable after the file was removed.
    file: Option<File>,
    end: Option<Position>,
    times: Option<Times>,
    line_start: bool,
    left: u64,
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.left == 0 {
                return None;
            }
            // Before the read: what is known to be complete is then complete in what the read returns.
            let known = *self.progress.borrow_and_update();
            match self.read() {
                Ok(chunk) if !chunk.is_empty() => {
                    let mut chunk = self.stamp(chunk);
                    chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= chunk.len() as u64;
                    return Some(chunk.into());
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a log ended early");
                    return None;
                }
            }
            if self.end.is_some_and(|end| self.position >= end) {
                return None;
            }
            if known.generation > self.position.generation {
                // One generation after the other; if more than one was missed, the older is gone.
                let generation = (self.position.generation + 1).max(known.generation.saturating_sub(1));
                self.position = Position { generation, offset: 0 };
                self.file = None;
            } else if known.closed || self.end.is_some() || self.progress.changed().await.is_err() {
                return None;
            }
        }
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut length = CHUNK_BYTES;
        if let Some(end) = self.end.filter(|end| end.generation == self.position.generation) {
            length = length.min(usize::try_from(end.offset.saturating_sub(self.position.offset)).unwrap_or(CHUNK_BYTES));
        }
        if self.file.is_none() {
            match self.log.open_file(self.position.generation, "log") {
                Ok(file) => self.file = Some(file),
                // Rotated away meanwhile: the next generation goes on.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
            if let Some(times) = &mut self.times {
                *times = Times::new(self.log.open_file(self.position.generation, "idx").ok());
            }
        }
        let mut chunk = vec![0; length];
        let read = match &self.file {
            Some(file) if length > 0 => file.read_at(&mut chunk, self.position.offset)?,
            _ => 0,
        };
        chunk.truncate(read);
        Ok(chunk)
    }

    /// Moves past `chunk` and puts times before its lines if they are wanted.
    fn stamp(&mut self, chunk: Vec<u8>) -> Vec<u8> {
        let mut offset = self.position.offset;
        self.position.offset += chunk.len() as u64;
        let Some(times) = &mut self.times else { return chunk };
        let mut out = Vec::with_capacity(chunk.len() * 2);
        for piece in chunk.split_inclusive(|b| *b == b'\n') {
            if self.line_start {
                out.extend_from_slice(times.at(offset).as_bytes());
                out.push(b' ');
            }
            out.extend_from_slice(piece);
            self.line_start = piece.ends_with(b"\n");
            offset += piece.len() as u64;
        }
        out
    }
}

/// The index of one generation, read as far as needed.
#[derive(Default)]
struct Times {
    index: Option<File>,
    read: u64,
    current: (u64, u64),
    next: Option<(u64, u64)>,
}

impl Times {
    fn new(index: Option<File>) -> Times {
        Times { index, ..Times::default() }
    }

    /// The time of the batch that the offset is in. Offsets must not go backwards.
    fn at(&mut self, offset: u64) -> String {
        loop {
            if self.next.is_none() {
                self.next = self.index.as_ref().and_then(|file| entry(file, self.read));
                self.read += u64::from(self.next.is_some());
            }
            match self.next {
                Some(next) if next.0 <= offset => {
                    self.current = next;
                    self.next = None;
                }
                _ => return timestamp(self.current.1).strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string(),
            }
        }
    }
}

fn timestamp(nanos: u64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The `n`th entry of an index, if it is complete.
fn entry(file: &File, n: u64) -> Option<(u64, u64)> {
    let mut bytes = [0; ENTRY_BYTES as usize];
    file.read_exact_at(&mut bytes, n * ENTRY_BYTES).ok()?;
    let (offset, nanos) = bytes.split_at(8);
    Some((u64::from_le_bytes(offset.try_into().ok()?), u64::from_le_bytes(nanos.try_into().ok()?)))
}

/// Where the first batch at or after a time begins.
fn since_position(log: &PodLog, now: Progress, since: Timestamp) -> io::Result<Position> {
    let since = u64::try_from(since.as_nanosecond()).unwrap_or_default();
    for generation in now.generation.saturating_sub(1)..=now.generation {
        let Ok(file) = log.open_file(generation, "idx") else { continue };
        // Entries are in the order of time: binary search for the first that is late enough.
        let (mut low, mut high) = (0, file.metadata()?.len() / ENTRY_BYTES);
        let count = high;
        while low < high {
            let middle = low + (high - low) / 2;
            if entry(&file, middle).is_some_and(|(_, nanos)| nanos < since) { low = middle + 1 } else { high = middle }
        }
        if let Some((offset, _)) = (low < count).then(|| entry(&file, low)).flatten() {
            return Ok(Position { generation, offset });
        }
    }
    Ok(Position { generation: now.generation, offset: now.length })
}

/// Where the last `lines` lines begin.
fn tail_position(log: &PodLog, now: Progress, lines: u64) -> io::Result<Position> {
    let mut left = lines;
    let mut position = Position { generation: now.generation, offset: now.length };
    if lines == 0 {
        return Ok(position);
    }
    for generation in (now.generation.saturating_sub(1)..=now.generation).rev() {
        let Ok(file) = log.open_file(generation, "log") else { break };
        let length = if generation == now.generation { now.length } else { file.metadata()?.len() };
        let mut block_end = length;
        let mut block = vec![0; CHUNK_BYTES];
        while block_end > 0 {
            let block_start = block_end.saturating_sub(CHUNK_BYTES as u64);
            let block = &mut block[..(block_end - block_start) as usize];
            file.read_exact_at(block, block_start)?;
            for (at, _) in block.iter().enumerate().rev().filter(|(_, b)| **b == b'\n') {
                let offset = block_start + at as u64 + 1;
                // The end of the last line begins no line.
                if offset == length {
                    continue;
                }
                left -= 1;
                if left == 0 {
                    return Ok(Position { generation, offset });
                }
            }
            block_end = block_start;
        }
        position = Position { generation, offset: 0 };
        if length > 0 {
            left -= 1;
            if left == 0 {
                return Ok(position);
            }
        }
    }
    Ok(position)
}
