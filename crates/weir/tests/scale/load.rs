//! Steady load on all routes while something else happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::manifest;

/// Connections that are kept busy.
const CONNECTIONS: usize = 16;

/// What the load has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answered: AtomicU64,
    /// Answers other than 200 by the right route, and broken connections.
    pub(crate) failed: AtomicU64,
}

/// Requests in rounds, one on each connection, over all routes in turn.
pub(crate) struct Load {
    pub(crate) seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Load {
    /// Starts it: so many requests a second, or as many as there can be.
    pub(crate) fn start(routes: usize, rate: Option<f64>) -> Self {
        let (seen, stop) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (seen, stop) = (seen.clone(), stop.clone());
            move || run(routes, rate, &seen, &stop)
        });
        Self { seen, stop, thread }
    }

    /// Ends it; gives how many requests were answered and how many of them wrongly.
    pub(crate) fn end(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the load does not panic");
        (self.seen.answered.load(Ordering::Relaxed), self.seen.failed.load(Ordering::Relaxed))
    }
}

fn run(routes: usize, rate: Option<f64>, seen: &Seen, stop: &AtomicBool) {
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| Connection::open().expect("the kernel accepts")).collect();
    // Made beforehand, so that what the load costs is the requests.
    let targets: Vec<_> = (0..routes).map(|index| (manifest::host(index), manifest::path(index), manifest::name(index))).collect();
    let mut next = 0;
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let round: Vec<usize> = (0..CONNECTIONS).map(|place| (next + place) % routes).collect();
        // A stride that meets every route, since it is a prime that no number of routes here is a multiple of.
        next = (next + 7919 * CONNECTIONS) % routes;
        for (connection, target) in connections.iter_mut().zip(&round) {
            let (host, path, _) = &targets[*target];
            // What cannot be sent has no answer either, and is counted there.
            let _ = connection.send(host, path);
        }
        for (connection, target) in connections.iter_mut().zip(&round) {
            let answer = connection.receive();
            seen.answered.fetch_add(1, Ordering::Relaxed);
            if !answer.as_ref().is_ok_and(|it| it.status == 200 && it.route.starts_with(&targets[*target].2)) {
                eprintln!("{}: {answer:?}", targets[*target].2);
                seen.failed.fetch_add(1, Ordering::Relaxed);
            }
            if answer.is_err() {
                *connection = Connection::open().expect("the kernel accepts");
            }
        }
        if let Some(rate) = rate {
            due += Duration::from_secs_f64(CONNECTIONS as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}
