//! A client's way through TLS, from accept to the first request.
//!
//! ```text
//!            hello complete            slot of the listener taken      turn            finished
//!   Hall ───────────────────► Named ───────────────────────────► Queue ────► Handshake ────────► Downstream
//!    │                          │                                  │             │
//!    ├─ silence, too long: end  ├─ no such host: end               ├─ full: reset├─ failed: alert, end
//!    └─ not TLS: end            └─ limit reached: reset            └─ too late   └─ too late, gone: end
//! ```
//!
//! In the hall a connection counts against the hall's own small limit, and against its listener's from the moment that it is known:
//! before any work with keys. "End" means without a word, since nothing has been promised yet.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use weir_limits::Slot;
use weir_model::Protocol;

use super::Worker;
use super::connection::{Downstream, Interrupt, Link};
use super::listen;
use super::local::LocalSocket;
use super::preface;
use super::refused::reset;
use super::stream::Stream;
use crate::config::SecureListener;
use crate::stats::{Count, TlsStats};
use crate::tls::{self, Failed, Fingerprints, Greeting, Heard, Progress, Secure, Session};

/// How many handshakes use their keys before everybody else who is ready has had a turn: a key operation takes about 180 µs, many requests'
/// time, and a flood of handshakes must not starve those that are served.
const TURNS: usize = 2;
/// How many may wait for their turn, which takes less than a second then. More are reset: they would wait in vain for longer.
const MAX_WAITING: usize = 4096;
/// How long a failed handshake is read from, so that the client can read why before a reset.
const LINGER: Duration = Duration::from_secs(1);

/// A worker's order of handshakes.
pub(crate) struct Turns {
    turns: Semaphore,
    waiting: Cell<usize>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { turns: Semaphore::new(TURNS), waiting: Cell::new(0) }
    }
}

/// Counts one that waits, however that ends.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<usize>) -> Option<Self> {
        (count.get() < MAX_WAITING).then(|| {
            count.set(count.get() + 1);
            Self(count)
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A connection whose listener is not known yet. The socket is declared before the slot: it is closed when the slot is given back.
struct Guest {
    tcp: TcpStream,
    slot: Slot,
    link: Link,
}

/// Why a connection came to nothing.
enum Turned {
    /// Its end, counted here.
    Away(fn(&TlsStats) -> &Count),
    /// It is told to end, or a limit has refused and counted it.
    Silently,
}

/// Leads a new connection through TLS and serves it.
pub(crate) fn receive(
    worker: Rc<Worker>,
    socket: Rc<LocalSocket>,
    tcp: TcpStream,
    peer: SocketAddr,
    slot: Slot,
) -> impl Future<Output = ()> {
    let team = worker.team.clone();
    let guest = Guest { tcp, slot, link: Link::new(worker, socket, peer, &team.hall) };
    // In a box, which is gone when the connection is served: it would be part of every idle connection's memory.
    let introduction = Box::pin(introduce(guest));
    async move {
        if let Some(connection) = introduction.await {
            connection.serve().await;
        }
    }
}

async fn introduce(guest: Guest) -> Option<Downstream> {
    let (worker, socket) = (guest.link.worker.clone(), guest.link.socket.clone());
    let stats = socket.socket.stats.get(worker.index).map(|stats| &stats.tls);
    if let Some(stats) = stats {
        stats.pre_active.add(1);
    }
    let named = name(guest).await;
    if let Some(stats) = stats {
        stats.pre_active.sub(1);
    }
    let outcome = match named {
        Ok((guest, listener, heard)) => shake_hands(guest, listener, heard).await,
        Err(turned) => Err(turned),
    };
    match outcome {
        Ok(connection) => Some(connection),
        Err(Turned::Away(count)) => {
            if let Some(stats) = stats {
                count(stats).add(1);
            }
            None
        }
        Err(Turned::Silently) => None,
    }
}

/// Finds out which listener the client wants, and counts the connection there.
async fn name(mut guest: Guest) -> Result<(Guest, Arc<SecureListener>, Heard), Turned> {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    guest.link.set_waker(waker);
    let config = guest.link.socket.config();
    // What happens before a listener is known is the same at all of a port.
    let settings = &config.port.client().settings;
    guest.link.set_deadline(guest.link.tick_after(settings.timeouts.inspection));
    if settings.timeouts.chosen.inspection {
        guest.link.set_busy();
    }
    if let Some(rule) = settings.proxy_protocol {
        match preface::read(&guest.link, &guest.tcp, rule).await {
            Some(source) => guest.link.peer = source.unwrap_or(guest.link.peer),
            None => return Err(Turned::Away(|stats| &stats.gone)),
        }
    }
    let heard = hear(&mut guest).await?;
    // Not the one from before the wait: the configuration may have changed in between.
    let config = guest.link.socket.config();
    let Some(listener) = config.port.secure(heard.server_name.as_deref()) else { return Err(Turned::Away(|stats| &stats.no_match)) };
    if let Err(refusal) = guest.slot.transfer(&listener.cell) {
        let Guest { link, slot: _in_the_hall, tcp } = guest;
        if let Ok(tcp) = tcp.into_std() {
            let delay = listener.listener.client.connection.close_delay;
            listen::refuse(&link.worker, &link.socket, tcp.into(), link.peer, &refusal, delay);
        }
        return Err(Turned::Silently);
    }
    guest.link.moved_to(&listener.cell);
    let chosen = listener.listener.client.timeouts.chosen;
    if chosen.tls_handshake || chosen.headers || chosen.request {
        guest.link.set_busy();
    }
    Ok((guest, listener.clone(), heard))
}

/// Reads the hello. Holds nothing while the client is silent.
async fn hear(guest: &mut Guest) -> Result<Heard, Turned> {
    let Guest { tcp, link, .. } = guest;
    let mut greeting = None;
    let heard = link.wait(|cx| {
        loop {
            let mut bytes = [0; 2048];
            let mut space = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut *tcp).poll_read(cx, &mut space)) {
                Ok(()) if !space.filled().is_empty() => {}
                _ => return Poll::Ready(Err(Turned::Away(|stats| &stats.gone))),
            }
            match greeting.get_or_insert_with(Greeting::new).hear(space.filled()) {
                Ok(None) => {}
                Ok(Some(heard)) => return Poll::Ready(Ok(heard)),
                Err(_) => return Poll::Ready(Err(Turned::Away(|stats| &stats.not_tls))),
            }
        }
    });
    match heard.await {
        Ok(heard) => heard,
        Err(Interrupt::Expired) => Err(Turned::Away(|stats| &stats.pre_timeout)),
        Err(Interrupt::Killed) => Err(Turned::Silently),
    }
}

