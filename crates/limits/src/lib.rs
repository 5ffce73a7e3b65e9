//! The connection ledger: who is connected where, and whether one more may come in.
//!
//! Connections are counted, always, in **cells** (one per listener, and one per listener and route that a connection has carried a request
//! for). A **limit** is a number over a set of cells; its count is their sum. The **ceiling** is over all connections.
//! Counts belong to cells and not to limits, so that an edit regroups cells and never moves a connection: whatever the configuration says
//! next, it finds the true count.
//!
//! ```
//! use weir_limits::{Ledger, LimitConfig};
//!
//! let ledger = Ledger::new();
//! ledger.configure(&[LimitConfig { name: "two".into(), value: 2, cells: vec!["default/eg/http".into()] }]);
//! let http = ledger.cell("default/eg/http");
//! let first = ledger.acquire(&http).expect("the first of two");
//! let second = ledger.acquire(&http).expect("the second of two");
//! let refusal = ledger.acquire(&http).expect_err("there is no third");
//! assert_eq!((refusal.current, refusal.value), (2, 2));
//! drop(first);
//! assert!(ledger.acquire(&http).is_ok());
//! # drop(second);
//! ```
//!
//! No sockets, no clock, no tasks: the data plane takes a [`Slot`] when it accepts and drops it after the socket is closed.
//!
//! One mutex guards everything. With two threads contending, a compare-and-swap costs 114 ns and an accept and close 24,800 ns (measured
//! 2026-08), so a short critical section is noise on the accept path; and only one section over all of a cell's limits never lets one
//! connection too many in and never refuses one that would have fitted.

mod book;
mod set;
mod sync;

use std::fmt;
use std::sync::Arc;

use book::Book;
use set::Set;
use sync::Shared;

/// The ledger. Cheap to clone: all clones are the same ledger.
#[derive(Clone, Default)]
pub struct Ledger {
    book: Shared<Book>,
}

/// A place where connections are counted, such as a listener. The ledger remembers a cell while a handle of it, a connection in it or a
/// limit over it exists.
pub struct Cell {
    book: Shared<Book>,
    index: usize,
}

/// One counted connection. Dropping it gives the slot back, so it must be dropped after the socket: declare it behind the socket's field.
#[must_use = "the slot is given back when this is dropped"]
pub struct Slot {
    book: Shared<Book>,
    cell: usize,
    more: Option<Box<Extensions>>,
}

/// The other cells that a connection counts in. In a box: most connections have few, and idle ones must stay small.
struct Extensions {
    last: usize,
    cells: Set,
}

/// A limit as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitConfig {
    /// Its name: what it is known by when the configuration changes.
    pub name: Arc<str>,
    /// How many connections may be in its cells together.
    pub value: u64,
    /// The keys of its cells.
    pub cells: Vec<Arc<str>>,
}

/// Why a connection may not come in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the limit {limit} is reached: {current} of {value} connections are open")]
pub struct Refusal {
    /// The limit that is reached; of several the one that was configured first.
    pub limit: Arc<str>,
    /// How many connections it has. More than `value` after the value was lowered.
    pub current: u64,
    /// How many it may have.
    pub value: u64,
}

/// A limit that is nearly full: see [`Ledger::strains`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strain {
    /// Tells limits apart, until they are configured anew.
    pub limit: usize,
    /// How full it is, in percent; more than 100 after its value was lowered.
    pub percent: u64,
    /// How many connections must end, in whichever of its cells, for it to be below the mark.
    pub excess: u64,
}

/// How a limit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitState {
    /// Its name.
    pub name: Arc<str>,
    /// How many connections it may have.
    pub value: u64,
    /// How many it has.
    pub current: u64,
    /// How many it has refused since it was first configured.
    pub refused: u64,
    /// Whether it has refused a connection and not had room since.
    pub refusing: bool,
    /// How many times it had room again after it had refused.
    pub cleared: u64,
}

impl Ledger {
    /// An empty ledger without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// The cell called `key`, such as `namespace/gateway/listener`; made if it is new.
    pub fn cell(&self, key: &str) -> Cell {
        Cell { book: self.book.clone(), index: self.book.lock().open_cell(key) }
    }

    /// Replaces all limits. A limit that was there under the same name keeps its counters; connections stay where they are. Of two limits
    /// with one name the first counts.
    pub fn configure(&self, limits: &[LimitConfig]) {
        self.book.lock().configure(limits);
    }

