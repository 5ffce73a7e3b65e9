//! Accepting: count first, then hand over or serve.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with, sockopt};
use tokio::io::Interest;
use tokio::net::TcpStream;
use weir_limits::Slot;

use super::connection::{Downstream, Link};
use super::local::LocalSocket;
use super::stream::Stream;
use super::{Handoff, Worker, greet};
use crate::control::Refusee;

/// How many connections are accepted before others get their turn, so that a flood of them cannot starve those that are served.
const BATCH: usize = 16;
/// How long accepting pauses when descriptors have run out: asking again at once would only burn the processor.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until it is aborted.
///
/// The listening descriptor is held as a stream: what is wanted of the runtime is readiness alone. Its own listener would register each
/// connection before it is known whether it stays here, or at all; and what it has for bare descriptors is unsafe.
pub(crate) async fn accept(worker: Rc<Worker>, socket: Rc<LocalSocket>, listener: TcpListener) {
    let listener = match TcpStream::from_std(OwnedFd::from(listener).into()) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(address = %socket.socket.address, %error, "cannot accept connections"),
    };
    let mut starved = false;
    loop {
        if listener.readable().await.is_err() {
            return;
        }
        let mut all = false;
        for _ in 0..BATCH {
            let accept = || Ok(acceptfrom_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?);
            match listener.try_io(Interest::READABLE, accept) {
                Ok((descriptor, peer)) => {
                    starved = false;
                    if let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                        admit(&worker, &socket, descriptor, peer);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    all = true;
                    break;
                }
                Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                    if !std::mem::replace(&mut starved, true) {
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

fn admit(worker: &Rc<Worker>, socket: &Rc<LocalSocket>, descriptor: OwnedFd, peer: SocketAddr) {
    let config = socket.config();
    // Which listener a TLS client wants is not known before it has spoken.
    let cell = if config.port.secure.is_empty() { &config.port.cell } else { &worker.team.hall };
    match worker.team.ledger.acquire(cell) {
        Err(refusal) => {
            // A reset: no TIME_WAIT on our side, nothing to drain, and the client knows at once.
            let _ = sockopt::set_socket_linger(&descriptor, Some(Duration::ZERO));
            drop(descriptor);
            let refusee = Refusee { client: peer, local: socket.socket.address, current: refusal.current };
            worker.team.refusals.note(&refusal.limit, refusee);
        }
        Ok(slot) => {
            let handoff = Handoff { socket: socket.socket.id, descriptor, peer, slot };
            if let Some(Handoff { descriptor, peer, slot, .. }) = hand_over(worker, handoff) {
                serve(worker, socket, descriptor, peer, slot);
            }
        }
    }
}

/// Gives the connection to the worker with the fewest, if this one has clearly more. Gives it back if it stays here.
fn hand_over(worker: &Worker, handoff: Handoff) -> Option<Handoff> {
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
    // TCP_NODELAY comes with the socket: the listener has it.
    match TcpStream::from_std(descriptor.into()) {
        // A panic ends this task and so this connection alone; its slot comes back as the task is dropped.
        Ok(tcp) if socket.config().port.secure.is_empty() => {
            let mut link = Link::new(worker.clone(), socket.clone(), peer);
            link.enter();
            drop(tokio::task::spawn_local(Downstream::new(Stream::Plain(tcp), slot, link).serve()));
        }
        Ok(tcp) => drop(tokio::task::spawn_local(greet::receive(worker.clone(), socket.clone(), tcp, peer, slot))),
        Err(error) => tracing::warn!(%error, "cannot register a connection"),
    }
}
