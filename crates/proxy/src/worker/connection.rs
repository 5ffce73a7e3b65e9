//! A client's connection, from accept to close.
//!
//! ```text
//!            readable                head complete
//!  Waiting ────────────► Reading ───────────────────► Exchange ──┬─► Waiting (no buffers), or Reading if more is here already
//!     │                     │                                    ├─► Lingering ─► closed
//!     └─ end, idle, drain ──┴─ end, timeout, refused ─► answer ──┴─► closed
//! ```

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::AsyncWrite;
use weir_http1::{Invalid, Parsed};
use weir_limits::{Cell, Slot};
use weir_model::Listener;

use super::Worker;
use super::answer::{Details, Reply};
use super::exchange;
use super::local::{LocalConfig, LocalSocket};
use super::preface;
use super::stream::Stream;
use super::timers::{NEVER, Phase};
use super::work::Work;

/// How long and how much a connection that is given up is read from, so that the client can read the answer before a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

/// A client's connection. The socket is declared before the slot: it is closed when the slot is given back.
pub(crate) struct Downstream {
    pub(crate) stream: Stream,
    pub(crate) slot: Slot,
    pub(crate) link: Link,
}

/// What a connection is to its worker.
pub(crate) struct Link {
    pub(crate) worker: Rc<Worker>,
    pub(crate) socket: Rc<LocalSocket>,
    pub(crate) peer: SocketAddr,
    timer: u32,
    active: bool,
    entered: bool,
    /// Requests so far.
    pub(crate) requests: u32,
    /// The tick from which it is too old.
    until: u32,
    /// The listener that it is for, where the port's listeners have each their own connections.
    pub(crate) listener: Option<Arc<Listener>>,
    /// What backends may be told of the client's certificate, if it presented one.
    #[expect(clippy::box_collection, reason = "few connections have one, and all are smaller for it")]
    pub(crate) certificate: Option<Box<String>>,
}

/// Why a wait ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The deadline has passed.
    Expired,
    /// The connection must end now.
    Killed,
}

/// What comes after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another request may come.
    Again,
    /// There was none; it was woken for nothing.
    Nothing,
    /// Close, after the client had time to read the answer: there may be more bytes on their way.
    Linger,
    /// Close, after an answer that is complete and a request that was read whole.
    Finish,
    /// Close.
    Close,
}

impl Link {
    /// A connection that counts in `cell` until its listener is known.
    pub(crate) fn new(worker: Rc<Worker>, socket: Rc<LocalSocket>, peer: SocketAddr, cell: &Cell) -> Self {
        let timer = worker.timers.add(socket.socket.id, cell.id(), worker.now());
        worker.arrived(&socket);
        Self { worker, socket, peer, timer, active: false, entered: false, requests: 0, until: NEVER, listener: None, certificate: None }
    }

    /// The connection is admitted by its listener.
    pub(crate) fn enter(&mut self) {
        if !std::mem::replace(&mut self.entered, true) {
            self.worker.entered(&self.socket);
        }
    }

    /// Whom to wake when its deadline passes or it must end.
    pub(crate) fn set_waker(&self, waker: Waker) {
        self.worker.timers.set_waker(self.timer, waker);
    }

    /// Sets the deadline of what is waited for next.
    #[inline]
    pub(crate) fn set_deadline(&self, tick: u32) {
        self.worker.timers.set(self.timer, tick);
    }

    /// Sets it to `after` from now.
    pub(crate) fn set_timeout(&self, after: Duration) {
        self.set_deadline(self.worker.tick_after(after));
    }

    /// The tick at which `after` has passed from now, if it is a limit.
    #[inline]
    pub(crate) fn tick_after(&self, after: Option<Duration>) -> u32 {
        after.map_or(NEVER, |after| self.worker.tick_after(after))
    }

