//! What the control plane sees: acknowledgements, binding, changes, drain, metrics.

mod support;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::*;
use tokio::sync::watch;
use weir_model::{Answer, GatewayName, ListenerName, ListenerState, Model, Publish};
use weir_proxy::{BindPlan, DataPlane, Settings};

async fn state(bench: &mut Bench, wanted: impl Fn(&ListenerState) -> bool) -> ListenerState {
    let report = bench.report(|report| report.listeners.get(&listener_name()).is_some_and(|it| wanted(&it.state))).await;
    report.listeners[&listener_name()].state.clone()
}

#[tokio::test]
async fn only_the_newest_epoch_is_obeyed() {
    let plane = DataPlane::start(Settings { workers: 1, ..Settings::default() }).unwrap();
    let (old, mut old_answers) = plane.connect();
    let (new, mut new_answers) = plane.connect();
    let publish = |epoch, version, base| Publish { epoch, version, base, delta: Model::default().diff(&model(vec![], &[])) };
    async fn answer(answers: &mut tokio::sync::mpsc::Receiver<Answer>) -> Option<String> {
        loop {
            if let Answer::Acknowledgement(it) = answers.recv().await.unwrap() {
                return it.refused;
            }
        }
    }
    old.send(publish(1, 1, 0)).await.unwrap();
    assert_eq!(answer(&mut old_answers).await, None);
    new.send(publish(2, 1, 1)).await.unwrap();
    assert!(answer(&mut new_answers).await.unwrap().contains("send the whole Model"));
    new.send(publish(2, 1, 0)).await.unwrap();
    assert_eq!(answer(&mut new_answers).await, None);
    old.send(publish(1, 2, 1)).await.unwrap();
    assert!(answer(&mut old_answers).await.unwrap().contains("epoch 2 is obeyed"));
}

#[tokio::test]
async fn a_connection_lives_through_changes_and_sees_them() {
    let (one, two) = (Origin::plain().await, Origin::plain().await);
    let mut bench = Bench::start(model(vec![forward("b")], &[("b", &[one.address])])).await;
    let mut client = bench.client().await;
    client.send(GET).await;
    client.until("ok").await;
    bench.apply(model(vec![forward("b")], &[("b", &[two.address])])).await;
    client.send(GET).await;
    client.until("ok").await;
    assert_eq!((one.connections(), two.connections()), (1, 1), "endpoints");
    bench.apply(model(vec![], &[])).await;
    client.send(GET).await;
    assert!(client.until("request\n").await.starts_with("HTTP/1.1 404"), "routes");

    // A new controller starts over with the same: nothing is bound anew and the connection stays.
    let (publish, mut answers) = bench.plane.connect();
    let delta = Model::default().diff(&model(vec![forward("b")], &[("b", &[two.address])]));
    publish.send(Publish { epoch: 2, version: 1, base: 0, delta }).await.unwrap();
    while !matches!(answers.recv().await.unwrap(), Answer::Acknowledgement(it) if it.refused.is_none()) {}
    client.send(GET).await;
    client.until("ok").await;
    assert_eq!(bench.plane.report().listeners[&listener_name()].connections, 1);
}

#[tokio::test]
async fn a_taken_port_is_explained_and_bound_when_it_is_free() {
    let address = address();
    let holder = TcpListener::bind((address, PORT)).unwrap();
    let plane = DataPlane::start(Settings { workers: 2, ..Settings::default() }).unwrap();
    let (_plan, plan) = watch::channel(BindPlan { addresses: vec![address], ports: [(10080, PORT)].into(), pod_ip: None });
    let _attachment = plane.attach(gateway(), plan, Arc::new(Log::default()));
    let (publish, mut answers) = plane.connect();
    publish.send(Publish { epoch: 1, version: 1, base: 0, delta: Model::default().diff(&model(vec![], &[])) }).await.unwrap();
    let mut wait = async |wanted: fn(&ListenerState) -> bool| loop {
        if let Answer::Report(report) = tokio::time::timeout(PATIENCE, answers.recv()).await.unwrap().unwrap()
            && let Some(it) = report.listeners.get(&listener_name()).filter(|it| wanted(&it.state))
        {
            return it.state.clone();
        }
    };
    let ListenerState::Failed(why) = wait(|state| matches!(state, ListenerState::Failed(_))).await else { unreachable!() };
    assert!(why.contains(&format!("{} is taken by process {}", SocketAddr::new(address, PORT), std::process::id())), "{why}");
    assert!(why.contains("--port-offset"), "{why}");
    drop(holder);
    assert_eq!(wait(|state| matches!(state, ListenerState::Bound(_))).await, ListenerState::Bound(vec![SocketAddr::new(address, PORT)]));
}

