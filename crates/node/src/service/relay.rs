//! The part of kube-proxy: cluster addresses as TCP relays to ready endpoints, round robin.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};

/// Connections that one Service port relays at a time; the next wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;

/// Where a Service's ports lead.
pub(crate) type Routes = BTreeMap<SocketAddr, Vec<SocketAddr>>;

/// The relays of one Service.
#[derive(Default)]
pub(crate) struct Relays {
    ports: BTreeMap<SocketAddr, Port>,
    routes: Routes,
}

struct Port {
    targets: watch::Sender<Vec<SocketAddr>>,
    listener: AbortHandle,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Relays {
    /// Opens, changes and closes relays so that they are these. Returns what could not be bound; it is tried again with the next change.
    pub(crate) fn set(&mut self, routes: Routes) -> Vec<(SocketAddr, std::io::Error)> {
        let mut failed = Vec::new();
        self.ports.retain(|address, _| routes.contains_key(address));
        for (address, targets) in &routes {
            if let Some(port) = self.ports.get(address) {
                port.targets.send_if_modified(|old| {
                    old != targets && {
                        old.clone_from(targets);
                        true
                    }
                });
                continue;
            }
            match listen(*address) {
                Ok(listener) => {
                    let (sender, receiver) = watch::channel(targets.clone());
                    let listener = tokio::spawn(serve(listener, receiver)).abort_handle();
                    self.ports.insert(*address, Port { targets: sender, listener });
                }
                // Once, not with every change of the endpoints.
                Err(error) if !self.routes.contains_key(address) => failed.push((*address, error)),
                Err(_) => {}
            }
        }
        self.routes = routes;
        failed
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn serve(listener: TcpListener, targets: watch::Receiver<Vec<SocketAddr>>) {
    let next = AtomicUsize::new(0);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            // Out of descriptors: accepting again at once would spin.
            Err(_) => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let turn = next.fetch_add(1, Ordering::Relaxed);
        let targets = targets.borrow().clone();
        connections.spawn(async move {
            relay(client, &targets, turn).await;
            drop(slot);
        });
    }
}

/// Tries each target once, beginning with the one whose turn it is. No target: the client sees the connection close.
async fn relay(mut client: TcpStream, targets: &[SocketAddr], turn: usize) {
    for step in 0..targets.len() {
        let Some(target) = targets.get((turn + step) % targets.len()) else { return };
        if let Ok(mut server) = TcpStream::connect(target).await {
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let _ = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
