//! What it costs to let a connection in, and to refuse one. Run by `cargo xtask bench`.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measures")]

mod measure;

use weir_limits::{Ledger, LimitConfig};

const KEY: &str = "default/eg/http";

fn limits(count: usize, value: u64) -> Ledger {
    let ledger = Ledger::new();
    let limit = |i| LimitConfig { name: format!("limit-{i}").into(), value, cells: vec![KEY.into()] };
    ledger.configure(&(0..count).map(limit).collect::<Vec<_>>());
    ledger
}

fn main() {
    for count in [0, 1, 4] {
        let ledger = limits(count, 10);
        let cell = ledger.cell(KEY);
        measure::operation(&format!("limits/acquire-and-release/{count}-limits"), || drop(ledger.acquire(&cell)));
    }
    let ledger = limits(1, 1);
    let cell = ledger.cell(KEY);
    let held = ledger.acquire(&cell).expect("room for one");
    measure::operation("limits/refuse", || ledger.acquire(&cell).is_err());
    drop(held);
}
