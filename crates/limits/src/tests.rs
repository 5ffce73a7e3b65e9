use super::*;

const HTTP: &str = "default/eg/http";
const OTHER: &str = "default/eg/other";

fn limit(name: &str, value: u64, cells: &[&str]) -> LimitConfig {
    LimitConfig { name: name.into(), value, cells: cells.iter().map(|&key| key.into()).collect() }
}

/// A ledger with these limits.
fn ledger(limits: &[LimitConfig]) -> Ledger {
    let ledger = Ledger::new();
    ledger.configure(limits);
    ledger
}

/// As many slots as there are, at most `most`.
fn fill(ledger: &Ledger, cell: &Cell, most: usize) -> Vec<Slot> {
    let slots = (0..most).map_while(|_| ledger.acquire(cell).ok()).collect();
    ledger.check_invariants();
    slots
}

fn state(ledger: &Ledger, name: &str) -> LimitState {
    ledger.snapshot().into_iter().find(|limit| *limit.name == *name).expect("the limit is configured")
}

#[test]
fn without_a_limit_everybody_comes_in_and_is_counted() {
    let ledger = Ledger::new();
    let cell = ledger.cell(HTTP);
    let slots = fill(&ledger, &cell, 1000);
    assert_eq!((slots.len(), ledger.cell_count(HTTP)), (1000, 1000));
    drop(slots);
    assert_eq!(ledger.cell_count(HTTP), 0);
}

#[test]
fn a_limit_admits_exactly_its_number_and_says_why_no_more() {
    let ledger = ledger(&[limit("l", 5, &[HTTP])]);
    let cell = ledger.cell(HTTP);
    let mut slots = fill(&ledger, &cell, 100);
    assert_eq!(slots.len(), 5);
    let refusal = ledger.acquire(&cell).expect_err("full");
    assert_eq!(refusal, Refusal { limit: "l".into(), current: 5, value: 5 });
    assert_eq!(refusal.to_string(), "the limit l is reached: 5 of 5 connections are open");
    assert_eq!(state(&ledger, "l").refused, 2, "one by `fill`, one here");
    slots.pop();
    assert_eq!(fill(&ledger, &cell, 100).len(), 1);
}

#[test]
fn a_slot_comes_back_from_another_thread_and_from_a_panic() {
    let ledger = ledger(&[limit("l", 1, &[HTTP])]);
    let cell = ledger.cell(HTTP);
    let slot = ledger.acquire(&cell).expect("room");
    std::thread::spawn(move || drop(slot)).join().expect("the thread ends");
    let slot = ledger.acquire(&cell).expect("the slot is back");
    let task = std::panic::AssertUnwindSafe(move || {
        let _slot = slot;
        std::panic::resume_unwind(Box::new("a bug in a connection"));
    });
    assert!(std::panic::catch_unwind(task).is_err());
    assert!(ledger.acquire(&cell).is_ok());
    ledger.check_invariants();
}

#[test]
fn raising_admits_exactly_the_difference() {
    let ledger = ledger(&[limit("l", 2, &[HTTP])]);
    let cell = ledger.cell(HTTP);
    let _held = fill(&ledger, &cell, 100);
    ledger.configure(&[limit("l", 3, &[HTTP])]);
    assert_eq!(fill(&ledger, &cell, 100).len(), 1);
}

#[test]
fn lowering_kills_nobody_and_admits_nobody_until_there_is_room() {
    let ledger = ledger(&[limit("l", 3, &[HTTP])]);
    let cell = ledger.cell(HTTP);
    let mut held = fill(&ledger, &cell, 100);
    ledger.configure(&[limit("l", 1, &[HTTP])]);
    assert_eq!(ledger.cell_count(HTTP), 3);
    for left in [3, 2, 1] {
        assert_eq!(ledger.acquire(&cell).expect_err("no room"), Refusal { limit: "l".into(), current: left, value: 1 });
        held.pop();
    }
    assert_eq!(fill(&ledger, &cell, 100).len(), 1);
}

#[test]
fn a_limit_that_comes_back_finds_the_true_count() {
    let ledger = ledger(&[limit("l", 2, &[HTTP])]);
    let cell = ledger.cell(HTTP);
    let mut held = fill(&ledger, &cell, 100);
    ledger.configure(&[]);
    held.extend(fill(&ledger, &cell, 3));
    assert_eq!(held.len(), 5);
    ledger.configure(&[limit("l", 6, &[HTTP])]);
    assert_eq!((state(&ledger, "l").current, state(&ledger, "l").refused), (5, 0));
    assert_eq!(fill(&ledger, &cell, 100).len(), 1);
}

