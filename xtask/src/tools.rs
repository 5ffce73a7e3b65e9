//! What the tests need besides cargo: `curl`, and a `kubectl` that is recent enough.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// The oldest minor version of kubectl 1.x that the tests are for.
const OLDEST_KUBECTL: u32 = 30;

/// What is built where no kubectl is found.
const KUBERNETES: &str = "v1.37.2";

/// Fails with what to install when there is no curl.
pub(crate) fn require_curl() -> Result<()> {
    match text_of(Path::new("curl"), &["--version"]) {
        Some(_) => Ok(()),
        None => bail!("the tests need curl: install it (apt-get install curl, dnf install curl, brew install curl)"),
    }
}

/// A kubectl that is recent enough: `$KUBECTL`, the one on `PATH`, the one built before, or one built now from its Go module.
pub(crate) fn kubectl() -> Result<PathBuf> {
    let built = shell::cache()?.join(format!("kubectl-{KUBERNETES}"));
    let named = std::env::var_os("KUBECTL").map(PathBuf::from);
    let candidates = named.into_iter().chain(on_path("kubectl")).chain([built.join("kubectl")]);
    let mut too_old = Vec::new();
    for candidate in candidates {
        match minor_version(&candidate) {
            Some(minor) if minor >= OLDEST_KUBECTL => return Ok(candidate),
            Some(minor) => too_old.push(format!("{} is 1.{minor}", candidate.display())),
            None => {}
        }
    }
    if text_of(Path::new("go"), &["version"]).is_none() {
        let found = if too_old.is_empty() { "none is on PATH".to_owned() } else { too_old.join(", ") };
        bail!(
            "the tests need kubectl 1.{OLDEST_KUBECTL} or newer ({found}): install one, or name it in KUBECTL, \
             or install Go 1.24 or newer, and it is built from its module"
        );
    }
    eprintln!("xtask: no recent kubectl: building {KUBERNETES} into {} (some minutes, once)", built.display());
    build_kubectl(&built).context("cannot build kubectl: install kubectl, or name one in KUBECTL")?;
    Ok(built.join("kubectl"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn minor_version(kubectl: &Path) -> Option<u32> {
    let version: Value = serde_json::from_str(&text_of(kubectl, &["version", "--client", "--output=json"])?).ok()?;
    let minor = version["clientVersion"]["minor"].as_str()?;
    minor.trim_end_matches(|letter: char| !letter.is_ascii_digit()).parse().ok()
}

fn text_of(program: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Builds kubectl into `folder`. Kubernetes requires its staging modules at v0.0.0, replaced by folders of its repository: each is replaced
/// by its release instead.
fn build_kubectl(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut download = Command::new("go");
    download.current_dir(folder).env("GOWORK", "off").args(["mod", "download", "-json", &format!("k8s.io/kubernetes@{KUBERNETES}")]);
    let downloaded: Value = serde_json::from_str(&shell::output(download)?).context("go mod download writes JSON")?;
    let theirs = downloaded["GoMod"].as_str().context("go mod download names the go.mod")?;
    let theirs = std::fs::read_to_string(theirs).with_context(|| format!("cannot read {theirs}"))?;
    std::fs::write(folder.join("go.mod"), go_mod(&theirs)).context("cannot write go.mod")?;

    let go = |args: &[&str]| {
        let mut go = Command::new("go");
        go.current_dir(folder).env("GOWORK", "off").env("GOFLAGS", "-mod=mod").env("CGO_ENABLED", "0").env("GOBIN", folder).args(args);
        shell::must(go)
    };
    go(&["mod", "edit", "-tool=k8s.io/kubernetes/cmd/kubectl"])?;
    go(&["mod", "tidy"])?;
    let release = KUBERNETES.trim_start_matches("v1.");
    let minor = release.split('.').next().unwrap_or(release);
    let stamp = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
        .map(|package| format!("-X {package}.gitVersion={KUBERNETES} -X {package}.gitMajor=1 -X {package}.gitMinor={minor}"));
    go(&["install", "-trimpath", &format!("-ldflags=-s -w {}", stamp.join(" ")), "tool"])
}

/// A go.mod that can build Kubernetes' commands, from Kubernetes' own.
fn go_mod(theirs: &str) -> String {
    let staging = KUBERNETES.replacen("v1.", "v0.", 1);
    let mut ours = format!("module kubectl\n\nrequire k8s.io/kubernetes {KUBERNETES}\n");
    for line in theirs.lines() {
        if line.starts_with("go ") || line.starts_with("godebug ") {
            ours.push_str(&format!("{line}\n"));
        } else if let Some((module, _)) = line.trim().trim_start_matches("replace ").split_once(" => ./staging/") {
            ours.push_str(&format!("replace {module} => {module} {staging}\n"));
        }
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_modules_are_replaced_by_their_releases() {
        let theirs =
            "module k8s.io/kubernetes\n\ngo 1.26.0\n\ngodebug default=go1.26\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n";
        let ours = go_mod(theirs);
        assert!(ours.contains("\ngo 1.26.0\ngodebug default=go1.26\nreplace k8s.io/api => k8s.io/api v0.37.2\n"), "{ours}");
    }
}
