//! The project's own chores: `cargo xtask COMMAND`. See CONTRIBUTING.md.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod api;
mod arrows;
mod bench;
mod clients;
mod cluster;
mod conformance;
mod isolation;
mod kube;
mod scale;
mod shell;
mod test;
mod tools;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask COMMAND
  test [ARG...]     everything that the tests need, then all tests; ends with `N passed, N failed`.
                    ARGs go to `cargo test` instead of `--workspace`
  ci                what must be green before a change goes in (.ci/run)
  arrows            checks which crate may use which
  bless             rewrites the golden files of `translate`
  api [ARG...]      asks the embedded API server and compares with the real one's answers; `api --help` says more
  clients [ARG...]  stock clients against `weir run`: kubectl of three versions, helm, client-go, Python; `clients --help` says more
  cluster [NAME...] compares what `weir controller` makes of examples and golden inputs on a real control plane and on the embedded one
  conformance [..]  the Gateway API's conformance suite against `weir run`; `conformance --help` says more
  kube up|down|run  a real Kubernetes control plane in a network namespace
  bench [--record]  costs per operation, compared with the recorded ones; --record records them anew
  bench instructions [--record]
                    of these only the instructions that a request takes in the data plane
  bench proxy       what a request costs with two workers and with 10,000 routes, relative to one of them
  bench api [--real] [--routes N]
                    LIST, WATCH and PATCH among 10,000 HTTPRoutes; --real: also of a real control plane, which syncs as well
  scale [start [ROUTES] | changes [ROUTES [CHANGES]]]
                    how long a start with many routes takes, and how soon a change is in force under load";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
fn run(args: &[String]) -> Result<bool> {
    let (command, rest) = args.split_first().map_or(("", args), |(command, rest)| (command.as_str(), rest));
    if ![
        "test",
        "bench",
        "scale",
        "clients",
        "clients-inside",
        "conformance",
        "conformance-inside",
        "api",
        "api-inside",
        "cluster",
        "cluster-inside",
        "kube",
    ]
    .contains(&command)
        && !rest.is_empty()
    {
        bail!("`{command}` takes no arguments\n{USAGE}");
    }
    match command {
        "test" => test::run(rest),
        "ci" => shell::root().and_then(|root| shell::succeeds(shell::command(root.join(".ci/run")))),
        "arrows" => arrows::check(),
        "bless" => test::bless(),
        "bench" => bench::run(rest),
        "scale" => scale::run(rest),
        "api" => api::run(rest),
        "api-inside" => api::inside(rest),
        "clients" => clients::run(rest),
        "clients-inside" => clients::inside(rest),
        "cluster" => cluster::run(rest),
        "cluster-inside" => cluster::inside(rest),
        "conformance" => conformance::run(rest),
        "conformance-inside" => conformance::inside(rest),
        "kube" => kube::run(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => bail!("unknown command `{command}`\n{USAGE}"),
    }
}
