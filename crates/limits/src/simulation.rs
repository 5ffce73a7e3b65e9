//! Random histories of connections and edits, checked against a model that is too simple to be wrong: the list of open connections.

use crate::{Cell, Ledger, LimitConfig, Refusal, Slot};

/// Listeners, then routes.
const KEYS: [&str; 7] = ["ns/a/http", "ns/a/alt", "ns/b/http", "ns/b/alt", "ns/a/http|ns/r", "ns/a/http|ns/s", "ns/b/alt|ns/r"];
const LISTENERS: usize = 4;

/// SplitMix64: a seed gives the same history everywhere.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// What should be.
#[derive(Default)]
struct World {
    ledger: Ledger,
    limits: Vec<LimitConfig>,
    cells: Vec<(usize, Cell)>,
    /// Each with the cells that it is in: its listener's first.
    open: Vec<(Vec<usize>, Slot)>,
    ceiling: Option<u64>,
    refused: u64,
}

impl World {
    fn count(&self, limit: &LimitConfig) -> u64 {
        let within = |key: &usize| limit.cells.iter().any(|cell| **cell == *KEYS[*key]);
        self.open.iter().flat_map(|(keys, _)| keys).filter(|key| within(key)).count() as u64
    }

    /// The first limit that is reached for a connection that comes to `to` and leaves `from`.
    fn obstacle(&self, to: usize, from: Option<usize>) -> Option<&LimitConfig> {
        let over = |limit: &LimitConfig, key: usize| limit.cells.iter().any(|cell| **cell == *KEYS[key]);
        let blocks =
            |limit: &&LimitConfig| over(limit, to) && !from.is_some_and(|from| over(limit, from)) && self.count(limit) >= limit.value;
        self.limits.iter().find(blocks)
    }

    /// Compares what happened with what should have.
    fn judge(&mut self, outcome: Result<(), Refusal>, expected: Option<(&str, u64, u64)>) -> bool {
        match (outcome, expected) {
            (Ok(()), None) => return true,
            (Err(refusal), Some(expected)) => assert_eq!((&*refusal.limit, refusal.current, refusal.value), expected),
            (Ok(()), Some(limit)) => panic!("one too many for {limit:?}"),
            (Err(refusal), None) => panic!("refused without need: {refusal}"),
        }
        self.refused += 1;
        false
    }

    fn open(&mut self, random: &mut Seeded) {
        let Some((key, cell)) = self.some_cell(random, |key| key < LISTENERS) else { return };
        let obstacle = self.obstacle(key, None).map(|limit| (limit.name.to_string(), self.count(limit), limit.value));
        let full = self.ceiling.filter(|ceiling| self.open.len() as u64 >= *ceiling);
        let expected = obstacle.or(full.map(|ceiling| ("ceiling".to_owned(), self.open.len() as u64, ceiling)));
        let expected = expected.as_ref().map(|(name, current, value)| (name.as_str(), *current, *value));
        let mut slot = None;
        let outcome = self.ledger.acquire(&cell).map(|it| slot = Some(it));
        self.judge(outcome, expected);
        self.open.extend(slot.map(|slot| (vec![key], slot)));
    }

    fn extend(&mut self, random: &mut Seeded) {
        let Some((key, cell)) = self.some_cell(random, |key| key >= LISTENERS) else { return };
        if self.open.is_empty() {
            return;
        }
        let at = random.below(self.open.len());
        let known = self.open[at].0.contains(&key);
        let obstacle = self.obstacle(key, None).filter(|_| !known).map(|limit| (limit.name.to_string(), self.count(limit), limit.value));
        let expected = obstacle.as_ref().map(|(name, current, value)| (name.as_str(), *current, *value));
        let outcome = self.open[at].1.extend(&cell);
        if self.judge(outcome, expected) && !known {
            self.open[at].0.push(key);
        }
    }

