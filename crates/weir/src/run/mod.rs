//! `weir run`: the API server, the node, the controller and the data plane in one process, and the files that feed them.

mod banner;
pub(crate) mod bootstrap;
mod child;
mod columns;
mod logs;
mod objects;
mod ready;
mod settle;
mod shutdown;
mod state;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::process::Child;
use weir_apiserver::Server;
use weir_node::Node;
use weir_proxy::DataPlane;

pub(crate) use shutdown::Signals;

use self::ready::Awaited;
use crate::cli::RunArguments;
use crate::exit::Failure;
use crate::files::{self, Applier, Checker, Document, Watched};

/// How long everything that the files declare may take to be ready before a command after `--` is given up.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long `weir run` waits before it says how things stand, ready or not.
const BANNER_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs until a signal, or until the command after `--` ends.
pub(crate) fn run(arguments: RunArguments) -> Result<(), Failure> {
    crate::logging::install()?;
    let standard_input = read_standard_input(&arguments.files)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("control").enable_all().build()?;
    // Not before standard input is read: that is waited for without looking at signals, which must be able to end it.
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    let mut checker = Checker::new(&weir_api::crds()).map_err(Failure::new)?;
    let documents = load(&arguments.files, standard_input.as_deref(), &mut checker).map_err(all_at_once)?;
    let data_dir = arguments.data_dir.clone().map_or_else(state::default_folder, Ok)?;
    let outcome = runtime.block_on(async {
        let world = tokio::select! {
            world = World::start(&arguments, &data_dir) => world?,
            // What was written so far is whole, and nothing listens yet: there is nothing to drain.
            signal = signals.next() => return interrupted(&arguments, signal),
        };
        let outcome = tokio::select! {
            outcome = world.serve(&arguments, documents, checker, standard_input, &mut signals) => outcome,
            () = world.node.failed() => Err(Failure::new("the embedded node panicked, which is a defect of Weir; start it again")),
        };
        world.stop(arguments.drain_timeout, &mut signals).await;
        outcome
    });
    // Blocking reads that nobody waits for any more must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

/// All parts, running.
struct World {
    server: Server,
    data_plane: DataPlane,
    node: Node,
    client: Client,
    kubeconfig: PathBuf,
    declared: PathBuf,
}

impl World {
    async fn start(arguments: &RunArguments, data_dir: &Path) -> Result<Self, Failure> {
        let workers = arguments.workers.map_or_else(default_workers, usize::from);
        let settings = weir_proxy::Settings { workers, backends_share_process: true, ..weir_proxy::Settings::default() };
        let data_plane =
            DataPlane::start(settings).map_err(|error| Failure::new(format_args!("the data plane could not start: {error}")))?;
        let logs = Arc::new(logs::Logs::default());
        let server = Server::start(weir_apiserver::Config {
            data_dir: data_dir.to_owned(),
            address: arguments.api_address,
            crds: weir_api::crds(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hooks: weir_apiserver::Hooks {
                live_columns: Some(Arc::new(columns::LimitColumns::new(data_plane.clone()))),
                pod_logs: Some(logs.clone()),
                refusal: Some(Arc::new(instead_of)),
                addresses_elsewhere: true,
            },
        })
        .await
        .map_err(Failure::new)?;
        let data_dir = data_dir.canonicalize()?;
        let kubeconfig = data_dir.join("kubeconfig");
        let config = client_config(&kubeconfig).await?;
        let client = Client::try_from(config.clone()).map_err(Failure::new)?;
        bootstrap::namespace(&client).await.map_err(Failure::new)?;
        let node = Node::start(
            weir_node::Config {
                port_offset: arguments.port_offset,
                ..weir_node::Config::new(client.clone(), &data_dir, data_dir.display().to_string())
            },
            crate::workloads::all(&data_plane, &config),
        )
        .await
        .map_err(|error| Failure::new(format_args!("the embedded node could not start: {error:#}")))?;
        logs.provide(node.logs());
        let declared = data_dir.join("declared.json");
        Ok(Self { server, data_plane, node, client, kubeconfig, declared })
    }

    /// Applies the files, says how things stand, and follows the files until the end.
    async fn serve(
        &self,
        arguments: &RunArguments,
        documents: Vec<Document>,
        checker: Checker,
        stdin: Option<String>,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let watched =
            files::follow(&arguments.files).map_err(|error| Failure::new(format_args!("the files cannot be watched: {error}")))?;
        let mut applier = Applier::new(self.client.clone(), self.declared.clone()).map_err(Failure::new)?;
        let begin = async {
            applier.rehearse(&documents, &checker).await.map_err(all_at_once)?;
            applier.apply(&documents, &checker).await.map_err(|errors| Failure::new(errors.join("\nweir: ")))?;
            bootstrap::controller(&self.client).await.map_err(Failure::new)?;
            let awaited = ready::awaited(&documents);
            // The texts and the schemas are not needed again before the files change.
            drop((documents, checker));
            self.announce(arguments, awaited).await
        };
        let started = tokio::select! {
            started = begin => started?,
            signal = signals.next() => return interrupted(arguments, signal),
        };
        let following = follow_files(arguments, watched, applier, stdin);
        tokio::pin!(following);
        match started {
            Some(child) => tokio::select! {
                outcome = shutdown::accompany(child, signals) => outcome,
                () = &mut following => Ok(()),
            },
            None => tokio::select! {
                _ = signals.next() => Ok(()),
                () = &mut following => Ok(()),
            },
        }
    }

    /// Waits until what the files declare is there; then says so, or starts the command after `--`.
    async fn announce(&self, arguments: &RunArguments, awaited: Vec<Awaited>) -> Result<Option<Child>, Failure> {
        let has_command = !arguments.command.is_empty();
        // Without a command nobody depends on more than this: each Gateway is served, or has said why not.
        let awaited: Vec<Awaited> = awaited.into_iter().filter(|it| has_command || it.kind != "Gateway").collect();
        let ready = async {
            futures::future::try_join_all(awaited.iter().map(|it| it.wait(self.client.clone()))).await.map_err(Failure::new)?;
            settle::settle(&self.client, &self.data_plane).await.map_err(Failure::new)
        };
        let patience = if has_command { READY_TIMEOUT } else { BANNER_TIMEOUT };
        let missing = match tokio::time::timeout(patience, ready).await {
            Ok(outcome) => outcome.map(|()| Vec::new())?,
            Err(_) => self.missing(&awaited).await,
        };
        if !has_command {
            let text = banner::text(&self.client, &self.kubeconfig, &self.data_plane.report(), arguments.port_offset, &missing)
                .await
                .map_err(Failure::new)?;
            // A reader that has gone away wants no more of it; Weir serves on.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            return Ok(None);
        }
        if !missing.is_empty() {
            return Err(Failure::new(format_args!("not ready after {} s: {}", READY_TIMEOUT.as_secs(), missing.join("; "))));
        }
        child::start(&arguments.command, &self.kubeconfig).map(Some)
    }

    /// What of `awaited` is not there, in words.
    async fn missing(&self, awaited: &[Awaited]) -> Vec<String> {
        let mut missing = Vec::new();
        for it in awaited {
            let done = it.wait(self.client.clone());
            if tokio::time::timeout(Duration::from_millis(100), done).await.is_err() {
                missing.push(it.missing(self.client.clone()).await);
            }
        }
        missing
    }

    /// Drains the data plane, ends the workloads, closes the API server. A second signal ends the process at once.
    async fn stop(self, drain: Duration, signals: &mut Signals) {
        let orderly = async {
            self.data_plane.drain(drain).await;
            self.node.stop(Duration::from_secs(1)).await;
            self.server.shutdown().await;
        };
        tokio::select! {
            () = orderly => {}
            _ = signals.next() => {}
        }
    }
}

/// Keeps the API in step with the files; an error leaves the last good set in force.
async fn follow_files(arguments: &RunArguments, mut watched: Watched, mut applier: Applier, stdin: Option<String>) {
    loop {
        watched.changed().await;
        let reloaded = Checker::new(&weir_api::crds())
            .map_err(|error| vec![error])
            .and_then(|mut checker| load(&arguments.files, stdin.as_deref(), &mut checker).map(|documents| (checker, documents)));
        let judged = match reloaded {
            Ok((checker, documents)) => applier.rehearse(&documents, &checker).await.map(|()| (checker, documents)),
            Err(errors) => Err(errors),
        };
        match judged {
            Err(errors) => tracing::error!("the files have errors, so the last good set stays in force:\n{}", errors.join("\n")),
            Ok((checker, documents)) => match applier.apply(&documents, &checker).await {
                Ok(summary) if summary.created + summary.configured + summary.deleted == 0 => {}
                Ok(it) => tracing::info!(created = it.created, configured = it.configured, deleted = it.deleted, "files reloaded"),
                Err(errors) => tracing::error!("not everything in the files could be applied:\n{}", errors.join("\n")),
            },
        }
    }
}

/// Reads and judges the files: all that they hold, in the order to apply, or every error.
fn load(paths: &[PathBuf], stdin: Option<&str>, checker: &mut Checker) -> Result<Vec<Document>, Vec<String>> {
    let (mut documents, mut errors) = files::read_all(paths, stdin);
    errors.extend(checker.learn_from(&documents));
    errors.extend(documents.iter().flat_map(|document| checker.check(document)));
    errors.extend(files::twice(&documents, checker));
    files::in_order(&mut documents);
    if errors.is_empty() { Ok(documents) } else { Err(files::told(errors)) }
}

/// What a signal means before everything runs: the end, well, unless a command was to run and has not.
fn interrupted(arguments: &RunArguments, signal: rustix::process::Signal) -> Result<(), Failure> {
    if arguments.command.is_empty() {
        return Ok(());
    }
    Err(Failure::Status(u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX)))
}

fn all_at_once(errors: Vec<String>) -> Failure {
    if let [only] = errors.as_slice()
        && !only.contains('\n')
    {
        return Failure::new(only);
    }
    let count = if errors.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.len()) };
    Failure::new(format_args!("{count} in the files; nothing was applied\n\n{}", errors.join("\n\n")))
}

fn read_standard_input(paths: &[PathBuf]) -> Result<Option<String>, Failure> {
    if !paths.iter().any(|path| path.as_os_str() == "-") {
        return Ok(None);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::new(format_args!("standard input: {error}")))?;
    Ok(Some(text))
}

/// What to do instead of `kubectl exec`, `attach` and `port-forward`: a pod here is a task, and its address can be reached as it is.
fn instead_of(subresource: &str, pod: &serde_json::Value) -> String {
    let address = pod.pointer("/status/podIP").and_then(serde_json::Value::as_str).unwrap_or("not known yet");
    let port = pod.pointer("/spec/containers/0/ports/0/containerPort").and_then(serde_json::Value::as_u64);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{subresource} is not available for pods of the embedded node; connect to the pod's address instead: {address}{port}")
}

async fn client_config(kubeconfig: &Path) -> Result<kube::Config, Failure> {
    let text = kube::config::Kubeconfig::read_from(kubeconfig).map_err(Failure::new)?;
    let config = kube::Config::from_custom_kubeconfig(text, &kube::config::KubeConfigOptions::default()).await.map_err(Failure::new)?;
    Ok(crate::workloads::named(config, "weir"))
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
