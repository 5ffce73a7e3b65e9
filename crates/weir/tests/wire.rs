//! Attacks on the wire: the cases and the path table of `tests/wire/`, against the real binary with a strict origin behind it.

mod common;

#[path = "wire/case.rs"]
mod case;
#[path = "wire/client.rs"]
mod client;
#[path = "wire/message.rs"]
mod message;
#[path = "wire/origin.rs"]
mod origin;
#[path = "wire/paths.rs"]
mod paths;
#[path = "wire/run.rs"]
mod run;

use common::{Weir, isolated, repository};
use run::Bench;

/// Starts what `tests/wire/gateway.yaml` declares.
fn bench() -> (Weir, Bench) {
    let origin = origin::Origin::start(([127, 0, 0, 50], 9000).into());
    let manifest = repository().join("tests/wire/gateway.yaml").display().to_string();
    let mut weir = Weir::start(&["--workers", "1", "-f", &manifest]);
    weir.wait_for("curl -H");
    let bench = Bench::new(([127, 0, 0, 40], 80).into(), origin);
    (weir, bench)
}

#[test]
fn every_case_holds() {
    isolated("every_case_holds", || {
        let wanted = std::env::var("WEIR_WIRE").unwrap_or_default();
        let cases = case::all(&repository().join("tests/wire"));
        assert!(cases.len() >= 150, "there are {} cases", cases.len());
        let (_weir, mut bench) = bench();
        let (mut wrong, mut pending) = (Vec::new(), Vec::new());
        for case in cases.iter().filter(|case| case.name.starts_with(&wanted)) {
            let outcome = bench.run(case, false).and_then(|()| bench.run(case, true));
            match (outcome, &case.pending) {
                (Ok(()), None) => {}
                (Ok(()), Some(_)) => pending.push(format!("{} holds now: take `pending` away", case.name)),
                (Err(_), Some(reason)) => pending.push(format!("{} does not hold: {reason}", case.name)),
                (Err(report), None) => wrong.push(report),
            }
        }
        println!("{} cases\n{}", cases.len(), pending.join("\n"));
        assert!(wrong.is_empty(), "{} of {} cases do not hold:\n\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    });
}

#[test]
fn what_was_decided_on_is_what_is_forwarded() {
    isolated("what_was_decided_on_is_what_is_forwarded", || {
        let (_weir, bench) = bench();
        let table = std::fs::read_to_string(repository().join("tests/wire/paths.table")).expect("readable");
        let wrong = paths::check(&bench, &table);
        assert!(wrong.is_empty(), "{} paths went wrong:\n{}", wrong.len(), wrong.join("\n"));
    });
}
