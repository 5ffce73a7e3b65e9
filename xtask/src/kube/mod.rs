//! A real Kubernetes control plane to hold ours against: etcd, kube-apiserver and kube-controller-manager, built from their Go modules, and a
//! small stand-in for a node. Its pins are in `tests/kube`.

pub(crate) mod build;
pub(crate) mod plane;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{isolation, shell};
use build::Programs;
use plane::{Durability, Plane};

const USAGE: &str = "\
cargo xtask kube COMMAND
  up [--fsync]   builds the control plane (once, some minutes) and starts it in a network namespace of its own; what it acknowledges
                 survives a crash only with --fsync
  down           ends it
  run CMD...     runs a command beside it: in its network, with KUBECONFIG and its kubectl";

const FSYNC: &str = "--fsync";

/// `cargo xtask kube ...`.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match *args.as_slice() {
        ["up"] => up(&[]),
        ["up", FSYNC] => up(&[FSYNC]),
        ["down"] => Running::find()?.map_or(Ok(true), |running| running.end()),
        ["run", program, ref arguments @ ..] => beside(program, arguments),
        ["serve", folder] => serve(Path::new(folder), Durability::Lost),
        ["serve", folder, FSYNC] => serve(Path::new(folder), Durability::Kept),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => bail!("unknown command `{}`\n{USAGE}", args.join(" ")),
    }
}

fn up(options: &[&str]) -> Result<bool> {
    if let Some(running) = Running::find()? {
        println!("already up: {}", running.folder.display());
        return Ok(true);
    }
    Programs::all()?;
    let folder = folder()?;
    let start = Instant::now();
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let log = fs::File::create(folder.join("log")).context("cannot write the log")?;
    let mut serve = isolation::again([Path::new("kube"), Path::new("serve"), &folder])?;
    serve.args(options);
    // A process group of its own: an interrupt at the terminal is not meant for it.
    let serve = serve.process_group(0).stdout(log.try_clone().context("cannot write the log")?).stderr(log);
    let mut child = serve.spawn().context("cannot run unshare (util-linux)")?;
    fs::write(folder.join("pid"), child.id().to_string()).context("cannot write the process's number")?;
    while !folder.join("ready").exists() {
        if let Some(status) = child.try_wait().context("cannot wait for the control plane")? {
            bail!("the control plane ended with {status}:\n{}", fs::read_to_string(folder.join("log")).unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("up after {:.1} s; its kubeconfig is {}", start.elapsed().as_secs_f32(), Plane::kubeconfig(&folder).display());
    println!("cargo xtask kube run kubectl get namespaces");
    Ok(true)
}

/// Runs the control plane until this process is ended.
fn serve(folder: &Path, durability: Durability) -> Result<bool> {
    let mut plane = Plane::start_as(&Programs::all()?, folder, durability)?;
    fs::write(folder.join("ready"), "").context("cannot say that it is ready")?;
    plane.wait()
}

fn beside(program: &str, arguments: &[&str]) -> Result<bool> {
    let Some(running) = Running::find()? else { bail!("there is no control plane: start it with `cargo xtask kube up`") };
    let programs = Programs::all()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(programs.folder().to_owned()).chain(std::env::split_paths(&path));
    let mut command = isolation::beside(running.process, program)?;
    command.args(arguments).env("KUBECONFIG", Plane::kubeconfig(&running.folder));
    command.env("PATH", std::env::join_paths(path).context("PATH cannot be extended")?);
    shell::succeeds(command)
}

fn folder() -> Result<PathBuf> {
    Ok(shell::cache()?.join("kube").join("run"))
}

/// The control plane that `up` started.
struct Running {
    process: u32,
    folder: PathBuf,
}

impl Running {
    fn find() -> Result<Option<Self>> {
        let folder = folder()?;
        let Ok(text) = fs::read_to_string(folder.join("pid")) else { return Ok(None) };
        let process: u32 = text.trim().parse().with_context(|| format!("{} holds no number: remove it", folder.join("pid").display()))?;
        // The number may be another process's by now.
        let command = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        Ok(command.contains("kube\0serve\0").then_some(Self { process, folder }))
    }

    fn end(&self) -> Result<bool> {
        let mut kill = Command::new("kill");
        // unshare lets its child decide about other signals. When it is gone, so is all that it holds.
        kill.args(["-KILL", &self.process.to_string()]).stdin(Stdio::null());
        shell::must(kill)?;
        // What it keeps is of no use to anybody: no program of it needs time to put it in order.
        while Self::find()?.is_some() {
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))?;
        println!("down");
        Ok(true)
    }
}
