//! Running other programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The checkout.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_owned).context("xtask lies in the checkout")
}

/// A program to be run in the checkout.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Ok(root) = root() {
        command.current_dir(root);
    }
    command
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What `cargo run` tells us about xtask is not true of what we build; build scripts that look at it would run again and again.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Runs it with our input and output; whether it exits with 0.
pub(crate) fn succeeds(mut command: Command) -> Result<bool> {
    let status = command.status().with_context(|| format!("cannot run {}", show(&command)))?;
    Ok(status.success())
}

/// Runs it with our input and output.
pub(crate) fn must(command: Command) -> Result<()> {
    let text = show(&command);
    if succeeds(command)? { Ok(()) } else { bail!("{text} failed") }
}

/// What it writes to standard output.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {}", show(&command)))?;
    if !output.status.success() {
        bail!("{} failed", show(&command));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} writes no UTF-8", show(&command)))
}

/// `cargo metadata` of the workspace alone.
pub(crate) fn metadata() -> Result<Value> {
    let mut cargo = cargo();
    cargo.args(["metadata", "--format-version", "1", "--no-deps"]);
    serde_json::from_str(&output(cargo)?).context("cargo metadata writes JSON")
}

/// Where our own tools and caches live: `weir` in the user's cache folder.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(caches.context("neither XDG_CACHE_HOME nor HOME is set: set one of them")?.join("weir"))
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    format!("`{}`", words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
}
