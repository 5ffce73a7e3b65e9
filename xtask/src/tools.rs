//! What the tests need besides cargo: `curl`, and a `kubectl` that is recent enough.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::kube::build::Programs;

/// The oldest minor version of kubectl 1.x that the tests are for.
const OLDEST_KUBECTL: u32 = 30;

/// Fails with what to install when there is no curl.
pub(crate) fn require_curl() -> Result<()> {
    match text_of(Path::new("curl"), &["--version"]) {
        Some(_) => Ok(()),
        None => bail!("the tests need curl: install it (apt-get install curl, dnf install curl, brew install curl)"),
    }
}

/// A kubectl that is recent enough: `$KUBECTL`, the one on `PATH`, or one built from its Go module.
pub(crate) fn kubectl() -> Result<PathBuf> {
    let named = std::env::var_os("KUBECTL").map(PathBuf::from);
    let candidates = named.into_iter().chain(on_path("kubectl"));
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
             or install Go 1.26 or newer, and it is built from its module"
        );
    }
    let built = Programs::kubectl().context("cannot build kubectl: install kubectl, or name one in KUBECTL")?;
    Ok(built.program("kubectl"))
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
