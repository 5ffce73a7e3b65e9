//! What a request costs the data plane's workers in one setting, relative to another: in processor time, both settings by turns.

use std::fs;

use anyhow::{Context, Result, bail};

use super::programs::{Cores, Programs, Running};

/// Rounds, each with as many requests to both.
const ROUNDS: usize = 9;
const REQUESTS: usize = 20_000;
const CONNECTIONS: usize = 64;

/// Two settings of which the second may cost no more than `goal` times what the first costs; without a goal it is told, since it is what
/// the processor's caches make of it.
struct Pair {
    name: &'static str,
    options: [&'static [&'static str]; 2],
    /// Hosts that are asked for.
    hosts: [usize; 2],
    /// The last host: when it is there all are.
    ready: [&'static str; 2],
    cores: Cores,
    goal: Option<f64>,
}

const PAIRS: [Pair; 3] = [
    Pair {
        name: "two workers against one",
        options: [&["--workers", "1", "--edits"], &["--workers", "2", "--edits"]],
        hosts: [1, 1],
        ready: ["r0.test", "r0.test"],
        cores: Cores { proxy: Some("0,1"), load: Some("0,1") },
        goal: Some(1.05),
    },
    Pair {
        name: "10,000 routes against one, one of them used",
        options: [&["--edits", "--routes", "1"], &["--edits", "--routes", "10000"]],
        hosts: [1, 1],
        ready: ["r0.test", "r9999.test"],
        cores: Cores { proxy: Some("0"), load: Some("1") },
        goal: Some(1.05),
    },
    Pair {
        name: "10,000 routes against one, all of them used",
        options: [&["--edits", "--routes", "1"], &["--edits", "--routes", "10000"]],
        hosts: [1, 10_000],
        ready: ["r0.test", "r9999.test"],
        cores: Cores { proxy: Some("0"), load: Some("1") },
        goal: None,
    },
];

/// Whether all goals are met.
pub(super) fn run(programs: &Programs) -> Result<bool> {
    let mut well = true;
    for pair in PAIRS {
        let ratio = pair.measure(programs)?;
        let verdict = match pair.goal {
            None => "no goal".to_owned(),
            Some(goal) if ratio <= goal => format!("goal {goal}"),
            Some(goal) => {
                well = false;
                format!("over its goal of {goal}")
            }
        };
        println!("{:<50} {ratio:>6.3}   {verdict}", pair.name);
    }
    Ok(well)
}

impl Pair {
    /// The median over the rounds.
    fn measure(&self, programs: &Programs) -> Result<f64> {
        let (_backend, backend) = programs.backend(&self.cores)?;
        let start = |at: usize| programs.standalone(self.cores.of_proxy(), backend, self.options[at], self.ready[at]);
        let sides = [start(0)?, start(1)?];
        let mut ratios = Vec::new();
        let mut costs = [Vec::new(), Vec::new()];
        // The first round warms up.
        for round in 0..=ROUNDS {
            let mut spent = [0; 2];
            // Who is first changes, so that what else the machine does meets both.
            for at in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                let (running, address) = &sides[at];
                let before = processor_time(running)?;
                programs.clients(&self.cores, *address, CONNECTIONS, REQUESTS, self.hosts[at])?;
                spent[at] = processor_time(running)? - before;
            }
            if round > 0 {
                ratios.push(spent[1] as f64 / spent[0] as f64);
                for (costs, spent) in costs.iter_mut().zip(spent) {
                    costs.push(spent as f64 / REQUESTS as f64 / 1000.0);
                }
            }
        }
        let [one, other] = costs.map(median);
        println!("{:<50} {one:.2} µs and {other:.2} µs a request", self.name);
        Ok(median(ratios))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds that the workers of a data plane have run so far.
fn processor_time(running: &Running) -> Result<u64> {
    let mut sum = None;
    for task in fs::read_dir(format!("/proc/{}/task", running.0.id())).context("the data plane has ended")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.starts_with("weir-worker") {
            let stat = fs::read_to_string(task.join("schedstat")).context("the kernel keeps no schedstat")?;
            let time: u64 = stat.split(' ').next().and_then(|it| it.parse().ok()).context("schedstat begins with a time")?;
            sum = Some(sum.unwrap_or(0) + time);
        }
    }
    match sum {
        Some(sum) if sum > 0 => Ok(sum),
        _ => bail!("the data plane has no workers"),
    }
}
