//! A worker: a thread with a current-thread runtime, its own listeners, pools, buffers, timers and counters.

mod answer;
mod buffer;
mod connection;
mod decide;
mod edit;
mod exchange;
mod greet;
mod head;
mod listen;
mod local;
mod preface;
mod pressure;
mod pump;
mod refused;
mod stream;
mod tcp;
mod timers;
mod trailers;
mod upstream;
mod view;
mod work;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, LocalSet};
use weir_limits::{Ledger, Slot};

pub(crate) use answer::Details;
use local::LocalSocket;
use refused::Refused;
use timers::{NEVER, Timers};
use upstream::Endpoints;
use work::Works;

use crate::Settings;
use crate::access_log::{LogBuffer, Logger};
use crate::clock::{Clock, TICK};
use crate::config::{Port, Socket};
use crate::control::Refusals;
use crate::mailbox::{Flow, Mailbox};
use crate::process::Process;

/// How often idle upstream connections are looked through, in ticks.
const SWEEP_EVERY: u32 = 10;
/// How often it is looked whether room must be made, in ticks.
const RELIEVE_EVERY: u32 = 10;
/// How long the ticker sleeps while no exchange is in progress.
const SLOW: Duration = Duration::from_secs(1);
/// How many connections may be on their way to a worker. More: the one that accepted keeps them.
pub(crate) const HANDOFFS: usize = 256;

/// Each byte as two digits: every request gets an identity, and digit by digit that took a thirtieth of what a request costs.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse a place that is not there")]
const HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut all = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    all
};

/// What a worker is told.
pub(crate) enum Order {
    /// Accept on this socket.
    Listen(Arc<Socket>, TcpListener),
    /// Stop accepting on the socket with this id; end its connections, at the latest after `drain`. `done` is dropped when all are gone.
    Unlisten { id: u64, drain: Duration, done: mpsc::Sender<()> },
    /// Let the kernel refuse connections to this socket, or accept them again.
    Turn(u64, Flow),
    /// End the thread.
    Stop,
}

/// A connection that another worker accepted.
pub(crate) struct Handoff {
    pub(crate) socket: u64,
    pub(crate) descriptor: OwnedFd,
    pub(crate) peer: SocketAddr,
    pub(crate) slot: Slot,
}

/// What all workers share.
pub(crate) struct Team {
    pub(crate) settings: Settings,
    pub(crate) ledger: Ledger,
    /// Where connections count whose TLS listener is not known yet.
    pub(crate) hall: weir_limits::Cell,
    pub(crate) logger: Logger,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) process: Process,
    pub(crate) members: Vec<Member>,
}

/// A worker as the others see it.
pub(crate) struct Member {
    pub(crate) orders: Mailbox<Order>,
    pub(crate) handoffs: mpsc::Sender<Handoff>,
    pub(crate) load: Load,
}

/// How many connections a worker has, on a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Load {
    /// Written by that worker alone.
    served: AtomicUsize,
    /// On their way to it from others. Without them a burst would be handed over to a worker that only looks idle.
    coming: AtomicUsize,
}

impl Load {
    fn set(&self, count: usize) {
        self.served.store(count, Ordering::Relaxed);
    }

    fn comes(&self) {
        self.coming.fetch_add(1, Ordering::Relaxed);
    }

    fn has_come(&self) {
        self.coming.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> usize {
        self.served.load(Ordering::Relaxed) + self.coming.load(Ordering::Relaxed)
    }
}

/// A worker's own state.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) team: Arc<Team>,
    pub(crate) settings: Settings,
    pub(crate) timers: Timers,
    pub(crate) clock: Clock,
    pub(crate) works: Works,
    pub(crate) endpoints: Endpoints,
    pub(crate) turns: greet::Turns,
    sockets: RefCell<HashMap<u64, Listening>>,
    logs: RefCell<HashMap<u64, Rc<LogBuffer>>>,
    random: RefCell<SmallRng>,
    connections: Cell<usize>,
    active: Cell<usize>,
    refused: Refused,
    /// The tick that the ticker saw last.
    now: Cell<u32>,
    /// The ticker sleeps a tick, not longer.
    fast: Cell<bool>,
    hurry: Notify,
}

