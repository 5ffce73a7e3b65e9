//! The data plane with a backend and clients around it, each a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// How long a program may take until it serves; under valgrind all takes fifty times as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// The examples of `weir-proxy`, as they are shipped.
pub(super) struct Programs {
    standalone: PathBuf,
    load: PathBuf,
}

/// A process that ends when this is dropped.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Programs {
    pub(super) fn build() -> Result<Self> {
        let mut cargo = shell::cargo();
        cargo.args(["build", "--profile", "dist", "--package", "weir-proxy", "--examples", "--message-format", "json"]);
        let messages = shell::output(cargo)?;
        let messages: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let find = |name: &str| {
            let it = messages.iter().find(|it| it["target"]["name"] == name && it["executable"].is_string());
            it.and_then(|it| it["executable"].as_str()).map(PathBuf::from).with_context(|| format!("cargo has not built `{name}`"))
        };
        Ok(Self { standalone: find("standalone")?, load: find("load")? })
    }

    /// A backend, and where it listens.
    pub(super) fn backend(&self, cores: &Cores) -> Result<(Running, SocketAddr)> {
        let mut child = cores.of_load(&self.load).arg("backend").stdout(Stdio::piped()).spawn().context("cannot run `load`")?;
        let output = child.stdout.take().context("its output is piped")?;
        let running = Running(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("`load backend` says nothing")?;
        Ok((running, line.trim().parse().context("`load backend` says where it listens")?))
    }

    /// The data plane before `backend`, run by `wrapper`; it answers for host `ready`.
    pub(super) fn standalone(
        &self,
        mut wrapper: Command,
        backend: SocketAddr,
        options: &[&str],
        ready: &str,
    ) -> Result<(Running, SocketAddr)> {
        let listen = address()?;
        wrapper.arg(&self.standalone).args([listen.to_string(), backend.to_string()]).args(options);
        let child = wrapper.stdout(Stdio::null()).stderr(Stdio::null()).spawn().with_context(|| format!("cannot run {wrapper:?}"))?;
        let mut running = Running(child);
        let start = Instant::now();
        while !answers(listen, ready) {
            if let Some(status) = running.0.try_wait()? {
                bail!("{wrapper:?} has ended: {status}");
            }
            if start.elapsed() > PATIENCE {
                bail!("{wrapper:?} does not answer");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok((running, listen))
    }

    /// Sends `requests` on `connections`, for as many hosts as are routed.
    pub(super) fn clients(&self, cores: &Cores, to: SocketAddr, connections: usize, requests: usize, hosts: usize) -> Result<()> {
        let numbers = [connections, requests, hosts].map(|it| it.to_string());
        let mut load = cores.of_load(&self.load);
        load.arg("clients").arg(to.to_string()).args(numbers);
        shell::output(load).map(drop)
    }
}

/// Which cores the programs are kept on, so that runs can be compared; none: any.
pub(super) struct Cores {
    pub(super) proxy: Option<&'static str>,
    pub(super) load: Option<&'static str>,
}

impl Cores {
    fn of_load(&self, program: &Path) -> Command {
        on(self.load, program)
    }

    /// What runs the data plane.
    pub(super) fn of_proxy(&self) -> Command {
        on(self.proxy, Path::new("env"))
    }
}

fn on(cores: Option<&str>, program: &Path) -> Command {
    let Some(cores) = cores else { return shell::command(program) };
    let mut command = shell::command("taskset");
    command.args(["--cpu-list", cores]).arg(program);
    command
}

/// A loopback address of this process's own: the data plane's other ports are fixed.
fn address() -> Result<SocketAddr> {
    let [.., a, b] = std::process::id().to_be_bytes();
    for last in 0..100 {
        let ip = IpAddr::V4(Ipv4Addr::new(127, 100 + last, a, b.clamp(1, 254)));
        let free = |port| TcpListener::bind((ip, port)).ok();
        if let (Some(any), Some(_), Some(_)) = (free(0), free(19001), free(19003)) {
            return Ok(any.local_addr()?);
        }
    }
    bail!("no loopback address is free")
}

fn answers(listen: SocketAddr, host: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(listen)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}
