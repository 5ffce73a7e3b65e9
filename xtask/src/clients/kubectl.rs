//! The walkthroughs with each kubectl.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::programs::KUBECTLS;
use crate::kube::build::Programs;
use crate::shell;

/// The walkthrough and the documents, with each kubectl, all at the same time: they mostly wait.
pub(super) fn walkthroughs() -> Result<bool> {
    let mut folders = vec![("the newest", Programs::kubectl()?.folder().to_owned())];
    for program in &KUBECTLS {
        folders.push((program.name, program.built()?));
    }
    let walkthrough = walkthrough()?;
    let run = |folder: &Path| -> Result<(Output, u64)> {
        let start = Instant::now();
        let mut command = Command::new(&walkthrough);
        command.env("WEIR_TEST_PATH", folder).current_dir(shell::root()?.join("crates/weir"));
        Ok((command.output().context("cannot run the walkthrough")?, start.elapsed().as_secs()))
    };
    let run = &run;
    let results: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = folders.iter().map(|(_, folder)| scope.spawn(move || run(folder))).collect();
        started.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect()
    });
    let mut good = true;
    for ((name, folder), result) in folders.iter().zip(results) {
        let (output, seconds) = result?;
        let version = shell::output({
            let mut kubectl = Command::new(folder.join("kubectl"));
            kubectl.args(["version", "--client"]);
            kubectl
        })?;
        let verdict = if output.status.success() { "passed" } else { "FAILED" };
        println!("the walkthroughs with {name} ({}): {verdict}, {seconds} s", version.lines().next().unwrap_or_default());
        if !output.status.success() {
            good = false;
            println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(good)
}

/// Builds the test that runs all shell blocks of the documents.
fn walkthrough() -> Result<PathBuf> {
    let mut cargo = shell::cargo();
    cargo.args(["test", "--quiet", "--package", "weir", "--test", "walkthrough", "--no-run", "--message-format", "json"]);
    let messages = shell::output(cargo)?;
    let mut programs = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let tests = message["target"]["name"] == "walkthrough";
        message["executable"].as_str().filter(|_| tests).map(PathBuf::from)
    });
    programs.next().context("cargo names no program of the test")
}
