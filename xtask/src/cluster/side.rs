//! One of the two servers, with what is done to it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::SYSTEM;
use super::ask;
use super::watch::Watches;
use super::world::World;
use crate::api::target::Target;
use crate::kube::build::Programs;

/// So long without a write means that all is said: longer than what a controller waits for more changes, or for its own writes to come back.
const QUIET: Duration = Duration::from_millis(600);
/// What has not come to rest by then does not.
const PATIENCE: Duration = Duration::from_secs(180);

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

    /// What is there once nobody writes any more and `enough` holds; without that, what is there after a long time.
    pub(super) fn settled(&self, watches: &mut Watches, before: &BTreeSet<String>, enough: impl Fn(&World) -> bool) -> Result<World> {
        let start = Instant::now();
        loop {
            watches.quiet(QUIET, PATIENCE)?;
            let world = World::read(&self.target, before)?;
            let addresses = if self.is_real() { world.addresses() } else { Vec::new() };
            for (status, answer) in ask::all(&self.target, &addresses)? {
                if status >= 300 && status != 404 {
                    bail!("a Service got no address: {answer}");
                }
            }
            if addresses.is_empty() && (enough(&world) || start.elapsed() > PATIENCE) {
                return Ok(world);
            }
        }
    }
}