struct Listening {
    socket: Rc<LocalSocket>,
    accepting: JoinHandle<()>,
}

/// Starts worker `index` of `team`.
pub(crate) fn start(index: usize, team: Arc<Team>, handoffs: mpsc::Receiver<Handoff>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("weir-worker-{index}")).spawn(move || {
        let worker = Rc::new(Worker::new(index, team));
        LocalSet::new().block_on(&runtime, worker.run(handoffs));
    })?;
    Ok(())
}

impl Worker {
    fn new(index: usize, team: Arc<Team>) -> Self {
        Self {
            index,
            settings: team.settings.clone(),
            team,
            timers: Timers::default(),
            clock: Clock::new(),
            works: Works::default(),
            endpoints: Endpoints::default(),
            turns: greet::Turns::default(),
            sockets: RefCell::default(),
            logs: RefCell::default(),
            random: RefCell::new(SmallRng::from_os_rng()),
            connections: Cell::new(0),
            active: Cell::new(0),
            refused: Refused::default(),
            now: Cell::new(0),
            fast: Cell::new(false),
            hurry: Notify::new(),
        }
    }

    async fn run(self: Rc<Self>, mut handoffs: mpsc::Receiver<Handoff>) {
        tokio::task::spawn_local(self.clone().tick());
        let worker = self.clone();
        tokio::task::spawn_local(async move {
            while let Some(handoff) = handoffs.recv().await {
                listen::take_over(&worker, handoff);
                if let Some(member) = worker.team.members.get(worker.index) {
                    member.load.has_come();
                }
            }
        });
        let Some(member) = self.team.members.get(self.index) else { return };
        loop {
            for order in member.orders.take().await {
                match order {
                    Order::Listen(socket, listener) => self.listen(socket, listener),
                    Order::Unlisten { id, drain, done } => self.unlisten(id, drain, done),
                    Order::Turn(id, flow) => {
                        if let Some(listening) = self.sockets.borrow().get(&id) {
                            listening.socket.valve.set(flow);
                        }
                    }
                    Order::Stop => return,
                }
            }
        }
    }

    fn listen(self: &Rc<Self>, socket: Arc<Socket>, listener: TcpListener) {
        let log = {
            let fresh = || Rc::new(LogBuffer::new(socket.log.clone(), self.team.logger.clone()));
            self.logs.borrow_mut().entry(socket.log_id).or_insert_with(fresh).clone()
        };
        let id = socket.id;
        let socket = Rc::new(LocalSocket::new(socket, log));
        let accepting = tokio::task::spawn_local(listen::accept(self.clone(), socket.clone(), listener));
        socket.socket.listening.fetch_add(1, Ordering::Relaxed);
        self.sockets.borrow_mut().insert(id, Listening { socket, accepting });
    }

    fn unlisten(self: &Rc<Self>, id: u64, drain: Duration, done: mpsc::Sender<()>) {
        let Some(Listening { socket, accepting }) = self.sockets.borrow_mut().remove(&id) else { return };
        accepting.abort();
        socket.socket.listening.fetch_sub(1, Ordering::Relaxed);
        let worker = self.clone();
        tokio::task::spawn_local(async move {
            worker.timers.end(id, drain.is_zero());
            if tokio::time::timeout(drain, socket.empty()).await.is_err() {
                worker.timers.end(id, true);
                socket.empty().await;
            }
            socket.log.flush();
            let log_id = socket.socket.log_id;
            if !worker.sockets.borrow().values().any(|other| other.socket.socket.log_id == log_id) {
                worker.logs.borrow_mut().remove(&log_id);
            }
            // The accepting task holds the listening socket until it is dropped, which is part of being done.
            let _ = accepting.await;
            drop(done);
        });
    }

