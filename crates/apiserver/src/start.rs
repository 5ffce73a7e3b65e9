//! Starting and stopping a server.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::auth::{Token, kubeconfig, write_private};
use crate::hooks::Hooks;
use crate::janitor;
use crate::registry::{CRDS, NAMESPACES};
use crate::rest::create::{Owner, create};
use crate::rest::update::{Made, Part, change};
use crate::server::{Front, Identity, accept_loop};
use crate::status::ApiError;
use crate::store::{Key, OpenError, Parsed, Store};

/// The Kubernetes version whose behaviour clients shall expect: one that stock kubectl of several releases gets along with.
const KUBERNETES: &str = "v1.33.0";
/// Threads that serve the API; the data plane has its own.
const THREADS: usize = 2;

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Where the server keeps its state; made when it does not exist.
    pub data_dir: PathBuf,
    /// Where to listen. `None`: on loopback, a port chosen at first start and kept.
    pub address: Option<SocketAddr>,
    /// CustomResourceDefinitions that are served from the start.
    pub crds: Vec<Value>,
    /// The version of the program, shown by `kubectl version` behind the Kubernetes version.
    pub version: String,
    /// What the embedding process adds.
    pub hooks: Hooks,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process works with the data directory.
    #[error("{0} is in use by another process{1}; stop it, or choose another --data-dir")]
    InUse(PathBuf, String),
    /// A file cannot be read or written.
    #[error("{0}: {1}; --data-dir must be a directory that this user may write to, with free space")]
    Io(PathBuf, io::Error),
    /// The database is not one, or was damaged.
    #[error("{0} is damaged ({1}); restore it from a copy, or move it away to start with nothing")]
    Damaged(PathBuf, String),
    /// The database is whole, but from before what was acknowledged.
    #[error(
        "{} ends at version {found}, and {acknowledged} was acknowledged: its latest changes are damaged, or it is an older copy; \
         restore a newer copy, or remove {} to go on with what it has", path.display(), mark.display()
    )]
    Behind {
        /// The database.
        path: PathBuf,
        /// The file that says how far it had come.
        mark: PathBuf,
        /// The resourceVersion at which the database ends.
        found: u64,
        /// The last resourceVersion that was acknowledged.
        acknowledged: u64,
    },
    /// The address is taken or cannot be had.
    #[error("the API address {0} cannot be listened on ({1}); stop what uses it, or choose another with --api-address")]
    Address(SocketAddr, io::Error),
    /// A CRD given at start cannot be served.
    #[error("CustomResourceDefinition {0}: {1}")]
    Crd(String, String),
    /// Anything else that the server could not do for itself.
    #[error("the API could not be set up: {0}")]
    Setup(String),
}

/// A running server. Dropping it stops it at once; [`Server::shutdown`] lets requests finish.
pub struct Server {
    address: SocketAddr,
    ca_pem: String,
    token: Token,
    stop: CancellationToken,
    runtime: Option<Runtime>,
    accepting: Option<tokio::task::JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    /// Held for as long as the data directory is ours.
    _lock: fs::File,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server on threads of its own; returns when it answers.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let folder = config.data_dir.join("api");
        make_folder(&config.data_dir)?;
        let lock = lock(&config.data_dir)?;
        make_folder(&folder)?;
        let (listener, address) = listen(&folder, config.address)?;
        let io = |path: &Path| {
            let path = path.to_owned();
            move |e: io::Error| StartError::Io(path, e)
        };
        let token = Token::load(&folder.join("token")).map_err(io(&folder.join("token")))?;
        let identity = Identity::load(&folder, address.ip()).map_err(io(&folder.join("ca.crt")))?;
        let stop = CancellationToken::new();
        let mut server =
            Self { address, ca_pem: identity.ca_pem.clone(), token, stop, runtime: None, accepting: None, writer: None, _lock: lock };
        let path = config.data_dir.join("kubeconfig");
        write_private(&path, &server.kubeconfig()).map_err(io(&path))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("weir-api")
            .enable_all()
            .build()
            .map_err(|e| StartError::Setup(e.to_string()))?;
        // A runtime may not be dropped here, where one runs us; dropping `server` ends it properly.
        let handle = runtime.handle().clone();
        server.runtime = Some(runtime);
        let (front, writer, listener) = {
            let (stop, token) = (server.stop.clone(), server.token.clone());
            let made = handle.spawn(prepare(config, folder, address, identity, token, stop, listener)).await;
            made.map_err(|e| StartError::Setup(e.to_string()))??
        };
        server.writer = Some(writer);
        handle.spawn(janitor::run(Arc::clone(&front.api)));
        server.accepting = Some(handle.spawn(accept_loop(listener, front)));
        Ok(server)
    }

    /// `https://127.0.0.1:PORT`. A server that listens on every address is reached on loopback.
    pub fn url(&self) -> String {
        let mut address = self.address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        format!("https://{address}")
    }

    /// The address listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority that clients must trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The bearer token that allows everything.
    pub fn token(&self) -> &str {
        self.token.text()
    }

    /// A kubeconfig for this server; the same text is in `DATA_DIR/kubeconfig`.
    pub fn kubeconfig(&self) -> String {
        kubeconfig(&self.url(), &self.ca_pem, self.token.text())
    }

    /// Ends watches, lets other requests finish, and closes the database.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(accepting) = self.accepting.take() {
            // A connection whose peer neither reads nor closes must not keep us.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(2), accepting).await;
        }
        if let Some(runtime) = self.runtime.take() {
            let _ = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(std::time::Duration::from_secs(1))).await;
        }
        if let Some(writer) = self.writer.take() {
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Prepared = (Front, JoinHandle<()>, tokio::net::TcpListener);

/// Opens the store and puts into it what every server has.
async fn prepare(
    config: Config,
    folder: PathBuf,
    address: SocketAddr,
    identity: Identity,
    token: Token,
    stop: CancellationToken,
    listener: TcpListener,
) -> Result<Prepared, StartError> {
    let (store, writer) = Store::open(&folder.join("state.redb")).map_err(open_error)?;
    let version = config.version.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "-");
    let git_version = if version.is_empty() { format!("{KUBERNETES}+weir") } else { format!("{KUBERNETES}+weir.{version}") };
    let api = Arc::new(Api::new(store, config.hooks, git_version, address.to_string(), stop));
    for name in ["default", "kube-system", "kube-public"] {
        namespace(&api, name).await.map_err(|e| StartError::Setup(e.message))?;
    }
    for crd in config.crds {
        let name = crd.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        define(&api, &name, crd).await.map_err(|e| StartError::Crd(name, e.message))?;
    }
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|e| StartError::Address(address, e))?;
    Ok((Front { api, token, tls: identity.tls }, writer, listener))
}

