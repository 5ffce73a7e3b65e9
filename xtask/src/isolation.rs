//! Running ourselves again where nobody else is.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// A command that runs this program with these arguments in namespaces of its own: every port is free, loopback and the addresses that a
/// cluster gives to pods and Services are there, and when it ends, everything that it started ends with it. Needs no root where users may make
/// namespaces.
pub(crate) fn again(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Command> {
    // Addresses of these two ranges are this machine's own then: any of them can be bound and reached.
    const NETWORK: &str = "ip link set lo up && ip route add local 10.244.0.0/16 dev lo && ip route add local 10.96.0.0/16 dev lo";
    let mut command = Command::new("unshare");
    if !root()? {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["sh", "-c", &format!("{NETWORK} && exec \"$0\" \"$@\"")]);
    command.arg(std::env::current_exe().context("this program has a path")?).args(arguments).stdin(Stdio::null());
    Ok(command)
}

/// A command that runs `program` in the network of a process that [`again`] started.
pub(crate) fn beside(process: u32, program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = Command::new("nsenter");
    command.args(["--target", &process.to_string(), "--net"]);
    if !root()? {
        command.args(["--user", "--preserve-credentials"]);
    }
    command.arg("--").arg(program);
    Ok(command)
}

fn root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(std::fs::metadata("/proc/self").context("/proc is mounted")?.uid() == 0)
}
