//! Backends that are given by name: resolved again and again.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use weir_model::DnsEndpoint;

use crate::config::BackendState;

/// How often names are resolved; the system's resolver tells no time to live.
const EVERY: Duration = Duration::from_secs(30);
/// How soon after a failure.
const RETRY: Duration = Duration::from_secs(2);

/// Keeps `backend`'s endpoints what its names say, until it is aborted. While a name cannot be resolved, its last addresses stand.
pub(crate) async fn follow(backend: Arc<BackendState>, names: Vec<DnsEndpoint>) {
    let mut known: Vec<BTreeSet<SocketAddr>> = vec![BTreeSet::new(); names.len()];
    loop {
        let mut pause = EVERY;
        for (name, known) in names.iter().zip(&mut known) {
            match tokio::net::lookup_host((&*name.hostname, name.port)).await {
                Ok(addresses) => *known = addresses.collect(),
                Err(error) => {
                    pause = RETRY;
                    tracing::warn!(backend = %backend.name, hostname = %name.hostname, %error, "cannot resolve the name of a backend");
                }
            }
        }
        let all: Vec<_> = known.iter().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
        if *backend.endpoints.load() != all {
            backend.endpoints.store(Arc::new(all));
        }
        tokio::time::sleep(pause).await;
    }
}
