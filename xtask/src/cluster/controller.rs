//! A `weir controller` beside a server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::api::target::Target;

/// An image that nobody can pull: the proxies of both sides stay away alike.
const PROXY_IMAGE: &str = "registry.example/weir-proxy:v0";

/// What a controller is told beside where its cluster is.
#[derive(Debug, Default)]
pub(super) struct Options<'o> {
    /// The text of its file; none: it reads the ConfigMap.
    pub(super) file: Option<String>,
    pub(super) cluster_domain: Option<&'o str>,
}

/// How long a controller may take until it has read everything and leads.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running controller; killed when dropped.
#[derive(Debug)]
pub(super) struct Controller {
    child: Child,
    log: PathBuf,
    /// The length of the log before it was started.
    begin: usize,
}

impl Controller {
    /// Starts it. Its log goes to a file in the target's folder.
    pub(super) fn start(weir: &Path, target: &Target, options: &Options<'_>) -> Result<Self> {
        let name = target.folder.join("controller.log");
        let begin = fs::metadata(&name).map_or(0, |it| it.len());
        let log = fs::File::options().create(true).append(true).open(&name).context("cannot write a log")?;
        let mut command = Command::new(weir);
        command.arg("controller").arg("--kubeconfig").arg(target.kubeconfig("default")?);
        command.args(["--namespace", super::SYSTEM, "--proxy-image", PROXY_IMAGE, "--health-address", "127.0.0.1:0"]);
        if let Some(text) = &options.file {
            let file = target.folder.join("envoy-gateway.yaml");
            fs::write(&file, text).context("cannot write the controller's file")?;
            command.arg("--config-path").arg(file);
        }
        if let Some(domain) = options.cluster_domain {
            command.args(["--cluster-domain", domain]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().context("cannot run weir controller")?;
        Ok(Self { child, log: name, begin: usize::try_from(begin)? })
    }

    /// Waits until it has read everything and leads.
    pub(super) fn leads(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let said = fs::read_to_string(&self.log).context("cannot read a log")?;
            let said = said.get(self.begin..).unwrap_or_default();
            if said.contains("caches are full") && said.contains("this controller leads") {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                bail!("the controller does not lead after {} s; it said:\n{said}", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a kubelet does; it must end well.
    pub(super) fn end(mut self) -> Result<()> {
        let mut kill = Command::new("kill");
        kill.args(["-TERM", &self.child.id().to_string()]);
        crate::shell::must(kill)?;
        let status = self.child.wait().context("cannot wait for the controller")?;
        if !status.success() {
            bail!("the controller ended with {status}: its log is beside the others (--keep)");
        }
        Ok(())
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
