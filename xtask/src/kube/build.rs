//! Building the control plane's programs from the Go modules that `tests/kube` pins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Every program, as the Go command calls its package.
const PACKAGES: [(&str, &str); 5] = [
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ("node", "./node"),
];

/// A folder with programs that were built from today's pins.
#[derive(Debug)]
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// The whole control plane, the node and kubectl. Built when they are not there or when what they are built from has changed; that takes
    /// minutes.
    pub(crate) fn all() -> Result<Self> {
        Self::built(&PACKAGES)
    }

    /// kubectl alone.
    pub(crate) fn kubectl() -> Result<Self> {
        Self::built(&PACKAGES[3..4])
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// A program's path.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn built(packages: &[(&str, &str)]) -> Result<Self> {
        let source = shell::root()?.join("tests/kube");
        let pins = Pins::read(&source)?;
        let version = version(&pins.modules).context("tests/kube/go.mod names no version of k8s.io/kubernetes")?;
        let folder = shell::cache()?.join("kube").join(version);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // One build at a time; who waited finds what the other one built.
        let lock = fs::File::create(folder.join("lock")).context("cannot make the lock")?;
        lock.lock().context("cannot lock")?;
        let stale = |(name, package): &&(&str, &str)| {
            let built = fs::read_to_string(folder.join(format!("{name}.pins"))).ok();
            // Caches from before our own program had its own pins have it behind every other program's.
            built.is_none_or(|built| !built.starts_with(&pins.of(package))) || !folder.join(name).is_file()
        };
        let missing: Vec<_> = packages.iter().filter(stale).collect();
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
            eprintln!("xtask: building {} {version} into {} (some minutes, once)", names.join(", "), folder.display());
            let start = Instant::now();
            install(&source, &folder, version, missing.iter().map(|(_, package)| *package))?;
            for (name, package) in missing {
                fs::write(folder.join(format!("{name}.pins")), pins.of(package)).context("cannot write the pins")?;
            }
            eprintln!("xtask: built in {} s", start.elapsed().as_secs());
        }
        Ok(Self(folder))
    }
}

/// What programs are built from.
struct Pins {
    modules: String,
    /// Our own program, as it is written.
    node: String,
}

impl Pins {
    fn read(source: &Path) -> Result<Self> {
        let read = |file: &PathBuf| fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
        let modules = [source.join("go.mod"), source.join("go.sum")].iter().map(read).collect::<Result<_>>()?;
        let mut files = Vec::new();
        for entry in fs::read_dir(source.join("node")).context("cannot read tests/kube/node")? {
            files.push(entry.context("cannot read tests/kube/node")?.path());
        }
        files.sort();
        Ok(Self { modules, node: files.iter().map(read).collect::<Result<_>>()? })
    }

    /// What this package is built from: what is not ours, from the modules alone.
    fn of(&self, package: &str) -> String {
        if package.starts_with("./") { format!("{}{}", self.modules, self.node) } else { self.modules.clone() }
    }
}

fn version(pins: &str) -> Option<&str> {
    let mut words = pins.lines().filter_map(|line| line.trim().trim_start_matches("require ").strip_prefix("k8s.io/kubernetes "));
    words.next()?.split_whitespace().next()
}

fn install<'p>(source: &Path, folder: &Path, version: &str, packages: impl Iterator<Item = &'p str>) -> Result<()> {
    let mut go = Command::new("go");
    go.current_dir(source).env("GOWORK", "off").env("CGO_ENABLED", "0").env("GOBIN", folder);
    // Without a stamp the programs call themselves v0.0.0-master, and kubectl warns of that.
    let minor = version.trim_start_matches("v1.").split('.').next().unwrap_or_default();
    let stamp = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
        .map(|package| format!("-X {package}.gitVersion={version} -X {package}.gitMajor=1 -X {package}.gitMinor={minor}"));
    go.args(["install", "-trimpath", &format!("-ldflags=-s -w {}", stamp.join(" "))]).args(packages);
    match go.status() {
        Ok(status) if status.success() => {}
        Ok(status) => bail!("go install ended with {status}: see above"),
        Err(error) => bail!("cannot run go ({error}): install the Go that tests/kube/go.mod names, or a newer one"),
    }
    // etcd's program is called by the last part of its module's path.
    let server = folder.join("server");
    if server.exists() {
        fs::rename(&server, folder.join("etcd")).context("cannot rename etcd")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_required() {
        let pins = "require (\n\tk8s.io/kube-openapi v0.1.0 // indirect\n\tk8s.io/kubernetes v1.37.2\n)\n";
        assert_eq!(version(pins), Some("v1.37.2"));
    }

    #[test]
    fn our_own_pins_name_a_version() {
        let source = shell::root().expect("a checkout").join("tests/kube");
        assert!(version(&Pins::read(&source).expect("readable").modules).is_some_and(|version| version.starts_with("v1.")));
    }
}
