//! The echo images, a stand-in for CoreDNS, and `weir echo`.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;
use weir_echo::{HttpEcho, Identity, Log, Tls};
use weir_node::{ContainerContext, PodLog, Workload};

use crate::cli::EchoArguments;
use crate::exit::Failure;

/// What a shell says of a command that is not there.
pub(super) const NOT_FOUND: i32 = 127;

/// `echo-basic`, the backend of the Gateway API conformance suite, in all its modes.
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
            if let Some(why) = other_program(&context, "echo-basic") {
                context.log.append(format!("{why}\n").as_bytes());
                return NOT_FOUND;
            }
            let is_set = |name: &str| context.env.get(name).is_some_and(|it| !it.is_empty());
            let ended = if is_set("GRPC_ECHO_SERVER") {
                grpc(&context).await
            } else if is_set("TCP_ECHO_SERVER") {
                tcp(&context).await
            } else if is_set("UDP_ECHO_SERVER") {
                udp(&context).await
            } else {
                http(&context).await
            };
            match ended {
                Ok(()) => 0,
                Err(why) => {
                    context.log.append(format!("{why}\n").as_bytes());
                    1
                }
            }
        })
    }
}

/// HTTP/1, HTTP/2 in the clear, and both over TLS if there is a certificate.
async fn http(context: &ContainerContext) -> Result<(), String> {
    let http = listen(context, &port(context, "HTTP_PORT", "3000")).await?;
    let h2c = listen(context, &port(context, "H2C_PORT", "3001")).await?;
    let tls = listen_tls(context, "HTTPS_PORT", "TLS_SERVER_PRIVKEY", &["h2", "http/1.1"]).await?;
    let (identity, log, stop) = (identity(context, "HTTP_PORT"), lines(context.log.clone()), context.stop.clone());
    let https = async {
        if let Some((listener, tls)) = tls {
            weir_echo::serve_https(listener, tls, identity.clone(), log.clone(), stop.clone()).await;
        }
    };
    tokio::join!(
        weir_echo::serve_http(http, identity.clone(), log.clone(), stop.clone()),
        weir_echo::serve_h2c(h2c, identity.clone(), log.clone(), stop.clone()),
        https
    );
    Ok(())
}

async fn grpc(context: &ContainerContext) -> Result<(), String> {
    let plain = listen(context, &port(context, "HTTP_PORT", "3000")).await?;
    let tls = listen_tls(context, "HTTPS_PORT", "TLS_SERVER_PRIV_KEY", &["h2"]).await?;
    let (identity, log, stop) = (identity(context, "HTTP_PORT"), lines(context.log.clone()), context.stop.clone());
    let secure = async {
        if let Some((listener, tls)) = tls {
            weir_echo::serve_grpc(listener, Some(tls), identity.clone(), log.clone(), stop.clone()).await;
        }
    };
    tokio::join!(weir_echo::serve_grpc(plain, None, identity.clone(), log.clone(), stop.clone()), secure);
    Ok(())
}

async fn tcp(context: &ContainerContext) -> Result<(), String> {
    let plain = listen(context, &port(context, "TCP_PORT", "3000")).await?;
    let tls = listen_tls(context, "TLS_PORT", "TLS_SERVER_PRIV_KEY", &[]).await?;
    let (identity, log, stop) = (identity(context, "TCP_PORT"), lines(context.log.clone()), context.stop.clone());
    let secure = async {
        if let Some((listener, tls)) = tls {
            weir_echo::serve_tcp(listener, Some(tls), identity.clone(), log.clone(), stop.clone()).await;
        }
    };
    tokio::join!(weir_echo::serve_tcp(plain, None, identity.clone(), log.clone(), stop.clone()), secure);
    Ok(())
}

async fn udp(context: &ContainerContext) -> Result<(), String> {
    let socket = bind_udp(context, &port(context, "UDP_PORT", "8080")).await?;
    weir_echo::serve_udp(socket, identity(context, "UDP_PORT"), lines(context.log.clone()), context.stop.clone()).await;
    Ok(())
}

/// A stand-in for CoreDNS, on its port: it answers, and knows nothing. Its Corefile is not read.
pub(crate) struct Dns;

