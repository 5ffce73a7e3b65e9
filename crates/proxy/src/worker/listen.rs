//! Accepting: count first, then hand over or serve.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use weir_limits::{Refusal, Slot};
use weir_model::{ConnectionSettings, TcpKeepalive};

use super::connection::{Downstream, Link};
use super::local::LocalSocket;
use super::refused::reset;
use super::stream::Stream;
use super::tcp::Tcp;
use super::{Handoff, Worker, greet};
use crate::control::{BACKLOG, Refusee};
use crate::mailbox::Flow;

/// How long accepting pauses when descriptors have run out: asking again at once would only burn the processor.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until it is aborted.
///
/// The listening descriptor is held as a stream: what is wanted of the runtime is readiness alone. Its own listener would register each
/// connection before it is known whether it stays here, or at all; and what it has for bare descriptors is unsafe.
pub(crate) async fn accept(worker: Rc<Worker>, socket: Rc<LocalSocket>, listener: TcpListener) {
    let mut listener = OwnedFd::from(listener);
    loop {
        // Registered anew after each pause: a registration that has seen a socket stop listening never rests again.
        let registered = match TcpStream::from_std(listener.into()) {
            Ok(registered) => registered,
            Err(error) => return tracing::error!(address = %socket.socket.address, %error, "cannot accept connections"),
        };
        tokio::select! {
            () = accept_all(&worker, &socket, &registered) => return,
            () = socket.valve.is(Flow::Stopped) => {}
        }
        listener = match registered.into_std() {
            Ok(listener) => listener.into(),
            Err(error) => return tracing::error!(address = %socket.socket.address, %error, "cannot accept connections"),
        };
        // From here on the kernel refuses; connections that are open stay so.
        let stopped = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
        socket.valve.is(Flow::Open).await;
        if stopped.is_ok()
            && let Err(error) = rustix::net::listen(&listener, BACKLOG)
        {
            return tracing::error!(address = %socket.socket.address, %error, "cannot listen again");
        }
    }
}

/// Accepts while it is polled.
async fn accept_all(worker: &Rc<Worker>, socket: &Rc<LocalSocket>, listener: &TcpStream) {
    loop {
        if listener.readable().await.is_err() {
            return;
        }
        // So many before others get their turn, so that a flood cannot starve those that are served.
        let batch = match socket.config().port.client().settings.connection.max_accept_per_socket_event {
            0 => usize::MAX,
            some => some as usize,
        };
        let mut all = false;
        for _ in 0..batch {
            let accept = || Ok(acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?);
            match listener.try_io(Interest::READABLE, accept) {
                Ok((descriptor, peer)) => {
                    if worker.team.process.is_reserved(&descriptor) {
                        reset(&descriptor);
                        worker.team.process.refuse();
                        socket.socket.port.refused.fetch_add(1, Ordering::Relaxed);
                    } else if let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                        admit(worker, socket, descriptor, peer);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    all = true;
                    break;
                }
                Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                    if worker.team.process.may_say_paused(Instant::now()) {
                        tracing::warn!(address = %socket.socket.address, %error, "accepting pauses (raise `ulimit -n`)");
                    }
                    tokio::time::sleep(PAUSE).await;
                    break;
                }
                // The peer has gone already (ECONNABORTED and its kin): the next one then.
                Err(_) => {}
            }
        }
        if !all {
            tokio::task::yield_now().await;
        }
    }
}

/// A worker refused `peer`: closes the connection, at once or after the listener's delay.
pub(crate) fn refuse(
    worker: &Rc<Worker>,
    socket: &LocalSocket,
    descriptor: OwnedFd,
    peer: SocketAddr,
    refusal: &Refusal,
    close_delay: Option<Duration>,
) {
    let port = &socket.socket.port;
    match close_delay {
        Some(delay) if !delay.is_zero() => worker.hold_refused(descriptor, port, refusal.value, delay),
        _ => reset(&descriptor),
    }
    port.refused.fetch_add(1, Ordering::Relaxed);
    let refusee = Refusee { client: peer, local: socket.socket.address, current: refusal.current };
    worker.team.refusals.note(&refusal.limit, refusee);
}

