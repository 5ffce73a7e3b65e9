//! What the mutex guards: the cells, the limits, and how they hang together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use slab::Slab;

use crate::{LimitConfig, LimitState, Refusal};

/// The cells and the limits over them.
///
/// Invariants, checked by [`Book::check_invariants`]: a limit's `current` is the sum of its cells' counts; a cell lists exactly the limits
/// that list it, in ascending order; a cell exists only while a connection, a handle or a limit needs it.
#[derive(Default)]
pub(crate) struct Book {
    cells: Slab<CellEntry>,
    by_key: HashMap<Arc<str>, usize>,
    limits: Vec<LimitEntry>,
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

    pub(crate) fn admit(&mut self, index: usize) -> Result<(), Refusal> {
        let cell = self.cells.get_mut(index).expect(LIVE);
        for &at in &cell.limits {
            let Some(limit) = self.limits.get_mut(at) else { continue };
            if limit.current >= limit.value {
                limit.refused += 1;
                limit.refusing = true;
                return Err(Refusal { limit: limit.name.clone(), current: limit.current, value: limit.value });
            }
        }
        cell.count += 1;
        for &at in &cell.limits {
            if let Some(limit) = self.limits.get_mut(at) {
                limit.current += 1;
            }
        }
        Ok(())
    }

    pub(crate) fn release(&mut self, index: usize) {
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
            let mut limit = before.remove(&config.name).unwrap_or_else(|| LimitEntry::new(config));
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
        let state = |limit: &LimitEntry| LimitState {
            name: limit.name.clone(),
            value: limit.value,
            current: limit.current,
            refused: limit.refused,
            refusing: limit.refusing,
            cleared: limit.cleared,
        };
        self.limits.iter().map(state).collect()
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
            assert!(!limit.refusing || limit.current >= limit.value, "{}: there is room, so nothing is refused", limit.name);
        }
    }
}

impl CellEntry {
    fn in_use(&self) -> bool {
        self.count > 0 || self.handles > 0 || !self.limits.is_empty()
    }
}

impl LimitEntry {
    fn new(config: &LimitConfig) -> Self {
        let LimitConfig { name, value, cells: _ } = config;
        Self { name: name.clone(), value: *value, current: 0, refused: 0, refusing: false, cleared: 0, cells: Vec::new() }
    }
}
