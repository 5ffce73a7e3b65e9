//! Costs per operation, compared with recorded ones.
//!
//! A benchmark prints one line for each operation: its name, its cost and its allocations. The cost is a multiple of a fixed piece of work
//! that is measured in the same process, so that the machine matters little. What a request costs in the whole data plane is counted in
//! instructions, which do not depend on the machine at all; or, in `bench proxy`, in processor time relative to another setting.

mod api;
mod instructions;
mod programs;
mod ratios;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::shell;

/// The packages that have benchmarks, each with the benchmark's name.
const BENCHES: [(&str, &str); 2] = [("weir-limits", "limits"), ("weir-route", "route")];

/// How much dearer than recorded an operation may be: repeated runs of the same program differ by up to a fifth.
const TOLERANCE: f64 = 1.3;
/// The same for instructions, which are counted.
const TOLERANCE_OF_INSTRUCTIONS: f64 = 1.02;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Cost {
    Operation { cost: f64, allocations: f64 },
    Request { instructions: f64 },
}

/// Whether nothing became dearer; with `proxy`, whether all goals are met.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (measured, record) = match *args.as_slice() {
        ["proxy"] => return ratios::run(&programs::Programs::build()?),
        ["api", ref rest @ ..] => return api::run(rest),
        ["api-inside", ref rest @ ..] => return api::inside(rest),
        ["instructions", ref rest @ ..] => (requests()?, rest),
        ref rest => {
            let mut all = operations()?;
            all.append(&mut requests()?);
            (all, rest)
        }
    };
    let mut recorded: Value = serde_json::from_str(&std::fs::read_to_string(file()?).context("cannot read the recorded costs")?)?;
    match record {
        [] => {}
        ["--record"] => {
            for (name, it) in &measured {
                recorded[name] = it.json();
            }
            recorded.sort_all_objects();
            std::fs::write(file()?, format!("{recorded:#}\n")).context("cannot write the recorded costs")?;
        }
        _ => bail!("bench takes `instructions` or nothing, and --record; or `proxy`, or `api`"),
    }
    Ok(compare(&measured, &recorded))
}

fn operations() -> Result<BTreeMap<String, Cost>> {
    let mut measured = BTreeMap::new();
    for (package, bench) in BENCHES {
        let mut cargo = shell::cargo();
        cargo.args(["bench", "--profile", "dist", "--package", package, "--bench", bench]);
        measured.extend(shell::output(cargo)?.lines().filter_map(parse));
    }
    Ok(measured)
}

fn requests() -> Result<BTreeMap<String, Cost>> {
    let Some(requests) = instructions::measure(&programs::Programs::build()?)? else {
        println!("instructions per request are left out: valgrind is missing (apt-get install valgrind)");
        return Ok(BTreeMap::new());
    };
    Ok(requests.into_iter().map(|(name, instructions)| (name, Cost::Request { instructions })).collect())
}

fn file() -> Result<PathBuf> {
    Ok(shell::root()?.join("benches/recorded.json"))
}

/// Reads `bench NAME COST ALLOCATIONS`.
fn parse(line: &str) -> Option<(String, Cost)> {
    let mut words = line.strip_prefix("bench ")?.split(' ');
    let name = words.next()?.to_owned();
    Some((name, Cost::Operation { cost: words.next()?.parse().ok()?, allocations: words.next()?.parse().ok()? }))
}

impl Cost {
    fn json(self) -> Value {
        match self {
            Self::Operation { cost, allocations } => json!({ "cost": cost, "allocations": allocations }),
            Self::Request { instructions } => json!({ "instructions": instructions.round() }),
        }
    }

    /// The figure that is compared, the one that was recorded, and how much dearer it may be.
    fn beside(self, recorded: &Value) -> (f64, Option<f64>, f64) {
        match self {
            Self::Operation { cost, .. } => (cost, recorded["cost"].as_f64(), TOLERANCE),
            Self::Request { instructions } => (instructions, recorded["instructions"].as_f64(), TOLERANCE_OF_INSTRUCTIONS),
        }
    }

    fn allocations(self) -> Option<f64> {
        match self {
            Self::Operation { allocations, .. } => Some(allocations),
            // A test asserts that there are none.
            Self::Request { .. } => None,
        }
    }
}

fn compare(measured: &BTreeMap<String, Cost>, recorded: &Value) -> bool {
    let mut well = true;
    println!("{:<40} {:>10} {:>10} {:>7} {:>12}", "operation", "cost", "recorded", "ratio", "allocations");
    for (name, it) in measured {
        let (cost, before, tolerance) = it.beside(&recorded[name]);
        let ratio = before.map(|before| cost / before);
        let more = it.allocations() > recorded[name]["allocations"].as_f64();
        let verdict = match ratio {
            None => "not recorded: run `cargo xtask bench --record`",
            Some(ratio) if ratio > tolerance => "dearer than recorded",
            Some(_) if more => "allocates more than recorded",
            Some(_) => "",
        };
        well &= verdict.is_empty();
        let show = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        println!("{name:<40} {cost:>10.2} {:>10} {:>7} {:>12} {verdict}", show(before), show(ratio), show(it.allocations()));
    }
    well
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_compared_with_the_recorded_one() {
        let measured = |line| BTreeMap::from([parse(line).expect("a line")]);
        let recorded = json!({ "find": { "cost": 2.0, "allocations": 0.0 } });
        assert!(compare(&measured("bench find 2.5 0"), &recorded));
        assert!(!compare(&measured("bench find 2.7 0"), &recorded));
        assert!(!compare(&measured("bench find 2.0 1"), &recorded));
        assert!(!compare(&measured("bench other 2.0 0"), &recorded));
        let request = |instructions| BTreeMap::from([("request".to_owned(), Cost::Request { instructions })]);
        let recorded = json!({ "request": { "instructions": 10_000.0 } });
        assert!(compare(&request(10_100.0), &recorded));
        assert!(!compare(&request(10_300.0), &recorded));
        assert_eq!(parse("running 0 tests"), None);
    }
}