/// Sets what the listener wants of its connections. What cannot be set is left as it is: the connection works all the same.
fn tune(settings: &ConnectionSettings, keepalive: Option<&TcpKeepalive>, descriptor: &OwnedFd) {
    let socket = SockRef::from(descriptor);
    if let Some(bytes) = settings.socket_buffer_limit {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        // The kernel doubles what it is given, for its own use.
        let _ = socket.set_recv_buffer_size(bytes);
        let _ = socket.set_send_buffer_size(bytes);
    }
    if let Some(TcpKeepalive { probes, idle, interval }) = keepalive {
        let mut keepalive = socket2::TcpKeepalive::new();
        if let Some(idle) = idle {
            keepalive = keepalive.with_time(*idle);
        }
        if let Some(interval) = interval {
            keepalive = keepalive.with_interval(*interval);
        }
        if let Some(probes) = probes {
            keepalive = keepalive.with_retries(*probes);
        }
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
}

fn admit(worker: &Rc<Worker>, socket: &Rc<LocalSocket>, descriptor: OwnedFd, peer: SocketAddr) {
    let config = socket.config();
    // Which listener a TLS client wants is not known before it has spoken.
    let cell = if config.port.secure.is_empty() { &config.port.cell } else { &worker.team.hall };
    let settings = &config.port.client().settings;
    match worker.team.ledger.acquire(cell) {
        Err(refusal) => refuse(worker, socket, descriptor, peer, &refusal, settings.connection.close_delay),
        Ok(slot) => {
            tune(&settings.connection, settings.tcp_keepalive.as_ref(), &descriptor);
            let handoff = Handoff { socket: socket.socket.id, descriptor, peer, slot };
            if let Some(Handoff { descriptor, peer, slot, .. }) = hand_over(worker, socket, handoff) {
                serve(worker, socket, descriptor, peer, slot);
            }
        }
    }
}

/// Gives the connection to the worker with the fewest, if this one has clearly more. Gives it back if it stays here.
fn hand_over(worker: &Worker, socket: &LocalSocket, handoff: Handoff) -> Option<Handoff> {
    // One that has not been told of the socket yet, or not to listen any more, could not serve it.
    if socket.socket.listening.load(Ordering::Relaxed) < worker.team.members.len() {
        return Some(handoff);
    }
    let mine = worker.connections.get();
    let others = worker.team.members.iter().enumerate().filter(|(index, _)| *index != worker.index);
    let Some((load, member)) = others.map(|(_, member)| (member.load.read(), member)).min_by_key(|(load, _)| *load) else {
        return Some(handoff);
    };
    if mine <= load + 8.max(load / 10) {
        return Some(handoff);
    }
    member.load.comes();
    let kept = member.handoffs.try_send(handoff).err()?;
    member.load.has_come();
    Some(kept.into_inner())
}

/// Takes a connection from another worker. If its socket is gone by now, so is the connection.
pub(crate) fn take_over(worker: &Rc<Worker>, handoff: Handoff) {
    let socket = worker.sockets.borrow().get(&handoff.socket).map(|listening| listening.socket.clone());
    let Handoff { descriptor, peer, slot, .. } = handoff;
    match socket {
        Some(socket) => serve(worker, &socket, descriptor, peer, slot),
        None => {
            drop(descriptor);
            drop(slot);
        }
    }
}

fn serve(worker: &Rc<Worker>, socket: &Rc<LocalSocket>, descriptor: OwnedFd, peer: SocketAddr, slot: Slot) {
    // TCP_NODELAY comes with the socket: the listener has it. A panic ends this task and so this connection alone; its slot comes back as
    // the task is dropped.
    if socket.config().port.secure.is_empty() {
        let mut link = Link::new(worker.clone(), socket.clone(), peer, &socket.config().port.cell);
        link.enter();
        drop(tokio::task::spawn_local(Downstream::new(Stream::Plain(Tcp::new(descriptor)), slot, link).serve()));
        return;
    }
    match TcpStream::from_std(descriptor.into()) {
        Ok(tcp) => drop(tokio::task::spawn_local(greet::receive(worker.clone(), socket.clone(), tcp, peer, slot))),
        Err(error) => tracing::warn!(%error, "cannot register a connection"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;
    use weir_model::ClientSettings;

    use super::*;
    use crate::worker::connection::tests::listening;

    /// How many connections each turn of accepting takes, when `waiting` are there.
    async fn turns(batch: u32, waiting: usize) -> Vec<u64> {
        let mut settings = ClientSettings::default();
        settings.connection.max_accept_per_socket_event = batch;
        let (worker, socket, listener) = listening(settings).await;
        let mut clients = Vec::new();
        for _ in 0..waiting {
            clients.push(TcpStream::connect(socket.socket.address).await.expect("connects"));
        }
        let listener = TcpStream::from_std(OwnedFd::from(listener.into_std().expect("a socket")).into()).expect("registered");
        let mut accepting = Box::pin(accept_all(&worker, &socket, &listener));
        let (mut turns, mut before) = (Vec::new(), 0);
        while before < waiting as u64 {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(accepting.as_mut().poll(cx).is_ready()));
            assert!(!polled.await, "it goes on");
            let now = worker.team.ledger.cell_count("ns/eg/http");
            if now > before {
                turns.push(now - before);
            }
            before = now;
            // Not to the connections' own tasks: they are not what is counted.
            tokio::task::yield_now().await;
        }
        turns
    }

    #[tokio::test]
    async fn a_turn_takes_as_many_as_the_listener_says() {
        LocalSet::new()
            .run_until(async {
                assert_eq!(turns(3, 10).await, [3, 3, 3, 1]);
                assert_eq!(turns(1, 4).await, [1; 4]);
                assert_eq!(turns(0, 40).await, [40]);
            })
            .await;
    }
}