#[tokio::test]
async fn two_gateways_cannot_share_a_port_and_the_second_is_told() {
    let bench = Bench::start(model(vec![], &[])).await;
    let other = GatewayName::new("ns", "other");
    let name = ListenerName::new(other.clone(), "http");
    let mut both = model(vec![], &[]);
    both.gateways.insert(other.clone(), Arc::new(weir_model::Gateway { name: other.clone(), access_log: true }));
    let first = both.listeners[&listener_name()].clone();
    both.listeners.insert(name.clone(), Arc::new(weir_model::Listener { name: name.clone(), ..(*first).clone() }));
    let mut bench = bench;
    let (_plan, plan) = watch::channel(BindPlan { addresses: vec![bench.address], ports: [(10080, PORT)].into(), pod_ip: None });
    let second = bench.plane.attach(other, plan, Arc::new(Log::default()));
    bench.apply(both).await;
    let report = bench.report(|report| report.listeners.contains_key(&name)).await;
    let ListenerState::Failed(why) = &report.listeners[&name].state else { panic!("{report:?}") };
    assert!(why.contains("already served for Gateway ns/eg"), "{why}");
    assert!(matches!(report.listeners[&listener_name()].state, ListenerState::Bound(_)));
    // When the first leaves, the second gets it.
    bench.attachment.take().unwrap().detach(Duration::ZERO).await;
    bench.report(|report| report.listeners.get(&name).is_some_and(|it| matches!(it.state, ListenerState::Bound(_)))).await;
    second.detach(Duration::ZERO).await;
}

