//! Connections to endpoints: one pool for each endpoint and worker.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};

use crate::config::Cluster;

/// A connection to an endpoint.
pub(crate) struct Upstream {
    pub(crate) stream: TcpStream,
    local: Option<SocketAddr>,
    /// In whose numbers it counts.
    cluster: Arc<Cluster>,
    worker: usize,
}

/// An endpoint and its idle connections.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// The newest last: it is the one most likely to be alive and in the processor's cache.
    idle: RefCell<VecDeque<(u32, Upstream)>>,
    /// Exchanges in progress.
    pub(crate) active: Cell<u32>,
}

/// All endpoints that a worker knows.
#[derive(Default)]
pub(crate) struct Endpoints(RefCell<HashMap<SocketAddr, Rc<Endpoint>>>);

impl Endpoints {
    pub(crate) fn at(&self, address: SocketAddr) -> Rc<Endpoint> {
        let fresh = || Rc::new(Endpoint { address, idle: RefCell::default(), active: Cell::new(0) });
        self.0.borrow_mut().entry(address).or_insert_with(fresh).clone()
    }

    /// Closes connections that were idle since before tick `before` or that the endpoint has closed, and forgets endpoints that nobody
    /// names any more.
    pub(crate) fn sweep(&self, before: u32) {
        self.0.borrow_mut().retain(|_, endpoint| {
            let in_use = Rc::strong_count(endpoint) > 1;
            endpoint.idle.borrow_mut().retain(|(since, upstream)| in_use && *since >= before && upstream.is_alive());
            in_use
        });
    }

    /// Whether there is anything to sweep.
    pub(crate) fn are_idle(&self) -> bool {
        self.0.borrow().values().any(|endpoint| !endpoint.idle.borrow().is_empty())
    }
}

impl Endpoint {
    /// A connection that is idle and alive.
    pub(crate) fn take_idle(&self) -> Option<Upstream> {
        loop {
            let (_, upstream) = self.idle.borrow_mut().pop_back()?;
            if upstream.is_alive() {
                return Some(upstream);
            }
        }
    }

    /// Keeps a connection for the next exchange.
    pub(crate) fn give_idle(&self, upstream: Upstream, now: u32, max: usize) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= max {
            idle.pop_front();
        }
        idle.push_back((now, upstream));
    }

    /// A new connection.
    pub(crate) async fn connect(&self, cluster: Arc<Cluster>, worker: usize) -> io::Result<Upstream> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_nodelay(true)?;
        let stream = socket.connect(self.address).await?;
        if let Some(stats) = cluster.stats.get(worker) {
            stats.connections.add(1);
            stats.connections_active.add(1);
        }
        Ok(Upstream { stream, local: None, cluster, worker })
    }
}

impl Upstream {
    /// Whether an idle connection can be used. Costs a system call only when the endpoint has closed it or sent something unasked.
    fn is_alive(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match self.stream.poll_read_ready(&mut cx) {
            Poll::Pending => true,
            Poll::Ready(Err(_)) => false,
            Poll::Ready(Ok(())) => {
                let mut byte = [0];
                let read = self.stream.try_io(Interest::READABLE, || peek(&self.stream, &mut byte));
                matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
        }
    }

    /// The address of this end.
    pub(crate) fn local(&mut self) -> Option<SocketAddr> {
        if self.local.is_none() {
            self.local = self.stream.local_addr().ok();
        }
        self.local
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(stats) = self.cluster.stats.get(self.worker) {
            stats.connections_active.sub(1);
        }
    }
}

/// Looks at what could be read without reading it.
pub(crate) fn peek(stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(stream, into, rustix::net::RecvFlags::PEEK)?;
    Ok(count)
}
