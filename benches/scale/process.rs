//! The process that is measured, and where it runs.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Clock ticks in a second, as `/proc` counts them on every Linux.
const TICKS: u64 = 100;

/// Starts this program again in a network namespace of its own, where every address and port is free; returns in there only.
pub(crate) fn isolate() {
    const INSIDE: &str = "WEIR_SCALE_ISOLATED";
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe().expect("this program")).args(std::env::args_os().skip(1));
    let status = command.env(INSIDE, "1").status().expect("unshare is installed");
    std::process::exit(status.code().unwrap_or(1));
}

/// A running `weir run`, ended when dropped.
pub(crate) struct Weir(Child);

impl Weir {
    /// Starts the binary (`WEIR_BINARY`, else the one built beside this program) on one file, with one worker on the first core.
    pub(crate) fn start(data: &Path, file: &Path) -> Self {
        let binary = std::env::var("WEIR_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_weir").to_owned());
        let mut command = Command::new(binary);
        command.args(["run", "--workers", "1", "--data-dir"]).arg(data).arg("-f").arg(file);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        let weir = Self(child);
        weir.pin();
        weir
    }

    /// Puts the worker on the first core; the others stay wherever there is room.
    fn pin(&self) {
        loop {
            let threads = self.threads();
            if let Some((worker, _)) = threads.iter().find(|(_, name)| name.starts_with("weir-worker")) {
                taskset("0", *worker);
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// A figure of `/proc/PID/status` such as `VmRSS`, in MiB.
    pub(crate) fn memory(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib: f64 = line.and_then(|it| it.split_whitespace().next()?.parse().ok()).expect("a number");
        kib / 1024.0
    }

    /// CPU time of all threads.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(&format!("/proc/{}/stat", self.0.id()))
    }

    /// CPU time of the workers.
    pub(crate) fn worker_cpu(&self) -> Duration {
        let workers = self.threads().into_iter().filter(|(_, name)| name.starts_with("weir-worker"));
        workers.map(|(id, _)| cpu(&format!("/proc/{}/task/{id}/stat", self.0.id()))).sum()
    }

    /// The threads with their names.
    fn threads(&self) -> Vec<(u32, String)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).expect("it runs");
        let ids = tasks.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
        ids.filter_map(|id| Some((id, std::fs::read_to_string(format!("/proc/{}/task/{id}/comm", self.0.id())).ok()?))).collect()
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn taskset(cores: &str, thread: u32) {
    let pinned = Command::new("taskset").args(["-pc", cores, &thread.to_string()]).stdout(Stdio::null()).status();
    assert!(pinned.is_ok_and(|it| it.success()), "taskset (util-linux) is needed");
}

/// The user's and the system's part of a `stat` file.
fn cpu(path: &str) -> Duration {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    // The name, in parentheses, may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
    let ticks = |place: usize| fields.get(place).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 1000 / TICKS)
}
