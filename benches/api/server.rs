//! The server that is asked, and what it takes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tempfile::TempDir;
use weir_apiserver::{Config, Server};

use crate::Failed;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn connect(kubeconfig: &Path) -> Result<Client, Failed> {
    let mut config = kube::Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &KubeConfigOptions::default()).await?;
    // What fails is to be seen.
    config.default_retry = false;
    config.read_timeout = Some(PATIENCE);
    Ok(Client::try_from(config)?)
}

/// Serves the embedded API until the process is ended.
pub(crate) async fn serve(folder: PathBuf) -> Result<(), Failed> {
    let server = Server::start(Config { data_dir: folder, crds: weir_api::crds(), ..Config::default() }).await?;
    println!("{}", server.address());
    std::future::pending::<()>().await;
    Ok(())
}

/// The embedded API server in a process of its own; it ends with this.
pub(crate) struct Embedded {
    child: Child,
    folder: TempDir,
}

impl Embedded {
    pub(crate) fn start() -> Result<Self, Failed> {
        // Beside what cargo builds, which is on a disk; the system's folder for such things often is not.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("--serve").arg(folder.path()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("its output is piped")?;
        let embedded = Self { child, folder };
        let mut line = String::new();
        if BufReader::new(output).read_line(&mut line)? == 0 {
            return Err("the embedded API server has ended".into());
        }
        Ok(embedded)
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server's processes.
pub(crate) struct Processes(Vec<u32>);

impl Processes {
    pub(crate) fn of(embedded: &Embedded) -> Self {
        Self(vec![embedded.child.id()])
    }

    /// Those of the programs in `names`, as in `etcd,kube-apiserver`.
    pub(crate) fn named(names: &str) -> Result<Self, Failed> {
        let mut found = Vec::new();
        for process in std::fs::read_dir("/proc")? {
            let process = process?;
            // What is no process, or ends meanwhile, has no name.
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let number = process.file_name().to_str().and_then(|it| it.parse::<u32>().ok());
            found.extend(number.filter(|_| names.split(',').any(|wanted| wanted == name.trim())));
        }
        Ok(Self(found))
    }

    /// The processor time that they have taken; zero where there are none.
    pub(crate) fn time(&self) -> Duration {
        let tasks = self.0.iter().filter_map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")).ok()).flatten().flatten();
        let nanos =
            tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok());
        Duration::from_nanos(nanos.sum())
    }

    /// Tells the processor time since `before` for each of `count`.
    pub(crate) fn tell_time(&self, name: &str, before: Duration, count: usize) {
        if !self.0.is_empty() {
            println!("api {name}/processor {:.3} ms", self.time().saturating_sub(before).as_secs_f64() * 1000.0 / count as f64);
        }
    }

    /// Tells what memory they hold.
    pub(crate) fn tell(&self, when: &str) {
        if !self.0.is_empty() {
            println!(
                "api memory/{} {:.1} MiB",
                when.replace(' ', "-"),
                self.0.iter().filter_map(|pid| resident_kib(*pid)).sum::<u64>() as f64 / 1024.0
            );
        }
    }
}

fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.trim().parse().ok()
}
