//! What the mutex guards: the cells, the limits, and how they hang together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use slab::Slab;

use crate::{LimitConfig, LimitState, Refusal, Strain};

/// The cells and the limits over them.
///
/// Invariants, checked by [`Book::check_invariants`]: a limit's `current` is the sum of its cells' counts; a cell lists exactly the limits
/// that list it, in ascending order; a cell exists only while a connection, a handle or a limit needs it; the ceiling's `current` is the
/// number of slots, each once, whatever cells it was extended with.
#[derive(Default)]
pub(crate) struct Book {
    cells: Slab<CellEntry>,
    by_key: HashMap<Arc<str>, usize>,
    limits: Vec<LimitEntry>,
    /// Over all slots. Without a bound its value is the largest number there is.
    ceiling: LimitEntry,
}

struct CellEntry {
    key: Arc<str>,
    /// Connections.
    count: u64,
    /// Handles.
    handles: usize,
    /// The limits over it, as places in `Book::limits`.
    limits: Vec<usize>,
}

struct LimitEntry {
    name: Arc<str>,
    value: u64,
    current: u64,
    refused: u64,
    refusing: bool,
    cleared: u64,
    /// Its cells, each once.
    cells: Vec<usize>,
}

impl LimitEntry {
    /// Whether there is room for one more; if not, it is counted.
    fn ask(&mut self) -> Result<(), Refusal> {
        if self.current < self.value {
            return Ok(());
        }
        self.refused += 1;
        self.refusing = true;
        Err(Refusal { limit: self.name.clone(), current: self.current, value: self.value })
    }

    fn state(&self) -> LimitState {
        LimitState {
            name: self.name.clone(),
            value: self.value,
            current: self.current,
            refused: self.refused,
            refusing: self.refusing,
            cleared: self.cleared,
        }
    }

    /// To be called whenever `current` fell or `value` rose.
    fn clear(&mut self) {
        if self.refusing && self.current < self.value {
            self.refusing = false;
            self.cleared += 1;
        }
    }
}

const LIVE: &str = "a cell lives while a handle, a slot or a limit refers to it";

impl Book {
    pub(crate) fn open_cell(&mut self, key: &str) -> usize {
        let index = self.intern(key);
        self.share_cell(index);
        index
    }

    pub(crate) fn share_cell(&mut self, index: usize) {
        self.cell(index).handles += 1;
    }

    pub(crate) fn close_cell(&mut self, index: usize) {
        self.cell(index).handles -= 1;
        self.forget_if_unused(index);
    }

    /// Counts a new connection in the cell and under the ceiling.
    pub(crate) fn admit(&mut self, index: usize) -> Result<(), Refusal> {
        self.ask(index, None)?;
        self.ceiling.ask()?;
        self.ceiling.current += 1;
        self.enter(index);
        Ok(())
    }

    /// Counts a connection that is counted elsewhere in this cell, too.
    pub(crate) fn extend(&mut self, index: usize) -> Result<(), Refusal> {
        self.ask(index, None)?;
        self.enter(index);
        Ok(())
    }

    /// Counts a connection in the cell `to` instead of `from`. A limit over both does not change.
    pub(crate) fn transfer(&mut self, from: usize, to: usize) -> Result<(), Refusal> {
        self.ask(to, Some(from))?;
        // In first: a limit over both cells must not look as if it had had room for a moment.
        self.enter(to);
        self.leave(from);
        Ok(())
    }

    /// A connection is gone, with all that it was counted in.
    pub(crate) fn release(&mut self, cells: impl Iterator<Item = usize>) {
        self.ceiling.current -= 1;
        self.ceiling.clear();
        cells.for_each(|index| self.leave(index));
    }

    /// The largest part, in percent, of a limit over the cell, or of the ceiling, that is taken.
    pub(crate) fn fullness(&self, index: usize) -> u64 {
        let limits = self.cells.get(index).expect(LIVE).limits.iter().filter_map(|&at| self.limits.get(at));
        let percent = |limit: &LimitEntry| limit.current.saturating_mul(100) / limit.value.max(1);
        limits.chain([&self.ceiling]).map(percent).max().unwrap_or(0)
    }

    /// The limits over the cell, and the ceiling, that are `mark` percent full.
    pub(crate) fn strains(&self, index: usize, mark: u64) -> Vec<Strain> {
        let limits = self.cells.get(index).expect(LIVE).limits.iter().filter_map(|&at| Some((at, self.limits.get(at)?)));
        let strains = limits.chain([(usize::MAX, &self.ceiling)]).filter_map(|(limit, entry)| {
            // The smallest count that is `mark` percent of the value.
            let reached = u128::from(entry.value.max(1)) * u128::from(mark);
            let reached = u64::try_from(reached.div_ceil(100)).unwrap_or(u64::MAX).max(1);
            let percent = entry.current.saturating_mul(100) / entry.value.max(1);
            (entry.current >= reached).then(|| Strain { limit, percent, excess: entry.current - reached + 1 })
        });
        strains.collect()
    }

    pub(crate) fn set_ceiling(&mut self, name: Arc<str>, value: u64) {
        (self.ceiling.name, self.ceiling.value) = (name, value);
        self.ceiling.clear();
    }

