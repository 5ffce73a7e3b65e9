//! `cargo xtask api`: asks our API server what `tests/api` asks, and compares with what the real one answers.

pub(crate) mod case;
mod documents;
mod run;
pub(crate) mod scrub;
pub(crate) mod target;
pub(crate) mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::kube::build::Programs;
use crate::kube::plane::Plane;
use crate::{isolation, shell, tools};
use case::Case;
use target::{Target, Weir};
use verdict::{Found, Summary};

const USAGE: &str = "\
cargo xtask api [--live | --record] [--keep] [NAME...]
  asks `weir run` what the cases in tests/api ask whose names contain a NAME, and compares with the recorded answers
  --live      asks a real control plane too: the recorded answers must be what it says today
  --record    rewrites the recorded answers
  --keep      leaves the servers' logs in the temporary folder";

/// What is asked for.
#[derive(Debug, Default)]
struct Options {
    live: bool,
    record: bool,
    keep: bool,
    filters: Vec<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        for arg in args {
            match arg.as_str() {
                "--live" => options.live = true,
                "--record" => options.record = true,
                "--keep" => options.keep = true,
                option if option.starts_with('-') => bail!("unknown option `{option}`\n{USAGE}"),
                name => options.filters.push(name.to_owned()),
            }
        }
        Ok(options)
    }

    fn programs(&self) -> Result<Programs> {
        if self.live || self.record { Programs::all() } else { Programs::kubectl() }
    }
}

/// Builds what is needed, then runs [`inside`] in namespaces of its own.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return Ok(true);
    }
    let options = Options::parse(args)?;
    tools::require_curl()?;
    options.programs()?;
    let weir = weir()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut again = isolation::again(["api-inside".as_ref(), weir.as_os_str(), folder.path().as_os_str()])?;
    let good = shell::succeeds({
        again.args(args);
        again
    });
    if options.keep {
        println!("logs: {}", folder.keep().display());
    }
    good
}

/// The program under test: `WEIR_BIN`, or built now.
pub(crate) fn weir() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("WEIR_BIN") {
        return Ok(PathBuf::from(named));
    }
    let mut build = shell::cargo();
    build.args(["build", "--package", "weir"]);
    shell::must(build)?;
    let metadata = shell::metadata()?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names the target directory")?;
    Ok(Path::new(target).join("debug").join("weir"))
}

/// The rest of [`run()`], where every port is free.
pub(crate) fn inside(args: &[String]) -> Result<bool> {
    let [weir, folder, args @ ..] = args else { bail!("cargo xtask api is what starts this") };
    let options = Options::parse(args)?;
    let start = Instant::now();
    let tests = shell::root()?.join("tests/api");
    let cases = Case::all(&tests, &options.filters)?;
    let servers = Servers::start(weir, Path::new(folder), options.live || options.record)?;
    let sets = documents::sets(&tests.join("documents"), &options.filters, &servers.definitions)?;
    if cases.is_empty() && sets.is_empty() {
        bail!("no case is called like that");
    }
    // Nobody writes statuses beside the real server either.
    let scale = "kubectl -n envoy-gateway-system scale deployment envoy-gateway --replicas=0 && kubectl -n envoy-gateway-system wait --for=delete pod --all";
    say(&servers.ours, &servers.programs, scale)?;
    println!("ready after {:.1} s", start.elapsed().as_secs_f32());
    let summary = servers.judge(&cases, options.record);
    let mut documents = Summary::default();
    let found = run::parallel(&sets, |set| set.ask(&servers.ours, servers.real.as_ref(), options.record));
    for (set, found) in sets.iter().zip(found) {
        documents.add(&set.name, set.len(), found.unwrap_or_else(|error| Found::broken(&error)));
    }
    for (summary, questions) in [(&summary, "commands"), (&documents, "documents")] {
        summary.print(questions);
    }
    println!("{:.0} s", start.elapsed().as_secs_f32());
    Ok(summary.good() && documents.good())
}

/// What is asked: a `weir run`, and a real control plane when that is wanted. They end when this is dropped.
pub(crate) struct Servers {
    pub(crate) ours: Target,
    pub(crate) real: Option<Target>,
    pub(crate) programs: Programs,
    /// The definitions of Weir's kinds.
    pub(crate) definitions: Vec<Value>,
    _weir: Weir,
    _plane: Option<Plane>,
}

impl Servers {
    /// Starts them with their state in `folder`; returns when they answer and serve the same kinds.
    pub(crate) fn start(weir: &str, folder: &Path, live: bool) -> Result<Self> {
        let programs = if live { Programs::all()? } else { Programs::kubectl()? };
        let crds = crds(weir, folder)?;
        let running = Weir::start(Path::new(weir), folder)?;
        let ours = Target::weir(&folder.join("data"))?;
        let real_folder = folder.join("real");
        let (plane, real) = if live {
            fs::create_dir_all(&real_folder).context("cannot make a folder")?;
            (Some(Plane::start(&programs, &real_folder)?), Some(Target::real(&real_folder)))
        } else {
            (None, None)
        };
        prepare(&ours, &programs, None)?;
        if let Some(real) = &real {
            prepare(real, &programs, Some(&crds.file))?;
        }
        Ok(Self { ours, real, programs, definitions: crds.definitions, _weir: running, _plane: plane })
    }

    /// Asks what the cases ask, and compares.
    pub(crate) fn judge(&self, cases: &[Case], record: bool) -> Summary {
        let mut summary = Summary::default();
        let found = run::parallel(cases, |case| verdict::of(case, &self.ours, self.real.as_ref(), &self.programs, record));
        for (case, found) in cases.iter().zip(found) {
            summary.add(&case.name, case.steps.len(), found.unwrap_or_else(|error| Found::broken(&error)));
        }
        summary
    }
}

/// Fills kubectl's cache of discovery once, for all cases, and serves Weir's kinds where they are not yet.
fn prepare(target: &Target, programs: &Programs, crds: Option<&Path>) -> Result<()> {
    fs::create_dir_all(&target.folder).context("cannot make a folder")?;
    if let Some(crds) = crds {
        say(target, programs, &format!("kubectl create -f {0} && kubectl wait --for=condition=Established -f {0}", crds.display()))?;
    }
    say(target, programs, "kubectl api-resources")
}

/// Runs commands that must succeed.
fn say(target: &Target, programs: &Programs, script: &str) -> Result<()> {
    let output = target.bash(programs, "default")?.args(["-c", script]).output().context("cannot run bash")?;
    if !output.status.success() {
        bail!("{} is not ready: {}", target.name, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The definitions of Weir's kinds.
struct Crds {
    file: PathBuf,
    definitions: Vec<Value>,
}

fn crds(weir: &str, folder: &Path) -> Result<Crds> {
    let mut command = Command::new(weir);
    command.arg("crds");
    let (file, text) = (folder.join("crds.yaml"), shell::output(command)?);
    fs::write(&file, &text).context("cannot write the definitions")?;
    Ok(Crds { file, definitions: serde_saphyr::from_multiple(&text).context("weir crds writes YAML")? })
}
