//! The Node object, so that `kubectl get nodes` shows where pods run.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};

use crate::Config;
use crate::address::Addresses;
use crate::meta::time;
use crate::patch::status_diff;

/// Creates the Node object, or brings the one of the last run up to date.
pub(crate) async fn register(config: &Config, pods: usize) -> Result<(), kube::Error> {
    let nodes: Api<Node> = Api::all(config.client.clone());
    let known = match nodes.get_opt(&config.node_name).await? {
        Some(known) => known,
        None => match nodes.create(&PostParams::default(), &object(config)).await {
            Ok(created) => created,
            Err(kube::Error::Api(status)) if status.code == 409 => nodes.get(&config.node_name).await?,
            Err(error) => return Err(error),
        },
    };
    let ip = Addresses::new(&config.address_seed).node();
    let desired = status(config, pods, known.status.as_ref(), ip, Timestamp::now());
    if let Some(patch) = status_diff(known.status.as_ref(), &desired) {
        nodes.patch_status(&config.node_name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    }
    Ok(())
}

fn object(config: &Config) -> Node {
    let labels = [
        ("kubernetes.io/hostname", config.node_name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", arch()),
        ("node-role.kubernetes.io/control-plane", ""),
    ];
    Node {
        metadata: ObjectMeta {
            name: Some(config.node_name.clone()),
            labels: Some(labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()),
            ..Default::default()
        },
        spec: Some(NodeSpec::default()),
        status: None,
    }
}

fn status(config: &Config, pods: usize, before: Option<&NodeStatus>, ip: Ipv4Addr, now: Timestamp) -> NodeStatus {
    let condition = |type_: &str, status: &str, reason: &str, message: &str| {
        let old = before.and_then(|s| s.conditions.as_ref()).and_then(|c| c.iter().find(|c| c.type_ == type_ && c.status == status));
        NodeCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: Some(time(now)),
            last_transition_time: old.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(time(now))),
        }
    };
    let address = |type_: &str, address: String| NodeAddress { type_: type_.to_owned(), address };
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let resources = [("cpu", cpus.to_string()), ("memory", memory()), ("pods", pods.to_string())];
    let resources: std::collections::BTreeMap<String, Quantity> = resources.into_iter().map(|(k, v)| (k.to_owned(), Quantity(v))).collect();
    NodeStatus {
        addresses: Some(vec![address("InternalIP", ip.to_string()), address("Hostname", config.node_name.clone())]),
        allocatable: Some(resources.clone()),
        capacity: Some(resources),
        conditions: Some(vec![
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ]),
        node_info: Some(info(config)),
        ..Default::default()
    }
}

fn info(config: &Config) -> NodeSystemInfo {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let release = read("/etc/os-release");
    let system = release.lines().find_map(|l| l.strip_prefix("PRETTY_NAME=")).map(|n| n.trim_matches('"').to_owned());
    NodeSystemInfo {
        architecture: arch().to_owned(),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: format!("weir://{}", env!("CARGO_PKG_VERSION")),
        kernel_version: read("/proc/sys/kernel/osrelease"),
        kubelet_version: config.version.clone(),
        kube_proxy_version: String::new(),
        machine_id: read("/etc/machine-id"),
        operating_system: "linux".to_owned(),
        os_image: system.unwrap_or_else(|| "Linux".to_owned()),
        system_uuid: String::new(),
        ..Default::default()
    }
}

/// Go's names, which Kubernetes uses.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn memory() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|l| l.strip_prefix("MemTotal:")).and_then(|l| l.split_whitespace().next()).unwrap_or("0");
    format!("{kib}Ki")
}
