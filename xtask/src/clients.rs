//! `cargo xtask clients`: clients as people have them, against `weir run`: kubectl of three versions, helm, client-go, the Python client.

mod kubectl;
mod programs;
mod python;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::api::case::Case;
use crate::api::{self, Servers};
use crate::{isolation, shell, tools};
use programs::{CLIENTGO, HELM};

const USAGE: &str = "\
cargo xtask clients [--live | --record] [--changes N] [PART...]
  asks `weir run` with stock clients. PARTs: `kubectl` runs the walkthroughs with three versions of it; `informers` lets those of client-go run
  while everything changes; others are parts of names in tests/clients/cases, whose answers are compared with the recorded ones. All by default
  --live        asks a real control plane too: the recorded answers must be what it says today
  --record      rewrites the recorded answers
  --changes N   at least so many changes while informers run (6000)";

/// So that what a server remembers of the busiest kind's past turns over, and each informer's watch ends many times.
const CHANGES: &str = "6000";
const SECONDS: &str = "30";

/// What is asked for.
#[derive(Debug)]
struct Options {
    live: bool,
    record: bool,
    changes: String,
    parts: Vec<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self { live: false, record: false, changes: CHANGES.to_owned(), parts: Vec::new() };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--live" => options.live = true,
                "--record" => options.record = true,
                "--changes" => options.changes = args.next().context("--changes needs a number")?.clone(),
                option if option.starts_with('-') => bail!("unknown option `{option}`\n{USAGE}"),
                part => options.parts.push(part.to_owned()),
            }
        }
        Ok(options)
    }

    /// Whether the part of this name is asked for.
    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|one| one == part)
    }

    /// The cases that are asked for.
    fn cases(&self) -> Result<Vec<Case>> {
        let filters: Vec<_> = self.parts.iter().filter(|part| !["kubectl", "informers"].contains(&part.as_str())).cloned().collect();
        if filters.is_empty() && !self.parts.is_empty() {
            return Ok(Vec::new());
        }
        Case::all(&shell::root()?.join("tests/clients/cases"), &filters)
    }
}

/// Builds what is needed, then runs the walkthroughs, which mostly wait, and meanwhile [`inside`] in namespaces of its own.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return Ok(true);
    }
    let options = Options::parse(args)?;
    tools::require_curl()?;
    let walkthroughs = if options.wants("kubectl") { Some(kubectl::Walkthroughs::built()?) } else { None };
    let rest = if options.wants("informers") || !options.cases()?.is_empty() { Some(Rest::built()?) } else { None };
    std::thread::scope(|scope| {
        let walkthroughs = walkthroughs.as_ref().map(|walkthroughs| scope.spawn(|| walkthroughs.run()));
        let good = rest.map_or(Ok(true), |rest| rest.run(args));
        let walked = walkthroughs.map_or(Ok(true), |thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")));
        Ok(good? & walked?)
    })
}

/// All clients but those of the walkthroughs, and what they ask.
struct Rest {
    weir: PathBuf,
    folders: Vec<PathBuf>,
    python: bool,
}

impl Rest {
    fn built() -> Result<Self> {
        let weir = api::weir()?;
        let environment = python::environment()?;
        let mut folders = vec![HELM.built()?, CLIENTGO.built()?];
        folders.extend(environment.as_ref().map(|environment| environment.join("bin")));
        Ok(Self { weir, folders, python: environment.is_some() })
    }

    fn run(&self, args: &[String]) -> Result<bool> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let mut again = isolation::again(["clients-inside".as_ref(), self.weir.as_os_str(), folder.path().as_os_str()])?;
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(self.folders.iter().cloned().chain(std::env::split_paths(&rest))).context("PATH cannot be extended")?;
        again.args(args).env("PATH", path).env("CLIENTS", shell::root()?.join("tests/clients"));
        if !self.python {
            again.env(python::MISSING, "1");
        }
        shell::succeeds(again)
    }
}

/// The rest of [`run()`], where every port is free.
pub(crate) fn inside(args: &[String]) -> Result<bool> {
    let [weir, folder, args @ ..] = args else { bail!("cargo xtask clients is what starts this") };
    let options = Options::parse(args)?;
    let start = Instant::now();
    let servers = Servers::start(weir, Path::new(folder), options.live || options.record)?;
    let mut cases = options.cases()?;
    if std::env::var_os(python::MISSING).is_some() {
        cases.retain(|case| !case.name.starts_with("python/"));
    }
    let mut good = true;
    if !cases.is_empty() {
        let summary = servers.judge(&cases, options.record);
        summary.print("commands");
        good = summary.good();
        println!("{:.0} s", start.elapsed().as_secs_f32());
    }
    if options.wants("informers") {
        for target in [Some(&servers.ours), servers.real.as_ref()].into_iter().flatten() {
            println!("client-go's informers beside {}:", target.name);
            let mut informers = target.bash(&servers.programs, "default")?;
            informers.args(["-c", &format!("clientgo informers {} {SECONDS}", options.changes)]);
            good &= shell::succeeds(informers)?;
        }
    }
    println!("{:.0} s", start.elapsed().as_secs_f32());
    Ok(good)
}