async fn shake_hands(guest: Guest, listener: Arc<SecureListener>, heard: Heard) -> Result<Downstream, Turned> {
    // In the reverse of this order they are dropped, however this ends: the socket before the slot.
    let Guest { mut link, slot, tcp } = guest;
    let failed = || Turned::Away(|stats| &stats.failed);
    link.set_deadline(link.tick_after(listener.listener.client.timeouts.tls_handshake));
    let (config, asks) = (listener.terms.config.clone(), listener.terms.asks);
    let wanted: &[_] = match &listener.listener.protocol {
        Protocol::Https(tls) => &tls.fingerprints,
        Protocol::Http => &[],
    };
    let fingerprints = Fingerprints::of(&heard.bytes, wanted).map(Rc::new);
    let session = Session { listener, server_name: heard.server_name, fingerprints };
    let Ok(mut secure) = Secure::new(tcp, config, session, heard.bytes).map(Box::new) else { return Err(failed()) };
    let mut needs_turn = true;
    loop {
        let progress = match needs_turn {
            false => secure.advance(),
            true => match in_turn(&link, || secure.advance()).await? {
                Some(progress) => progress,
                None => {
                    reset(secure.tcp());
                    return Err(Turned::Away(|stats| &stats.crowded));
                }
            },
        };
        match progress {
            Ok(Progress::Done) => break,
            Ok(Progress::Waits) => {}
            Err(why) => {
                part(&link, &mut secure).await;
                return Err(Turned::Away(match why {
                    Failed::NoCertificate => |stats| &stats.no_certificate,
                    Failed::WrongCertificate => |stats| &stats.wrong_certificate,
                    Failed::Other => |stats| &stats.failed,
                }));
            }
        }
        // A client's certificate takes as much work to verify.
        needs_turn = asks;
        match link.wait(|cx| secure.poll_hear(cx)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) => return Err(failed()),
            Err(Interrupt::Expired) => return Err(Turned::Away(|stats| &stats.timeout)),
            Err(Interrupt::Killed) => return Err(Turned::Silently),
        }
    }
    // A certificate may have expired since, and revocation lists may: a ticket is no way around that.
    if asks && secure.is_resumed() {
        match in_turn(&link, || secure.session.listener.terms.still_trusts(secure.peer_certificates())).await? {
            Some(true) => {}
            Some(false) => {
                part(&link, &mut secure).await;
                return Err(Turned::Away(|stats| &stats.wrong_certificate));
            }
            None => {
                reset(secure.tcp());
                return Err(Turned::Away(|stats| &stats.crowded));
            }
        }
    }
    // The client waits for the server's last word in TLS 1.2. In 1.3 there are only tickets, which can go with the first answer.
    if secure.must_flush() && !matches!(link.wait(|cx| secure.poll_flush(cx)).await, Ok(Ok(()))) {
        return Err(failed());
    }
    if let Some(stats) = link.socket.socket.stats.get(link.worker.index) {
        stats.tls.handshakes.add(1);
    }
    link.enter();
    if let Some(chain) = secure.peer_certificates() {
        let Session { listener, server_name, .. } = &secure.session;
        let details = &listener.listener.client.headers.client_cert_details;
        let own = listener.terms.own_uris(server_name.as_deref());
        link.certificate = Some(Box::new(tls::forwarded_certificate(own, chain, details)));
    }
    link.listener = Some(secure.session.listener.listener.clone());
    Ok(Downstream::new(Stream::Secure(secure), slot, link))
}

