//! The database file: one table of objects as JSON, one of numbers.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use super::Key;
use super::memory::Loaded;
use super::quiet::quietly;
use super::stored::{Interner, Stored};

const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// The last resourceVersion handed out.
const VERSION: &str = "version";
/// How often the database was opened; written at each start, so that a file that cannot be written is noticed then.
const STARTS: &str = "starts";
/// Pages kept by redb; everything is in memory already.
const CACHE: usize = 1 << 20;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    #[error("{0} is damaged ({1})")]
    Damaged(PathBuf, String),
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
}

/// A change to write: no JSON deletes.
pub(super) struct Row<'a> {
    pub(super) key: &'a Key,
    pub(super) json: Option<&'a [u8]>,
}

pub(super) struct Disk {
    path: PathBuf,
    /// Gone after a failed write: redb wants to be opened again then.
    database: Option<Database>,
    /// What must be put back with the next write; each key once, however often writing fails.
    restore: HashMap<Key, Option<Vec<u8>>>,
}

impl Disk {
    pub(super) fn open(path: &Path, interner: &mut Interner) -> Result<(Self, Loaded), OpenError> {
        // A damaged file may make the library panic instead of returning an error.
        let opened = quietly(|| open_and_load(path, interner));
        let (database, loaded) = opened.unwrap_or_else(|| Err(OpenError::Damaged(path.to_owned(), "unreadable structure".to_owned())))?;
        Ok((Self { path: path.to_owned(), database: Some(database), restore: HashMap::new() }, loaded))
    }

    /// Writes all rows and the version in one durable transaction.
    pub(super) fn write(&mut self, rows: &[Row<'_>], version: u64) -> Result<(), String> {
        // redb panics on some damage; that must end this write, not the thread that all writes go through.
        let reason = match quietly(|| self.try_write(rows, version)) {
            Some(Ok(())) => {
                self.restore.clear();
                return Ok(());
            }
            Some(Err(error)) => error.to_string(),
            None => format!("{} is damaged; stop Weir and restore it from a copy", self.path.display()),
        };
        self.database = None;
        Err(reason)
    }

    /// With the next write, this key goes back to what it was.
    pub(super) fn restore(&mut self, key: Key, json: Option<Vec<u8>>) {
        self.restore.insert(key, json);
    }

    fn try_write(&mut self, rows: &[Row<'_>], version: u64) -> Result<(), redb::Error> {
        let database = match self.database.take() {
            Some(database) => database,
            None => builder().open(&self.path)?,
        };
        let database = self.database.insert(database);
        let transaction = database.begin_write()?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            let restored = self.restore.iter().map(|(key, json)| Row { key, json: json.as_deref() });
            for row in restored.chain(rows.iter().map(|r| Row { key: r.key, json: r.json })) {
                let key = text_key(row.key);
                match row.json {
                    Some(json) => drop(objects.insert(key.as_str(), json)?),
                    None => drop(objects.remove(key.as_str())?),
                }
            }
            transaction.open_table(NUMBERS)?.insert(VERSION, version)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// Makes a new database beside its place and moves it there whole: a process that ends while it is being made leaves nothing that looks damaged.
fn create(path: &Path) -> Result<(), OpenError> {
    let next = path.with_extension("new");
    let told = |error: io::Error| OpenError::Io(next.clone(), error);
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(told(error)),
        _ => {}
    }
    own(&next).map_err(told)?;
    drop(builder().create(&next).map_err(|e| open_error(&next, e))?);
    fs::rename(&next, path).map_err(told)
}

fn open_and_load(path: &Path, interner: &mut Interner) -> Result<(Database, Loaded), OpenError> {
    if !path.exists() {
        create(path)?;
    }
    own(path).map_err(|e| OpenError::Io(path.to_owned(), e))?;
    let mut database = builder().create(path).map_err(|e| open_error(path, e))?;
    // Reads every page once: damage shall be found now, not when an object is read back wrong.
    if !database.check_integrity().map_err(|e| open_error(path, e))? {
        tracing::warn!(path = %path.display(), "the API's database was damaged and has been repaired; the latest changes may be missing");
    }
    let loaded = prepare(&database).and_then(|()| load(&database, path, interner));
    match loaded {
        Ok(loaded) => Ok((database, loaded?)),
        Err(error) => Err(storage_error(path, error)),
    }
}

/// Makes sure that only its owner may read the file: it holds Secrets.
fn own(path: &Path) -> io::Result<()> {
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

/// Creates the tables and counts the start.
fn prepare(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(OBJECTS)?;
    {
        let mut numbers = transaction.open_table(NUMBERS)?;
        let starts = numbers.get(STARTS)?.map_or(0, |n| n.value());
        numbers.insert(STARTS, starts + 1)?;
    }
    transaction.commit()?;
    Ok(())
}

fn load(database: &Database, path: &Path, interner: &mut Interner) -> Result<Result<Loaded, OpenError>, redb::Error> {
    let transaction = database.begin_read()?;
    let version = transaction.open_table(NUMBERS)?.get(VERSION)?.map_or(0, |n| n.value());
    let mut objects = Vec::new();
    for row in transaction.open_table(OBJECTS)?.iter()? {
        let (key, json) = row?;
        match parse_key(key.value()).and_then(|key| Stored::load(&key, json.value(), interner)) {
            Some(loaded) => objects.push(loaded),
            None => return Ok(Err(OpenError::Damaged(path.to_owned(), format!("object {:?} cannot be read", key.value())))),
        }
    }
    Ok(Ok(Loaded { objects, version }))
}

fn text_key(key: &Key) -> String {
    format!("{}\0{}\0{}", key.shelf, key.namespace, key.name)
}

fn parse_key(text: &str) -> Option<Key> {
    let mut parts = text.split('\0');
    let (shelf, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Key { shelf: shelf.into(), namespace: namespace.into(), name: name.into() })
}

fn open_error(path: &Path, error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
        DatabaseError::Storage(error) => storage_error(path, error.into()),
        other => OpenError::Damaged(path.to_owned(), other.to_string()),
    }
}

fn storage_error(path: &Path, error: redb::Error) -> OpenError {
    match error {
        // redb calls a file that is not one of its own "invalid data", a shortened one "unexpected end".
        redb::Error::Io(e) if matches!(e.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            OpenError::Damaged(path.to_owned(), e.to_string())
        }
        redb::Error::Io(e) => OpenError::Io(path.to_owned(), e),
        other => OpenError::Damaged(path.to_owned(), other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_stays_full_costs_no_more_memory() {
        let folder = tempfile::tempdir().unwrap();
        let (mut disk, _) = Disk::open(&folder.path().join("state.redb"), &mut Interner::default()).unwrap();
        let key = Key::new(&"/configmaps".into(), "default", "a");
        for _ in 0..3 {
            disk.restore(key.clone(), Some(b"{}".to_vec()));
        }
        assert_eq!(disk.restore.len(), 1);
        disk.write(&[], 1).unwrap();
        assert!(disk.restore.is_empty());
    }
}
