//! What the tests of the built binary share: a network namespace for each test, a `weir run` in it, and commands run beside it.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take that is only waited for, never measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A running `weir run`, ended when dropped.
pub(crate) struct Weir {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    /// The data directory.
    pub(crate) data: PathBuf,
    folder: Option<tempfile::TempDir>,
}

impl Weir {
    /// Starts `weir run ARGUMENTS` in a network namespace of its own with a fresh data directory.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let mut weir = Self::start_in(&data, arguments);
        weir.folder = Some(folder);
        weir
    }

    /// Starts it with this data directory.
    pub(crate) fn start_in(data: &Path, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(binary()).args(["run", "--data-dir"]).arg(data).args(arguments).stdin(Stdio::null()), data)
    }

    /// Starts what `command` says, which keeps its state in `data`.
    pub(crate) fn spawn(command: &mut Command, data: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdout, data: data.to_owned(), folder: None }
    }

    /// Reads its output up to the line that contains `text`; gives all lines read.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let mut all = String::new();
        let reader = self.stdout.as_mut().expect("standard output is read");
        loop {
            let mut line = String::new();
            let read = reader.read_line(&mut line).expect("readable");
            assert!(read > 0, "weir ended before it said `{text}`; it said:\n{all}");
            all.push_str(&line);
            if line.contains(text) {
                return all;
            }
        }
    }

    /// Writes `text` to its standard input, and ends that.
    pub(crate) fn feed(&mut self, text: &str) {
        use std::io::Write as _;
        self.child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    }

    /// A command with `KUBECONFIG` set.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("KUBECONFIG", self.data.join("kubeconfig")).env("HOME", &self.data).env("PATH", path());
        command.stdin(Stdio::null());
        command
    }

    /// Runs `script` with bash in `folder`.
    pub(crate) fn bash(&self, folder: &Path, script: &str) -> Output {
        self.command("bash").args(["-c", script]).current_dir(folder).output().expect("bash runs")
    }

    /// Runs kubectl and expects it to succeed; gives its output.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.command("kubectl").args(arguments).output().expect("kubectl runs");
        assert!(output.status.success(), "kubectl {arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Restarts the controller; kubectl refuses a second restart within a second, so it is asked again then.
    pub(crate) fn restart_controller(&self) {
        self.until("the restart", || {
            let mut restart = self.command("kubectl");
            restart.args(["rollout", "restart", "deployment", "envoy-gateway", "-n", "envoy-gateway-system"]);
            restart.output().expect("kubectl runs").status.success().then_some(())
        });
    }

    /// Applies `yaml` with kubectl; gives exit status, output and errors together.
    pub(crate) fn apply(&self, yaml: &str) -> (bool, String) {
        use std::io::Write as _;
        let mut child = self
            .command("kubectl")
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        child.stdin.take().expect("piped").write_all(yaml.as_bytes()).expect("kubectl reads");
        let output = child.wait_with_output().expect("kubectl ends");
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    /// Asks again until `probe` gives something. For states that nothing announces.
    pub(crate) fn until<T>(&self, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = probe() {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "{what} did not happen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "the process is there");
    }

    /// Waits for the end; gives the exit status.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().expect("it ends")
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test.
pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_weir")
}

/// The repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

/// What a `weir` wrote to standard error in this file, save what is told at every start.
pub(crate) fn complaints(file: &Path) -> String {
    let said = std::fs::read_to_string(file).expect("readable");
    said.lines().filter(|line| !line.contains("\"level\":\"INFO\"")).collect()
}

/// What a program printed.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The binary under test first; `cargo xtask test` puts a kubectl of its own in front when the system has none.
fn path() -> String {
    let ours = Path::new(binary()).parent().expect("in a folder").display();
    let path = std::env::var("PATH").unwrap_or_default();
    match std::env::var("WEIR_TEST_PATH") {
        Ok(first) => format!("{ours}:{first}:{path}"),
        Err(_) => format!("{ours}:{path}"),
    }
}

/// Runs `test` in a network namespace of its own, where loopback is up, every address is there and every port is free: this test binary
/// starts itself again below `unshare`, for the test `name` alone. Needs no root where users may make namespaces.
pub(crate) fn isolated(name: &str, test: impl FnOnce()) {
    const INSIDE: &str = "WEIR_TEST_ISOLATED";
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe().expect("this binary")).args(["--exact", name, "--nocapture"]);
    let output = command.env(INSIDE, "1").output().expect("unshare is installed");
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(said.contains("1 passed") || !output.status.success(), "there is no test `{name}`: {said}");
    assert!(output.status.success(), "{said}");
}
