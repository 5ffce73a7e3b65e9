//! The log of one run of a container: the writing side.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

/// A generation ends once it would grow beyond this. Two are kept.
pub(crate) const GENERATION_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of an index entry: offset and nanoseconds since the epoch, little endian.
pub(super) const ENTRY_BYTES: u64 = 16;
/// Batches closer together than this share a time, so that many small ones do not make the index larger than the log.
const SAME_TIME_NANOS: u64 = 1_000_000;

/// How far a run's log has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) generation: u64,
    pub(super) length: u64,
    pub(super) closed: bool,
}

/// Where one run of a container writes its log. Cheap to clone; may be used from any thread.
#[derive(Clone)]
pub struct PodLog {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    run: u64,
    limit: u64,
    writer: Mutex<Option<Writer>>,
    progress: watch::Sender<Progress>,
}

struct Writer {
    generation: u64,
    log: File,
    index: File,
    length: u64,
    stamped: u64,
    lost: u64,
}

impl PodLog {
    pub(super) fn create(dir: &Path, run: u64) -> io::Result<PodLog> {
        PodLog::create_with_limit(dir, run, GENERATION_BYTES)
    }

    pub(super) fn create_with_limit(dir: &Path, run: u64, limit: u64) -> io::Result<PodLog> {
        let writer = Writer::create(dir, run, 0)?;
        let progress = watch::Sender::new(Progress { generation: 0, length: 0, closed: false });
        Ok(PodLog { inner: Arc::new(Inner { dir: dir.to_owned(), run, limit, writer: Mutex::new(Some(writer)), progress }) })
    }

    /// A run that has ended, from its files.
    pub(super) fn reopen(dir: &Path, run: u64) -> io::Result<PodLog> {
        let newest = generations(dir, run)?.pop_last().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let length = std::fs::metadata(file_path(dir, run, newest, "log"))?.len();
        let progress = watch::Sender::new(Progress { generation: newest, length, closed: true });
        Ok(PodLog { inner: Arc::new(Inner { dir: dir.to_owned(), run, limit: GENERATION_BYTES, writer: Mutex::new(None), progress }) })
    }

    /// Appends whole lines, as one write with one time. Never fails and never waits for anything but the page cache: what cannot be written
    /// (a full disk) is dropped, and said in the log when writing works again.
    pub fn append(&self, lines: &[u8]) {
        let mut writer = self.inner.writer.lock();
        let Some(open) = writer.as_mut().filter(|_| !lines.is_empty()) else { return };
        if open.length > 0 && open.length + lines.len() as u64 > self.inner.limit {
            self.rotate(open);
        }
        open.append(lines);
        let (generation, length) = (open.generation, open.length);
        drop(writer);
        self.inner.progress.send_modify(|p| (p.generation, p.length) = p.forward(generation, length));
    }

    /// Starts the next generation. If that does not work the current one goes on: better a long file than a lost line.
    fn rotate(&self, open: &mut Writer) {
        let Inner { dir, run, .. } = &*self.inner;
        match Writer::create(dir, *run, open.generation + 1) {
            Ok(next) => {
                if let Some(old) = open.generation.checked_sub(1) {
                    remove_generation(dir, *run, old);
                }
                *open = Writer { lost: open.lost, ..next };
            }
            Err(error) => tracing::warn!(path = %dir.display(), %error, "cannot rotate a log"),
        }
    }

    /// The run has ended: followers get the rest and then the end.
    pub(crate) fn close(&self) {
        self.inner.writer.lock().take();
        self.inner.progress.send_modify(|p| p.closed = true);
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.inner.progress.subscribe()
    }

    pub(super) fn open_file(&self, generation: u64, extension: &str) -> io::Result<File> {
        File::open(file_path(&self.inner.dir, self.inner.run, generation, extension))
    }
}

impl Progress {
    /// Two appends may report out of order.
    fn forward(self, generation: u64, length: u64) -> (u64, u64) {
        (self.generation, self.length).max((generation, length))
    }
}

impl Writer {
    fn create(dir: &Path, run: u64, generation: u64) -> io::Result<Writer> {
        let open = |extension| OpenOptions::new().create(true).append(true).open(file_path(dir, run, generation, extension));
        Ok(Writer { generation, log: open("log")?, index: open("idx")?, length: 0, stamped: 0, lost: 0 })
    }

    fn append(&mut self, lines: &[u8]) {
        // The index first: a reader that sees a line then also finds its time.
        self.stamp();
        if self.lost > 0 {
            let note = format!("({} bytes of log were lost because they could not be written)\n", self.lost);
            if self.log.write_all(note.as_bytes()).is_ok() {
                self.length += note.len() as u64;
                self.lost = 0;
            }
        }
        match self.log.write_all(lines) {
            Ok(()) => self.length += lines.len() as u64,
            Err(_) => {
                self.lost += lines.len() as u64;
                self.length = self.log.metadata().map_or(self.length, |m| m.len());
            }
        }
    }

    fn stamp(&mut self) {
        let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or_default();
        if self.length == 0 || now.saturating_sub(self.stamped) > SAME_TIME_NANOS {
            let mut entry = [0; ENTRY_BYTES as usize];
            entry[..8].copy_from_slice(&self.length.to_le_bytes());
            entry[8..].copy_from_slice(&now.to_le_bytes());
            if self.index.write_all(&entry).is_ok() {
                self.stamped = now;
            }
        }
    }
}

fn file_path(dir: &Path, run: u64, generation: u64, extension: &str) -> PathBuf {
    dir.join(format!("{run}.{generation}.{extension}"))
}

/// Run and generation of each log in a folder.
fn list(dir: &Path) -> io::Result<impl Iterator<Item = (u64, u64)>> {
    let names = std::fs::read_dir(dir)?.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    Ok(names.filter_map(|name| {
        let (run, generation) = name.strip_suffix(".log")?.split_once('.')?;
        Some((run.parse().ok()?, generation.parse().ok()?))
    }))
}

pub(super) fn runs_in(dir: &Path) -> io::Result<BTreeSet<u64>> {
    Ok(list(dir)?.map(|(run, _)| run).collect())
}

fn generations(dir: &Path, wanted: u64) -> io::Result<BTreeSet<u64>> {
    Ok(list(dir)?.filter(|(run, _)| *run == wanted).map(|(_, generation)| generation).collect())
}

pub(super) fn remove(dir: &Path, run: u64) {
    for generation in generations(dir, run).unwrap_or_default() {
        remove_generation(dir, run, generation);
    }
}

/// Best effort: what stays is removed with the pod's folder.
fn remove_generation(dir: &Path, run: u64, generation: u64) {
    for extension in ["log", "idx"] {
        let _ = std::fs::remove_file(file_path(dir, run, generation, extension));
    }
}
