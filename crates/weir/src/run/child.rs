//! The command after `--`: it runs once everything is ready, gets the signals, and its exit status is Weir's.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::exit::Failure;

/// Starts `command` with `KUBECONFIG` set.
///
/// # Errors
/// When there is no such program, or it may not be run.
pub(crate) fn start(command: &[OsString], kubeconfig: &Path) -> Result<Child, Failure> {
    let (program, arguments) = command.split_first().ok_or_else(|| Failure::new("there is no command after --"))?;
    Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::new(format_args!("{}: {error}", program.display())))
}

/// Sends `signal` on to the command.
pub(crate) fn forward(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // It may have ended in this very moment.
        let _ = kill_process(pid, signal);
    }
}

/// Weir's exit status for the command's: the same, or 128 + n when signal n ended it, as shells count.
pub(crate) fn status(status: ExitStatus) -> Result<(), Failure> {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    match u8::try_from(code).unwrap_or(1) {
        0 => Ok(()),
        code => Err(Failure::Status(code)),
    }
}
