//! `cargo xtask cluster`: runs `weir controller` against a real control plane and against the embedded one, gives both the same objects, and
//! compares what comes of it: statuses, Events, and the objects that Gateways are provisioned with.

mod ask;
mod controller;
mod group;
mod input;
mod side;
mod watch;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::api::target::{Target, Weir};
use crate::kube::build::Programs;
use crate::kube::plane::Plane;
use crate::{api, isolation, shell, tools};
use group::{Group, Summary};
use side::Side;

const USAGE: &str = "\
cargo xtask cluster [--keep] [NAME...]
  gives a real control plane and the embedded one the examples and the golden inputs of `translate` whose names contain a NAME,
  and compares what `weir controller` makes of them on each
  --keep      leaves the logs in the temporary folder";

/// The namespace of the controller.
const SYSTEM: &str = "envoy-gateway-system";

/// Builds what is needed, then runs [`inside`] in namespaces of its own.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return Ok(true);
    }
    let (options, names): (Vec<String>, Vec<String>) = args.iter().cloned().partition(|arg| arg.starts_with('-'));
    if let Some(option) = options.iter().find(|it| *it != "--keep") {
        bail!("unknown option `{option}`\n{USAGE}");
    }
    tools::require_curl()?;
    Programs::all()?;
    let weir = api::weir()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut again = isolation::again(["cluster-inside".as_ref(), weir.as_os_str(), folder.path().as_os_str()])?;
    again.args(&names);
    let good = shell::succeeds(again);
    if !options.is_empty() {
        println!("logs: {}", folder.keep().display());
    }
    good
}

/// The rest of [`run()`], where every port is free.
pub(crate) fn inside(args: &[String]) -> Result<bool> {
    let [weir, folder, filters @ ..] = args else { bail!("cargo xtask cluster is what starts this") };
    let (weir, folder, start) = (Path::new(weir), Path::new(folder), Instant::now());
    let programs = Programs::all()?;
    let root = shell::root()?;
    let mut groups = Group::examples(&root.join("examples"), filters)?;
    let mut by_settings: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for input in input::all(&root.join("crates/translate/testdata"), filters)? {
        by_settings.entry(input.settings.clone()).or_default().push(input);
    }
    groups.extend(by_settings.into_iter().flat_map(|(settings, inputs)| Group::golden(&settings, inputs)));
    if groups.is_empty() {
        bail!("no input is called like that");
    }
    let real_folder = folder.join("real");
    fs::create_dir_all(&real_folder).context("cannot make a folder")?;
    let (plane, embedded) = std::thread::scope(|scope| {
        let plane = scope.spawn(|| Plane::start(&programs, &real_folder));
        let embedded = Weir::start(weir, folder);
        (plane.join(), embedded)
    });
    let (_plane, _embedded) = (plane.map_err(|_| anyhow::anyhow!("the control plane could not be started"))??, embedded?);
    let sides = [Side::new(Target::real(&real_folder), weir, folder)?, Side::new(Target::weir(&folder.join("data"))?, weir, folder)?];
    side::both(&sides, |side| side.prepare(&programs))?;
    println!("ready after {:.1} s", start.elapsed().as_secs_f32());
    let mut summary = Summary::default();
    let last = groups.len() - 1;
    for (index, group) in groups.iter().enumerate() {
        group.compare(&sides, &programs, &mut summary, index < last).with_context(|| format!("in group {}", group.name()))?;
    }
    summary.print();
    println!("{:.0} s", start.elapsed().as_secs_f32());
    Ok(summary.good())
}