/// Works with the keys when it is this connection's turn, and then lets everybody else go on. None: too many wait.
async fn in_turn<T>(link: &Link, work: impl FnOnce() -> T) -> Result<Option<T>, Turned> {
    let worker = link.worker.clone();
    let Some(waiting) = Waiting::new(&worker.turns.waiting) else { return Ok(None) };
    let mut acquire = pin!(worker.turns.turns.acquire());
    let turn = match link.wait(|cx| acquire.as_mut().poll(cx)).await {
        Ok(turn) => turn,
        Err(Interrupt::Expired) => return Err(Turned::Away(|stats| &stats.timeout)),
        Err(Interrupt::Killed) => return Err(Turned::Silently),
    };
    drop(waiting);
    let done = work();
    tokio::task::yield_now().await;
    drop(turn);
    Ok(Some(done))
}

/// Says why, and reads what is still coming for a moment, so that the client can read it.
async fn part(link: &Link, secure: &mut Secure) {
    secure.farewell();
    link.set_timeout(LINGER);
    let drained = link.wait(|cx| {
        let _ = secure.poll_shutdown(cx);
        loop {
            match secure.poll_drain(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(()),
            }
        }
    });
    // However it ended, the connection is closed now.
    let _ = drained.await;
}

#[cfg(test)]
mod tests {
    use tokio::task::{LocalSet, spawn_local, yield_now};
    use weir_model::ClientSettings;

    use super::*;
    use crate::worker::connection::tests::listening;

    #[tokio::test]
    async fn a_flood_of_handshakes_leaves_room_for_everybody_else() {
        let (worker, socket, _listener) = listening(ClientSettings::default()).await;
        let cell = worker.team.ledger.cell("ns/eg/http");
        let done = Rc::new(Cell::new(0));
        let crowded = Rc::new(Cell::new(0));
        let flood = |_| {
            let link = Link::new(worker.clone(), socket.clone(), ([127, 0, 0, 1], 1).into(), &cell);
            let (done, crowded) = (done.clone(), crowded.clone());
            spawn_local(async move {
                match in_turn(&link, || done.set(done.get() + 1)).await {
                    Ok(Some(())) => {}
                    Ok(None) => crowded.set(crowded.get() + 1),
                    Err(_) => panic!("nobody ended it"),
                }
            })
        };
        LocalSet::new()
            .run_until(async {
                let all: Vec<_> = (0..MAX_WAITING + 100).map(flood).collect();
                let mut most = 0;
                while done.get() + crowded.get() < all.len() {
                    let before = done.get();
                    yield_now().await;
                    most = most.max(done.get() - before);
                }
                // Those who find a turn free do not wait for one.
                assert!(most <= 2 * TURNS, "{most} handshakes before the next request");
                assert!((100 - TURNS..=100).contains(&crowded.get()), "{} were reset", crowded.get());
            })
            .await;
    }
}
