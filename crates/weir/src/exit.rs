//! How a command ends: one line on standard error that says what and what to do, and the exit status.

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to tell the user; exit status 1.
    Message(String),
    /// Everything has been said already; this exit status.
    Status(u8),
}

impl Failure {
    /// A failure told by `message`.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self::Message(message.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // The reader has all that it wanted, as `head` does.
            std::io::ErrorKind::BrokenPipe => Self::Status(0),
            _ => Self::new(error),
        }
    }
}

/// The exit status of a command, after its failure has been told.
pub(crate) fn code(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Status(status)) => ExitCode::from(status),
        Err(Failure::Message(message)) => {
            // Nobody is left to be told when standard error is gone.
            let _ = writeln!(std::io::stderr(), "weir: {message}");
            ExitCode::FAILURE
        }
    }
}