    /// Counts one more connection in `cell`, a cell of this ledger.
    ///
    /// All limits over the cell are asked at once, without allocating; the cost grows with their number and with nothing else.
    ///
    /// # Errors
    /// A [`Refusal`] that names a limit which is reached; then nothing is counted but the refusal, in that limit.
    pub fn acquire(&self, cell: &Cell) -> Result<Slot, Refusal> {
        debug_assert!(Shared::ptr_eq(&self.book, &cell.book), "a cell of another ledger");
        self.book.lock().admit(cell.index)?;
        Ok(Slot { book: self.book.clone(), cell: cell.index, more: None })
    }

    /// Bounds the number of all connections together, whatever cells they are in. Not one of the limits that [`Self::configure`] replaces.
    /// It is asked last: a refusal names it only where no limit is reached.
    pub fn set_ceiling(&self, name: Arc<str>, value: u64) {
        self.book.lock().set_ceiling(name, value);
    }

    /// How the ceiling stands. Until one is set its value is [`u64::MAX`], and `current` is the number of all connections all the same.
    pub fn ceiling(&self) -> LimitState {
        self.book.lock().ceiling()
    }

    /// How full the fullest limit over `cell` is, in percent: from 100 on no connection can come in there. The ceiling counts as well.
    pub fn fullness(&self, cell: &Cell) -> u64 {
        self.book.lock().fullness(cell.index)
    }

    /// Which of the limits over `cell`, the ceiling among them, are at least `mark` percent full.
    pub fn strains(&self, cell: &Cell, mark: u64) -> Vec<Strain> {
        self.book.lock().strains(cell.index, mark)
    }

    /// How each limit stands, in the order of configuration.
    pub fn snapshot(&self) -> Vec<LimitState> {
        self.book.lock().states()
    }

    /// How many connections the cell called `key` has; 0 if nobody knows it.
    pub fn cell_count(&self, key: &str) -> u64 {
        self.book.lock().count(key)
    }

    /// How many cells the ledger remembers.
    pub fn cells(&self) -> usize {
        self.book.lock().len()
    }

    /// For tests.
    ///
    /// # Panics
    /// When the books do not balance.
    pub fn check_invariants(&self) {
        self.book.lock().check_invariants();
    }
}

impl Cell {
    /// A number that no other cell has while this handle, or a connection in the cell, exists.
    pub fn id(&self) -> usize {
        self.index
    }
}

impl Slot {
    /// Counts the connection in `cell` as well, a cell of the same ledger, until it ends. All limits over the cell are asked at once. A
    /// connection counts in a cell once: asking again changes nothing, takes no lock, and looks first at the cell that was asked for last.
    ///
    /// # Errors
    /// A [`Refusal`] that names a limit which is reached; then nothing has changed but that limit's counter of refusals.
    pub fn extend(&mut self, cell: &Cell) -> Result<(), Refusal> {
        debug_assert!(Shared::ptr_eq(&self.book, &cell.book), "a cell of another ledger");
        if !self.counts_in(cell.index) {
            self.book.lock().extend(cell.index)?;
            let more = self.more.get_or_insert_with(|| Box::new(Extensions { last: cell.index, cells: Set::new() }));
            more.cells.insert(cell.index);
            more.last = cell.index;
        }
        Ok(())
    }

    /// Counts the connection in `cell` instead of in the cell that it was acquired for: its listener has become known. A limit over both
    /// cells, and the ceiling, go on counting it as one.
    ///
    /// # Errors
    /// A [`Refusal`] that names a limit which is reached; then the connection stays where it was.
    pub fn transfer(&mut self, cell: &Cell) -> Result<(), Refusal> {
        debug_assert!(Shared::ptr_eq(&self.book, &cell.book), "a cell of another ledger");
        if self.cell != cell.index {
            self.book.lock().transfer(self.cell, cell.index)?;
            self.cell = cell.index;
        }
        Ok(())
    }

    /// Whether `index` is among the extensions. A cell cannot become another one's place while a connection is in it.
    fn counts_in(&mut self, index: usize) -> bool {
        let Some(more) = &mut self.more else { return false };
        let does = more.last == index || more.cells.contains(index);
        if does {
            more.last = index;
        }
        does
    }
}

impl Clone for Cell {
    fn clone(&self) -> Self {
        self.book.lock().share_cell(self.index);
        Self { book: self.book.clone(), index: self.index }
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.book.lock().close_cell(self.index);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let more = self.more.take();
        let more = more.iter().flat_map(|more| more.cells.iter());
        self.book.lock().release(more.chain([self.cell]));
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.snapshot()).finish()
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cell({})", self.book.lock().key(self.index))
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({})", self.book.lock().key(self.cell))
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod simulation;
#[cfg(all(test, not(loom)))]
mod tests;
