//! Several controllers on one API: who writes.

#[allow(dead_code, reason = "this test program uses its part")]
mod api;
#[allow(dead_code, reason = "this test program uses its part")]
mod rig;

use std::time::Duration;

use api::Api;
use hyper::Method;
use rig::*;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_controller::{Config, Source};

const LEASES: &str = "/apis/coordination.k8s.io/v1/leases";
const LEASE: &str = "5b9825d2.gateway.envoyproxy.io";

/// A controller without a data plane, called so.
struct Replica {
    stop: CancellationToken,
    run: JoinHandle<anyhow::Result<()>>,
}

impl Replica {
    fn start(client: &kube::Client, name: &str) -> Self {
        let config = Config {
            namespace: SYSTEM.into(),
            source: Source::ConfigMap,
            embedded: false,
            health: "127.0.0.1:0".parse().expect("an address"),
            proxy_image: "weir/proxy".into(),
            cluster_domain: "cluster.local".into(),
            election: Some(name.into()),
        };
        let stop = CancellationToken::new();
        let run = tokio::spawn(weir_controller::run(client.clone(), None, config, stop.clone()));
        Self { stop, run }
    }

    async fn end(self) {
        self.stop.cancel();
        within("the end", self.run).await.expect("no panic").expect("no error");
    }

    /// Why it ended by itself.
    async fn failure(self) -> String {
        within("the end", self.run).await.expect("no panic").expect_err("it may not go on").to_string()
    }
}

async fn api(lease: &str, renew: &str) -> (Api, kube::Client) {
    let (api, client) = Api::start().await;
    walkthrough(&api);
    let election =
        format!("provider: {{kubernetes: {{leaderElection: {{leaseDuration: {lease}, renewDeadline: {renew}, retryPeriod: 20ms}}}}}}\n");
    api.put(CONFIG_MAPS, config_map(&format!("{}{election}", file(true))));
    (api, client)
}

fn holder(api: &Api) -> Option<String> {
    api.get(LEASES, SYSTEM, LEASE).and_then(|it| it["spec"]["holderIdentity"].as_str().map(str::to_owned)).filter(|it| !it.is_empty())
}

async fn led_by(api: &Api, name: &str) -> String {
    api.until(name, |api| holder(api).filter(|it| it.starts_with(name))).await
}

fn accepted(api: &Api, route: &str) -> Option<Value> {
    is(api.get(ROUTES, "default", route).as_ref(), "/status/parents/0/conditions", "Accepted", "True")
}

/// All writes to anything but the Lease.
fn writes(api: &Api) -> usize {
    api.writes().iter().filter(|(_, path, _)| !path.contains("/leases")).count()
}

#[tokio::test]
async fn one_writes_and_the_next_takes_over_when_it_ends() {
    let (api, client) = api("15s", "10s").await;
    let first = Replica::start(&client, "first");
    led_by(&api, "first_").await;
    api.until("the route accepted", |api| accepted(api, "app")).await;
    let second = Replica::start(&client, "second");
    api.put(ROUTES, other_route());
    api.until("the other route accepted", |api| accepted(api, "other")).await;
    first.end().await;
    // Given back, not waited for until it lapses; and what the first has said is not said again.
    let before = writes(&api);
    led_by(&api, "second_").await;
    let mut third = other_route();
    third["metadata"]["name"] = json!("third");
    api.put(ROUTES, third);
    api.until("the third route accepted", |api| accepted(api, "third")).await;
    let paths: Vec<String> = api.writes().into_iter().map(|(_, path, _)| path).filter(|it| !it.contains("/leases")).skip(before).collect();
    assert!(paths.iter().all(|it| it.ends_with("/httproutes/third/status") || it.ends_with("/gateways/eg/status")), "{paths:?}");
    second.end().await;
    assert_eq!(holder(&api), None);
}

#[tokio::test]
async fn who_loses_the_lease_to_another_ends() {
    let (api, client) = api("15s", "10s").await;
    let replica = Replica::start(&client, "first");
    led_by(&api, "first_").await;
    api.edit(LEASES, SYSTEM, LEASE, |lease| lease["spec"]["holderIdentity"] = json!("thief"));
    let failure = replica.failure().await;
    assert!(failure.contains("is thief's now") && failure.contains("writes no more"), "{failure}");
    assert_eq!(holder(&api).as_deref(), Some("thief"), "it is not given back by who does not hold it");
}

#[tokio::test]
async fn who_cannot_renew_ends_before_another_may_write() {
    let (api, client) = api("1s", "300ms").await;
    let replica = Replica::start(&client, "first");
    led_by(&api, "first_").await;
    (0..100).for_each(|_| api.fail(Method::GET, LEASE, 503));
    let failure = replica.failure().await;
    assert!(failure.contains("could not be renewed in time"), "{failure}");
}

#[tokio::test]
async fn a_silent_leader_is_replaced_when_its_lease_has_lapsed() {
    let (api, client) = api("1s", "500ms").await;
    let gone = json!({ "holderIdentity": "gone", "leaseDurationSeconds": 1, "leaseTransitions": 3 });
    let metadata = json!({ "name": LEASE, "namespace": SYSTEM });
    api.put(LEASES, json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": gone }));
    let replica = Replica::start(&client, "first");
    tokio::time::timeout(Duration::from_millis(500), led_by(&api, "first_")).await.expect_err("it has not lapsed yet");
    assert_eq!(writes(&api), 0, "nothing is written before");
    led_by(&api, "first_").await;
    api.until("the route accepted", |api| accepted(api, "app")).await;
    let lease = api.get(LEASES, SYSTEM, LEASE).expect("there");
    assert_eq!(lease["spec"]["leaseTransitions"], 4);
    replica.end().await;
}
