//! Storms: while nobody could come in and clients come fast, the kernel refuses them.

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use weir_model::ProxyProtocol;
use weir_proxy::Settings;

/// Clients that come again and again until they are let in.
struct Flood {
    /// Whom the kernel refused.
    by_kernel: Arc<AtomicU64>,
    /// Who was reset: by the data plane, or while waiting to be accepted when a port stopped listening.
    reset: Arc<AtomicU64>,
    admitted: mpsc::UnboundedReceiver<TcpStream>,
    tasks: Vec<JoinHandle<()>>,
}

impl Flood {
    fn start(target: SocketAddr) -> Self {
        let (by_kernel, reset) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (admit, admitted) = mpsc::unbounded_channel();
        let task = |_| tokio::spawn(come_again(target, by_kernel.clone(), reset.clone(), admit.clone()));
        let tasks = (0..4).map(task).collect();
        Self { by_kernel, reset, admitted, tasks }
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        let reached = async {
            while !what(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let state = || panic!("{:?} by the kernel, {:?} reset", self.by_kernel, self.reset);
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| state());
    }

    fn by_kernel(&self) -> u64 {
        self.by_kernel.load(Ordering::Relaxed)
    }

    fn reset(&self) -> u64 {
        self.reset.load(Ordering::Relaxed)
    }

    async fn stop(self) -> (u64, u64) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
        (self.by_kernel.load(Ordering::Relaxed), self.reset.load(Ordering::Relaxed))
    }
}

async fn come_again(target: SocketAddr, by_kernel: Arc<AtomicU64>, reset: Arc<AtomicU64>, admit: mpsc::UnboundedSender<TcpStream>) {
    loop {
        match TcpStream::connect(target).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => by_kernel.fetch_add(1, Ordering::Relaxed),
            Err(_) => reset.fetch_add(1, Ordering::Relaxed),
            Ok(mut stream) => {
                let sent = stream.write_all(GET.as_bytes()).await;
                match stream.read(&mut [0; 512]).await {
                    Ok(count) if sent.is_ok() && count > 0 => return drop(admit.send(stream)),
                    _ => reset.fetch_add(1, Ordering::Relaxed),
                }
            }
        };
        tokio::task::yield_now().await;
    }
}

async fn served(client: &mut Client) {
    client.send(GET).await;
    assert!(client.until("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

/// The value of a series.
fn value(page: &str, series: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

/// A storm at a tenth of the usual rate, so that a busy machine can make one.
fn settings() -> Settings {
    Settings { workers: 2, storm_rate: 200, ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_storm_the_kernel_refuses_and_a_freed_slot_is_offered() {
    let origin = Origin::plain().await;
    let base = model(vec![forward("b")], &[("b", &[origin.address])]);
    let mut bench = Bench::with_settings(with_limit(base.clone(), 1), settings()).await;
    let mut only = bench.client().await;
    served(&mut only).await;
    let mut flood = Flood::start(bench.target());
    flood.until(|flood| flood.by_kernel() >= 500).await;
    // The one that is in is served all the same, and metrics and readiness are never refused.
    served(&mut only).await;
    for _ in 0..20 {
        assert!(bench.metrics().await.starts_with("HTTP/1.1 200 "));
        assert!(bench.ready().await.starts_with("HTTP/1.1 200 "));
    }
    // Whoever comes first gets what becomes free, by a close or by an edit.
    drop(only);
    let next = tokio::time::timeout(PATIENCE, flood.admitted.recv()).await.expect("it listens again").unwrap();
    flood.until(|flood| flood.by_kernel() >= 1000).await;
    bench.apply(with_limit(base, 2)).await;
    let second = tokio::time::timeout(PATIENCE, flood.admitted.recv()).await.expect("it listens again").unwrap();
    flood.until(|flood| flood.by_kernel() >= 1500).await;
    let (_, reset) = flood.stop().await;
    // What the data plane refused is counted exactly, and nothing else is in that sum. The rest is an estimate with a name of its own.
    // (Clients that stopped in the middle did not see how it ended.)
    let at_rest = async {
        loop {
            let (refused, page) = (bench.plane.report().limits[&limit_name()].refused.over_connection_limit, bench.metrics().await);
            if refused == bench.plane.report().limits[&limit_name()].refused.over_connection_limit {
                return (refused, page);
            }
        }
    };
    let (refused, page) = tokio::time::timeout(PATIENCE, at_rest).await.expect("rest");
    assert!((1..=reset + 4).contains(&refused), "{refused} of {reset}");
    let exact = "weir_connection_limit_refused_total{limit=\"ns/policy@ns/eg\",gateway=\"ns/eg\",scope=\"gateway\",reason=\"over_connection_limit\"}";
    assert_eq!(value(&page, exact), refused);
    assert!(value(&page, "weir_process_connections_refused_by_kernel_estimate{reason=\"storm\"}") > 100, "{page}");
    assert_eq!(page.matches("reason=\"storm\"").count(), 1, "in no other family");
    drop((next, second));
    served(&mut bench.client().await).await;
    // And nothing spins: a registration that has seen the pause rests again.
    let before = cpu();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(cpu() - before < 25, "{} hundredths of a second in half a second", cpu() - before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_whose_clients_name_themselves_is_never_left_to_the_kernel() {
    let origin = Origin::plain().await;
    let base = with_limit(model(vec![forward("b")], &[("b", &[origin.address])]), 1);
    for optional in [true, false] {
        let model = with_client(base.clone(), |client| client.proxy_protocol = Some(ProxyProtocol { optional }));
        let bench = Bench::with_settings(model, settings()).await;
        let mut only = bench.client().await;
        only.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n").await;
        served(&mut only).await;
        let flood = Flood::start(bench.target());
        flood.until(|flood| flood.reset() >= 2000).await;
        let (by_kernel, _) = flood.stop().await;
        assert_eq!(by_kernel, 0);
        served(&mut only).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_ends_when_the_port_gets_a_rule_that_must_see_clients() {
    let origin = Origin::plain().await;
    let base = with_limit(model(vec![forward("b")], &[("b", &[origin.address])]), 1);
    let mut bench = Bench::with_settings(base.clone(), settings()).await;
    let mut only = bench.client().await;
    served(&mut only).await;
    let flood = Flood::start(bench.target());
    flood.until(|flood| flood.by_kernel() >= 200).await;
    bench.apply(with_client(base, |client| client.proxy_protocol = Some(ProxyProtocol { optional: true }))).await;
    let before = flood.reset();
    flood.until(|flood| flood.reset() >= before + 1000).await;
    let by_kernel = flood.by_kernel();
    let before = flood.reset();
    flood.until(|flood| flood.reset() >= before + 1000).await;
    assert_eq!(flood.by_kernel(), by_kernel, "it listens for good");
    flood.stop().await;
}

/// Processor time of this process, in hundredths of a second.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_ascii_whitespace().skip(11).take(2).map(|it| it.parse::<u64>().unwrap()).sum()
}
