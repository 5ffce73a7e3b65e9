//! Never one too many and never one too few, however many come at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::crowd::*;
use super::support::*;

const MOST: usize = 100;
const CLIENTS: usize = 1000;
/// Rounds, unless `WEIR_OVERSHOOT_ROUNDS` says otherwise.
const USUAL: usize = 30;

/// A backend that knows how many requests are at it at once.
#[derive(Default)]
struct Witness {
    asked: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Witness {
    /// Answers each request after `delay`.
    async fn start(delay: Duration) -> (std::net::SocketAddr, Arc<Self>) {
        let (witness, listener) = (Arc::<Self>::default(), super::origin::listen());
        let (address, kept) = (listener.local_addr().unwrap(), witness.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(kept.clone().serve(stream, delay));
            }
        });
        (address, witness)
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream, delay: Duration) {
        let mut read = Vec::new();
        while matches!(stream.read_buf(&mut read).await, Ok(count) if count > 0) {
            if !read.ends_with(b"\r\n\r\n") {
                continue;
            }
            read.clear();
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            // Before the answer: the client may go as soon as it has it.
            self.now.fetch_sub(1, Ordering::SeqCst);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.is_err() {
                return;
            }
        }
    }
}

/// One try: the connection if it was served. It ends by a reset, which leaves nothing behind.
async fn attempt(target: std::net::SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(target).await.ok()?;
    stream.set_zero_linger().ok()?;
    stream.write_all(GET.as_bytes()).await.ok()?;
    until(&mut stream, &mut Vec::new(), "ok").await.then_some(stream)
}

/// Nobody leaves during a round: so whoever is served stays, and as many as the limit are. What they hold are answers of the backend, each
/// of which it has counted; and the kernel has that many sockets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_at_once_a_hundred_are_admitted() {
    let rounds = std::env::var("WEIR_OVERSHOOT_ROUNDS").map_or(USUAL, |text| text.parse().expect("WEIR_OVERSHOOT_ROUNDS is a number"));
    let (address, witness) = Witness::start(Duration::ZERO).await;
    let bench = Bench::start(with_limit(model(vec![forward("b")], &[("b", &[address])]), MOST as u64)).await;
    let (target, start) = (bench.target(), Instant::now());
    for round in 0..rounds {
        // The storm of the round before is over when somebody is let in: until then the kernel refuses, however much room there is.
        while TcpStream::connect(target).await.is_err() {
            tokio::task::yield_now().await;
        }
        gone(&bench, "the round before").await;
        let before = witness.asked.load(Ordering::SeqCst);
        let live: Vec<_> = all(CLIENTS, |_| attempt(target)).await.into_iter().flatten().collect();
        assert_eq!(live.len(), MOST, "round {round}");
        assert_eq!(witness.asked.load(Ordering::SeqCst) - before, MOST, "round {round}: at the backend");
        let state = || format!("{} sockets", kernel::open(target));
        eventually("those who were refused are gone", state, async || kernel::open(target) == MOST).await;
        assert_eq!(counted(&bench), MOST as u64);
    }
    println!("{rounds} rounds in {} ms", start.elapsed().as_millis());
}

/// Clients come and go all the time. A request at the backend is one of a connection that was there before it came and is there until its
/// answer has left: so never are more at the backend than may be connected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_when_others_go_is_never_one_too_many() {
    let (address, witness) = Witness::start(Duration::from_millis(1)).await;
    let bench = Bench::start(with_limit(model(vec![forward("b")], &[("b", &[address])]), MOST as u64)).await;
    let (target, served) = (bench.target(), Arc::new(AtomicUsize::new(0)));
    let crowd = all(400, |_| {
        let served = served.clone();
        async move {
            while served.load(Ordering::Relaxed) < 2000 {
                match attempt(target).await {
                    Some(stream) => {
                        served.fetch_add(1, Ordering::Relaxed);
                        drop(stream);
                    }
                    None => tokio::task::yield_now().await,
                }
            }
        }
    });
    let start = Instant::now();
    crowd.await;
    println!("{} came and went in {} ms", served.load(Ordering::Relaxed), start.elapsed().as_millis());
    let most = witness.most.load(Ordering::SeqCst);
    assert!(most <= MOST, "{most} at once");
    assert!(most > MOST / 2, "only {most} at once prove little");
    gone(&bench, "at the end").await;
}
