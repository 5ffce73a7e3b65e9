//! The servers that are asked.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::kube::build::Programs;
use crate::kube::plane::{self, Plane};
use crate::shell;

const WEIR_ADDRESS: &str = "127.0.0.1:7443";

/// Where a server is and how to be let in.
#[derive(Debug)]
pub(crate) struct Target {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    pub(crate) server: String,
    pub(crate) token: String,
    /// The certificate to trust.
    pub(crate) authority: PathBuf,
    /// A folder for what the cases need.
    pub(crate) folder: PathBuf,
}

impl Target {
    /// The control plane in `folder`.
    pub(crate) fn real(folder: &Path) -> Self {
        let (server, token) = (plane::SERVER.to_owned(), plane::TOKEN.to_owned());
        Self { name: "kube-apiserver", server, token, authority: Plane::authority(folder), folder: folder.join("cases") }
    }

    /// A `weir run` with its data in `folder`.
    pub(crate) fn weir(folder: &Path) -> Result<Self> {
        let token = fs::read_to_string(folder.join("api/token")).context("weir run keeps its token")?;
        let authority = folder.join("api/ca.crt");
        Ok(Self { name: "weir", server: format!("https://{WEIR_ADDRESS}"), token, authority, folder: folder.join("cases") })
    }

    /// A file with a kubeconfig whose namespace is `namespace`.
    pub(crate) fn kubeconfig(&self, namespace: &str) -> Result<PathBuf> {
        let file = self.folder.join(format!("{namespace}.kubeconfig"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster:\n    server: {}\n    certificate-authority: {}\n\
             users:\n- name: u\n  user:\n    token: {}\ncontexts:\n- name: c\n  context:\n    cluster: c\n    user: u\n    namespace: {namespace}\n",
            self.server,
            self.authority.display(),
            self.token
        );
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// bash, with all that a case's commands may use.
    pub(crate) fn bash(&self, programs: &Programs, namespace: &str) -> Result<Command> {
        let mut bash = Command::new("bash");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(programs.folder().to_owned()).chain(std::env::split_paths(&path));
        bash.env("PATH", std::env::join_paths(path).context("PATH cannot be extended")?);
        bash.env("KUBECONFIG", self.kubeconfig(namespace)?).env("HOME", &self.folder).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        bash.env("SERVER", &self.server).env("TOKEN", &self.token).env("AUTHORITY", &self.authority).env("NS", namespace);
        bash.env("API", shell::root()?.join("tests/api")).current_dir(&self.folder).stdin(Stdio::null());
        Ok(bash)
    }
}

/// A running `weir run`; ended when dropped.
#[derive(Debug)]
pub(crate) struct Weir(Child);

impl Weir {
    /// Starts it with its data in `folder`; returns when it answers.
    pub(crate) fn start(program: &Path, folder: &Path) -> Result<Self> {
        let log = fs::File::create(folder.join("weir.log")).context("cannot write a log")?;
        let mut command = Command::new(program);
        command.args(["run", "--api-address", WEIR_ADDRESS, "--workers", "1", "--data-dir"]).arg(folder.join("data"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().context("cannot run weir")?;
        let mut lines = BufReader::new(child.stdout.take().context("standard output is piped")?).lines();
        let weir = Self(child);
        let mut said = String::new();
        while !said.contains("KUBECONFIG") {
            let Some(line) = lines.next() else { bail!("weir ended before it answered; it said:\n{said}") };
            said.push_str(&line.context("cannot read what weir says")?);
            said.push('\n');
        }
        // It goes on talking; somebody has to listen.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(weir)
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
