//! Every interleaving of two or three threads: `RUSTFLAGS="--cfg loom" cargo test -p weir-limits --release`.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::{Ledger, LimitConfig};

const KEY: &str = "ns/gw/http";

fn limit(value: u64) -> LimitConfig {
    LimitConfig { name: "l".into(), value, cells: vec![KEY.into()] }
}

#[test]
fn never_one_too_many_and_never_one_refused_in_vain() {
    loom::model(|| {
        let ledger = Ledger::new();
        ledger.configure(&[limit(1)]);
        let inside = loom::sync::Arc::new(AtomicUsize::new(0));
        let guests: Vec<_> = (0..2)
            .map(|_| {
                let (ledger, inside) = (ledger.clone(), inside.clone());
                thread::spawn(move || {
                    let slot = ledger.acquire(&ledger.cell(KEY));
                    if slot.is_ok() {
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                    slot.is_ok()
                })
            })
            .collect();
        let admitted = guests.into_iter().map(|guest| guest.join().expect("no panic")).filter(|admitted| *admitted).count();
        assert!(admitted >= 1, "the first to ask found room");
        ledger.check_invariants();
        assert_eq!(ledger.cell_count(KEY), 0);
    });
}

#[test]
fn an_edit_during_an_accept_finds_the_true_count() {
    loom::model(|| {
        let ledger = Ledger::new();
        ledger.configure(&[limit(2)]);
        let cell = ledger.cell(KEY);
        let held = ledger.acquire(&cell).expect("room");
        let guest = {
            let (ledger, cell) = (ledger.clone(), cell.clone());
            thread::spawn(move || ledger.acquire(&cell).ok())
        };
        ledger.configure(&[limit(1)]);
        ledger.check_invariants();
        let admitted = guest.join().expect("no panic");
        let current = ledger.snapshot().first().map(|limit| limit.current);
        assert_eq!(current, Some(1 + u64::from(admitted.is_some())));
        assert!(ledger.acquire(&cell).is_err());
        drop((held, admitted));
        assert!(ledger.acquire(&cell).is_ok());
    });
}

#[test]
fn a_cell_is_not_forgotten_under_a_connection() {
    loom::model(|| {
        let ledger = Ledger::new();
        let slot = ledger.acquire(&ledger.cell(KEY)).expect("no limit");
        let closing = thread::spawn(move || drop(slot));
        let again = {
            let ledger = ledger.clone();
            thread::spawn(move || ledger.acquire(&ledger.cell(KEY)).expect("no limit"))
        };
        ledger.configure(&[]);
        closing.join().expect("no panic");
        let slot = again.join().expect("no panic");
        ledger.check_invariants();
        assert_eq!((ledger.cells(), ledger.cell_count(KEY)), (1, 1));
        drop(slot);
        assert_eq!(ledger.cells(), 0);
    });
}

#[test]
fn a_route_takes_exactly_its_number_of_those_who_come_at_once() {
    const ROUTE: &str = "ns/gw/http|ns/route";
    loom::model(|| {
        let ledger = Ledger::new();
        ledger.configure(&[limit(2), LimitConfig { name: "r".into(), value: 1, cells: vec![ROUTE.into()] }]);
        let guests: Vec<_> = (0..2)
            .map(|_| {
                let ledger = ledger.clone();
                thread::spawn(move || {
                    let mut slot = ledger.acquire(&ledger.cell(KEY)).expect("room for two");
                    let extended = slot.extend(&ledger.cell(ROUTE)).is_ok();
                    (slot, extended)
                })
            })
            .collect();
        let guests: Vec<_> = guests.into_iter().map(|guest| guest.join().expect("no panic")).collect();
        assert_eq!(guests.iter().filter(|(_, extended)| *extended).count(), 1);
        ledger.check_invariants();
        assert_eq!((ledger.cell_count(KEY), ledger.cell_count(ROUTE)), (2, 1));
        drop(guests);
        assert_eq!((ledger.cell_count(KEY), ledger.cell_count(ROUTE)), (0, 0));
        ledger.check_invariants();
    });
}

#[test]
fn a_transfer_during_an_edit_is_seen_in_one_place() {
    const HALL: &str = "hall";
    loom::model(|| {
        let ledger = Ledger::new();
        ledger.configure(&[limit(1)]);
        let mut slot = ledger.acquire(&ledger.cell(HALL)).expect("no limit");
        let moving = {
            let ledger = ledger.clone();
            thread::spawn(move || {
                slot.transfer(&ledger.cell(KEY)).expect("room");
                slot
            })
        };
        ledger.configure(&[LimitConfig { name: "l".into(), value: 1, cells: vec![KEY.into(), HALL.into()] }]);
        ledger.check_invariants();
        assert_eq!(ledger.snapshot().first().map(|limit| limit.current), Some(1));
        let slot = moving.join().expect("no panic");
        assert_eq!((ledger.cell_count(HALL), ledger.cell_count(KEY)), (0, 1));
        drop(slot);
        ledger.check_invariants();
    });
}
