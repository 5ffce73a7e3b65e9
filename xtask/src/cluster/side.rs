//! One of the two servers, with what is done to it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::SYSTEM;
use super::ask;
use super::world::World;
use crate::api::target::Target;
use crate::kube::build::Programs;

/// Between two looks. Longer than what a controller waits for more changes, or for its own writes to come back.
const PAUSE: Duration = Duration::from_millis(300);
/// So many looks in a row that find the same mean that all is said.
const QUIET: u32 = 3;
/// What has not come to rest by then does not.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) target: Target,
    pub(super) weir: PathBuf,
    crds: PathBuf,
}

/// Does `work` on both sides at once.
pub(super) fn both<T: Send>(sides: &[Side; 2], work: impl Fn(&Side) -> Result<T> + Sync) -> Result<[T; 2]> {
    let [real, ours] = sides;
    std::thread::scope(|scope| {
        let real = scope.spawn(|| work(real));
        let ours = work(ours);
        let real = real.join().map_err(|_| anyhow!("the thread of the real server panicked"))?;
        Ok([real.context("kube-apiserver")?, ours.context("weir")?])
    })
}

impl Side {
    pub(super) fn new(target: Target, weir: &Path, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(&target.folder).context("cannot make a folder")?;
        let crds = folder.join("crds.yaml");
        if !crds.exists() {
            let mut command = std::process::Command::new(weir);
            command.arg("crds");
            std::fs::write(&crds, crate::shell::output(command)?).context("cannot write the definitions")?;
        }
        Ok(Self { target, weir: weir.to_owned(), crds })
    }

    /// Whether this is the real server.
    pub(super) fn is_real(&self) -> bool {
        self.target.name == "kube-apiserver"
    }

    /// The kinds of `weir crds`, the controller's namespace, and no other controller.
    pub(super) fn prepare(&self, programs: &Programs) -> Result<()> {
        if self.is_real() {
            // As the documentation says.
            let crds = self.crds.display();
            self.bash(programs, &format!("kubectl apply --server-side -f {crds} && kubectl wait --for=condition=Established -f {crds}"))?;
            let namespace = format!("kubectl create namespace {SYSTEM}");
            self.bash(programs, &format!("{namespace} && kubectl -n {SYSTEM} create configmap envoy-gateway-config"))
        } else {
            let deployment = format!("kubectl -n {SYSTEM} scale deployment envoy-gateway --replicas=0");
            self.bash(programs, &format!("{deployment} && kubectl -n {SYSTEM} wait --for=delete pod --all"))
        }
    }

    /// Runs a script that must succeed.
    pub(super) fn bash(&self, programs: &Programs, script: &str) -> Result<()> {
        let output = self.target.bash(programs, "default")?.args(["-c", script]).output().context("cannot run bash")?;
        if !output.status.success() {
            bail!("{}: {script}: {}", self.target.name, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// What is there once nobody writes any more and `enough` holds.
    pub(super) fn settled(&self, before: &BTreeSet<String>, enough: impl Fn(&World) -> bool) -> Result<World> {
        let start = Instant::now();
        let (mut last, mut quiet) = (World::read(&self.target, before)?, 0);
        loop {
            std::thread::sleep(PAUSE);
            if self.is_real() {
                for (status, answer) in ask::all(&self.target, &last.addresses())? {
                    if status >= 300 && status != 404 {
                        bail!("a Service got no address: {answer}");
                    }
                }
            }
            let next = World::read(&self.target, before)?;
            quiet = if next.versions() == last.versions() { quiet + 1 } else { 0 };
            last = next;
            if quiet >= QUIET && (enough(&last) || start.elapsed() > PATIENCE) {
                return Ok(last);
            }
            if start.elapsed() > 2 * PATIENCE {
                bail!("{} does not come to rest: somebody writes again and again", self.target.name);
            }
        }
    }
}
