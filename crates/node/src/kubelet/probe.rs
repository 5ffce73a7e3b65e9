//! Probes: when to ask, how to count the answers, and the questions themselves.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

/// Which probe of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeKind {
    Startup,
    Readiness,
    Liveness,
}

impl ProbeKind {
    /// As it begins the message of an `Unhealthy` Event.
    pub(crate) fn title(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Readiness => "Readiness",
            ProbeKind::Liveness => "Liveness",
        }
    }
}

/// When and how often, with Kubernetes' defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) delay: Duration,
    pub(crate) period: Duration,
    pub(crate) timeout: Duration,
    pub(crate) successes: u32,
    pub(crate) failures: u32,
}

impl Schedule {
    pub(crate) fn of(probe: &Probe) -> Schedule {
        let seconds = |n: Option<i32>, default: u64| n.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(default);
        let count = |n: Option<i32>, default: u32| n.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(default);
        Schedule {
            delay: Duration::from_secs(seconds(probe.initial_delay_seconds, 0)),
            period: Duration::from_secs(seconds(probe.period_seconds, 10)),
            timeout: Duration::from_secs(seconds(probe.timeout_seconds, 1)),
            successes: count(probe.success_threshold, 1),
            failures: count(probe.failure_threshold, 3),
        }
    }
}

/// Counts answers until a threshold turns the verdict.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    schedule: Schedule,
    verdict: Option<bool>,
    run: (bool, u32),
}

impl Counter {
    pub(crate) fn new(schedule: Schedule) -> Counter {
        Counter { schedule, verdict: None, run: (false, 0) }
    }

    /// Takes an answer; gives the verdict if it has just been reached.
    pub(crate) fn take(&mut self, healthy: bool) -> Option<bool> {
        self.run = if self.run.0 == healthy { (healthy, self.run.1.saturating_add(1)) } else { (healthy, 1) };
        let needed = if healthy { self.schedule.successes } else { self.schedule.failures };
        if self.run.1 >= needed && self.verdict != Some(healthy) {
            self.verdict = Some(healthy);
            return self.verdict;
        }
        None
    }

    /// Whether one more healthy answer decides and nothing has been decided: then it is worth asking early.
    pub(crate) fn is_eager(&self) -> bool {
        self.verdict.is_none() && self.schedule.successes == 1
    }
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Http { address: SocketAddr, host: String, path: String, headers: Vec<(String, String)> },
    Tcp(SocketAddr),
}

/// The question of a probe, or why this node cannot ask it.
pub(crate) fn question(probe: &Probe, container: &Container, pod_ip: IpAddr) -> Result<Question, String> {
    if let Some(http) = &probe.http_get {
        return http_question(http, container, pod_ip);
    }
    if let Some(tcp) = &probe.tcp_socket {
        let ip = tcp.host.as_deref().map_or(Ok(pod_ip), |h| h.parse().map_err(|_| format!("host {h} is not an IP address")))?;
        return Ok(Question::Tcp(SocketAddr::new(ip, port(&tcp.port, container)?)));
    }
    let what = if probe.exec.is_some() { "exec" } else { "grpc" };
    Err(format!("{what} probes are not supported by this node; use httpGet or tcpSocket"))
}

fn http_question(http: &HTTPGetAction, container: &Container, pod_ip: IpAddr) -> Result<Question, String> {
    if http.scheme.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("HTTPS")) {
        return Err("HTTPS probes are not supported by this node; use scheme HTTP or tcpSocket".to_owned());
    }
    let ip = http.host.as_deref().map_or(Ok(pod_ip), |h| h.parse().map_err(|_| format!("host {h} is not an IP address")))?;
    let address = SocketAddr::new(ip, port(&http.port, container)?);
    let path = http.path.clone().unwrap_or_else(|| "/".to_owned());
    let path = if path.starts_with('/') { path } else { format!("/{path}") };
    let mut headers: Vec<(String, String)> = http.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect();
    let own_host = headers.iter().position(|(name, _)| name.eq_ignore_ascii_case("host")).map(|at| headers.remove(at).1);
    Ok(Question::Http { address, host: own_host.unwrap_or_else(|| address.to_string()), path, headers })
}

fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(n) => Some(*n),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|p| p.name.as_deref() == Some(name));
            named.map(|p| p.container_port).or_else(|| name.parse().ok())
        }
    };
    let number = number.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
    number.ok_or_else(|| format!("couldn't find port {port:?} in container {}", container.name))
}

/// Most of an answer's body that is read.
const MAX_BODY: usize = 10 * 1024;

/// Asks once. The error is what the Event says after `probe failed: `.
pub(crate) async fn ask(question: &Question, timeout: Duration) -> Result<(), String> {
    let (address, url) = match question {
        Question::Tcp(address) => (*address, None),
        Question::Http { address, path, .. } => (*address, Some(format!("http://{address}{path}"))),
    };
    let fail = |cause: String| match &url {
        Some(url) => format!("Get \"{url}\": {cause}"),
        None => cause,
    };
    match tokio::time::timeout(timeout, answer(question, address)).await {
        Ok(Ok(code)) if (200..400).contains(&code) => Ok(()),
        Ok(Ok(code)) => Err(format!("HTTP probe failed with statuscode: {code}")),
        Ok(Err(cause)) => Err(fail(cause)),
        Err(_) if url.is_some() => Err(fail("context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned())),
        Err(_) => Err(format!("dial tcp {address}: i/o timeout")),
    }
}

async fn answer(question: &Question, address: SocketAddr) -> Result<u16, String> {
    let stream = TcpStream::connect(address).await.map_err(|e| format!("dial tcp {address}: connect: {}", cause(&e)))?;
    let Question::Http { host, path, headers, .. } = question else { return Ok(200) };
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| e.to_string())?;
    let mut request =
        http::Request::get(path.as_str()).header("host", host).header("user-agent", "kube-probe/1.33").header("accept", "*/*");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.header("connection", "close").body(Empty::<bytes::Bytes>::new()).map_err(|e| e.to_string())?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let code = response.status().as_u16();
        let _ = Limited::new(response.into_body(), MAX_BODY).collect().await;
        Ok(code)
    };
    tokio::select! {
        code = exchange => code,
        Err(error) = connection => Err(error.to_string()),
    }
}

/// The system's words without Rust's error number.
fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
