//! What API servers make of many objects: the embedded one, and a real one. Both sync to the same disk before they answer.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::kube::build::Programs;
use crate::kube::plane::{Durability, Plane};
use crate::{isolation, shell};

/// Whose memory and processor time are the real one's.
const REAL: &str = "kube-apiserver,etcd";

/// One figure.
struct Figure {
    name: String,
    value: f64,
    unit: String,
}

/// Measures the embedded server; with `--real` the real one as well, and prints the ratios. What else is given goes to the benchmark.
pub(super) fn run(args: &[&str]) -> Result<bool> {
    let program = build()?;
    let rest: Vec<&str> = args.iter().copied().filter(|it| *it != "--real").collect();
    let mut embedded = shell::command(&program);
    embedded.args(&rest);
    let embedded = figures(embedded)?;
    let mut real = Vec::new();
    if rest.len() < args.len() {
        Programs::all()?;
        // Where the embedded one keeps its state too: what is measured is the same disk.
        let folder = Path::new(&program).with_file_name("api-real");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut again = isolation::again(["bench".as_ref(), "api-inside".as_ref(), program.as_ref(), folder.as_os_str()])?;
        again.args(&rest);
        real = figures(again)?;
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    println!("{:<34} {:>10} {:>10} {:>7}", "figure", "embedded", "real", "ratio");
    for Figure { name, value, unit } in &embedded {
        let other = real.iter().find(|it| it.name == *name).map(|it| it.value);
        let show = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        println!("{name:<34} {value:>10.2} {:>10} {:>7} {unit}", show(other), show(other.map(|other| value / other)));
    }
    Ok(true)
}

/// Measures a real control plane where nothing else listens.
pub(super) fn inside(args: &[&str]) -> Result<bool> {
    let [program, folder, rest @ ..] = args else { bail!("cargo xtask bench api --real is what starts this") };
    let folder = Path::new(folder);
    let _plane = Plane::start_as(&Programs::all()?, folder, Durability::Kept)?;
    let mut bench = shell::command(program);
    bench.args(rest).arg("--kubeconfig").arg(Plane::kubeconfig(folder)).args(["--programs", REAL]);
    shell::succeeds(bench)
}

/// The benchmark, as it is shipped.
fn build() -> Result<String> {
    let mut cargo = shell::cargo();
    cargo.args(["bench", "--profile", "dist", "--package", "weir", "--bench", "api", "--no-run", "--message-format", "json"]);
    let messages = shell::output(cargo)?;
    let mut messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = messages.find(|it| it["target"]["name"] == "api" && it["executable"].is_string());
    found.and_then(|it| it["executable"].as_str().map(str::to_owned)).context("cargo has not built the benchmark")
}

fn figures(command: Command) -> Result<Vec<Figure>> {
    let figures: Vec<Figure> = shell::output(command)?.lines().filter_map(parse).collect();
    if figures.is_empty() {
        bail!("nothing was measured");
    }
    Ok(figures)
}

/// Reads `api NAME VALUE UNIT`.
fn parse(line: &str) -> Option<Figure> {
    let mut words = line.strip_prefix("api ")?.split(' ');
    Some(Figure { name: words.next()?.to_owned(), value: words.next()?.parse().ok()?, unit: words.next()?.to_owned() })
}
