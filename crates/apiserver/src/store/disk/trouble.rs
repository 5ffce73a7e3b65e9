//! Why the database cannot be opened or written, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a database could not be opened, or is not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    #[error("{0} is damaged ({1})")]
    Damaged(PathBuf, String),
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// Whole, but from before what was acknowledged.
    #[error("{} ends at version {found} and {acknowledged} was acknowledged", path.display())]
    Behind { path: PathBuf, mark: PathBuf, found: u64, acknowledged: u64 },
    /// Its file is no longer in its place; the process may still have it open.
    #[error("{0} was removed")]
    Removed(PathBuf, Option<u32>),
}

impl OpenError {
    pub(super) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged(path.to_owned(), why.into())
    }

    /// What a client is told whose write was refused.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Io(_, e) => {
                let way = match e.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space",
                    io::ErrorKind::FileTooLarge => "raise the limit of file sizes (`ulimit -f`)",
                    io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => "make it writable",
                    _ => "look after the disk",
                };
                format!("{self}; {way}, then writes work again by themselves")
            }
            Self::Removed(path, descriptor) => {
                let folder = path.parent().unwrap_or(path).display();
                match descriptor {
                    Some(number) => format!(
                        "{self} while Weir was running; nothing is lost before Weir ends: put it back with `mkdir -p {folder} && cp /proc/{}/fd/{number} {}`, \
                         then writes work again by themselves",
                        std::process::id(),
                        path.display()
                    ),
                    None => format!("{self} while Weir was running; {SAVE}"),
                }
            }
            Self::InUse(_) => format!("{self}; stop that"),
            Self::Damaged(..) | Self::Behind { .. } => format!("{self}; {SAVE}"),
        }
    }
}

const SAVE: &str = "what was acknowledged is still served: save what you need with `kubectl get -o yaml`, then stop Weir and restore the \
                    file from a copy, or move it away to start with nothing";

/// What an error of redb means.
pub(super) fn of(path: &Path, error: redb::Error) -> OpenError {
    match error {
        // redb calls a file that is not one of its own "invalid data", a shortened one "unexpected end".
        redb::Error::Io(e) if matches!(e.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            OpenError::damaged(path, e.to_string())
        }
        redb::Error::Io(e) => OpenError::Io(path.to_owned(), e),
        redb::Error::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
        redb::Error::Corrupted(why) => OpenError::Damaged(path.to_owned(), why),
        other => OpenError::damaged(path, other.to_string()),
    }
}