    pub(crate) fn ceiling(&self) -> LimitState {
        self.ceiling.state()
    }

    /// Whether all limits over the cell have room, but for those that are over `within` as well.
    fn ask(&mut self, index: usize, within: Option<usize>) -> Result<(), Refusal> {
        let cell = self.cells.get(index).expect(LIVE);
        for &at in &cell.limits {
            let Some(limit) = self.limits.get_mut(at) else { continue };
            if !within.is_some_and(|within| limit.cells.contains(&within)) {
                limit.ask()?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, index: usize) {
        let cell = self.cells.get_mut(index).expect(LIVE);
        cell.count += 1;
        for &at in &cell.limits {
            if let Some(limit) = self.limits.get_mut(at) {
                limit.current += 1;
            }
        }
    }

    fn leave(&mut self, index: usize) {
        let cell = self.cells.get_mut(index).expect(LIVE);
        cell.count -= 1;
        for &at in &cell.limits {
            if let Some(limit) = self.limits.get_mut(at) {
                limit.current -= 1;
                limit.clear();
            }
        }
        self.forget_if_unused(index);
    }

    pub(crate) fn configure(&mut self, configs: &[LimitConfig]) {
        let mut before: HashMap<Arc<str>, LimitEntry> = self.limits.drain(..).map(|limit| (limit.name.clone(), limit)).collect();
        for (_, cell) in &mut self.cells {
            cell.limits.clear();
        }
        let mut seen = HashSet::with_capacity(configs.len());
        for config in configs.iter().filter(|config| seen.insert(&config.name)) {
            let mut limit = before.remove(&config.name).unwrap_or_else(|| LimitEntry::new(config.name.clone()));
            limit.value = config.value;
            limit.cells = config.cells.iter().map(|key| self.intern(key)).collect();
            limit.cells.sort_unstable();
            limit.cells.dedup();
            limit.current = 0;
            for &index in &limit.cells {
                let cell = self.cells.get_mut(index).expect(LIVE);
                cell.limits.push(self.limits.len());
                limit.current += cell.count;
            }
            limit.clear();
            self.limits.push(limit);
        }
        let unused: Vec<usize> = self.cells.iter().filter(|(_, cell)| !cell.in_use()).map(|(index, _)| index).collect();
        unused.into_iter().for_each(|index| self.forget_if_unused(index));
    }

    pub(crate) fn states(&self) -> Vec<LimitState> {
        self.limits.iter().map(LimitEntry::state).collect()
    }

    pub(crate) fn count(&self, key: &str) -> u64 {
        self.by_key.get(key).and_then(|&index| self.cells.get(index)).map_or(0, |cell| cell.count)
    }

    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(crate) fn key(&self, index: usize) -> Arc<str> {
        self.cells.get(index).expect(LIVE).key.clone()
    }

    fn cell(&mut self, index: usize) -> &mut CellEntry {
        self.cells.get_mut(index).expect(LIVE)
    }

    fn intern(&mut self, key: &str) -> usize {
        if let Some(&index) = self.by_key.get(key) {
            return index;
        }
        let key: Arc<str> = key.into();
        let index = self.cells.insert(CellEntry { key: key.clone(), count: 0, handles: 0, limits: Vec::new() });
        self.by_key.insert(key, index);
        index
    }

    fn forget_if_unused(&mut self, index: usize) {
        if self.cells.get(index).is_some_and(|cell| !cell.in_use()) {
            let cell = self.cells.remove(index);
            self.by_key.remove(&cell.key);
        }
    }

    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.by_key.len(), self.cells.len(), "each cell has one key");
        for (index, cell) in &self.cells {
            assert_eq!(self.by_key.get(&cell.key), Some(&index), "{}: found by its key", cell.key);
            assert!(cell.in_use(), "{}: nobody needs it", cell.key);
            let over = |(at, limit): (usize, &LimitEntry)| limit.cells.contains(&index).then_some(at);
            let limits: Vec<usize> = self.limits.iter().enumerate().filter_map(over).collect();
            assert_eq!(cell.limits, limits, "{}: its limits are those that list it", cell.key);
        }
        for limit in &self.limits {
            let sum: u64 = limit.cells.iter().map(|&index| self.cells.get(index).expect(LIVE).count).sum();
            assert_eq!(limit.current, sum, "{}: its count is its cells' sum", limit.name);
        }
        for limit in self.limits.iter().chain([&self.ceiling]) {
            assert!(!limit.refusing || limit.current >= limit.value, "{}: there is room, so nothing is refused", limit.name);
        }
        let all: u64 = self.cells.iter().map(|(_, cell)| cell.count).sum();
        assert!(self.ceiling.current <= all, "each slot is in one cell at least");
    }
}

impl CellEntry {
    fn in_use(&self) -> bool {
        self.count > 0 || self.handles > 0 || !self.limits.is_empty()
    }
}

impl LimitEntry {
    fn new(name: Arc<str>) -> Self {
        Self { name, value: u64::MAX, current: 0, refused: 0, refusing: false, cleared: 0, cells: Vec::new() }
    }
}

impl Default for LimitEntry {
    fn default() -> Self {
        Self::new("".into())
    }
}
