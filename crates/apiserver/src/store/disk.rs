//! The database file: one table of objects as JSON, one of numbers; beside it a mark of how far it had come.
//!
//! The promise: what [`Disk::open`] gives is what was acknowledged at last, or it says that it is not.

mod file;
mod mark;
mod rows;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle, WriteTransaction};

use self::file::Print;
use self::mark::{Mark, State};
pub(crate) use self::trouble::OpenError;
use super::Key;
use super::memory::Loaded;
use super::quiet::quietly;
use super::stored::{Interner, Stored};

/// Objects, each with its sum.
const ROWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rows");
/// Objects as they were kept before they had sums.
const BARE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// The last resourceVersion handed out.
const VERSION: &str = "version";
/// The sum of all rows' sums.
const TOTAL: &str = "total";
/// How often the database was opened; written at each start, so that a file that cannot be written is noticed then.
const STARTS: &str = "starts";

/// How long a failure is answered as it was: to open the database again is to read all of it.
const PAUSE: Duration = Duration::from_secs(1);

/// A change to write: no JSON deletes.
pub(super) struct Row<'a> {
    pub(super) key: &'a Key,
    pub(super) json: Option<&'a [u8]>,
}

/// Why the last write was refused.
struct Failure {
    at: Instant,
    /// The file as it was then; when somebody has put another in its place, it is looked at again at once.
    print: Print,
    reason: String,
}

pub(super) struct Disk {
    path: PathBuf,
    /// Gone after a failed write: redb wants to be opened again then.
    database: Option<Database>,
    /// The file as this process left it.
    print: Print,
    /// What is on disk and acknowledged.
    state: State,
    /// What a failed write would have made, and may have made.
    attempted: Option<State>,
    mark: Mark,
    failure: Option<Failure>,
    /// What must be put back with the next write; each key once, however often writing fails.
    restore: HashMap<Key, Option<Vec<u8>>>,
}

impl Disk {
    pub(super) fn open(path: &Path, interner: &mut Interner) -> Result<(Self, Loaded), OpenError> {
        let mark_path = path.with_extension("mark");
        let marked = read_mark(&mark_path)?;
        // redb may panic on damage that a plain check of its pages does not find.
        let opened = quietly(|| open_and_load(path, marked, interner)).unwrap_or_else(|| Err(unreadable()));
        let (database, loaded, state) = opened.map_err(|error| trouble::of(path, error))?;
        if let Some(marked) = marked {
            compare(path, &mark_path, state, marked)?;
        }
        let mark = Mark::make(&mark_path, state).map_err(|e| OpenError::Io(mark_path, e))?;
        let print = Print::of(path).map_err(|e| OpenError::Io(path.to_owned(), e))?;
        let (path, database, restore) = (path.to_owned(), Some(database), HashMap::new());
        Ok((Self { path, database, print, state, attempted: None, mark, failure: None, restore }, loaded))
    }

