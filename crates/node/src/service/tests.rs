use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::*;
use crate::service::bind_plan::bind_plan;
use crate::simulation::merge;

fn service(spec: Value) -> Service {
    let mut service = json!({"metadata": {"name": "web", "namespace": "ns", "uid": "s", "labels": {"team": "x"}},
        "spec": {"selector": {"app": "a"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}});
    merge(&mut service["spec"], &spec);
    serde_json::from_value(service).unwrap()
}

fn pod(name: &str, port: u16, ready: bool) -> Pod {
    let status = if ready { "True" } else { "False" };
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "ns", "uid": name, "labels": {"app": "a"}},
        "spec": {"nodeName": "weir", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": port}]}]},
        "status": {"phase": "Running", "podIP": format!("127.1.128.{}", name.len()), "conditions": [{"type": "Ready", "status": status}]},
    }))
    .unwrap()
}

fn plan(service: &Service, pods: &[Pod], existing: &[EndpointSlice]) -> Plan {
    let mut plan = Plan::default();
    let (pods, existing): (Vec<_>, Vec<_>) = (pods.iter().collect(), existing.iter().collect());
    slices::reconcile(service, &pods, &existing, &mut || "abcde".to_owned(), &mut plan);
    plan
}

/// What the API would hold after a plan that creates.
fn created(plan: &Plan) -> Vec<EndpointSlice> {
    let bodies = plan.writes.iter().filter_map(|w| if let Verb::Create(body) = &w.verb { Some(body.clone()) } else { None });
    bodies.map(|body| serde_json::from_value(body).unwrap()).collect()
}

#[test]
fn a_slice_tells_who_is_behind_a_service() {
    let slices = created(&plan(&service(json!({})), &[pod("a", 8080, true), pod("bb", 8080, false)], &[]));
    let slice = serde_json::to_value(&slices[0]).unwrap();
    assert_eq!(slice["metadata"]["name"], "web-abcde");
    assert_eq!(
        slice["metadata"]["labels"],
        json!({"team": "x", "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"})
    );
    assert_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(
        slice["endpoints"][0],
        json!({"addresses": ["127.1.128.1"], "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": "weir", "targetRef": {"kind": "Pod", "name": "a", "namespace": "ns", "uid": "a"}})
    );
    assert_eq!(slice["endpoints"][1]["conditions"], json!({"ready": false, "serving": false, "terminating": false}));
    let again = plan(&service(json!({})), &[pod("a", 8080, true), pod("bb", 8080, false)], &slices);
    assert_eq!(again.writes, [], "nothing changed");
}

#[test]
fn a_change_patches_only_what_changed() {
    let slices = created(&plan(&service(json!({})), &[pod("a", 8080, true)], &[]));
    let mut leaving = pod("a", 8080, true);
    leaving.metadata.deletion_timestamp = Some(crate::meta::time(jiff::Timestamp::UNIX_EPOCH));
    let changed = plan(&service(json!({})), &[leaving], &slices);
    let Verb::Patch(patch) = &changed.writes[0].verb else { panic!("{changed:?}") };
    assert_eq!(patch.as_object().unwrap().keys().collect::<Vec<_>>(), ["endpoints"]);
    assert_eq!(patch["endpoints"][0]["conditions"], json!({"ready": false, "serving": true, "terminating": true}));
    let empty = plan(&service(json!({})), &[], &slices);
    let Verb::Patch(patch) = &empty.writes[0].verb else { panic!("{empty:?}") };
    assert_eq!(*patch, json!({"endpoints": [], "ports": []}));
}

#[test]
fn pods_that_mean_different_ports_by_a_name_get_slices_of_their_own() {
    let slices = created(&plan(&service(json!({})), &[pod("a", 8080, true), pod("bb", 9090, true)], &[]));
    assert_eq!(slices.iter().map(|s| s.ports.as_ref().unwrap()[0].port).collect::<Vec<_>>(), [Some(8080), Some(9090)]);
}

#[test]
fn services_without_selector_keep_foreign_slices() {
    let ours = created(&plan(&service(json!({})), &[], &[]));
    assert_eq!((ours.len(), ours[0].endpoints.len()), (1, 0), "an empty slice says that nobody is there");
    let plan = plan(&service(json!({"selector": null})), &[], &ours);
    assert!(matches!(plan.writes.as_slice(), [crate::plan::Write { verb: Verb::Delete { .. }, .. }]));
    assert!(
        created(&self::plan(&service(json!({"type": "ExternalName", "externalName": "x.test"})), &[pod("a", 1, true)], &[])).is_empty()
    );
    let headless = created(&self::plan(&service(json!({"clusterIP": "None"})), &[], &[]));
    assert!(headless[0].metadata.labels.as_ref().unwrap().contains_key("service.kubernetes.io/headless"));
}

#[test]
fn the_ingress_is_written_once() {
    let mut service = service(json!({"type": "LoadBalancer"}));
    let ip: IpAddr = "127.9.0.2".parse().unwrap();
    let mut plan = Plan::default();
    write_ingress(&service, &[ip], &mut plan);
    let Verb::PatchStatus(patch) = &plan.writes[0].verb else { panic!("{plan:?}") };
    assert_eq!(*patch, json!({"status": {"loadBalancer": {"ingress": [{"ip": "127.9.0.2", "ipMode": "VIP"}]}}}));
    service.status = serde_json::from_value(patch["status"].clone()).unwrap();
    let mut again = Plan::default();
    write_ingress(&service, &ingress_ips(&service), &mut again);
    assert_eq!(again, Plan::default());
}

#[test]
fn the_bind_plan_adds_the_offset_and_merges_services() {
    let balancer = |name: &str, extra: Value| {
        let mut spec = json!({"type": "LoadBalancer"});
        merge(&mut spec, &extra);
        let mut service = service(spec);
        service.metadata.name = Some(name.to_owned());
        service.status = serde_json::from_value(json!({"loadBalancer": {"ingress": [{"ip": "127.9.0.2"}]}})).unwrap();
        service
    };
    let services = [
        balancer("one", json!({})),
        balancer("two", json!({"externalIPs": ["127.7.7.7"], "ports": [{"port": 443, "targetPort": 10443}]})),
        balancer("other", json!({"selector": {"app": "b"}})),
        service(json!({"ports": [{"port": 81}]})),
    ];
    let plan = bind_plan(&pod("a", 10080, true), services.iter(), 8000);
    assert_eq!(plan.addresses, ["127.7.7.7", "127.9.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    assert_eq!(plan.ports, [(10080, 8080), (10443, 8443)].into());
}

#[tokio::test]
async fn relays_go_round_and_close() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    async fn answering(byte: u8) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(&[byte]).await.unwrap();
            }
        });
        address
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut relays = relay::Relays::default();
    let targets = vec![answering(1).await, answering(2).await];
    assert!(relays.set([(free, targets.clone())].into()).is_empty());
    let ask = || async move {
        let mut answer = Vec::new();
        tokio::net::TcpStream::connect(free).await?.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let mut answers = [ask().await.unwrap(), ask().await.unwrap()].concat();
    answers.sort_unstable();
    assert_eq!(answers, [1, 2]);
    relays.set([(free, vec![])].into());
    assert!(ask().await.unwrap_or_default().is_empty(), "nobody ready: closed");
    let taken = targets[0];
    assert_eq!(relays.set([(taken, vec![])].into()).len(), 1, "a port in use is reported");
    assert!(relays.set([(taken, vec![])].into()).is_empty(), "once");
}
