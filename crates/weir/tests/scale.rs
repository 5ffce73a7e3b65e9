//! Many routes: declared at once, changed one after the other while requests flow. What that costs is measured by `cargo xtask scale`.
#![allow(clippy::print_stderr, reason = "requests that failed are told one by one")]

#[path = "scale/client.rs"]
mod client;
mod common;
#[path = "scale/load.rs"]
mod load;
#[path = "scale/manifest.rs"]
mod manifest;
#[path = "scale/objects.rs"]
mod objects;
#[path = "scale/origin.rs"]
mod origin;

use std::sync::atomic::Ordering;

use client::{Answer, Connection};
use common::{Weir, isolated};
use load::Load;

const ROUTES: usize = 300;
const CHANGES: usize = 60;

#[test]
fn many_routes_are_served_and_changes_of_them_fail_no_request() {
    isolated("many_routes_are_served_and_changes_of_them_fail_no_request", || {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("routes.yaml");
        std::fs::write(&file, manifest::manifests(ROUTES, origin::serve())).expect("written");
        let mut weir = Weir::start(&["--workers", "2", "-f", &file.display().to_string()]);
        weir.wait_for("curl -H");
        let mut connection = weir.until("a listener", || Connection::open().ok());
        for index in 0..ROUTES {
            weir.until("its own answer", || own_answer(&mut connection, index).then_some(()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let api = runtime.block_on(objects::routes(&weir.data)).expect("the API answers");
        weir.until("the last status", || runtime.block_on(objects::is_accepted(&api, ROUTES - 1)).then_some(()));
        weir.until("all statuses", || (runtime.block_on(objects::count_accepted(&api)) == ROUTES).then_some(()));
        let load = Load::start(ROUTES, None);
        for version in 1..=CHANGES {
            let index = version * 7919 % ROUTES;
            runtime.block_on(objects::change(&api, index, version));
            let wanted = Answer { status: 200, route: objects::answer(index, version) };
            weir.until("the change", || (ask(&mut connection, index) == wanted).then_some(()));
        }
        weir.until("some load", || (load.seen.answered.load(Ordering::Relaxed) > 1000).then_some(()));
        let (_, failed) = load.end();
        assert_eq!(failed, 0, "a change disturbs nobody");
        let untouched =
            (0..ROUTES).find(|index| (1..=CHANGES).all(|version| version * 7919 % ROUTES != *index)).expect("more routes than changes");
        assert!(own_answer(&mut connection, untouched), "and no other route");
    });
}

fn ask(connection: &mut Connection, index: usize) -> Answer {
    connection.ask(&manifest::host(index), &manifest::path(index)).expect("an answer")
}

fn own_answer(connection: &mut Connection, index: usize) -> bool {
    ask(connection, index) == Answer { status: 200, route: manifest::name(index) }
}