#[test]
fn a_gateways_limit_gives_way_to_a_sections_and_back_with_true_counts() {
    let gateway = [limit("gateway", 4, &[HTTP, OTHER])];
    let section = [limit("gateway", 4, &[OTHER]), limit("section", 2, &[HTTP])];
    let ledger = ledger(&gateway);
    let (http, other) = (ledger.cell(HTTP), ledger.cell(OTHER));
    let mut held = fill(&ledger, &http, 3);
    held.extend(fill(&ledger, &other, 100));
    assert_eq!(held.len(), 4, "both listeners share the limit");

    ledger.configure(&section);
    assert_eq!((state(&ledger, "gateway").current, state(&ledger, "section").current), (1, 3));
    assert_eq!(*ledger.acquire(&http).expect_err("3 of 2").limit, *"section");
    let more = fill(&ledger, &other, 100);
    assert_eq!(more.len(), 3, "the other listener has the gateway's four for itself");

    ledger.configure(&gateway);
    assert_eq!(state(&ledger, "gateway").current, 7);
    drop(more);
    assert!(ledger.acquire(&http).is_err(), "4 of 4");
    held.clear();
    assert_eq!(fill(&ledger, &http, 100).len(), 4);
}

#[test]
fn several_limits_are_taken_all_or_none() {
    let ledger = ledger(&[limit("wide", 3, &[HTTP, OTHER]), limit("narrow", 1, &[OTHER]), limit("process", 100, &[HTTP, OTHER])]);
    let (http, other) = (ledger.cell(HTTP), ledger.cell(OTHER));
    let _first = ledger.acquire(&other).expect("room in all three");
    for _ in 0..10 {
        assert_eq!(*ledger.acquire(&other).expect_err("full").limit, *"narrow");
    }
    assert_eq!((state(&ledger, "wide").current, state(&ledger, "process").current), (1, 1), "a refusal takes nothing");
    assert_eq!((state(&ledger, "wide").refused, state(&ledger, "narrow").refused), (0, 10), "it counts where it happened");
    let _rest = fill(&ledger, &http, 100);
    assert_eq!(state(&ledger, "wide").current, 3);
    assert_eq!(*ledger.acquire(&other).expect_err("both are full").limit, *"wide", "the first configured one is named");
}

#[test]
fn a_limit_says_when_it_refuses_and_when_it_has_room_again() {
    let ledger = ledger(&[limit("l", 1, &[HTTP])]);
    let cell = ledger.cell(HTTP);
    let slot = ledger.acquire(&cell).expect("room");
    assert!(!state(&ledger, "l").refusing, "full, but nobody was refused");
    assert!(ledger.acquire(&cell).is_err());
    assert!(state(&ledger, "l").refusing);
    ledger.configure(&[limit("l", 1, &[HTTP])]);
    assert!(state(&ledger, "l").refusing, "an edit that changes nothing is no event");
    drop(slot);
    assert_eq!((state(&ledger, "l").refusing, state(&ledger, "l").cleared), (false, 1));

    let _slot = ledger.acquire(&cell).expect("room");
    assert!(ledger.acquire(&cell).is_err());
    ledger.configure(&[limit("l", 2, &[HTTP])]);
    assert_eq!((state(&ledger, "l").refusing, state(&ledger, "l").cleared), (false, 2), "raising gives room too");
    assert_eq!(state(&ledger, "l").refused, 2, "the counters outlive edits");
}

#[test]
fn a_cell_is_forgotten_when_nobody_needs_it() {
    let ledger = ledger(&[limit("l", 5, &[HTTP])]);
    assert_eq!(ledger.cells(), 1, "a limit needs it");
    let cell = ledger.cell(HTTP);
    let slot = ledger.acquire(&cell).expect("room");
    ledger.configure(&[]);
    let again = cell.clone();
    drop(cell);
    assert_eq!(ledger.cells(), 1, "a handle needs it");
    drop(again);
    assert_eq!((ledger.cells(), ledger.cell_count(HTTP)), (1, 1), "a connection needs it");
    ledger.check_invariants();
    drop(slot);
    assert_eq!((ledger.cells(), ledger.cell_count(HTTP)), (0, 0));
    ledger.check_invariants();
}