    /// The coarse timers: each tenth of a second while there is something to do, else each second.
    async fn tick(self: Rc<Self>) {
        let (mut swept, mut relieved) = (0, 0);
        loop {
            let fast = self.active.get() > 0 || !self.refused.is_empty();
            self.fast.set(fast);
            let sleep = tokio::time::sleep(if fast { TICK } else { SLOW });
            tokio::select! {
                () = sleep => {}
                () = self.hurry.notified() => {}
            }
            let now = self.clock.tick(Instant::now());
            self.now.set(now);
            self.clock.renew();
            self.timers.tick(now);
            self.refused.tick(now);
            for log in self.logs.borrow().values() {
                log.flush();
            }
            if now >= relieved + RELIEVE_EVERY {
                relieved = now;
                self.relieve(now);
            }
            if now >= swept + SWEEP_EVERY && self.endpoints.are_idle() {
                swept = now;
                self.endpoints.sweep(now.saturating_sub(self.ticks(self.settings.timeouts.upstream_idle)));
            }
        }
    }

    /// The tick that it is now, as exact as the ticker.
    pub(crate) fn now(&self) -> u32 {
        if self.fast.get() { self.now.get() } else { self.clock.tick(Instant::now()) }
    }

    /// A duration in ticks, rounded up.
    pub(crate) fn ticks(&self, time: Duration) -> u32 {
        u32::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(NEVER)
    }

    /// The tick at which at least `after` has passed from now.
    pub(crate) fn tick_after(&self, after: Duration) -> u32 {
        self.now().saturating_add(self.ticks(after)).saturating_add(1)
    }

    /// Counts connections with an exchange in progress; the first one wakes the ticker up.
    pub(crate) fn set_active(&self, active: bool) {
        if active {
            self.active.set(self.active.get() + 1);
            self.hurry();
        } else {
            self.active.set(self.active.get() - 1);
        }
    }

    /// Makes the ticker fast.
    fn hurry(&self) {
        if !self.fast.get() {
            self.now.set(self.clock.tick(Instant::now()));
            self.fast.set(true);
            self.hurry.notify_one();
        }
    }

    /// Holds a connection that a limit refused for a while.
    pub(crate) fn hold_refused(&self, descriptor: OwnedFd, port: &Arc<Port>, limit: u64, delay: Duration) {
        self.refused.hold(descriptor, port, limit, self.tick_after(delay));
        self.hurry();
    }

    /// A connection has come.
    pub(crate) fn arrived(&self, socket: &LocalSocket) {
        socket.connections.set(socket.connections.get() + 1);
        self.count(self.connections.get() + 1);
    }

    /// It has been admitted by its listener.
    pub(crate) fn entered(&self, socket: &LocalSocket) {
        if let (Some(http), Some(listener)) = (socket.socket.port.stats.get(self.index), socket.socket.stats.get(self.index)) {
            http.connections.add(1);
            http.connections_active.add(1);
            listener.connections.add(1);
            listener.connections_active.add(1);
        }
    }

    /// A connection has gone, which had `entered` or not.
    pub(crate) fn left(&self, socket: &LocalSocket, entered: bool) {
        socket.leave();
        self.count(self.connections.get() - 1);
        if entered && let (Some(http), Some(listener)) = (socket.socket.port.stats.get(self.index), socket.socket.stats.get(self.index)) {
            http.connections_active.sub(1);
            listener.connections_active.sub(1);
        }
        self.team.process.ended();
    }

    fn count(&self, connections: usize) {
        self.connections.set(connections);
        if let Some(member) = self.team.members.get(self.index) {
            member.load.set(connections);
        }
    }

    /// A random UUID (version 4) as text. Not secret, only unique, so a fast generator does.
    pub(crate) fn uuid(&self, out: &mut [u8; 36]) {
        const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
        let mut bytes = {
            let mut random = self.random.borrow_mut();
            (u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())).to_ne_bytes()
        };
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        *out = [b'-'; 36];
        for (byte, at) in bytes.into_iter().zip(PLACES) {
            let digits = HEX.get(usize::from(byte)).copied().unwrap_or_default();
            if let Some(place) = out.get_mut(at..at + 2) {
                place.copy_from_slice(&digits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_uuids() {
        let team = crate::control::team_for_tests();
        let (worker, mut text) = (Worker::new(0, team), [0; 36]);
        worker.uuid(&mut text);
        let text = std::str::from_utf8(&text).expect("text");
        let parts: Vec<_> = text.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{text}");
        assert_eq!(&text[14..15], "4");
        assert!("89ab".contains(&text[19..20]));
    }
}