impl Workload for Dns {
    fn images(&self) -> &'static [&'static str] {
        &["*/coredns"]
    }

    fn runs(&self, image: &str) -> bool {
        super::is_image(image, "coredns")
    }

    fn start(&self, context: ContainerContext) -> BoxFuture<'static, i32> {
        Box::pin(async move {
            match bind_udp(&context, "53").await {
                Ok(socket) => {
                    weir_echo::serve_dns(socket, lines(context.log.clone()), context.stop.clone()).await;
                    0
                }
                Err(why) => {
                    context.log.append(format!("{why}\n").as_bytes());
                    1
                }
            }
        })
    }
}

/// A variable of the container, or what the image takes in its place.
fn port(context: &ContainerContext, name: &str, default: &str) -> String {
    context.env.get(name).filter(|it| !it.is_empty()).cloned().unwrap_or_else(|| default.to_owned())
}

fn identity(context: &ContainerContext, port_variable: &str) -> Identity {
    let variable = |name: &str| context.env.get(name).cloned().unwrap_or_default();
    Identity {
        namespace: variable("NAMESPACE"),
        pod: variable("POD_NAME"),
        service: variable("SERVICE_NAME"),
        ingress: variable("INGRESS_NAME"),
        http_port: port(context, port_variable, "3000"),
        tls_port: port(context, "TLS_PORT", "8443"),
    }
}

/// A listener for TLS on the port of the variable `port_variable`, if the container's variables name a certificate and its key by the variable
/// `key` (the image spells it in two ways). They name the authorities of clients, too.
async fn listen_tls(
    context: &ContainerContext,
    port_variable: &str,
    key: &str,
    protocols: &[&str],
) -> Result<Option<(TcpListener, Tls)>, String> {
    let file = |name: &str| context.env.get(name).filter(|it| !it.is_empty()).map(|path| context.files.read(path)).transpose();
    let file = |name: &str| file(name).map_err(|error| format!("{name}: {error}"));
    let (Some(certificate), Some(key)) = (file("TLS_SERVER_CERT")?, file(key)?) else { return Ok(None) };
    let authorities = file("TLS_CLIENT_CACERTS")?;
    let tls = Tls::new(&certificate, &key, authorities.as_deref(), protocols).map_err(|error| error.to_string())?;
    Ok(Some((listen(context, &port(context, port_variable, "8443")).await?, tls)))
}

/// What keeps a container from running whose image has one program and whose command is another.
fn other_program(context: &ContainerContext, own: &str) -> Option<String> {
    let command = context.command.first()?;
    let name = command.rsplit('/').next().unwrap_or_default();
    (name != own).then(|| format!("exec: \"{command}\": executable file not found in $PATH: this image is {own} alone"))
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
            if let Some(why) = other_program(&context, "http-echo") {
                log(&why);
                return NOT_FOUND;
            }
            let parsed = HttpEcho::from_args(context.args.clone()).and_then(|echo| echo.port().map(|port| (echo, port)));
            let (echo, port) = match parsed {
                Ok(parsed) => parsed,
                Err(error) => {
                    log(&error.to_string());
                    return error.exit_code();
                }
            };
            let listener = match listen(&context, &port.to_string()).await {
                Ok(listener) => listener,
                Err(why) => {
                    log(&why);
                    return 1;
                }
            };
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
            tls_port: String::new(),
        };
        let log: Log = Arc::new(|line: &str| {
            use std::io::Write as _;
            let _ = writeln!(std::io::stdout(), "{line}");
        });
        weir_echo::serve_http(listener, identity, log, stop).await;
        Ok(())
    })
}

async fn listen(context: &ContainerContext, port: &str) -> Result<TcpListener, String> {
    let bound = TcpListener::bind(address(context, port)?).await;
    bound.map_err(|error| format!("listen tcp {}:{port}: {error}", context.ip))
}

async fn bind_udp(context: &ContainerContext, port: &str) -> Result<UdpSocket, String> {
    let bound = UdpSocket::bind(address(context, port)?).await;
    bound.map_err(|error| format!("listen udp {}:{port}: {error}", context.ip))
}

fn address(context: &ContainerContext, port: &str) -> Result<SocketAddr, String> {
    let number = port.parse().map_err(|_| format!("listen {}:{port}: not a port", context.ip))?;
    Ok(SocketAddr::new(context.ip.into(), number))
}

fn lines(log: PodLog) -> Log {
    Arc::new(move |line: &str| log.append(format!("{line}\n").as_bytes()))
}
