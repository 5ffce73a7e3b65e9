//! The conformance suite of the Gateway API, as upstream publishes it, against `weir run`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{isolation, shell};

const USAGE: &str = "\
cargo xtask conformance [--record] [FLAG...]
  runs the suite that conformance/go.mod pins in a network namespace and compares its report with docs/conformance/report.yaml.
  --record keeps the report there. FLAGs go to the suite: --run-test=HTTPRouteMatching runs one test, --debug says more";

/// An address that a Gateway may ask for, and one that this machine does not have (RFC 5737).
const ADDRESSES: [&str; 2] = ["--usable-address=127.77.0.1", "--unusable-address=192.0.2.1"];

/// Who we are in the report.
const IMPLEMENTATION: [&str; 4] =
    ["--organization=weir", "--project=weir", "--url=https://example.com/weir", "--contact=maintainers@example.com"];

/// Runs it. Whether all tests passed and the report is the recorded one.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    let (ours, flags): (Vec<_>, Vec<_>) = args.iter().partition(|arg| ["--record", "--help", "-h"].contains(&arg.as_str()));
    if ours.iter().any(|arg| *arg != "--record") {
        println!("{USAGE}");
        return Ok(true);
    }
    let root = shell::root()?;
    let mut build = shell::cargo();
    build.args(["build", "--package", "weir"]);
    shell::must(build)?;
    let metadata = shell::metadata()?;
    let target = Path::new(metadata["target_directory"].as_str().context("cargo metadata names the target directory")?).to_owned();
    let suite = suite(&root)?;

    let report = target.join("conformance-report.yaml");
    let _ = std::fs::remove_file(&report);
    let version = format!("--version=v{}", env!("CARGO_PKG_VERSION"));
    let mut inside: Vec<OsString> = vec!["conformance-inside".into(), target.join("debug/weir").into(), suite.into()];
    let output = format!("--report-output={}", report.display());
    inside.extend(ADDRESSES.into_iter().chain(IMPLEMENTATION).chain([&*version, &*output]).map(OsString::from));
    inside.extend(flags.iter().map(|flag| OsString::from(flag.as_str())));
    let passed = shell::succeeds(isolation::again(inside)?)?;
    if !flags.is_empty() {
        // Not the whole suite: its report says nothing.
        return Ok(passed);
    }
    compare(&report, &root.join("docs/conformance/report.yaml"), !ours.is_empty()).map(|same| same && passed)
}

/// In the namespace: starts Weir, and the suite once it serves.
pub(crate) fn inside(args: &[String]) -> Result<bool> {
    let [weir, suite, flags @ ..] = args else { bail!("conformance-inside is for xtask itself") };
    let data = std::env::temp_dir().join(format!("weir-conformance-{}", std::process::id()));
    let mut run = shell::command(weir);
    run.args(["run", "--file", "conformance/class.yaml", "--data-dir"]).arg(&data).arg("--").arg(suite);
    // Tests that the suite lets run beside each other mostly wait.
    run.args(["-test.run=TestConformance", "-test.parallel=16", "-test.timeout=30m", "--conformance-profiles=GATEWAY-HTTP"]).args(flags);
    let passed = shell::succeeds(run);
    let _ = std::fs::remove_dir_all(&data);
    passed
}

/// The suite's program, built where what it is made of has changed.
fn suite(root: &Path) -> Result<PathBuf> {
    let program = shell::cache()?.join("conformance/conformance.test");
    let mut go = Command::new("go");
    go.current_dir(root.join("conformance")).env("GOWORK", "off").env("CGO_ENABLED", "0");
    go.args(["test", "-c", "-o"]).arg(&program).arg(".");
    match go.status() {
        Ok(status) if status.success() => Ok(program),
        Ok(status) => bail!("go test -c ended with {status}: see above"),
        Err(error) => bail!("cannot run go ({error}): install the Go that conformance/go.mod names, or a newer one"),
    }
}

/// Prints the report, and compares it with the recorded one, or records it.
fn compare(report: &Path, recorded: &Path, record: bool) -> Result<bool> {
    let now = std::fs::read_to_string(report).context("the suite wrote no report: see above")?;
    print!("{now}");
    if record {
        std::fs::create_dir_all(recorded.parent().context("a file is in a folder")?).context("cannot make the report's folder")?;
        std::fs::write(recorded, &now).context("cannot record the report")?;
        return Ok(true);
    }
    let before = std::fs::read_to_string(recorded).with_context(|| format!("cannot read {}", recorded.display()))?;
    let same = undated(&now).eq(undated(&before));
    if !same {
        eprintln!("xtask: this is not what {} says; if it should, run `cargo xtask conformance --record`", recorded.display());
    }
    Ok(same)
}

fn undated(report: &str) -> impl Iterator<Item = &str> {
    report.lines().filter(|line| !line.starts_with("date:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_the_same_whenever_they_were_made() {
        let report = |date: &str, failed: u32| format!("apiVersion: v1\ndate: \"{date}\"\nFailed: {failed}\n");
        assert!(undated(&report("today", 0)).eq(undated(&report("tomorrow", 0))));
        assert!(!undated(&report("today", 0)).eq(undated(&report("today", 1))));
    }
}