#[tokio::test]
async fn draining_ends_idle_connections_at_once_and_others_after_their_answer() {
    let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = [origin.local_addr().unwrap()];
    let mut bench = Bench::start(with_limit(model(vec![forward("b")], &[("b", &backend)]), 10)).await;
    let mut idle = bench.client().await;
    idle.send("GET /x HTTP/1.1\r\nHost: other\r\n\r\n").await;
    idle.until("request\n").await;
    let mut active = bench.client().await;
    active.send(GET).await;
    let (mut stream, _) = origin.accept().await.unwrap();
    assert!(bench.ready().await.starts_with("HTTP/1.1 200"));
    let detached = tokio::spawn(bench.attachment.take().unwrap().detach(PATIENCE));
    assert_eq!(idle.rest().await, "");
    assert!(bench.ready().await.starts_with("HTTP/1.1 503"));
    assert!(!detached.is_finished());
    // Each worker hears of it by itself; when nobody listens any more, all of them have.
    while tokio::net::TcpStream::connect(bench.target()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(active.rest().await, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    detached.await.unwrap();
    assert_eq!(bench.plane.report().limits[&limit_name()].current, 0);
}

#[tokio::test]
async fn draining_has_an_end() {
    let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = [origin.local_addr().unwrap()];
    let bench = Bench::start(model(vec![forward("b")], &[("b", &backend)])).await;
    let mut active = bench.client().await;
    active.send(GET).await;
    let _stream = origin.accept().await.unwrap();
    let start = Instant::now();
    tokio::time::timeout(PATIENCE, bench.plane.drain(Duration::from_millis(100))).await.expect("drained");
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!(active.rest().await, "");
}

#[tokio::test]
async fn a_gateway_that_is_replaced_is_served_throughout() {
    let origin = Origin::plain().await;
    let mut bench = Bench::start(model(vec![forward("b")], &[("b", &[origin.address])])).await;
    let (_plan, plan) = watch::channel(BindPlan { addresses: vec![bench.address], ports: [(10080, PORT)].into(), pod_ip: None });
    let log = Arc::new(Log::default());
    let next = bench.plane.attach(gateway(), plan, log.clone());
    bench.attachment.take().unwrap().detach(Duration::ZERO).await;
    let mut client = bench.client().await;
    client.send(GET).await;
    client.until("ok").await;
    log.line(|line| line["response_code"] == 200).await;
    next.detach(Duration::ZERO).await;
}

#[tokio::test]
async fn a_plan_that_changes_moves_only_what_changed() {
    let origin = Origin::plain().await;
    let mut bench = Bench::start(model(vec![forward("b")], &[("b", &[origin.address])])).await;
    let mut stays = bench.client().await;
    let other = address();
    bench.plan.send_modify(|plan| plan.addresses.push(other));
    let both = |state: &ListenerState| matches!(state, ListenerState::Bound(addresses) if addresses.len() == 2);
    state(&mut bench, both).await;
    let mut moved = Client::to(SocketAddr::new(other, PORT)).await;
    moved.send(GET).await;
    moved.until("ok").await;
    bench.plan.send_modify(|plan| plan.addresses.truncate(1));
    assert_eq!(moved.rest().await, "");
    stays.send(GET).await;
    stays.until("ok").await;
}

#[tokio::test]
async fn metrics_have_the_names_that_dashboards_read() {
    let origin = Origin::plain().await;
    let bench = Bench::start(with_limit(model(vec![forward("b")], &[("b", &[origin.address])]), 2)).await;
    let mut client = bench.client().await;
    client.send(GET).await;
    client.until("ok").await;
    let _second = bench.client().await;
    while bench.plane.report().limits[&limit_name()].current < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(bench.refuses().await);
    let page = bench.metrics().await;
    for line in [
        "envoy_connection_limit_active_connections{envoy_connection_limit_prefix=\"http-10080\"} 2",
        "envoy_connection_limit_limited_connections{envoy_connection_limit_prefix=\"http-10080\"} 1",
        "weir_connection_limit_current{limit=\"ns/policy@ns/eg\",gateway=\"ns/eg\",scope=\"gateway\"} 2",
        "weir_connection_limit_max{limit=\"ns/policy@ns/eg\",gateway=\"ns/eg\",scope=\"gateway\"} 2",
        "weir_connection_limit_refused_total{limit=\"ns/policy@ns/eg\",gateway=\"ns/eg\",scope=\"gateway\",reason=\"over_connection_limit\"} 1",
        "envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"http-10080\"} 1",
        "envoy_http_downstream_cx_active{envoy_http_conn_manager_prefix=\"http-10080\"} 2",
        "envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\",envoy_http_conn_manager_prefix=\"http-10080\"} 1",
        "envoy_http_downstream_rq_time_count{envoy_http_conn_manager_prefix=\"http-10080\"} 1",
        "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"httproute/ns/route/rule/0\"} 1",
        "envoy_cluster_upstream_cx_active{envoy_cluster_name=\"httproute/ns/route/rule/0\"} 1",
        "envoy_cluster_membership_healthy{envoy_cluster_name=\"httproute/ns/route/rule/0\"} 1",
        "envoy_server_live 1",
    ] {
        assert!(page.lines().any(|it| it == line), "{line} is not in:\n{page}");
    }
    assert!(
        page.contains(&format!("envoy_listener_downstream_cx_active{{envoy_listener_address=\"{}_{PORT}\"}} 2", bench.address)),
        "{page}"
    );
    assert_eq!(page.matches("# TYPE envoy_http_downstream_rq_time histogram").count(), 1);
}

#[tokio::test]
async fn a_gateway_may_be_attached_after_its_model_came() {
    let origin = Origin::plain().await;
    let plane = DataPlane::start(Settings { workers: 1, ..Settings::default() }).unwrap();
    let (publish, mut answers) = plane.connect();
    let delta = Model::default().diff(&model(vec![forward("b")], &[("b", &[origin.address])]));
    publish.send(Publish { epoch: 1, version: 1, base: 0, delta }).await.unwrap();
    while !matches!(answers.recv().await.unwrap(), Answer::Acknowledgement(_)) {}
    let address = address();
    let (_plan, plan) = watch::channel(BindPlan { addresses: vec![address], ports: [(10080, PORT)].into(), pod_ip: None });
    let _attachment = plane.attach(gateway(), plan, Arc::new(Log::default()));
    let mut client = Client::to(SocketAddr::new(address, PORT)).await;
    client.send(GET).await;
    assert!(client.until("ok").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn names_are_resolved() {
    let origin = Origin::plain().await;
    let mut named = model(vec![forward("b")], &[]);
    let endpoint = weir_model::DnsEndpoint { hostname: "localhost".into(), port: origin.address.port() };
    let backend = weir_model::Backend { name: backend_name("b"), endpoints: weir_model::Endpoints::Names(vec![endpoint]) };
    named.backends.insert(backend.name.clone(), Arc::new(backend));
    let mut bench = Bench::start(named).await;
    let mut client = bench.client().await;
    let answered = async {
        loop {
            client.send(GET).await;
            if client.until("\r\n\r\n").await.starts_with("HTTP/1.1 200") {
                return client.until("ok").await;
            }
            client.until("upstream\n").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("the name is resolved");
    bench.apply(model(vec![forward("b")], &[])).await;
    client.send(GET).await;
    assert!(client.until("upstream\n").await.starts_with("HTTP/1.1 503"), "a backend that is gone has no endpoints");
}

#[tokio::test]
async fn connections_are_spread_over_the_workers() {
    let origin = Origin::plain().await;
    let bench = Bench::start(model(vec![forward("b")], &[("b", &[origin.address])])).await;
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(bench.client().await);
    }
    for client in &mut held {
        client.send(GET).await;
        client.until("ok").await;
    }
    let loads = bench.plane.loads();
    assert_eq!(loads.iter().sum::<usize>(), 64);
    assert!(loads.iter().all(|load| *load >= 24), "{loads:?}");
}
