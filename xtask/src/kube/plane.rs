//! Starting a control plane in a network namespace where every port is free.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::build::Programs;

const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";
/// Where its API server listens.
pub(crate) const SERVER: &str = "https://127.0.0.1:6443";
/// The token of its administrator.
pub(crate) const TOKEN: &str = "admin-token";
const NODE_PORT: &str = "10250";
/// How long a program may take until it answers.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the embedded server does too, of what the controller manager can do. Not: what makes a ServiceAccount and a ConfigMap in each namespace,
/// which the embedded server leaves out on purpose; and what takes pods from nodes that no kubelet reports for.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,garbage-collector-controller,namespace-controller,\
    endpointslice-controller,endpoints-controller,statefulset-controller,daemonset-controller,job-controller";

/// What is left of what a control plane has acknowledged when the machine stops at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Nothing, perhaps; it is faster.
    Lost,
    /// All: etcd syncs before it answers, as it does on a cluster.
    Kept,
}

/// A running control plane; ended when dropped.
#[derive(Debug)]
pub(crate) struct Plane {
    folder: PathBuf,
    programs: Vec<(String, Child)>,
}

impl Plane {
    /// Starts it with its state and its logs in `folder`; returns when it answers. Nothing that it writes survives a crash.
    pub(crate) fn start(programs: &Programs, folder: &Path) -> Result<Self> {
        Self::start_as(programs, folder, Durability::Lost)
    }

    /// As [`Plane::start`]; what survives a crash is to be said.
    pub(crate) fn start_as(programs: &Programs, folder: &Path, durability: Durability) -> Result<Self> {
        let mut plane = Self { folder: folder.to_owned(), programs: Vec::new() };
        let pki = folder.join("pki");
        fs::create_dir_all(&pki).with_context(|| format!("cannot make {}", pki.display()))?;
        fs::write(pki.join("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n")).context("cannot write the token")?;
        crate::shell::must({
            let mut keys = Command::new(programs.program("node"));
            keys.arg("keys").arg(&pki);
            keys
        })?;
        plane.spawn("etcd", etcd(programs, folder, durability))?;
        plane.ready("etcd", &[&format!("{ETCD}/health")])?;
        plane.spawn("kube-apiserver", api_server(programs, &pki))?;
        let authority = Self::authority(folder);
        fs::write(Self::kubeconfig(folder), kubeconfig(&authority)).context("cannot write the kubeconfig")?;
        let token = format!("Authorization: Bearer {TOKEN}");
        plane.ready("kube-apiserver", &["--cacert", &authority.to_string_lossy(), "--header", &token, &format!("{SERVER}/readyz")])?;
        plane.spawn("kube-controller-manager", controller_manager(programs, folder))?;
        plane.ready("kube-controller-manager", &["--insecure", "https://127.0.0.1:10257/healthz"])?;
        let mut node = Command::new(programs.program("node"));
        node.arg("run").arg(Self::kubeconfig(folder)).arg(NODE_PORT);
        plane.spawn("node", node)?;
        Ok(plane)
    }

    /// The kubeconfig of the control plane in `folder`.
    pub(crate) fn kubeconfig(folder: &Path) -> PathBuf {
        folder.join("kubeconfig")
    }

    /// The certificate to trust: the server makes its own.
    pub(crate) fn authority(folder: &Path) -> PathBuf {
        folder.join("pki/apiserver.crt")
    }

    /// Waits for the first of its programs to end, which none should.
    pub(crate) fn wait(&mut self) -> Result<bool> {
        loop {
            self.check()?;
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn spawn(&mut self, name: &str, mut command: Command) -> Result<()> {
        let log = fs::File::create(self.folder.join(format!("{name}.log"))).context("cannot write a log")?;
        command.stdin(Stdio::null()).stdout(log.try_clone().context("cannot write a log")?).stderr(log);
        self.programs.push((name.to_owned(), command.spawn().with_context(|| format!("cannot run {name}"))?));
        Ok(())
    }

    /// Fails when a program has ended, with the end of its log.
    fn check(&mut self) -> Result<()> {
        for (name, child) in &mut self.programs {
            if let Some(status) = child.try_wait().context("cannot wait")? {
                let log = fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                bail!("{name} ended with {status}:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
            }
        }
        Ok(())
    }

    /// Asks with curl until there is an answer.
    fn ready(&mut self, name: &str, request: &[&str]) -> Result<()> {
        let start = Instant::now();
        loop {
            let mut curl = Command::new("curl");
            curl.args(["--fail", "--silent", "--max-time", "2", "--output", "/dev/null"]).args(request);
            if curl.status().context("cannot run curl")?.success() {
                return Ok(());
            }
            self.check()?;
            if start.elapsed() > PATIENCE {
                bail!("{name} does not answer; its log is in {}", self.folder.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        for (_, child) in self.programs.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn etcd(programs: &Programs, folder: &Path, durability: Durability) -> Command {
    let mut etcd = Command::new(programs.program("etcd"));
    etcd.arg("--data-dir").arg(folder.join("etcd"));
    if durability == Durability::Lost {
        etcd.arg("--unsafe-no-fsync");
    }
    etcd.args(["--log-level=warn", "--heartbeat-interval=20", "--election-timeout=200", "--name=etcd"]);
    etcd.arg(format!("--listen-client-urls={ETCD}")).arg(format!("--advertise-client-urls={ETCD}"));
    etcd.arg(format!("--listen-peer-urls={ETCD_PEER}")).arg(format!("--initial-advertise-peer-urls={ETCD_PEER}"));
    etcd.arg(format!("--initial-cluster=etcd={ETCD_PEER}"));
    etcd
}

fn api_server(programs: &Programs, pki: &Path) -> Command {
    let mut server = Command::new(programs.program("kube-apiserver"));
    let file = |option: &str, name: &str| format!("--{option}={}", pki.join(name).display());
    server.arg(format!("--etcd-servers={ETCD}")).arg(format!("--cert-dir={}", pki.display()));
    server.args([file("token-auth-file", "tokens.csv"), file("service-account-key-file", "sa.pub")]);
    server.arg(file("service-account-signing-key-file", "sa.key"));
    server.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=6443", "--endpoint-reconciler-type=none"]);
    server.args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true"]);
    server.args(["--service-account-issuer=https://kubernetes.default.svc", "--shutdown-delay-duration=0s"]);
    // Nobody makes ServiceAccounts, so pods cannot ask for one; and a Node that was made by hand is ready at once.
    server.arg("--disable-admission-plugins=TaintNodesByCondition,ServiceAccount");
    server
}

fn controller_manager(programs: &Programs, folder: &Path) -> Command {
    let mut manager = Command::new(programs.program("kube-controller-manager"));
    let kubeconfig = Plane::kubeconfig(folder);
    for option in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        manager.arg(format!("--{option}={}", kubeconfig.display()));
    }
    manager.arg(format!("--cert-dir={}", folder.join("pki/manager").display())).arg(format!("--controllers={CONTROLLERS}"));
    manager.args(["--bind-address=127.0.0.1", "--secure-port=10257", "--leader-elect=false"]);
    manager.args(["--kube-api-qps=200", "--kube-api-burst=400"]);
    manager
}

fn kubeconfig(authority: &Path) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: real\nclusters:\n- name: real\n  cluster:\n    server: {SERVER}\n    \
         certificate-authority: {}\nusers:\n- name: admin\n  user:\n    token: {TOKEN}\ncontexts:\n- name: real\n  context:\n    \
         cluster: real\n    user: admin\n    namespace: default\n",
        authority.display()
    )
}
