//! Building the clients from the Go modules that `tests/clients` pins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::shell;

/// A program that is built from a module of its own.
#[derive(Debug)]
pub(super) struct Program {
    /// Its folder below `tests/clients`, and below our cache.
    pub(super) name: &'static str,
    /// What it is called when it is built.
    file: &'static str,
    /// What go is to build there.
    package: &'static str,
    /// The module whose version it is to call itself by, and the variables that hold it.
    stamp: Option<(&'static str, &'static [&'static str])>,
}

const KUBECTL: (&str, &[&str]) = ("k8s.io/kubernetes", &["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]);

/// Versions of kubectl beside the newest, which `tests/kube` pins.
pub(super) const KUBECTLS: [Program; 2] = [
    Program { name: "kubectl-1.33", file: "kubectl", package: "tool", stamp: Some(KUBECTL) },
    Program { name: "kubectl-1.35", file: "kubectl", package: "tool", stamp: Some(KUBECTL) },
];
pub(super) const HELM: Program =
    Program { name: "helm", file: "helm", package: "tool", stamp: Some(("helm.sh/helm/v4", &["helm.sh/helm/v4/internal/version"])) };
pub(super) const CLIENTGO: Program = Program { name: "clientgo", file: "clientgo", package: ".", stamp: None };

impl Program {
    /// The folder that the program is in. It is built when it is not there or when its pins or its sources have changed.
    pub(super) fn built(&self) -> Result<PathBuf> {
        let source = shell::root()?.join("tests/clients").join(self.name);
        let pins = pins(&source)?;
        let folder = shell::cache()?.join("clients").join(self.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // One build at a time; who waited finds what the other one built.
        let lock = fs::File::create(folder.join("lock")).context("cannot make the lock")?;
        lock.lock().context("cannot lock")?;
        let built = folder.join("pins");
        if fs::read_to_string(&built).ok().as_ref() == Some(&pins) && folder.join(self.file).is_file() {
            return Ok(folder);
        }
        eprintln!("xtask: building {} into {} (once, some minutes)", self.name, folder.display());
        let start = Instant::now();
        self.install(&source, &folder, &pins)?;
        fs::write(built, &pins).context("cannot write the pins")?;
        eprintln!("xtask: built in {} s", start.elapsed().as_secs());
        Ok(folder)
    }

    fn install(&self, source: &Path, folder: &Path, pins: &str) -> Result<()> {
        let mut go = Command::new("go");
        go.current_dir(source).env("GOWORK", "off").env("CGO_ENABLED", "0").env("GOBIN", folder);
        go.args(["install", "-trimpath", &format!("-ldflags=-s -w {}", self.flags(pins)?), self.package]);
        match go.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => bail!("go install ended with {status}: see above"),
            Err(error) => bail!("cannot run go ({error}): install the Go that {}/go.mod names, or a newer one", source.display()),
        }
    }

    /// The linker's: a program that does not know its version is treated as another one by others, and by itself.
    fn flags(&self, pins: &str) -> Result<String> {
        let Some((module, packages)) = self.stamp else { return Ok(String::new()) };
        let version = version(pins, module).with_context(|| format!("{} pins no {module}", self.name))?;
        if module != "k8s.io/kubernetes" {
            return Ok(packages.iter().map(|package| format!("-X {package}.version={version}")).collect());
        }
        let minor = version.trim_start_matches("v1.").split('.').next().unwrap_or_default();
        let stamp = |package| format!("-X {package}.gitVersion={version} -X {package}.gitMajor=1 -X {package}.gitMinor={minor} ");
        Ok(packages.iter().map(stamp).collect())
    }
}

/// All that a program is built from, as one text: its module's pins, and its sources where it is ours.
fn pins(source: &Path) -> Result<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(source).with_context(|| format!("cannot read {}", source.display()))? {
        files.push(entry.with_context(|| format!("cannot read {}", source.display()))?.path());
    }
    files.sort();
    let read = |file: &PathBuf| fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
    files.iter().map(read).collect()
}

fn version<'p>(pins: &'p str, module: &str) -> Option<&'p str> {
    let requirement = |line: &'p str| line.trim().trim_start_matches("require ").strip_prefix(module)?.strip_prefix(' ');
    pins.lines().find_map(requirement)?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_pins_and_knows_its_version() {
        for program in KUBECTLS.iter().chain([&HELM, &CLIENTGO]) {
            let source = shell::root().expect("a checkout").join("tests/clients").join(program.name);
            let pins = pins(&source).expect("readable");
            let flags = program.flags(&pins).expect("a version");
            assert_eq!(flags.contains("ersion=v"), program.stamp.is_some(), "{flags}");
        }
    }
}