    /// The place of its listener among the port's.
    #[inline]
    pub(crate) fn place(&self, config: &LocalConfig) -> usize {
        let Some(listener) = &self.listener else { return 0 };
        config.port.listeners.binary_search_by(|it| it.name.cmp(&listener.name)).unwrap_or(0)
    }

    /// What clients see of the connection: `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.listener.is_some() { "https" } else { "http" }
    }

    /// Polls until `poll` is ready, the deadline passes, or the connection is told to end.
    // Not an `async fn`: that would hold `poll` twice, and every connection's memory has room for the largest of its waits.
    #[inline]
    pub(crate) fn wait<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> impl Future<Output = Result<T, Interrupt>> {
        poll_fn(move |cx| match poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => {
                let signals = self.worker.timers.signals(self.timer);
                if signals.kill || signals.shed {
                    Poll::Ready(Err(Interrupt::Killed))
                } else if signals.expired {
                    Poll::Ready(Err(Interrupt::Expired))
                } else {
                    Poll::Pending
                }
            }
        })
    }

    /// Whether this connection should end when it has nothing to do.
    pub(crate) fn is_draining(&self) -> bool {
        self.worker.timers.signals(self.timer).drain
    }

    /// Whether this connection should end with the exchange.
    pub(crate) fn should_end(&self) -> bool {
        self.is_draining() || (self.until != NEVER && self.worker.now() >= self.until)
    }

    /// The tick by which a request must have begun.
    fn idle_deadline(&self, config: &LocalConfig) -> u32 {
        let settings = &config.port.client_of(self.place(config)).settings;
        let age = if settings.connection.safe_max_connection_duration { NEVER } else { self.until };
        self.tick_after(settings.timeouts.idle).min(age)
    }

    /// Makes ready for a request. Nothing of this is held while it is waited for: every idle connection would have room for it.
    fn prepare(&self, work: &mut Work) {
        let config = self.socket.config();
        let settings = &config.port.client_of(self.place(&config)).settings;
        work.request.allow_old = settings.http1.http10.is_some();
        work.input.set_limit(settings.connection.buffer_limit);
        work.output.set_limit(settings.connection.buffer_limit);
    }

    /// The tick by which a head that has begun must be complete.
    fn head_deadline(&self) -> u32 {
        let config = self.socket.config();
        let timeouts = &config.port.client_of(self.place(&config)).settings.timeouts;
        self.tick_after(timeouts.headers).min(self.tick_after(timeouts.request))
    }

    /// It counts in `cell` from now on.
    pub(crate) fn moved_to(&self, cell: &Cell) {
        self.worker.timers.set_cell(self.timer, cell.id(), self.worker.now());
    }

    /// What it does now, as far as making room for others goes.
    #[inline]
    fn set_phase(&self, phase: Phase) {
        self.worker.timers.set_phase(self.timer, phase, self.worker.now());
    }

    /// A request is served, or nothing that is waited for may be cut short: no room is made of it.
    #[inline]
    pub(crate) fn set_busy(&self) {
        self.worker.timers.set_busy(self.timer);
    }

    /// Within an exchange it is the client that is waited for; so many bytes have come from it or gone to it.
    pub(crate) fn set_slow(&self, bytes: u64) {
        self.worker.timers.set_slow(self.timer, bytes, self.worker.now());
    }

    /// Polls it again at the next tick, in a tenth of a second.
    pub(crate) fn look_again(&self) {
        self.worker.timers.look_again(self.timer);
    }

    /// Whether it is ended to make room, and for nothing else.
    pub(crate) fn is_shed(&self) -> bool {
        let signals = self.worker.timers.signals(self.timer);
        signals.shed && !signals.kill
    }

    fn set_active(&mut self, active: bool) {
        if self.active != active {
            self.active = active;
            self.worker.set_active(active);
            if let Some(stats) = self.socket.socket.port.stats.get(self.worker.index) {
                if active { stats.requests_active.add(1) } else { stats.requests_active.sub(1) }
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.set_active(false);
        self.worker.timers.remove(self.timer);
        self.worker.left(&self.socket, self.entered);
    }
}

impl Downstream {
    pub(crate) fn new(stream: Stream, slot: Slot, link: Link) -> Self {
        Self { stream, slot, link }
    }

    /// Serves it to its end.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` would hold `self` twice")]
    pub(crate) fn serve(mut self) -> impl Future<Output = ()> {
        async move {
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            self.link.set_waker(waker);
            if !self.begin().await {
                return;
            }
            let mut amid = false;
            while self.wait_for_request().await {
                let mut work = self.link.worker.works.take();
                self.link.set_active(true);
                let mut next = self.converse(&mut work).await;
                if next == Next::Finish {
                    // What is closed with bytes that nobody read is reset.
                    if self.stream.has_unread() {
                        next = Next::Linger;
                    } else {
                        self.stream.finish();
                    }
                }
                if next == Next::Linger {
                    self.linger(&mut work).await;
                }
                self.link.set_active(false);
                self.link.worker.works.give(work);
                match next {
                    Next::Again => {
                        amid = false;
                        let config = self.link.socket.config();
                        self.link.set_deadline(self.link.idle_deadline(&config));
                        if !config.port.client_of(self.link.place(&config)).settings.timeouts.chosen.idle {
                            self.link.set_phase(Phase::Idle);
                        }
                    }
                    // The rest of a record that has begun must come as soon as that of a head; a drip does not move the deadline again.
                    Next::Nothing if self.stream.is_amid_record() && !std::mem::replace(&mut amid, true) => {
                        let config = self.link.socket.config();
                        let headers = config.port.client_of(self.link.place(&config)).settings.timeouts.headers;
                        self.link.set_deadline(self.link.tick_after(headers));
                    }
                    Next::Nothing => {}
                    Next::Finish => return,
                    Next::Linger | Next::Close => return self.stream.farewell(),
                }
            }
            self.stream.farewell();
        }
    }

    /// What comes before the first request. False: the connection is to be closed.
    async fn begin(&mut self) -> bool {
        let config = self.link.socket.config();
        let settings = &config.port.client_of(self.link.place(&config)).settings;
        self.link.until = self.link.tick_after(settings.connection.max_connection_duration);
        // Before TLS it has been read already.
        if let (Some(rule), Stream::Plain(tcp)) = (settings.proxy_protocol, &mut self.stream) {
            let Ok(tcp) = tcp.watch() else { return false };
            self.link.set_deadline(self.link.tick_after(settings.timeouts.inspection));
            if settings.timeouts.chosen.inspection {
                self.link.set_busy();
            }
            // In a box, since it is short and would be part of every idle connection's memory.
            match Box::pin(preface::read(&self.link, tcp, rule)).await {
                Some(source) => self.link.peer = source.unwrap_or(self.link.peer),
                None => return false,
            }
            if settings.timeouts.chosen.inspection {
                self.link.set_phase(Phase::Silent);
            }
        }
        let chosen = settings.timeouts.chosen;
        if chosen.headers || chosen.request {
            self.link.set_busy();
        } else if chosen.tls_handshake {
            // The handshake was not to be cut short; the silence after it may be.
            self.link.set_phase(Phase::Silent);
        }
        // A client that says nothing must not hold a slot for as long as one that has asked for something.
        let first = self.link.tick_after(settings.timeouts.headers).min(self.link.idle_deadline(&config));
        self.link.set_deadline(first);
        true
    }

    /// Waits without holding a buffer. False: there will be no request.
    async fn wait_for_request(&mut self) -> bool {
        let Self { link, stream, .. } = self;
        let ready = link.wait(|cx| match stream.poll_readable(cx) {
            Poll::Pending if link.is_draining() => Poll::Ready(false),
            poll => poll.map(|ready| ready.is_ok()),
        });
        matches!(ready.await, Ok(true))
    }

    /// Serves the requests that are here.
    async fn converse(&mut self, work: &mut Work) -> Next {
        let mut pipelined = false;
        loop {
            let length = match self.read_head(work, pipelined).await {
                Head::Complete(length) => {
                    self.link.set_busy();
                    length
                }
                Head::Nothing => return Next::Nothing,
                Head::Gone => return Next::Close,
                Head::Refused => return exchange::refuse(self, work).await,
            };
            match exchange::run(self, work, length).await {
                Next::Again if work.input.is_empty() => return Next::Again,
                Next::Again => pipelined = true,
                next => return next,
            }
        }
    }

    /// Reads until a head is complete; from what is there first, if requests are pipelined.
    async fn read_head(&mut self, work: &mut Work, pipelined: bool) -> Head {
        let mut parse = pipelined;
        let mut armed = false;
        self.link.prepare(work);
        loop {
            if parse {
                match work.request.parse(work.input.filled()) {
                    Ok(Parsed::Complete(length)) => return Head::Complete(length),
                    Ok(Parsed::Partial) if work.input.make_room() => {}
                    Ok(Parsed::Partial) => return Head::refused(work, refusal(Invalid::TooLarge)),
                    Err(invalid) => return Head::refused(work, refusal(invalid)),
                }
                if !armed {
                    self.link.set_deadline(self.link.head_deadline());
                    armed = true;
                }
            }
            let (stream, input) = (&mut self.stream, &mut work.input);
            let read = self.link.wait(|cx| match input.poll_read(cx, stream) {
                // Woken for nothing: no buffer is held while waiting for a first byte.
                Poll::Pending if input.is_empty() => Poll::Ready(None),
                poll => poll.map(Some),
            });
            match read.await {
                Ok(None) => return Head::Nothing,
                Ok(Some(Ok(0) | Err(_))) | Err(Interrupt::Killed) => return Head::Gone,
                Ok(Some(Ok(count))) => {
                    if let Some(stats) = self.link.socket.socket.port.stats.get(self.link.worker.index) {
                        stats.received.add(count as u64);
                    }
                }
                Err(Interrupt::Expired) => {
                    let body = "the request's head did not arrive in time\n";
                    return Head::refused(work, Reply::new(408, "-", Details::Text("request_header_timeout"), body));
                }
            }
            parse = true;
        }
    }

    /// Sends no more, and reads what is still coming, for a while.
    async fn linger(&mut self, work: &mut Work) {
        self.link.set_timeout(LINGER);
        let (stream, input) = (&mut self.stream, &mut work.input);
        let mut left = LINGER_BYTES;
        let drained = self.link.wait(|cx| {
            if left == LINGER_BYTES && Pin::new(&mut *stream).poll_shutdown(cx).is_pending() {
                return Poll::Pending;
            }
            loop {
                input.reset(&self.link.worker.works.spares);
                match input.poll_read(cx, stream) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(count)) if count > 0 && count < left => left -= count,
                    Poll::Ready(_) => return Poll::Ready(()),
                }
            }
        });
        // However it ended, the connection is closed now.
        let _ = drained.await;
    }
}

enum Head {
    Complete(usize),
    Nothing,
    Gone,
    /// With the answer in `Work::reply`.
    Refused,
}

impl Head {
    fn refused(work: &mut Work, reply: Reply) -> Self {
        work.reply = Some(reply);
        Self::Refused
    }
}

/// The answer to a head that cannot be read.
fn refusal(invalid: Invalid) -> Reply {
    let (status, body) = match invalid {
        Invalid::TooLarge => (431, "the request's head is too large\n"),
        Invalid::LowVersion => (426, "HTTP/1.0 is not supported; use HTTP/1.1\n"),
        Invalid::Connect => (403, "CONNECT is not supported\n"),
        _ => (400, "the request is malformed\n"),
    };
    // The text is a literal of `weir_http1`; an allocation on a path that ends the connection.
    Reply::new(status, "DPE", Details::Shared(invalid.to_string().into()), body)
}

#[cfg(test)]
pub(crate) mod tests;