    /// Writes all rows and the version in one durable transaction.
    pub(super) fn write(&mut self, rows: &[Row<'_>], version: u64) -> Result<(), String> {
        if let Some(failure) = self.failure.take()
            && failure.at.elapsed() < PAUSE
            && self.find().is_ok_and(|print| print == failure.print)
        {
            let reason = failure.reason.clone();
            self.failure = Some(failure);
            return Err(reason);
        }
        if let Err(trouble) = self.be_open().and_then(|()| self.commit(rows, version)) {
            let reason = trouble.advice();
            self.failure = self.find().ok().map(|print| Failure { at: Instant::now(), print, reason: reason.clone() });
            return Err(reason);
        }
        self.restore.clear();
        self.attempted = None;
        if let Err(error) = self.mark.set(self.state) {
            // It stays behind, which is never wrong.
            tracing::warn!(%error, "the mark of how far the API's database has come could not be written");
        }
        Ok(())
    }

    /// With the next write, this key goes back to what it was.
    pub(super) fn restore(&mut self, key: Key, json: Option<Vec<u8>>) {
        self.restore.insert(key, json);
    }

    /// Makes sure that the file in its place is the one this process wrote, as it left it; looks through it where that is not certain.
    fn be_open(&mut self) -> Result<(), OpenError> {
        let print = self.find()?;
        if self.database.is_some() && print == self.print {
            return Ok(());
        }
        // One file cannot be opened twice; another one must first prove to be as good as the one that is still open.
        if print.is_same_file(&self.print) {
            self.close();
        }
        let opened = quietly(|| reopen(&self.path)).unwrap_or_else(|| Err(unreadable()));
        let (database, state) = opened.map_err(|error| trouble::of(&self.path, error))?;
        if state != self.state && Some(state) != self.attempted {
            let why = format!("it ends at version {} and not as Weir left it, at {}", state.version, self.state.version);
            return Err(OpenError::damaged(&self.path, why));
        }
        if !print.is_same_file(&self.print) {
            // The mark may have lost its name together with the database.
            file::own(&self.path).map_err(|error| OpenError::Io(self.path.clone(), error))?;
            let mark = self.path.with_extension("mark");
            self.mark = Mark::make(&mark, state).map_err(|error| OpenError::Io(mark, error))?;
        }
        self.close();
        tracing::info!(path = %self.path.display(), "the API's database has been opened again and is whole");
        self.database = Some(database);
        self.state = state;
        self.attempted = None;
        self.print = self.find()?;
        Ok(())
    }

    fn commit(&mut self, rows: &[Row<'_>], version: u64) -> Result<(), OpenError> {
        // A panic must end this write, not the thread that all writes go through.
        let written = quietly(|| self.try_write(rows, version)).unwrap_or_else(|| Err(unreadable()));
        let state = written.map_err(|error| {
            self.close();
            trouble::of(&self.path, error)
        })?;
        // What went into a file that has just lost its name is not kept.
        let print = self.find()?;
        if !print.is_same_file(&self.print) {
            return Err(OpenError::damaged(&self.path, "it was replaced while Weir was running"));
        }
        (self.state, self.print) = (state, print);
        Ok(())
    }

    fn find(&self) -> Result<Print, OpenError> {
        Print::of(&self.path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OpenError::Removed(self.path.clone(), self.database.as_ref().and_then(|_| self.print.descriptor())),
            _ => OpenError::Io(self.path.clone(), error),
        })
    }

    fn close(&mut self) {
        if let Some(database) = self.database.take() {
            // It writes, and what it finds may be damaged.
            quietly(|| drop(database));
        }
    }

    fn try_write(&mut self, rows: &[Row<'_>], version: u64) -> Result<State, redb::Error> {
        let Some(database) = &self.database else { return Err(unreadable()) };
        let transaction = database.begin_write()?;
        let mut total = self.state.total;
        {
            let mut table = transaction.open_table(ROWS)?;
            let restored = self.restore.iter().map(|(key, json)| Row { key, json: json.as_deref() });
            for row in restored.chain(rows.iter().map(|r| Row { key: r.key, json: r.json })) {
                let key = text_key(row.key);
                let before = match row.json {
                    Some(json) => {
                        let (sealed, sum) = rows::seal(&key, json);
                        total = total.wrapping_add(sum);
                        table.insert(key.as_str(), sealed.as_slice())?
                    }
                    None => table.remove(key.as_str())?,
                };
                if let Some(before) = before {
                    let (_, sum) = rows::unseal(&key, before.value()).ok_or_else(|| unreadable_object(&key))?;
                    total = total.wrapping_sub(sum);
                }
            }
        }
        let state = State { version, total };
        put_state(&transaction, state)?;
        self.attempted = Some(state);
        transaction.commit()?;
        Ok(state)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

fn read_mark(path: &Path) -> Result<Option<State>, OpenError> {
    Mark::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => OpenError::damaged(path, "it is not what Weir wrote"),
        _ => OpenError::Io(path.to_owned(), error),
    })
}

/// The database may be ahead of its mark, when the process ended between the two; never behind.
fn compare(path: &Path, mark: &Path, state: State, marked: State) -> Result<(), OpenError> {
    if state.version < marked.version {
        let (found, acknowledged) = (state.version, marked.version);
        return Err(OpenError::Behind { path: path.to_owned(), mark: mark.to_owned(), found, acknowledged });
    }
    if state.version == marked.version && state.total != marked.total {
        return Err(OpenError::damaged(path, format!("its objects are not those of version {}", state.version)));
    }
    Ok(())
}

fn open_and_load(path: &Path, marked: Option<State>, interner: &mut Interner) -> Result<(Database, Loaded, State), redb::Error> {
    if !path.try_exists()? {
        // Versions go on after the last one, so that no client takes a new object for an old one.
        let version = marked.map_or(0, |it| it.version + 1);
        if marked.is_some() {
            tracing::warn!(path = %path.display(), version, "the API's database is not there: Weir starts with nothing");
        }
        file::create(path, |database| prepare(database, version))?;
    }
    file::own(path)?;
    let database = file::open(path)?;
    prepare(&database, 0)?;
    let (loaded, state) = load(&database, interner)?;
    Ok((database, loaded, state))
}

/// Creates the tables and counts the start.
fn prepare(database: &Database, version: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let starts = transaction.open_table(NUMBERS)?.get(STARTS)?.map_or(0, |n| n.value());
    transaction.open_table(NUMBERS)?.insert(STARTS, starts + 1)?;
    if transaction.open_table(NUMBERS)?.get(TOTAL)?.is_some() {
        refuse_two(&transaction)?;
    } else {
        let version = transaction.open_table(NUMBERS)?.get(VERSION)?.map_or(version, |n| n.value());
        put_state(&transaction, State { version, total: seal_all(&transaction)? })?;
    }
    transaction.commit()?;
    Ok(())
}

/// An older Weir does not see the objects that have sums: it starts with nothing, beside them. Which of the two are wanted, nobody can know.
fn refuse_two(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    if !has_bare(transaction)? {
        return Ok(());
    }
    let count = transaction.open_table(BARE)?.len()?;
    if count == 0 {
        transaction.delete_table(BARE)?;
        return Ok(());
    }
    Err(redb::Error::Corrupted(format!(
        "an older Weir has written objects of its own into it ({count}), which this one does not see; if they are wanted, start the older one \
         again, save them with `kubectl get -o yaml` and apply them afterwards"
    )))
}

fn has_bare(transaction: &WriteTransaction) -> Result<bool, redb::Error> {
    Ok(transaction.list_tables()?.any(|table| table.name() == BARE.name()))
}

/// Gives each object its sum, once. Makes the table where there is none.
fn seal_all(transaction: &WriteTransaction) -> Result<u64, redb::Error> {
    let mut total = 0u64;
    let mut to = transaction.open_table(ROWS)?;
    if has_bare(transaction)? {
        for row in transaction.open_table(BARE)?.iter()? {
            let (key, json) = row?;
            let (sealed, sum) = rows::seal(key.value(), json.value());
            total = total.wrapping_add(sum);
            to.insert(key.value(), sealed.as_slice())?;
        }
        transaction.delete_table(BARE)?;
    }
    Ok(total)
}

fn put_state(transaction: &WriteTransaction, state: State) -> Result<(), redb::Error> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    numbers.insert(VERSION, state.version)?;
    numbers.insert(TOTAL, state.total)?;
    Ok(())
}

fn load(database: &Database, interner: &mut Interner) -> Result<(Loaded, State), redb::Error> {
    let mut objects = Vec::new();
    let state = look_through(database, |key, json| {
        objects.push(Stored::load(&parse_key(key)?, json, interner)?);
        Some(())
    })?;
    Ok((Loaded { objects, version: state.version }, state))
}

/// Opens a file that ought to be as it was left.
fn reopen(path: &Path) -> Result<(Database, State), redb::Error> {
    let database = file::open(path)?;
    let state = look_through(&database, |_, _| Some(()))?;
    Ok((database, state))
}

/// Reads every row, and checks it and their sum.
fn look_through(database: &Database, mut each: impl FnMut(&str, &[u8]) -> Option<()>) -> Result<State, redb::Error> {
    let transaction = database.begin_read()?;
    let numbers = transaction.open_table(NUMBERS)?;
    let number = |name: &str| Ok::<_, redb::Error>(numbers.get(name)?.map_or(0, |n| n.value()));
    let state = State { version: number(VERSION)?, total: number(TOTAL)? };
    let mut total = 0u64;
    for row in transaction.open_table(ROWS)?.iter()? {
        let (key, row) = row?;
        let read = rows::unseal(key.value(), row.value()).and_then(|(json, sum)| each(key.value(), json).map(|()| sum));
        total = total.wrapping_add(read.ok_or_else(|| unreadable_object(key.value()))?);
    }
    if total != state.total {
        return Err(redb::Error::Corrupted("objects are missing or old".to_owned()));
    }
    Ok(state)
}

fn unreadable() -> redb::Error {
    redb::Error::Corrupted("unreadable structure".to_owned())
}

fn unreadable_object(key: &str) -> redb::Error {
    redb::Error::Corrupted(format!("object {} cannot be read", key.replace('\0', " ").trim()))
}

fn text_key(key: &Key) -> String {
    format!("{}\0{}\0{}", key.shelf, key.namespace, key.name)
}

fn parse_key(text: &str) -> Option<Key> {
    let mut parts = text.split('\0');
    let (shelf, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Key { shelf: shelf.into(), namespace: namespace.into(), name: name.into() })
}
