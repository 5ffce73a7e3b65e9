//! Many clients that all end in one way, and what must be true afterwards.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::support::*;

/// So many at once. They are a batch, after which nothing may be left.
pub const AT_ONCE: usize = 1000;
/// Somewhat more, so that nobody is refused and no limit is near its end.
pub const LIMIT: u64 = 1200;

/// Connections through each way to end: `WEIR_LEAK_CONNECTIONS`, or `usual`.
pub fn connections(usual: usize) -> usize {
    std::env::var("WEIR_LEAK_CONNECTIONS").map_or(usual, |text| text.parse().expect("WEIR_LEAK_CONNECTIONS is a number"))
}

/// What a client does.
#[derive(Debug, Clone)]
pub enum Step {
    Send(Cow<'static, [u8]>),
    /// Reads until this has come.
    Until(&'static str),
    /// Sends no more.
    Shut,
    /// Closes by a reset.
    Reset,
    /// Reads to the end.
    Rest,
    /// Sends this and reads until that, again and again, until told that it was the last time; reads to the end.
    Repeat(&'static str, &'static str),
    /// Does not read and does not close: it is the other side that ends it.
    Hold,
}

pub fn send(text: &'static str) -> Step {
    Step::Send(Cow::Borrowed(text.as_bytes()))
}

/// A way to end: its name and what each client does. At the end of it, the client closes.
pub type Way = (&'static str, Vec<Step>);

/// Follows the steps to the end. The stream, if it is to be held.
async fn follow(target: SocketAddr, name: &str, steps: &[Step]) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    if matches!(steps.last(), Some(Step::Hold)) {
        socket.set_recv_buffer_size(4096).unwrap();
    }
    let mut stream = socket.connect(target).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut read = Vec::new();
    for step in steps {
        match step {
            // It may be closed before all of it is written.
            Step::Send(bytes) => drop(stream.write_all(bytes).await),
            Step::Until(text) => assert!(until(&mut stream, &mut read, text).await, "{name}: no {text:?} in {:?}", shown(&read)),
            Step::Shut => drop(stream.shutdown().await),
            Step::Reset => stream.set_zero_linger().unwrap(),
            Step::Rest => rest(&mut stream, &mut read).await,
            Step::Repeat(ask, text) => loop {
                let _ = stream.write_all(ask.as_bytes()).await;
                assert!(until(&mut stream, &mut read, text).await, "{name}: no {text:?} in {:?}", shown(&read));
                if String::from_utf8_lossy(&read).contains("connection: close") {
                    rest(&mut stream, &mut read).await;
                    break;
                }
                read.clear();
            },
            Step::Hold => return Some(stream),
        }
    }
    None
}

fn shown(read: &[u8]) -> String {
    String::from_utf8_lossy(&read[..read.len().min(300)]).into_owned()
}

/// Reads until `text` has come. False: it ended before.
pub async fn until(stream: &mut TcpStream, read: &mut Vec<u8>, text: &str) -> bool {
    while !text.is_empty() && !read.windows(text.len()).any(|window| window == text.as_bytes()) {
        if !matches!(stream.read_buf(read).await, Ok(count) if count > 0) {
            return false;
        }
    }
    true
}

/// Reads to the end. A reset is an end, too.
pub async fn rest(stream: &mut TcpStream, read: &mut Vec<u8>) {
    while matches!(stream.read_buf(read).await, Ok(count) if count > 0) {}
}

/// Runs `count` clients at once and gives what they come to.
pub async fn all<T: Send + 'static, F: Future<Output = T> + Send + 'static>(count: usize, client: impl Fn(usize) -> F) -> Vec<T> {
    let mut tasks: JoinSet<T> = (0..count).map(client).collect();
    let mut outcomes = Vec::with_capacity(count);
    while let Some(outcome) = tokio::time::timeout(PATIENCE, tasks.join_next()).await.expect("an end") {
        outcomes.push(outcome.unwrap());
    }
    outcomes
}

/// How many connections the limits count, all together.
pub fn counted(bench: &Bench) -> u64 {
    bench.plane.report().limits.values().map(|limit| limit.current).sum()
}

fn refused(bench: &Bench) -> u64 {
    bench.plane.report().limits.values().map(|limit| limit.refused.over_connection_limit).sum()
}

/// Waits until the kernel knows of no connection and the limits count none. How long that took.
pub async fn gone(bench: &Bench, name: &str) -> Duration {
    let start = Instant::now();
    let state = || format!("{} sockets, {:?}", kernel::open(bench.target()), bench.plane.report().limits);
    eventually(name, state, async || kernel::open(bench.target()) == 0 && counted(bench) == 0).await;
    start.elapsed()
}

/// Waits until it is so.
pub async fn eventually(what: &str, state: impl Fn() -> String, so: impl AsyncFn() -> bool) {
    let become_so = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, become_so).await.is_err() {
        panic!("{what}: {}", state());
    }
}

/// Takes a full limit, and sees that it is one.
pub async fn refill(bench: &Bench, name: &'static str) {
    let target = bench.target();
    let held = all(LIMIT as usize, move |_| async move {
        let mut stream = TcpStream::connect(target).await.unwrap();
        stream.write_all(GET.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        assert!(until(&mut stream, &mut read, "ok").await, "{name}: there must be room for all: {:?}", shown(&read));
        stream.set_zero_linger().unwrap();
        stream
    });
    let held = held.await;
    assert!(bench.refuses().await, "{name}: as many as the limit, and no more");
    assert_eq!((kernel::open(bench.target()), counted(bench)), (LIMIT as usize, LIMIT), "{name}");
    drop(held);
    gone(bench, name).await;
}

/// What counts every connection that was admitted.
pub const ADMITTED: &str = "envoy_listener_downstream_cx_total{";

/// `count` connections end in each of these ways, `counted` by this series; none of them is refused, and each time nothing is left.
pub async fn nothing_is_left(bench: &Bench, count: usize, counted: &str, ways: Vec<Way>) {
    for (name, steps) in ways {
        let (steps, target) = (Arc::new(steps), bench.target());
        let client = |_| {
            let steps = steps.clone();
            async move { follow(target, name, &steps).await }
        };
        crowds(bench, count, counted, name, client).await;
    }
}

/// The same for clients of any kind. What they come to is held until the connections have ended.
pub async fn crowds<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    bench: &Bench,
    count: usize,
    counted: &str,
    name: &'static str,
    client: impl Fn(usize) -> F,
) {
    let (start, refused_before, before) = (Instant::now(), refused(bench), series(bench, &[counted]).await);
    let (mut done, mut longest) = (0, Duration::ZERO);
    while done < count {
        let batch = AT_ONCE.min(count - done);
        let held = all(batch, &client).await;
        done += batch;
        let all_counted = async || series(bench, &[counted]).await == before + done as u64;
        eventually(name, || format!("{counted}: not {done} more than {before}"), all_counted).await;
        longest = longest.max(gone(bench, name).await);
        drop(held);
    }
    assert_eq!(refused(bench), refused_before, "{name}: nobody is refused");
    println!("{count:>6} in {:>6} ms, the last gone after {:>3} ms: {name}", start.elapsed().as_millis(), longest.as_millis());
}

/// The value of the first series in the metrics whose line has all these words.
pub async fn series(bench: &Bench, words: &[&str]) -> u64 {
    let page = bench.metrics().await;
    let line = page.lines().filter(|line| !line.starts_with('#')).find(|line| words.iter().all(|word| line.contains(word)));
    let line = line.unwrap_or_else(|| panic!("{words:?} is not in:\n{page}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}
