//! The image of the data plane: its pod stands for one gateway, and serves it as long as it runs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;
use weir_model::GatewayName;
use weir_node::{ContainerContext, NodeBindPlan, PodLog, Workload};
use weir_proxy::{BindPlan, DataPlane, LogSink};

/// The ports that a proxy's pod has beside its listeners': metrics and readiness.
const ADMIN: [u16; 2] = [19001, 19003];

/// Serves gateways with the process's own data plane.
pub(crate) struct Proxy {
    data_plane: DataPlane,
}

impl Proxy {
    pub(crate) fn new(data_plane: DataPlane) -> Self {
        Self { data_plane }
    }
}

impl Workload for Proxy {
    fn images(&self) -> &'static [&'static str] {
        &["weir/proxy"]
    }

    fn runs(&self, image: &str) -> bool {
        super::is_image(image, "weir/proxy")
    }

    fn start(&self, context: ContainerContext) -> BoxFuture<'static, i32> {
        let data_plane = self.data_plane.clone();
        Box::pin(async move {
            let Some(gateway) = gateway(&context.args) else {
                context.log.append(b"the arguments must name a gateway: proxy --gateway NAMESPACE/NAME\n");
                return 2;
            };
            let mut node_plan = context.bind_plan.clone();
            let (plan, plans) = watch::channel(bind_plan(&node_plan.borrow_and_update(), context.ip.into()));
            let attachment = data_plane.attach(gateway, plans, Arc::new(AccessLog(context.log.clone())));
            let follow = async {
                while node_plan.changed().await.is_ok() {
                    plan.send_replace(bind_plan(&node_plan.borrow_and_update(), context.ip.into()));
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = context.stop.cancelled() => {}
                () = follow => {}
            }
            attachment.detach(context.grace).await;
            0
        })
    }
}

struct AccessLog(PodLog);

impl LogSink for AccessLog {
    fn write(&self, lines: &[u8]) {
        self.0.append(lines);
    }
}

/// The gateway that `proxy --gateway NAMESPACE/NAME` names.
fn gateway(arguments: &[String]) -> Option<GatewayName> {
    let name = arguments.iter().skip_while(|argument| *argument != "--gateway").nth(1)?;
    let (namespace, name) = name.split_once('/')?;
    Some(GatewayName::new(namespace, name))
}

fn bind_plan(node: &NodeBindPlan, pod: IpAddr) -> BindPlan {
    let ports: BTreeMap<u16, u16> = node.ports.iter().filter(|(port, _)| !ADMIN.contains(port)).map(|(a, b)| (*a, *b)).collect();
    BindPlan { addresses: node.addresses.clone(), ports, pod_ip: Some(pod) }
}
