//! However a connection ends, its slot comes back: the kernel's table of sockets says what is open, and the gauge must agree.

mod support;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use weir_model::ProxyProtocol;

/// Connections for each way to end.
const MANY: usize = 2000;
/// At once.
const AT_ONCE: usize = 100;
const LIMIT: u64 = 150;

/// How many sockets of the data plane's end a process holds: bound to the listener's address and port, with an inode (those that wait to
/// be accepted have none), and neither listening nor waiting for stray packets after their end. While clients come, it may hold some
/// more for a moment: those that it has accepted and is about to refuse.
fn open(address: IpAddr) -> usize {
    let IpAddr::V4(ip) = address else { panic!("tests use IPv4") };
    let local = format!("{:08X}:{PORT:04X}", u32::from_ne_bytes(ip.octets()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mine = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>()).filter(|words| words.get(1) == Some(&&*local));
    // 01 is ESTABLISHED, 08 CLOSE_WAIT: a process has these; FIN_WAIT and the like are the kernel's alone when no process has them.
    mine.filter(|words| matches!(words.get(3), Some(&"01" | &"08")) && words.get(9) != Some(&"0")).count()
}

/// Waits until so many are open; fails if they stay another number.
async fn settles(bench: &Bench, wanted: u64, what: &str) {
    let settled = async {
        while open(bench.address) as u64 != wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let state = || panic!("{what}: {} sockets, {wanted} wanted: {:?}", open(bench.address), bench.plane.report().limits);
    tokio::time::timeout(Duration::from_secs(3), settled).await.unwrap_or_else(|_| state());
}

/// A backend that behaves as its requests' paths say.
async fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            tokio::spawn(async move {
                let mut read = Vec::new();
                loop {
                    while !read.windows(4).any(|window| window == b"\r\n\r\n") {
                        match stream.read_buf(&mut read).await {
                            Ok(count) if count > 0 => {}
                            _ => return,
                        }
                    }
                    let text = String::from_utf8_lossy(&read).into_owned();
                    read.clear();
                    let path = text.split(' ').nth(1).unwrap_or_default();
                    let answer: &[u8] = match path {
                        "/reset" => {
                            let _ = stream.set_zero_linger();
                            return;
                        }
                        "/half" => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
                        "/chat" => b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi",
                        "/stalled" => b"",
                        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                    };
                    if stream.write_all(answer).await.is_err() || path == "/half" {
                        return;
                    }
                    if path == "/chat" && text.contains("x-end: backend") {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")
}

/// How a client goes about it.
#[derive(Clone, Copy)]
enum End {
    /// Sends this, reads to the end.
    Served(&'static str),
    /// Sends this, reads until that, and closes.
    Left(&'static str, &'static str),
    /// Sends this, reads until that, and resets.
    Reset(&'static str, &'static str),
    /// Sends this, reads until that, says that it sends no more, and reads to the end.
    HalfClosed(&'static str, &'static str),
}

async fn end(target: SocketAddr, how: End) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    let (sent, until) = match how {
        End::Served(sent) => (sent, ""),
        End::Left(sent, until) | End::Reset(sent, until) | End::HalfClosed(sent, until) => (sent, until),
    };
    stream.write_all(sent.as_bytes()).await?;
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(until) {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    }
    match how {
        End::Left(..) => {}
        End::Reset(..) => stream.set_zero_linger()?,
        End::Served(_) => while stream.read_buf(&mut read).await? > 0 {},
        End::HalfClosed(..) => {
            stream.shutdown().await?;
            while stream.read_buf(&mut read).await? > 0 {}
        }
    }
    Ok(())
}

/// `count` connections end in this way; then nothing is left, and (`refill`) a full limit can be taken again.
async fn nothing_is_left(bench: &Bench, name: &str, count: usize, how: End, refill: bool) {
    let (permits, target) = (Arc::new(Semaphore::new(AT_ONCE)), bench.target());
    let ended = (0..count).map(|_| {
        let permits = permits.clone();
        tokio::spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            // A reset is an end, too.
            let _ = tokio::time::timeout(PATIENCE, end(target, how)).await.expect("an end");
        })
    });
    for task in ended.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let gone = async {
        while open(bench.address) > 0 || bench.plane.report().limits[&limit_name()].current > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let state = || panic!("{name}: {} sockets, {:?}", open(bench.address), bench.plane.report().limits);
    tokio::time::timeout(Duration::from_secs(3), gone).await.unwrap_or_else(|_| state());
    if !refill {
        return;
    }
    let mut full = Vec::new();
    for _ in 0..LIMIT {
        let mut client = bench.client().await;
        client.send(&get("/")).await;
        client.until("ok").await;
        full.push(client);
    }
    assert!(bench.refuses().await, "{name}: as many as the limit, and no more");
    settles(bench, LIMIT, name).await;
    drop(full);
    bench.counts(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_a_connection_gives_its_slot_back() {
    let backend = [backend().await];
    let closed = [{
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }];
    let mut nowhere = forward("closed");
    nowhere.name = "httproute/ns/route/rule/1".into();
    nowhere.matches[0].path = weir_model::PathMatch::Prefix("/refused".into());
    let short = Some(Duration::from_millis(100));
    let model = with_limit(model(vec![nowhere, forward("b")], &[("b", &backend), ("closed", &closed)]), LIMIT);
    let plain = with_client(model.clone(), |client| client.connection.max_requests_per_connection = Some(3));
    let impatient = with_client(model.clone(), |client| {
        client.timeouts.headers = short;
        client.timeouts.idle = short;
        client.timeouts.stream_idle = short;
    });
    let old = with_client(model.clone(), |client| {
        client.connection.max_connection_duration = short;
        client.connection.safe_max_connection_duration = false;
    });
    let proxied = with_client(model.clone(), |client| {
        client.proxy_protocol = Some(ProxyProtocol { optional: false });
        client.timeouts.inspection = short;
    });
    const OK: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    const CHAT: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nabc";
    let mut bench = Bench::start(plain).await;
    for (name, how) in [
        ("closed at once", End::Left("", "")),
        ("reset at once", End::Reset("", "")),
        ("closed after an answer", End::Left(OK, "ok")),
        ("reset after an answer", End::Reset(OK, "ok")),
        ("half closed", End::HalfClosed(OK, "ok")),
        ("half closed in a head", End::HalfClosed("GET / HT", "")),
        ("half closed in a body", End::HalfClosed(POST, "")),
        ("reset in a body", End::Reset(POST, "")),
        ("a bad head", End::Served("BAD\r\n\r\n")),
        ("no route", End::Served("GET / HTTP/1.1\r\nHost: none.test\r\nConnection: close\r\n\r\n")),
        ("backend refused", End::Served("GET /refused HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")),
        ("backend reset", End::Served("GET /reset HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")),
        ("backend reset in mid-body", End::Served("GET /half HTTP/1.1\r\nHost: a.test\r\n\r\n")),
        ("gone while the backend stalls", End::Left("GET /stalled HTTP/1.1\r\nHost: a.test\r\n\r\n", "")),
        ("gone in mid-answer", End::Reset("GET /half HTTP/1.1\r\nHost: a.test\r\n\r\n", "HTTP")),
        ("pipelined, then closed", End::Left("GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET /", "")),
        (
            "100-continue abandoned",
            End::Left("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", "100"),
        ),
        ("a tunnel left", End::Left(CHAT, "hi")),
        ("a tunnel reset", End::Reset(CHAT, "hi")),
        (
            "a tunnel closed by the backend",
            End::Served("GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nx-end: backend\r\n\r\n"),
        ),
        (
            "the most requests",
            End::Served(
                "GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            ),
        ),
    ] {
        nothing_is_left(&bench, name, MANY, how, true).await;
    }
    // Ends that take their time: fewer of them.
    bench.apply(impatient).await;
    for (name, how) in [
        ("silent", End::Served("")),
        ("a head that drips", End::Served("GET / HTTP/1.1\r\nHost")),
        ("idle", End::Served(OK)),
        ("backend stalled", End::Served("GET /stalled HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")),
        ("a silent tunnel", End::Served(CHAT)),
        ("a body that stops", End::Served(POST)),
    ] {
        nothing_is_left(&bench, name, MANY / 5, how, false).await;
    }
    bench.apply(old).await;
    nothing_is_left(&bench, "too old", MANY / 5, End::Served(OK), false).await;
    bench.apply(proxied).await;
    let bad = "PROXY TCP9 1.2.3.4 1.2.3.4 1 2\r\n";
    for (name, count, start) in [("a bad PROXY header", MANY, bad), ("a late one", MANY / 5, "PROXY "), ("none", MANY, OK)] {
        let (permits, target) = (Arc::new(Semaphore::new(AT_ONCE)), bench.target());
        let ended: Vec<_> = (0..count)
            .map(|_| {
                let permits = permits.clone();
                tokio::spawn(async move {
                    let _permit = permits.acquire().await.unwrap();
                    let _ = end(target, End::Served(start)).await;
                })
            })
            .collect();
        for task in ended {
            task.await.unwrap();
        }
        bench.counts(0).await;
        settles(&bench, 0, name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_goes_and_a_drain_leave_nothing() {
    let backend = [backend().await];
    let model = with_limit(model(vec![forward("b")], &[("b", &backend)]), LIMIT);
    let mut bench = Bench::start(model.clone()).await;
    let mut held = Vec::new();
    for number in 0..LIMIT {
        let mut client = bench.client().await;
        if number % 2 == 0 {
            client.send(&get("/")).await;
            client.until("ok").await;
        }
        held.push(client);
    }
    let mut none = model.clone();
    none.listeners.clear();
    bench.apply(none).await;
    for client in &mut held {
        assert_eq!(client.rest().await, "", "idle connections end at once");
    }
    bench.counts(0).await;
    settles(&bench, 0, "all are gone").await;
    bench.apply(model).await;
    bench.bound().await;
    let mut waiting = bench.client().await;
    waiting.send(&get("/stalled")).await;
    bench.counts(1).await;
    bench.plane.drain(Duration::from_millis(300)).await;
    waiting.rest().await;
    bench.counts(0).await;
    settles(&bench, 0, "all are gone").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_one_too_many_and_never_one_too_few() {
    const MOST: u64 = 20;
    let backend = [backend().await];
    let bench = Bench::start(with_limit(model(vec![forward("b")], &[("b", &backend)]), MOST)).await;
    for round in 0..30 {
        let target = bench.target();
        // The storm of the round before is over when somebody is let in: until then the kernel refuses, however much room there is.
        while TcpStream::connect(target).await.is_err() {
            tokio::task::yield_now().await;
        }
        bench.counts(0).await;
        let tries: Vec<_> = (0..200)
            .map(|_| {
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(target).await.ok()?;
                    stream.write_all(get("/").as_bytes()).await.ok()?;
                    let count = stream.read(&mut [0; 256]).await.ok()?;
                    (count > 0).then_some(stream)
                })
            })
            .collect();
        let mut live = Vec::new();
        for attempt in tries {
            live.extend(attempt.await.unwrap());
        }
        assert_eq!(live.len() as u64, MOST, "round {round}");
        settles(&bench, MOST, "the kernel says").await;
        drop(live);
        bench.counts(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_under_load_follow_the_sockets() {
    let backend = [backend().await];
    let base = model(vec![forward("b")], &[("b", &backend)]);
    let mut bench = Bench::start(with_limit(base.clone(), 2)).await;
    let target = bench.target();
    // Clients that come again and again, and hold on to what they get.
    let stop = Arc::new(AtomicBool::new(false));
    let mut crowd = Vec::new();
    for _ in 0..8 {
        let stop = stop.clone();
        crowd.push(tokio::spawn(async move {
            let mut held = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                if let Ok(mut stream) = TcpStream::connect(target).await
                    && stream.write_all(get("/").as_bytes()).await.is_ok()
                    && matches!(stream.read(&mut [0; 256]).await, Ok(count) if count > 0)
                {
                    held.push(stream);
                }
                tokio::task::yield_now().await;
            }
            held
        }));
    }
    for (limit, expected) in [(2, 2), (3, 3), (1, 3), (3, 3), (5, 5), (4, 5), (7, 7)] {
        bench.apply(with_limit(base.clone(), limit)).await;
        bench.counts(expected).await;
        // The crowd goes on: if one too many came in, it would be seen here.
        let refused = bench.plane.report().limits[&limit_name()].refused.over_connection_limit;
        while bench.plane.report().limits[&limit_name()].refused.over_connection_limit < refused + 50 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(bench.plane.report().limits[&limit_name()].current, expected, "limit {limit}");
    }
    stop.store(true, Ordering::Relaxed);
    let mut held = Vec::new();
    for client in crowd {
        held.extend(client.await.unwrap());
    }
    assert_eq!(held.len(), 7);
    settles(&bench, 7, "the kernel says").await;
    drop(held);
    bench.counts(0).await;
}