#[test]
fn a_connection_keeps_its_cell_when_the_listener_goes_and_comes_back() {
    let ledger = ledger(&[limit("l", 2, &[HTTP])]);
    let slot = ledger.acquire(&ledger.cell(HTTP)).expect("room");
    ledger.configure(&[]);
    let cell = ledger.cell(HTTP);
    ledger.configure(&[limit("l", 2, &[HTTP])]);
    assert_eq!(fill(&ledger, &cell, 100).len(), 1, "the old connection still counts");
    drop(slot);
    assert_eq!(fill(&ledger, &cell, 100).len(), 2);
}

#[test]
fn a_cell_named_twice_counts_once_and_the_first_of_two_names_wins() {
    let ledger = ledger(&[limit("l", 2, &[HTTP, HTTP]), limit("l", 1, &[HTTP])]);
    assert_eq!(fill(&ledger, &ledger.cell(HTTP), 100).len(), 2);
    assert_eq!(ledger.snapshot().len(), 1);
}

const ROUTE: &str = "default/eg/http|default/shop";
const OTHER_ROUTE: &str = "default/eg/http|default/blog";

#[test]
fn a_route_counts_each_connection_once_and_until_it_ends() {
    let ledger = ledger(&[limit("gateway", 10, &[HTTP]), limit("shop", 2, &[ROUTE])]);
    let (http, shop, blog) = (ledger.cell(HTTP), ledger.cell(ROUTE), ledger.cell(OTHER_ROUTE));
    let mut slots = fill(&ledger, &http, 4);
    for _ in 0..3 {
        slots[0].extend(&shop).expect("the first of two");
        slots[0].extend(&blog).expect("no limit");
        slots[1].extend(&shop).expect("the second of two");
    }
    assert_eq!((ledger.cell_count(ROUTE), ledger.cell_count(OTHER_ROUTE), ledger.cell_count(HTTP)), (2, 1, 4));
    assert_eq!(slots[2].extend(&shop), Err(Refusal { limit: "shop".into(), current: 2, value: 2 }));
    slots[2].extend(&blog).expect("other routes are open to it");
    assert_eq!((state(&ledger, "shop").refused, state(&ledger, "gateway").refused, state(&ledger, "gateway").current), (1, 0, 4));
    ledger.check_invariants();
    drop(slots.remove(0));
    assert_eq!((state(&ledger, "shop").refusing, state(&ledger, "shop").cleared), (false, 1));
    slots[1].extend(&shop).expect("the slot is back");
    drop(slots);
    assert_eq!((ledger.cell_count(ROUTE), ledger.cell_count(OTHER_ROUTE), ledger.cell_count(HTTP)), (0, 0, 0));
    assert_eq!(ledger.ceiling().current, 0);
    ledger.check_invariants();
}

#[test]
fn a_routes_limit_that_comes_later_finds_the_true_count() {
    let ledger = Ledger::new();
    let (http, shop) = (ledger.cell(HTTP), ledger.cell(ROUTE));
    let mut slots = fill(&ledger, &http, 4);
    slots.iter_mut().take(3).for_each(|slot| slot.extend(&shop).expect("no limit"));
    ledger.configure(&[limit("shop", 2, &[ROUTE])]);
    assert_eq!(state(&ledger, "shop").current, 3);
    assert!(slots[3].extend(&shop).is_err());
    slots[0].extend(&shop).expect("nobody is thrown out");
    slots.drain(..2);
    assert!(slots[1].extend(&shop).is_ok(), "1 of 2");
}

#[test]
fn an_extension_outlives_its_handles_and_its_place_is_not_given_away() {
    let ledger = Ledger::new();
    let mut slot = ledger.acquire(&ledger.cell(HTTP)).expect("no limit");
    slot.extend(&ledger.cell(ROUTE)).expect("no limit");
    assert_eq!(ledger.cells(), 2, "the connection needs both");
    slot.extend(&ledger.cell(OTHER_ROUTE)).expect("no limit");
    slot.extend(&ledger.cell(ROUTE)).expect("it has it");
    assert_eq!((ledger.cell_count(ROUTE), ledger.cell_count(OTHER_ROUTE)), (1, 1));
    drop(slot);
    assert_eq!(ledger.cells(), 0);
}

