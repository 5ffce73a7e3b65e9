//! How far the database had come: a line in a file of its own, which tells of a database that went back.
//!
//! A database whose last commit is damaged opens at the commit before, as after a crash in the middle of a commit, and so does a copy from
//! earlier. Both look whole. The mark is written after each commit and before its acknowledgement; it costs no fsync, because the kernel
//! keeps it when the process dies, and after a loss of power it can only be behind, which says nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::auth::write_private;

/// A version, and the sum of all rows at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) version: u64,
    pub(super) total: u64,
}

pub(super) struct Mark(File);

impl Mark {
    /// What the mark says. `None`: there is none yet.
    pub(super) fn read(path: &Path) -> io::Result<Option<State>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        parse(&text).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Makes it anew.
    pub(super) fn make(path: &Path, state: State) -> io::Result<Self> {
        write_private(path, &line(state))?;
        Ok(Self(File::options().write(true).open(path)?))
    }

    /// In place: the length is always the same, so this needs no room.
    pub(super) fn set(&self, state: State) -> io::Result<()> {
        self.0.write_all_at(line(state).as_bytes(), 0)
    }
}

/// The two numbers and one that follows from them.
fn line(state: State) -> String {
    format!("{:020} {:016x} {:016x}\n", state.version, state.total, check(state))
}

fn parse(text: &str) -> Option<State> {
    let mut words = text.split_ascii_whitespace();
    let state = State { version: words.next()?.parse().ok()?, total: u64::from_str_radix(words.next()?, 16).ok()? };
    (line(state) == text).then_some(state)
}

fn check(state: State) -> u64 {
    (state.version.rotate_left(32) ^ state.total).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
