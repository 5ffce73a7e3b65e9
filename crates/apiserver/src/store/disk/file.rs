//! The database as a file: made whole, kept private, and known again.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use redb::Database;

/// Pages kept by redb; everything is in memory already.
const CACHE: usize = 1 << 20;

/// Opens what is there, after reading every page once: damage shall be found now, not when an object is read back wrong.
pub(super) fn open(path: &Path) -> Result<Database, redb::Error> {
    let database = Database::builder().set_cache_size(CACHE).set_check_integrity_on_open(true).open(path);
    database.map_err(Into::into)
}

/// Makes a new database beside its place, lets `fill` put in what it begins with, and moves it to its place whole: a process that ends while
/// it is being made leaves nothing that looks damaged.
pub(super) fn create(path: &Path, fill: impl FnOnce(&Database) -> Result<(), redb::Error>) -> Result<(), redb::Error> {
    let next = path.with_extension("new");
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    let database = Database::builder().set_cache_size(CACHE).create(&next)?;
    fill(&database)?;
    drop(database);
    fs::rename(&next, path)?;
    // The name must outlast a loss of power too.
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Makes sure that only its owner may read the file: it holds Secrets.
pub(super) fn own(path: &Path) -> io::Result<()> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

/// What changes when anybody else writes to the file or puts another in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Print {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self { device: found.dev(), inode: found.ino(), length: found.len(), modified: (found.mtime(), found.mtime_nsec()) })
    }

    /// Whether it is the same file, whatever is in it.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// The descriptor under which this process has the file open, whether or not it still has a name.
    pub(super) fn descriptor(&self) -> Option<u32> {
        let descriptors = fs::read_dir("/proc/self/fd").ok()?.flatten();
        descriptors
            .filter(|it| fs::metadata(it.path()).is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode)))
            .find_map(|it| it.file_name().to_str()?.parse().ok())
    }
}
