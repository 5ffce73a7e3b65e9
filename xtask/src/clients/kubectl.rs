//! The walkthroughs with each kubectl.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::programs::KUBECTLS;
use crate::kube::build::Programs;
use crate::shell;

/// The test that runs every shell block of the documents, and the versions of kubectl that it runs with.
#[derive(Debug)]
pub(super) struct Walkthroughs {
    test: PathBuf,
    kubectls: Vec<PathBuf>,
}

impl Walkthroughs {
    /// Builds what is not there yet.
    pub(super) fn built() -> Result<Self> {
        let mut kubectls = vec![Programs::kubectl()?.folder().to_owned()];
        for program in &KUBECTLS {
            kubectls.push(program.built()?);
        }
        Ok(Self { test: test()?, kubectls })
    }

    /// Runs them all at the same time: they mostly wait. Whether all passed.
    pub(super) fn run(&self) -> Result<bool> {
        let results: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> = self.kubectls.iter().map(|folder| scope.spawn(|| self.one(folder))).collect();
            started.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect()
        });
        let mut good = true;
        for (folder, result) in self.kubectls.iter().zip(results) {
            let (output, seconds) = result?;
            let mut kubectl = Command::new(folder.join("kubectl"));
            kubectl.args(["version", "--client"]);
            let version = shell::output(kubectl)?;
            let verdict = if output.status.success() { "passed" } else { "FAILED" };
            println!("the walkthroughs with kubectl, {}: {verdict}, {seconds} s", version.lines().next().unwrap_or_default());
            if !output.status.success() {
                good = false;
                println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            }
        }
        Ok(good)
    }

    fn one(&self, kubectl: &Path) -> Result<(Output, u64)> {
        let start = Instant::now();
        let mut command = Command::new(&self.test);
        command.env("WEIR_TEST_PATH", kubectl).current_dir(shell::root()?.join("crates/weir")).stdin(Stdio::null());
        Ok((command.output().context("cannot run the walkthroughs")?, start.elapsed().as_secs()))
    }
}

fn test() -> Result<PathBuf> {
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
