//! Slow clients: those who hold all places of a limit lose them to others, and who is served keeps its own.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use weir_proxy::{Patience, Settings};

const LIMIT: usize = 4;

/// What a client does with its place.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Says nothing.
    Silence,
    /// Sends its head byte by byte.
    HeadDrip,
    /// Sends its body byte by byte.
    BodyDrip,
    /// Takes its answer byte by byte.
    SlowRead,
    /// Has been served and says nothing more.
    Idle,
    /// Has been served, and sends its next head byte by byte.
    NextHeadDrip,
}

/// What the answer to `/some` ends with, which is nowhere else in it.
const LAST: u8 = b'!';

/// A backend: `/sink` reads for ever, `/big` answers without end, `/some` with a few megabytes, `/wait` answers when it is told, everything else at once.
async fn backend() -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, (tell, told)) = (listener.local_addr().unwrap(), watch::channel(false));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, told.clone()));
        }
    });
    (address, tell)
}

async fn answer(mut stream: TcpStream, mut told: watch::Receiver<bool>) {
    let mut read = Vec::new();
    loop {
        while !read.windows(4).any(|window| window == b"\r\n\r\n") {
            if !matches!(stream.read_buf(&mut read).await, Ok(count) if count > 0) {
                return;
            }
        }
        let head = String::from_utf8_lossy(&read).into_owned();
        read.clear();
        if head.contains(" /sink ") {
            while matches!(stream.read(&mut [0; 4096]).await, Ok(count) if count > 0) {}
            return;
        }
        if head.contains(" /big ") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n").await;
            while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
            return;
        }
        if head.contains(" /some ") {
            let mut some = b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n".to_vec();
            some.resize(some.len() + 19_999_999, b'x');
            some.push(LAST);
            if stream.write_all(&some).await.is_err() {
                return;
            }
            continue;
        }
        if head.contains(" /wait ") && told.wait_for(|told| *told).await.is_err() {
            return;
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.is_err() {
            return;
        }
    }
}

