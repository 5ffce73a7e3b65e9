//! Metrics and readiness, on a thread of their own, so that they answer whatever the data plane is doing. Never limited by a
//! connection limit; a fixed number at once instead. Where the process has no descriptor left, there are a few in reserve for them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{AbortHandle, LocalSet};
use weir_http1::{Parsed, Request, write};

use crate::control::Shared;
use crate::exposition;

/// The most requests at once on one address.
const MAX_AT_ONCE: usize = 32;
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many descriptors are kept for requests that come when the process has none left.
const SPARE: usize = 4;
/// How long accepting pauses when even those are gone.
const PAUSE: Duration = Duration::from_millis(100);
/// How soon a port that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// What the admin thread is told.
#[derive(Default)]
pub(crate) struct Orders {
    wanted: Mutex<Wanted>,
    changed: Notify,
}

#[derive(Default)]
struct Wanted {
    addresses: BTreeSet<IpAddr>,
    stop: bool,
}

impl Orders {
    /// Serve at these addresses and no others.
    pub(crate) fn serve_at(&self, addresses: BTreeSet<IpAddr>) {
        let mut wanted = self.wanted.lock();
        if wanted.addresses != addresses {
            wanted.addresses = addresses;
            self.changed.notify_one();
        }
    }

    /// End.
    pub(crate) fn stop(&self) {
        self.wanted.lock().stop = true;
        self.changed.notify_one();
    }
}

/// Starts the thread.
pub(crate) fn start(shared: Arc<Shared>) -> io::Result<Arc<Orders>> {
    let orders = Arc::new(Orders::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = orders.clone();
    std::thread::Builder::new().name("weir-admin".into()).spawn(move || {
        LocalSet::new().block_on(&runtime, run(shared, told));
    })?;
    Ok(orders)
}

async fn run(shared: Arc<Shared>, orders: Arc<Orders>) {
    let mut serving: BTreeMap<SocketAddr, AbortHandle> = BTreeMap::new();
    let mut complained = BTreeSet::new();
    let spares = Rc::new(Spares::default());
    spares.fill();
    let settings = &shared.team.settings;
    loop {
        let wanted: BTreeSet<SocketAddr> = {
            let wanted = orders.wanted.lock();
            if wanted.stop {
                return;
            }
            let ports = [settings.metrics_port, settings.ready_port];
            wanted.addresses.iter().flat_map(|ip| ports.map(|port| SocketAddr::new(*ip, port))).collect()
        };
        serving.retain(|address, task| {
            let stays = wanted.contains(address);
            if !stays {
                task.abort();
            }
            stays
        });
        let mut failed = false;
        for address in wanted {
            if serving.contains_key(&address) {
                continue;
            }
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    complained.remove(&address);
                    serving.insert(
                        address,
                        tokio::task::spawn_local(accept(shared.clone(), listener, address, spares.clone())).abort_handle(),
                    );
                }
                Err(error) => {
                    if complained.insert(address) {
                        tracing::warn!(%address, %error, "metrics or readiness cannot be served here; it is tried again");
                    }
                    failed = true;
                }
            }
        }
        if failed {
            let _ = tokio::time::timeout(RETRY, orders.changed.notified()).await;
        } else {
            orders.changed.notified().await;
        }
    }
}

/// Descriptors that are given up when others are needed.
#[derive(Default)]
struct Spares(RefCell<Vec<File>>);

impl Spares {
    /// Takes as many as there should be, if there are so many.
    fn fill(&self) {
        let mut files = self.0.borrow_mut();
        while files.len() < SPARE {
            let Ok(file) = File::open("/dev/null") else { return };
            files.push(file);
        }
    }

    /// Frees one. False: all are gone.
    fn give_up_one(&self) -> bool {
        self.0.borrow_mut().pop().is_some()
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, address: SocketAddr, spares: Rc<Spares>) {
    let permits = Arc::new(Semaphore::new(MAX_AT_ONCE));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (shared, spares) = (shared.clone(), spares.clone());
                tokio::task::spawn_local(async move {
                    // An error is the client's loss.
                    let _ = tokio::time::timeout(TIMEOUT, answer(&shared, stream, address)).await;
                    spares.fill();
                    drop(permit);
                });
            }
            Err(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) && spares.give_up_one() => {}
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                spares.fill();
            }
        }
    }
}

/// Answers one request.
async fn answer(shared: &Shared, mut stream: TcpStream, address: SocketAddr) -> io::Result<()> {
    let mut input = Vec::with_capacity(1024);
    let mut request = Request::default();
    let status = loop {
        match request.parse(&input) {
            Ok(Parsed::Complete(_)) => break 200,
            Err(_) => break 400,
            Ok(Parsed::Partial) if stream.read_buf(&mut input).await? == 0 => return Ok(()),
            Ok(Parsed::Partial) => {}
        }
    };
    let path = request.target.bytes(&input).split(|byte| *byte == b'?').next().unwrap_or_default();
    let is_ready = address.port() == shared.team.settings.ready_port;
    let (status, body) = match (status, path) {
        (200, b"/ready") if is_ready => exposition::ready(shared, address.ip()),
        (200, b"/stats/prometheus") if !is_ready => (200, exposition::metrics(shared, address.ip())),
        (200, _) => (404, "try /stats/prometheus or /ready\n".into()),
        (status, _) => (status, String::new()),
    };
    let mut out = Vec::with_capacity(body.len() + 256);
    write::status_line(&mut out, status, b"");
    write::field(&mut out, b"content-type", if status == 200 && !is_ready { b"text/plain; version=0.0.4" } else { b"text/plain" });
    write::field(&mut out, b"content-length", body.len().to_string().as_bytes());
    out.extend_from_slice(b"connection: close\r\n\r\n");
    if !request.is_head {
        out.extend_from_slice(body.as_bytes());
    }
    stream.write_all(&out).await?;
    stream.shutdown().await
}
