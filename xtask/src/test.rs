//! All tests, with what they need.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{shell, tools};

/// Runs the tests and ends with `N passed, N failed`. Whether none failed.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    tools::require_curl()?;
    let kubectl = tools::kubectl()?;
    eprintln!("xtask: kubectl is {}", kubectl.display());

    let mut build = shell::cargo();
    build.args(["build", "--package", "weir"]);
    shell::must(build)?;
    let metadata = shell::metadata()?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names the target directory")?;

    let mut test = shell::cargo();
    test.args(["test", "--no-fail-fast"]);
    if args.is_empty() {
        test.arg("--workspace");
    }
    test.args(args);
    test.env("WEIR_BIN", Path::new(target).join("debug").join("weir"));
    test.env("KUBECTL", &kubectl);
    if let Some(folder) = kubectl.parent() {
        // The walkthroughs say `kubectl`; they shall mean this one.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
        test.env("PATH", std::env::join_paths(path).context("PATH cannot be extended")?);
    }
    let totals = stream(test, &mut std::io::stdout())?;
    println!("{} passed, {} failed", totals.passed, totals.failed);
    Ok(totals.failed == 0)
}

/// Rewrites the golden files.
pub(crate) fn bless() -> Result<bool> {
    let mut test = shell::cargo();
    test.args(["test", "--package", "weir-translate"]).env("WEIR_BLESS", "1");
    shell::succeeds(test)
}

/// Over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs the tests, passes on what they write, and adds up.
fn stream(mut test: Command, out: &mut impl Write) -> Result<Totals> {
    let mut child = test.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot run cargo test")?;
    let mut reader = BufReader::new(child.stdout.take().context("standard output is piped")?);
    let mut totals = Totals::default();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).context("cannot read what the tests write")? > 0 {
        out.write_all(&line).context("cannot pass on what the tests write")?;
        totals.add(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait().context("cannot wait for cargo test")?;
    if totals.ignored > 0 {
        println!("{} tests are marked as ignored and did not run", totals.ignored);
    }
    if !status.success() && totals.failed == 0 {
        println!("cargo test ended with {status} before its tests could say why: see above");
        totals.failed = 1;
    }
    Ok(totals)
}

impl Totals {
    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return };
        let counts = result.split_once(". ").map_or("", |(_, counts)| counts);
        for part in counts.split(';') {
            match part.trim().split_once(' ').and_then(|(count, what)| Some((count.parse::<u64>().ok()?, what))) {
                Some((count, "passed")) => self.passed += count,
                Some((count, "failed")) => self.failed += count,
                Some((count, "ignored")) => self.ignored += count,
                Some(_) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(script: &str) -> Totals {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        stream(shell, &mut std::io::sink()).expect("it runs")
    }

    #[test]
    fn results_are_added_up() {
        let line = |passed, failed| format!("test result: ok. {passed} passed; {failed} failed; 1 ignored; 0 measured; finished in 0.1s");
        let script = format!("echo 'running 3 tests'; echo '{}'; echo '{}'; exit 1", line(3, 0), line(2, 4));
        assert_eq!(totals(&script), Totals { passed: 5, failed: 4, ignored: 2 });
    }

    #[test]
    fn a_run_that_breaks_off_is_a_failure() {
        assert_eq!(totals("exit 101"), Totals { passed: 0, failed: 1, ignored: 0 });
    }
}