/// Sends `bytes` one after the other, again and again; ends when the connection does.
async fn drip(mut stream: TcpStream, bytes: &'static [u8]) {
    for byte in bytes.iter().cycle() {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A client that does so until it is ended; it has its place when this returns.
async fn hold(bench: &Bench, kind: Kind) -> tokio::task::JoinHandle<()> {
    const OPEN: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ";
    let mut client = bench.client().await;
    match kind {
        Kind::Silence | Kind::HeadDrip => {}
        Kind::Idle | Kind::NextHeadDrip => {
            client.send(GET).await;
            client.until("ok").await;
        }
        Kind::BodyDrip => client.send("POST /sink HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\n").await,
        Kind::SlowRead => {
            client.send("GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
            client.until("\r\n\r\n").await;
        }
    }
    let mut stream = client.stream;
    tokio::spawn(async move {
        match kind {
            Kind::Silence | Kind::Idle => while matches!(stream.read(&mut [0; 64]).await, Ok(count) if count > 0) {},
            Kind::HeadDrip | Kind::NextHeadDrip => {
                if stream.write_all(OPEN).await.is_ok() {
                    drip(stream, b"x").await;
                }
            }
            Kind::BodyDrip => drip(stream, b"x").await,
            Kind::SlowRead => {
                while matches!(stream.read(&mut [0; 4]).await, Ok(count) if count > 0) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    })
}

async fn is_served(bench: &Bench) -> Option<Client> {
    let mut client = bench.client().await;
    client.stream.write_all(GET.as_bytes()).await.ok()?;
    let mut bytes = [0; 512];
    let count = client.stream.read(&mut bytes).await.ok()?;
    bytes[..count].starts_with(b"HTTP/1.1 200 ").then_some(client)
}

/// Tries until it is let in. How long that took.
async fn comes_in(bench: &Bench) -> (Client, Duration) {
    let start = Instant::now();
    let tries = async {
        loop {
            if let Some(client) = is_served(bench).await {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    (tokio::time::timeout(PATIENCE, tries).await.expect("a place"), start.elapsed())
}

fn impatient() -> Settings {
    let (short, slow) = (Duration::from_millis(300), Duration::from_millis(800));
    let patience = Patience { idle: short, silent: short, slow, ..Patience::default() };
    Settings { workers: 2, patience, ..Settings::default() }
}

async fn bench(limit: usize, settings: Settings) -> (Bench, watch::Sender<bool>) {
    let (address, tell) = backend().await;
    let model = with_limit(model(vec![forward("b")], &[("b", &[address])]), limit as u64);
    (Bench::with_settings(model, settings).await, tell)
}

/// All places are held by such clients; then one who has something to ask for gets one, and why is counted.
async fn yields(kind: Kind, reason: &str) {
    let (bench, _tell) = bench(LIMIT, impatient()).await;
    for _ in 0..LIMIT {
        hold(&bench, kind).await;
    }
    bench.counts(LIMIT as u64).await;
    let (_good, took) = comes_in(&bench).await;
    assert!(took < Duration::from_secs(9), "{kind:?} before any timer of its own: {took:?}");
    let page = bench.metrics().await;
    let series = format!("weir_process_connections_shed_total{{reason=\"{reason}\"}} ");
    let count = page.lines().find_map(|line| line.strip_prefix(&series)).unwrap_or_else(|| panic!("{page}"));
    assert_ne!(count, "0", "{kind:?}: {page}");
}

#[tokio::test]
async fn silence_yields() {
    yields(Kind::Silence, "silent").await;
}

#[tokio::test]
async fn a_head_that_drips_yields() {
    yields(Kind::HeadDrip, "silent").await;
}

#[tokio::test]
async fn a_body_that_drips_yields() {
    yields(Kind::BodyDrip, "slow").await;
}

#[tokio::test]
async fn an_answer_that_is_hardly_read_yields() {
    yields(Kind::SlowRead, "slow").await;
}

#[tokio::test]
async fn idleness_yields() {
    yields(Kind::Idle, "idle").await;
}

#[tokio::test]
async fn a_next_head_that_drips_yields() {
    yields(Kind::NextHeadDrip, "idle").await;
}

#[tokio::test]
async fn who_is_served_keeps_its_place() {
    let mut settings = impatient();
    settings.patience.idle = Duration::from_secs(1);
    let (bench, tell) = bench(4, settings).await;
    let mut more = Vec::new();
    // One waits for the backend, one takes its answer at a fair pace, one is slow, one is idle.
    let mut waiting = bench.client().await;
    waiting.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut fair = bench.client().await;
    fair.send("GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    fair.until("\r\n\r\n").await;
    let fair = tokio::spawn(async move {
        let (mut read, mut bytes) = (0, vec![0; 16384]);
        while read < 1_000_000 {
            read += fair.stream.read(&mut bytes).await.expect("it goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let slow = hold(&bench, Kind::BodyDrip).await;
    let idle = hold(&bench, Kind::Idle).await;
    bench.counts(4).await;
    // Two come, and wait for the backend from then on: the places are those of the idle and of the slow one.
    for _ in 0..2 {
        let (mut client, _) = comes_in(&bench).await;
        client.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        more.push(client);
    }
    for gone in [idle, slow] {
        tokio::time::timeout(PATIENCE, gone).await.expect("its place is another's").unwrap();
    }
    tokio::time::timeout(PATIENCE, fair).await.expect("a fair pace").expect("never touched");
    tell.send(true).unwrap();
    for client in more.iter_mut().chain([&mut waiting]) {
        assert!(client.until("ok").await.starts_with("HTTP/1.1 200 "), "an exchange is never cut short for the backend's slowness");
    }
    let line = bench.log.line(|line| line["response_code_details"] == "slow_client_at_a_full_limit").await;
    assert_eq!(line["response_flags"], "OM");
}

#[tokio::test]
async fn what_a_policy_chooses_is_not_cut_short() {
    let (address, _tell) = backend().await;
    let model = with_limit(model(vec![forward("b")], &[("b", &[address])]), 3);
    let model = with_client(model, |client| {
        let chosen = &mut client.timeouts.chosen;
        (chosen.headers, chosen.idle, chosen.stream_idle) = (true, true, true);
    });
    let bench = Bench::with_settings(model, impatient()).await;
    let held = [hold(&bench, Kind::HeadDrip).await, hold(&bench, Kind::Idle).await, hold(&bench, Kind::SlowRead).await];
    bench.counts(3).await;
    // Twice as long as it takes to lose a place otherwise.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(held.iter().all(|it| !it.is_finished()));
    assert_eq!(bench.plane.report().limits[&limit_name()].current, 3);
}

#[tokio::test]
async fn an_idle_time_that_a_policy_chooses_holds_for_who_was_slow_before() {
    let (address, _tell) = backend().await;
    let model = with_limit(model(vec![forward("b")], &[("b", &[address])]), 1);
    let model = with_client(model, |client| client.timeouts.chosen.idle = true);
    let bench = Bench::with_settings(model, impatient()).await;
    let mut client = bench.client().await;
    client.send("GET /some HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    // More than sockets hold, so that the client is waited for.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut bytes = vec![0; 1 << 20];
    while !matches!(client.stream.read(&mut bytes).await, Ok(count @ 1..) if bytes[count - 1] == LAST) {}
    tokio::time::sleep(Duration::from_millis(2500)).await;
    client.send(GET).await;
    assert!(client.until("ok").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_time_that_a_policy_chooses_for_a_proxy_header_is_not_cut_short() {
    let model = with_limit(model(vec![], &[]), 1);
    let model = with_client(model, |client| {
        client.proxy_protocol = Some(weir_model::ProxyProtocol { optional: false });
        client.timeouts.chosen.inspection = true;
    });
    let bench = Bench::with_settings(model, impatient()).await;
    let silent = hold(&bench, Kind::Silence).await;
    bench.counts(1).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!silent.is_finished());
}

/// With the timers as they are by default: nobody waits longer than 15 s for a place that a slow client holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_client_is_served_within_fifteen_seconds() {
    let kinds = [Kind::Silence, Kind::HeadDrip, Kind::BodyDrip, Kind::SlowRead, Kind::Idle, Kind::NextHeadDrip];
    let tries = kinds.map(|kind| {
        tokio::spawn(async move {
            let (bench, _tell) = bench(2, Settings { workers: 1, ..Settings::default() }).await;
            for _ in 0..2 {
                hold(&bench, kind).await;
            }
            bench.counts(2).await;
            let (_good, took) = comes_in(&bench).await;
            println!("{kind:?}: {took:?}");
            assert!(took < Duration::from_secs(15), "{kind:?}: {took:?}");
        })
    });
    for task in tries {
        task.await.unwrap();
    }
}