#[test]
fn a_connection_moves_to_its_listener_when_that_is_known() {
    const HALL: &str = "handshakes";
    let ledger = ledger(&[limit("hall", 2, &[HALL]), limit("both", 2, &[HALL, HTTP]), limit("http", 1, &[HTTP])]);
    let (hall, http) = (ledger.cell(HALL), ledger.cell(HTTP));
    let mut first = ledger.acquire(&hall).expect("room");
    let mut second = ledger.acquire(&hall).expect("room");
    assert_eq!(*ledger.acquire(&hall).expect_err("2 of 2").limit, *"hall");
    first.transfer(&http).expect("`both` is full, but it is in there already");
    first.transfer(&http).expect("it is there");
    assert_eq!(second.transfer(&http), Err(Refusal { limit: "http".into(), current: 1, value: 1 }));
    assert_eq!((ledger.cell_count(HALL), ledger.cell_count(HTTP), state(&ledger, "both").cleared), (1, 1, 0));
    ledger.check_invariants();
    drop(first);
    second.transfer(&http).expect("room");
    assert_eq!((ledger.cell_count(HALL), ledger.cell_count(HTTP), ledger.ceiling().current), (0, 1, 1));
    drop(second);
    ledger.check_invariants();
}

#[test]
fn the_ceiling_is_over_all_connections_and_outlives_edits() {
    let ledger = ledger(&[limit("l", 1, &[HTTP])]);
    assert_eq!(ledger.ceiling().value, u64::MAX);
    ledger.set_ceiling("process".into(), 3);
    let (http, other, shop) = (ledger.cell(HTTP), ledger.cell(OTHER), ledger.cell(ROUTE));
    let mut slots = fill(&ledger, &http, 100);
    slots[0].extend(&shop).expect("an extension is not another connection");
    slots.extend(fill(&ledger, &other, 100));
    assert_eq!((slots.len(), ledger.ceiling().current, ledger.ceiling().refused), (3, 3, 1));
    assert_eq!(*ledger.acquire(&http).expect_err("both are full").limit, *"l");
    assert_eq!(*ledger.acquire(&other).expect_err("full").limit, *"process");
    ledger.configure(&[]);
    assert!(ledger.acquire(&http).is_err());
    slots.pop();
    assert_eq!((ledger.ceiling().refusing, ledger.ceiling().cleared), (false, 1));
    assert!(ledger.acquire(&http).is_ok());
    ledger.check_invariants();
}

#[test]
fn fullness_is_that_of_the_fullest_limit() {
    let ledger = ledger(&[limit("wide", 10, &[HTTP, OTHER]), limit("narrow", 4, &[HTTP])]);
    let (http, other) = (ledger.cell(HTTP), ledger.cell(OTHER));
    assert_eq!(ledger.fullness(&http), 0);
    let _three = fill(&ledger, &http, 3);
    assert_eq!((ledger.fullness(&http), ledger.fullness(&other)), (75, 30));
    let _one = fill(&ledger, &http, 100);
    assert_eq!((ledger.fullness(&http), ledger.fullness(&other)), (100, 40));
    ledger.set_ceiling("process".into(), 5);
    assert_eq!(ledger.fullness(&other), 80);
}

#[test]
fn strain_begins_at_the_mark_and_says_how_many_must_go() {
    let ledger = ledger(&[limit("wide", 20, &[HTTP, OTHER]), limit("one", 1, &[ROUTE])]);
    let (http, other, one) = (ledger.cell(HTTP), ledger.cell(OTHER), ledger.cell(ROUTE));
    let strains = |cell| ledger.strains(cell, 90).iter().map(|it| (it.percent, it.excess)).collect::<Vec<_>>();
    let mut slots = fill(&ledger, &http, 17);
    assert_eq!((slots.len(), strains(&http), strains(&one)), (17, vec![], vec![]));
    slots.extend((0..2).map(|_| ledger.acquire(&other).expect("room")));
    assert_eq!(strains(&http), [(95, 2)], "17 are less than 90 percent, 18 are not");
    assert_eq!(ledger.strains(&other, 90), ledger.strains(&http, 90), "it is the same limit");
    slots.extend(fill(&ledger, &one, 5));
    assert_eq!(strains(&one), [(100, 1)]);
    ledger.set_ceiling("process".into(), 20);
    assert_eq!(strains(&http), [(95, 2), (100, 3)], "the ceiling counts as well");
    ledger.set_ceiling("process".into(), u64::MAX);
    ledger.configure(&[]);
    assert_eq!(strains(&http), []);
}
