//! The image of the controller: a thread and a runtime of its own, so that nothing it does holds up anything else, and a log of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;
use weir_node::{ContainerContext, PodLog, Workload};
use weir_proxy::DataPlane;

use crate::run::bootstrap;

/// Runs the controller against the embedded API and the process's own data plane.
pub(crate) struct Controller {
    data_plane: DataPlane,
    client: kube::Config,
}

impl Controller {
    pub(crate) fn new(data_plane: DataPlane, client: kube::Config) -> Self {
        Self { data_plane, client }
    }
}

impl Workload for Controller {
    fn images(&self) -> &'static [&'static str] {
        &["weir/controller"]
    }

    fn runs(&self, image: &str) -> bool {
        super::is_image(image, "weir/controller")
    }

    fn start(&self, context: ContainerContext) -> BoxFuture<'static, i32> {
        let (data_plane, client) = (self.data_plane.clone(), self.client.clone());
        Box::pin(async move {
            let (ended, end) = tokio::sync::oneshot::channel();
            let log = context.log.clone();
            let thread = std::thread::Builder::new().name("controller".to_owned()).spawn(move || {
                let code = tracing::dispatcher::with_default(&crate::logging::dispatch(LogWriter(context.log.clone())), || {
                    run(data_plane, client, &context)
                });
                let _ = ended.send(code);
            });
            match thread {
                // The thread sends its code as the last thing it does; if it panicked, there is none.
                Ok(_) => end.await.unwrap_or(101),
                Err(error) => {
                    log.append(format!("the controller's thread could not be started: {error}\n").as_bytes());
                    1
                }
            }
        })
    }
}

fn run(data_plane: DataPlane, client: kube::Config, context: &ContainerContext) -> i32 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return 1;
        }
    };
    let config = weir_controller::Config {
        namespace: bootstrap::NAMESPACE.to_owned(),
        source: weir_controller::Source::ConfigMap,
        embedded: true,
        health: SocketAddr::new(context.ip.into(), bootstrap::HEALTH_PORT),
        proxy_image: bootstrap::PROXY_IMAGE.to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        election: None,
    };
    let connect: weir_controller::Connect = Arc::new(move || data_plane.connect());
    let stop: CancellationToken = context.stop.clone();
    let outcome = runtime.block_on(async {
        let client = kube::Client::try_from(super::named(client, "weir-controller"))?;
        weir_controller::run(client, Some(connect), config, stop).await
    });
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{error:#}");
            1
        }
    }
}

/// Gives each log record to the pod's log, whole.
struct LogWriter(PodLog);

struct Record<'w>(&'w PodLog);

impl std::io::Write for Record<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for LogWriter {
    type Writer = Record<'w>;

    fn make_writer(&'w self) -> Record<'w> {
        Record(&self.0)
    }
}
