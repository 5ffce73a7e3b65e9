//! The echo images, and `weir echo`.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weir_echo::{HttpEcho, Identity, Log};
use weir_node::{ContainerContext, PodLog, Workload};

use crate::cli::EchoArguments;
use crate::exit::Failure;

/// `echo-basic`, the backend of the Gateway API conformance suite, in HTTP mode.
pub(crate) struct Basic;

impl Workload for Basic {
    fn images(&self) -> &'static [&'static str] {
        &["*/echo-basic"]
    }

    fn runs(&self, image: &str) -> bool {
        super::is_image(image, "echo-basic")
    }

    fn start(&self, context: ContainerContext) -> BoxFuture<'static, i32> {
        Box::pin(async move {
            let variable = |name: &str| context.env.get(name).cloned().unwrap_or_default();
            for mode in ["GRPC_ECHO_SERVER", "TCP_ECHO_SERVER", "UDP_ECHO_SERVER"] {
                if !variable(mode).is_empty() {
                    context.log.append(format!("{mode} is not served here yet; only the HTTP mode is\n").as_bytes());
                    return 1;
                }
            }
            let or = |name: &str, default: &str| {
                context.env.get(name).filter(|it| !it.is_empty()).cloned().unwrap_or_else(|| default.to_owned())
            };
            let (http_port, h2c_port) = (or("HTTP_PORT", "3000"), or("H2C_PORT", "3001"));
            let identity = Identity {
                namespace: variable("NAMESPACE"),
                pod: variable("POD_NAME"),
                service: variable("SERVICE_NAME"),
                ingress: variable("INGRESS_NAME"),
                http_port: http_port.clone(),
            };
            let Some(http) = listen(&context, &http_port).await else { return 1 };
            let Some(h2c) = listen(&context, &h2c_port).await else { return 1 };
            let log = lines(context.log.clone());
            let stop = context.stop.clone();
            tokio::join!(
                weir_echo::serve_http(http, identity.clone(), log.clone(), stop.clone()),
                weir_echo::serve_h2c(h2c, identity, log, stop)
            );
            0
        })
    }
}

/// `hashicorp/http-echo`, which answers one text.
pub(crate) struct Text;

impl Workload for Text {
    fn images(&self) -> &'static [&'static str] {
        &["hashicorp/http-echo"]
    }

    fn runs(&self, image: &str) -> bool {
        super::is_image(image, "hashicorp/http-echo")
    }

    fn start(&self, context: ContainerContext) -> BoxFuture<'static, i32> {
        Box::pin(async move {
            let log = lines(context.log.clone());
            let parsed = HttpEcho::from_args(context.args.clone()).and_then(|echo| echo.port().map(|port| (echo, port)));
            let (echo, port) = match parsed {
                Ok(parsed) => parsed,
                Err(error) => {
                    log(&error.to_string());
                    return error.exit_code();
                }
            };
            let Some(listener) = listen(&context, &port.to_string()).await else { return 1 };
            weir_echo::serve_http_echo(listener, echo, log, context.stop.clone()).await;
            0
        })
    }
}

/// `weir echo`: the same backend as a process of its own, until a signal.
pub(crate) fn command(arguments: &EchoArguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(arguments.listen).await;
        let listener = listener.map_err(|error| Failure::new(format_args!("{} cannot be listened on: {error}", arguments.listen)))?;
        let stop = CancellationToken::new();
        let ended = stop.clone();
        tokio::spawn(async move {
            if let Ok(mut signals) = crate::run::Signals::listen() {
                signals.next().await;
                ended.cancel();
            }
        });
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let identity = Identity {
            namespace: variable("NAMESPACE"),
            pod: variable("POD_NAME"),
            service: variable("SERVICE_NAME"),
            ingress: variable("INGRESS_NAME"),
            http_port: arguments.listen.port().to_string(),
        };
        let log: Log = Arc::new(|line: &str| {
            use std::io::Write as _;
            let _ = writeln!(std::io::stdout(), "{line}");
        });
        weir_echo::serve_http(listener, identity, log, stop).await;
        Ok(())
    })
}

async fn listen(context: &ContainerContext, port: &str) -> Option<TcpListener> {
    let bound = match port.parse() {
        Ok(port) => TcpListener::bind(SocketAddr::new(context.ip.into(), port)).await.map_err(|error| error.to_string()),
        Err(_) => Err("not a port".to_owned()),
    };
    bound.map_err(|error| context.log.append(format!("listen tcp {}:{port}: {error}\n", context.ip).as_bytes())).ok()
}

fn lines(log: PodLog) -> Log {
    Arc::new(move |line: &str| log.append(format!("{line}\n").as_bytes()))
}