async fn namespace(api: &Api, name: &str) -> Result<(), ApiError> {
    let registry = api.registry();
    let resource = registry.by_shelf(NAMESPACES).ok_or_else(|| ApiError::internal("namespaces are not built in"))?;
    if api.store.get(&Key::new(&resource.shelf, "", name)).is_some() {
        return Ok(());
    }
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    create(api, resource, object, false, Owner::Nobody).await.map(drop)
}

/// Creates a CRD, or makes an existing one say what is given.
async fn define(api: &Api, name: &str, crd: Value) -> Result<(), ApiError> {
    let registry = api.registry();
    let resource = registry.by_shelf(CRDS).ok_or_else(|| ApiError::internal("CustomResourceDefinitions are not built in"))?;
    let key = Key::new(&resource.shelf, "", name);
    if api.store.get(&key).is_none() {
        return create(api, resource, crd, false, Owner::Nobody).await.map(drop);
    }
    let make = |old: &Parsed| {
        let mut new = old.value.clone();
        crate::object::set_or_remove(&mut new, "spec", crd.get("spec"));
        for map in ["annotations", "labels"] {
            let wanted = json!({"metadata": {map: crd.pointer(&format!("/metadata/{map}")).cloned().unwrap_or_else(|| json!({}))}});
            crate::patch::json_merge(&mut new, &wanted);
        }
        Ok(Made::Written(new))
    };
    change(api, resource, Part::Main, &key, false, None, make).await.map(drop)
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| StartError::Io(path.to_owned(), e))
}

/// The lock file holds the number of the process that works here.
fn lock(folder: &Path) -> Result<fs::File, StartError> {
    let path = folder.join("lock");
    let open = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(|e| StartError::Io(path.clone(), e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            let holder = holder.trim();
            let holder = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
            return Err(StartError::InUse(folder.to_owned(), holder));
        }
        Err(errno) => return Err(StartError::Io(path, errno.into())),
    }
    let written = file.set_len(0).and_then(|()| io::Write::write_all(&mut file, format!("{}\n", std::process::id()).as_bytes()));
    written.map_err(|e| StartError::Io(path, e))?;
    Ok(file)
}

/// Listens where told, else where the last start listened, else on a free loopback port that is then kept.
fn listen(folder: &Path, wanted: Option<SocketAddr>) -> Result<(TcpListener, SocketAddr), StartError> {
    let path = folder.join("address");
    let kept = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<SocketAddr>().ok());
    let address = match (wanted, kept) {
        (Some(wanted), Some(kept)) if wanted.port() == 0 && wanted.ip() == kept.ip() => kept,
        (Some(wanted), _) => wanted,
        (None, Some(kept)) => kept,
        (None, None) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    };
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    let (listener, address) = bound.map_err(|e| StartError::Address(address, e))?;
    if kept != Some(address) {
        write_private(&path, &address.to_string()).map_err(|e| StartError::Io(path, e))?;
    }
    Ok((listener, address))
}

fn open_error(error: OpenError) -> StartError {
    match error {
        OpenError::Io(path, e) => StartError::Io(path, e),
        OpenError::Damaged(path, why) => StartError::Damaged(path, why),
        OpenError::InUse(path) => StartError::InUse(path, String::new()),
        OpenError::Behind { path, mark, found, acknowledged } => StartError::Behind { path, mark, found, acknowledged },
        OpenError::Removed(path, _) => StartError::Io(path, io::ErrorKind::NotFound.into()),
    }
}
