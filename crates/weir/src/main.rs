//! Weir: a Kubernetes Gateway API gateway, control plane and data plane in one binary.
//!
//! Here is wiring only: the command line, and which part gets which other part's handle.

mod cli;
mod controller;
mod exit;
mod files;
mod logging;
mod output;
mod run;
mod translate;
mod workloads;

use std::process::ExitCode;

use clap::Parser as _;

/// Gives memory back to the system and tells where it went; the request path allocates nothing, so its speed does not matter there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let outcome = match cli.command {
        cli::Command::Run(arguments) => run::run(arguments),
        cli::Command::Controller(arguments) => controller::run(arguments),
        cli::Command::Translate(arguments) => translate::translate(&arguments),
        cli::Command::Crds => output::crds(),
        cli::Command::Echo(arguments) => workloads::echo::command(&arguments),
        cli::Command::Version(arguments) => output::version(&arguments),
    };
    exit::code(outcome)
}
