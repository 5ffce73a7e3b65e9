//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A Kubernetes Gateway API gateway: control plane and data plane in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    after_help = "Examples:\n  weir run -f examples/connection-limit      serve what a folder of manifests declares\n  weir run                                   start empty, then use kubectl\n  weir translate -f gateway.yaml             see the statuses that manifests would get"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in this process: API server, controller, data plane, built-in workloads
    Run(RunArguments),
    /// Run the controller alone, against a cluster
    Controller(ControllerArguments),
    /// Print objects with the statuses that they would get, offline
    Translate(TranslateArguments),
    /// Print the CustomResourceDefinitions that Weir serves
    Crds,
    /// Serve the echo backend of the Gateway API conformance suite
    Echo(EchoArguments),
    /// Print the version
    Version(VersionArguments),
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Files and folders of manifests to serve and watch; - reads standard input
    #[arg(short, long = "file", value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,

    /// Where state and the kubeconfig live [default: the XDG state folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Where the API server listens [default: chosen at first start on 127.0.0.1, then kept]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) api_address: Option<SocketAddr>,

    /// Worker threads of the data plane [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,

    /// Added to every listener's port, where low ports may not be bound
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) port_offset: u16,

    /// How long requests in flight may take to end at shutdown
    #[arg(long, value_name = "D", default_value = "5s", value_parser = duration)]
    pub(crate) drain_timeout: Duration,

    /// A command to run once everything is ready, with KUBECONFIG set; its exit status becomes Weir's
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct ControllerArguments {
    /// How to reach the cluster [default: $KUBECONFIG, else as a pod of the cluster, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The EnvoyGateway file, watched [default: key envoy-gateway.yaml of ConfigMap envoy-gateway-config]
    #[arg(long, value_name = "FILE")]
    pub(crate) config_path: Option<PathBuf>,

    /// Where that ConfigMap is, and where proxies are made [default: $ENVOY_GATEWAY_NAMESPACE, else the pod's own, else envoy-gateway-system]
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,

    /// Where /healthz and /readyz are answered
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8081", value_parser = address)]
    pub(crate) health_address: SocketAddr,

    /// The domain of the cluster's Service names [default: $KUBERNETES_CLUSTER_DOMAIN, else cluster.local]
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) cluster_domain: Option<String>,

    /// The image of the proxies that Gateways get
    #[arg(long, value_name = "IMAGE", default_value = crate::run::bootstrap::PROXY_IMAGE)]
    pub(crate) proxy_image: String,
}

#[derive(Debug, Args)]
pub(crate) struct TranslateArguments {
    /// Files and folders of manifests; - reads standard input
    #[arg(short, long = "file", value_name = "PATH", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    pub(crate) output: Format,

    /// Print the data plane's Model instead of the objects
    #[arg(long)]
    pub(crate) model: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EchoArguments {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000", value_parser = address)]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct VersionArguments {
    /// Output format
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// YAML
    Yaml,
    /// JSON
    Json,
}

fn duration(text: &str) -> Result<Duration, String> {
    weir_api::duration::parse(text).map_err(|error| error.to_string())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:6443 or [::1]:6443".to_owned())
}
