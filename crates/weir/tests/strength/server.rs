//! Starting and ending the server.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::api::Api;
use crate::common::{PATIENCE, Weir, binary, text};

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

pub(crate) fn run(data: &Path) -> Command {
    let mut command = Command::new(binary());
    command.args(["run", "--data-dir"]).arg(data).stdin(Stdio::null());
    command
}

pub(crate) fn spawn(data: &Path) -> Weir {
    Weir::spawn(&mut run(data), data)
}

/// What a `weir run` says that must not start: one line and the exit status 1.
pub(crate) fn refusal(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let plain: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
    assert!(plain.len() == 1 && plain[0].starts_with("weir: "), "one line: {said}");
    plain[0].to_owned()
}

pub(crate) fn kill(id: u32) {
    let id = rustix::process::Pid::from_raw(i32::try_from(id).expect("a process")).expect("a process");
    rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("it lives");
}

/// A client of the API, as soon as that answers.
pub(crate) async fn answering(data: &Path) -> Api {
    let start = Instant::now();
    loop {
        if let Some(api) = Api::open(data).await {
            return api;
        }
        assert!(start.elapsed() < PATIENCE, "nobody answers");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