    fn transfer(&mut self, random: &mut Seeded) {
        let Some((key, cell)) = self.some_cell(random, |key| key < LISTENERS) else { return };
        if self.open.is_empty() {
            return;
        }
        let at = random.below(self.open.len());
        let from = self.open[at].0[0];
        let obstacle = self.obstacle(key, Some(from)).filter(|_| key != from);
        let obstacle = obstacle.map(|limit| (limit.name.to_string(), self.count(limit), limit.value));
        let expected = obstacle.as_ref().map(|(name, current, value)| (name.as_str(), *current, *value));
        let outcome = self.open[at].1.transfer(&cell);
        if self.judge(outcome, expected) {
            self.open[at].0[0] = key;
        }
    }

    fn some_cell(&self, random: &mut Seeded, fits: impl Fn(usize) -> bool) -> Option<(usize, Cell)> {
        let cells: Vec<_> = self.cells.iter().filter(|(key, _)| fits(*key)).collect();
        (!cells.is_empty()).then(|| cells[random.below(cells.len())]).map(|(key, cell)| (*key, cell.clone()))
    }

    fn edit(&mut self, random: &mut Seeded) {
        let mut limits = Vec::new();
        for name in ["gateway-a", "gateway-b", "http", "process"] {
            if random.below(3) > 0 {
                let cells = KEYS.iter().filter(|_| random.below(2) == 0).map(|&key| key.into()).collect();
                limits.push(LimitConfig { name: name.into(), value: 1 + random.below(8) as u64, cells });
            }
        }
        self.ledger.configure(&limits);
        self.limits = limits;
        if random.below(2) == 0 {
            let value = 5 + random.below(20) as u64;
            self.ledger.set_ceiling("ceiling".into(), value);
            self.ceiling = Some(value);
        }
    }

    /// A listener goes: its handles and its limits at once, its connections one after another, while everything else goes on.
    fn drain(&mut self, random: &mut Seeded) {
        let key = random.below(LISTENERS);
        self.cells.retain(|(cell, _)| *cell != key);
        for limit in &mut self.limits {
            limit.cells.retain(|cell| **cell != *KEYS[key]);
        }
        self.ledger.configure(&self.limits);
        while let Some(at) = self.open.iter().position(|(keys, _)| keys[0] == key) {
            drop(self.open.swap_remove(at));
            self.check();
            self.open(random);
        }
        assert_eq!(self.ledger.cell_count(KEYS[key]), 0, "{}: drained", KEYS[key]);
    }

    fn step(&mut self, random: &mut Seeded) {
        match random.below(30) {
            20..=25 => self.extend(random),
            26..=28 => self.transfer(random),
            0..=8 => self.open(random),
            9..=14 if !self.open.is_empty() => drop(self.open.swap_remove(random.below(self.open.len()))),
            15..=16 => self.edit(random),
            29 if random.below(8) == 0 => self.drain(random),
            17 => {
                let key = random.below(KEYS.len());
                self.cells.push((key, self.ledger.cell(KEYS[key])));
            }
            18 if !self.cells.is_empty() => drop(self.cells.swap_remove(random.below(self.cells.len()))),
            _ => {}
        }
    }

    fn check(&self) {
        self.ledger.check_invariants();
        for (limit, state) in self.limits.iter().zip(self.ledger.snapshot()) {
            assert_eq!((&limit.name, limit.value, self.count(limit)), (&state.name, state.value, state.current));
        }
        for (index, key) in KEYS.iter().enumerate() {
            let open = self.open.iter().flat_map(|(keys, _)| keys).filter(|key| **key == index).count() as u64;
            assert_eq!(self.ledger.cell_count(key), open, "{key}");
        }
        assert_eq!(self.ledger.ceiling().current, self.open.len() as u64);
    }
}

#[test]
fn the_books_balance_whatever_happens() {
    let mut refused = 0;
    for seed in 0..200 {
        let mut random = Seeded(seed);
        let mut world = World::default();
        for _ in 0..500 {
            world.step(&mut random);
            world.check();
        }
        world.open.clear();
        world.cells.clear();
        world.ledger.configure(&[]);
        assert_eq!(world.ledger.cells(), 0, "seed {seed}: nothing is left behind");
        refused += world.refused;
    }
    assert!(refused > 1000, "histories without refusals prove little");
}
