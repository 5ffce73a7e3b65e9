//! Random histories of connections and edits, checked against a model that is too simple to be wrong: the list of open connections.

use crate::{Cell, Ledger, LimitConfig, Slot};

const KEYS: [&str; 4] = ["ns/a/http", "ns/a/alt", "ns/b/http", "ns/b/alt"];

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
    open: Vec<(usize, Slot)>,
    refused: u64,
}

impl World {
    fn count(&self, limit: &LimitConfig) -> u64 {
        self.open.iter().filter(|(key, _)| limit.cells.iter().any(|cell| **cell == *KEYS[*key])).count() as u64
    }

    fn open(&mut self, random: &mut Seeded) {
        if self.cells.is_empty() {
            return;
        }
        let (key, cell) = &self.cells[random.below(self.cells.len())];
        let full = |limit: &&LimitConfig| limit.cells.iter().any(|cell| **cell == *KEYS[*key]) && self.count(limit) >= limit.value;
        let expected = self.limits.iter().find(full);
        match (self.ledger.acquire(cell), expected) {
            (Ok(slot), None) => self.open.push((*key, slot)),
            (Err(refusal), Some(limit)) => {
                assert_eq!((&refusal.limit, refusal.current, refusal.value), (&limit.name, self.count(limit), limit.value));
                self.refused += 1;
            }
            (Ok(_), Some(limit)) => panic!("one too many for {limit:?}"),
            (Err(refusal), None) => panic!("refused without need: {refusal}"),
        }
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
    }

    fn step(&mut self, random: &mut Seeded) {
        match random.below(20) {
            0..=8 => self.open(random),
            9..=14 if !self.open.is_empty() => drop(self.open.swap_remove(random.below(self.open.len()))),
            15..=16 => self.edit(random),
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
            let open = self.open.iter().filter(|(key, _)| *key == index).count() as u64;
            assert_eq!(self.ledger.cell_count(key), open, "{key}");
        }
    }
}

#[test]
fn the_books_balance_whatever_happens() {
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
        assert!(world.refused > 0, "seed {seed}: a history without a refusal proves little");
    }
}
