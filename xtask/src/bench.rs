//! Costs per operation, compared with recorded ones.
//!
//! A benchmark prints one line for each operation: its name, its cost and its allocations. The cost is a multiple of a fixed piece of work
//! that is measured in the same process, so that the machine matters little.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::shell;

/// The packages that have benchmarks, each with the benchmark's name.
const BENCHES: [(&str, &str); 2] = [("weir-limits", "limits"), ("weir-route", "route")];

/// How much dearer than recorded an operation may be: repeated runs of the same program differ by up to a fifth.
const TOLERANCE: f64 = 1.3;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Cost {
    cost: f64,
    allocations: f64,
}

/// Whether nothing became dearer.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    let record = match args {
        [] => false,
        [flag] if flag == "--record" => true,
        _ => bail!("bench takes --record or nothing"),
    };
    let mut measured = BTreeMap::new();
    for (package, bench) in BENCHES {
        let mut cargo = shell::cargo();
        cargo.args(["bench", "--profile", "dist", "--package", package, "--bench", bench]);
        measured.extend(shell::output(cargo)?.lines().filter_map(parse));
    }
    if record {
        let lines = measured.iter().map(|(name, it)| (name.clone(), json!({ "cost": it.cost, "allocations": it.allocations })));
        let text = format!("{:#}\n", Value::Object(lines.collect()));
        std::fs::write(file()?, text).context("cannot write the recorded costs")?;
    }
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(file()?).context("cannot read the recorded costs")?)?;
    Ok(compare(&measured, &recorded))
}

fn file() -> Result<PathBuf> {
    Ok(shell::root()?.join("benches/recorded.json"))
}

/// Reads `bench NAME COST ALLOCATIONS`.
fn parse(line: &str) -> Option<(String, Cost)> {
    let mut words = line.strip_prefix("bench ")?.split(' ');
    let name = words.next()?.to_owned();
    Some((name, Cost { cost: words.next()?.parse().ok()?, allocations: words.next()?.parse().ok()? }))
}

fn compare(measured: &BTreeMap<String, Cost>, recorded: &Value) -> bool {
    let mut well = true;
    println!("{:<40} {:>10} {:>10} {:>7} {:>12}", "operation", "cost", "recorded", "ratio", "allocations");
    for (name, it) in measured {
        let before = &recorded[name];
        let (cost, allocations) = (before["cost"].as_f64(), before["allocations"].as_f64());
        let ratio = cost.map(|cost| it.cost / cost);
        let verdict = match (ratio, allocations) {
            (Some(ratio), _) if ratio > TOLERANCE => "dearer than recorded",
            (_, Some(allocations)) if it.allocations > allocations => "allocates more than recorded",
            (Some(_), Some(_)) => "",
            _ => "not recorded: run `cargo xtask bench --record`",
        };
        well &= verdict.is_empty();
        let show = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        println!("{name:<40} {:>10.2} {:>10} {:>7} {:>12.2} {verdict}", it.cost, show(cost), show(ratio), it.allocations);
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
        assert_eq!(parse("running 0 tests"), None);
    }
}
