//! A controller under test: what it runs against, and the walkthrough's objects.

use std::cell::RefCell;
use std::sync::{Arc, Once};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_controller::{CONFIG_KEY, CONFIG_MAP, Config, Connect, Source};
use weir_model::{Acknowledgement, Answer, ListenerName, ListenerReport, ListenerState, Model, Publish, Report};

use crate::api::Api;

pub(crate) const SYSTEM: &str = "envoy-gateway-system";
pub(crate) const GATEWAY_CLASSES: &str = "/apis/gateway.networking.k8s.io/v1/gatewayclasses";
pub(crate) const GATEWAYS: &str = "/apis/gateway.networking.k8s.io/v1/gateways";
pub(crate) const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/httproutes";
pub(crate) const BACKENDS: &str = "/apis/gateway.envoyproxy.io/v1alpha1/backends";
pub(crate) const POLICIES: &str = "/apis/gateway.envoyproxy.io/v1alpha1/clienttrafficpolicies";
pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/deployments";
pub(crate) const SERVICES: &str = "/api/v1/services";
pub(crate) const CONFIG_MAPS: &str = "/api/v1/configmaps";
pub(crate) const EVENTS: &str = "/api/v1/events";
pub(crate) const OURS: &str = "gateway.envoyproxy.io/gatewayclass-controller";

pub(crate) type Plane = (mpsc::Receiver<Publish>, mpsc::Sender<Answer>);

/// A running controller and what it runs against.
pub(crate) struct Rig {
    pub(crate) api: Api,
    pub(crate) planes: mpsc::UnboundedReceiver<Plane>,
    pub(crate) model: Model,
    /// Whether the data plane says that it has bound what it was told to.
    pub(crate) binds: bool,
    pub(crate) stop: CancellationToken,
    pub(crate) run: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Rig {
    pub(crate) async fn start(prepare: impl FnOnce(&Api)) -> Self {
        let (api, client) = Api::start().await;
        prepare(&api);
        Self::start_on(api, client)
    }

    pub(crate) fn start_on(api: Api, client: kube::Client) -> Self {
        Log::install();
        let (opened, planes) = mpsc::unbounded_channel();
        let connect: Connect = Arc::new(move || {
            let (publish, published) = mpsc::channel(4);
            let (answer, answers) = mpsc::channel(16);
            opened.send((published, answer)).expect("the test listens");
            (publish, answers)
        });
        let config = Config {
            namespace: SYSTEM.into(),
            source: Source::ConfigMap,
            embedded: true,
            health: "127.0.0.1:0".parse().expect("an address"),
            proxy_image: "weir/proxy".into(),
            cluster_domain: "cluster.local".into(),
            election: None,
        };
        let stop = CancellationToken::new();
        let run = tokio::spawn(weir_controller::run(client, Some(connect), config, stop.clone()));
        Self { api, planes, model: Model::default(), binds: false, stop, run }
    }

    /// The data plane's end of the next line that is opened.
    pub(crate) async fn line(&mut self) -> Plane {
        within("a line", self.planes.recv()).await.expect("opened")
    }

    /// Takes the next message, acknowledges it.
    pub(crate) async fn take(&mut self, plane: &mut Plane) -> Publish {
        let publish = within("a message", plane.0.recv()).await.expect("published");
        if publish.base == 0 {
            self.model = Model::default();
        }
        self.model.apply(publish.delta.clone());
        let done = Acknowledgement { epoch: publish.epoch, version: publish.version, refused: None };
        plane.1.send(Answer::Acknowledgement(done)).await.expect("listened to");
        self.report(plane, publish.epoch, publish.version).await;
        publish
    }

    /// Says how things stand.
    pub(crate) async fn report(&self, plane: &Plane, epoch: u64, version: u64) {
        let state = ListenerState::Bound(vec!["127.7.0.1:80".parse().expect("an address")]);
        let bound = |name: &ListenerName| (name.clone(), ListenerReport { state: state.clone(), connections: 0 });
        let listeners = self.model.listeners.keys().filter(|_| self.binds).map(bound).collect();
        let report = Report { epoch, version, listeners, ..Report::default() };
        plane.1.send(Answer::Report(Arc::new(report))).await.expect("listened to");
    }

    /// Takes messages until the Model is as wanted.
    pub(crate) async fn take_until(&mut self, plane: &mut Plane, wanted: impl Fn(&Model) -> bool) {
        while !wanted(&self.model) {
            self.take(plane).await;
        }
    }

    /// Plays node: gives the provisioned Service an address, makes the Deployment available, binds all listeners.
    pub(crate) async fn bring_up(&mut self, plane: &mut Plane) {
        let name = self.api.until("a Service", |api| own(api, SERVICES)).await;
        self.api.until("a Deployment", |api| own(api, DEPLOYMENTS)).await;
        self.api.edit(SERVICES, SYSTEM, &name, |it| it["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "127.7.0.1" }] } }));
        self.api.edit(DEPLOYMENTS, SYSTEM, &name, |it| it["status"] = json!({ "replicas": 1, "availableReplicas": 1 }));
        self.binds = true;
        self.report(plane, 0, 0).await;
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        within("the end", self.run).await.expect("no panic").expect("no error");
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap_or_else(|_| panic!("never: {what}"))
}

pub(crate) fn own(api: &Api, collection: &str) -> Option<String> {
    api.all(collection).first().map(|it| it["metadata"]["name"].as_str().expect("a name").to_owned())
}

pub(crate) fn condition(object: Option<&Value>, path: &str, kind: &str) -> Option<Value> {
    let conditions = object?.pointer(path)?.as_array()?;
    conditions.iter().find(|it| it["type"] == kind).cloned()
}

pub(crate) fn is(object: Option<&Value>, path: &str, kind: &str, status: &str) -> Option<Value> {
    condition(object, path, kind).filter(|it| it["status"] == status)
}

pub(crate) fn config_map(text: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": CONFIG_MAP, "namespace": SYSTEM }, "data": { CONFIG_KEY: text } })
}

pub(crate) fn file(enable_backend: bool) -> String {
    format!("apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyGateway\nextensionApis:\n  enableBackend: {enable_backend}\n")
}

pub(crate) fn gateway(name: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": { "name": name, "namespace": SYSTEM },
        "spec": {
            "gatewayClassName": "eg",
            "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": { "namespaces": { "from": "All" } } }],
        },
    })
}

pub(crate) fn policy(value: u64) -> Value {
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "ClientTrafficPolicy",
        "metadata": { "name": "policy", "namespace": SYSTEM },
        "spec": {
            "targetRefs": [{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "eg" }],
            "connection": { "connectionLimit": { "value": value } },
        },
    })
}

pub(crate) fn backend() -> Value {
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "Backend",
        "metadata": { "name": "app", "namespace": "default" },
        "spec": { "endpoints": [{ "ip": { "address": "10.0.0.1", "port": 80 } }] },
    })
}

pub(crate) fn route() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": { "name": "app", "namespace": "default" },
        "spec": {
            "parentRefs": [{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "eg", "namespace": SYSTEM }],
            "rules": [{
                "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
                "backendRefs": [{ "group": "gateway.envoyproxy.io", "kind": "Backend", "name": "app", "port": 80, "weight": 1 }],
            }],
        },
    })
}

pub(crate) fn other_route() -> Value {
    let mut route = route();
    route["metadata"]["name"] = json!("other");
    route["spec"]["hostnames"] = json!(["other.example.com"]);
    route
}

/// The walkthrough's objects.
pub(crate) fn walkthrough(api: &Api) {
    api.put(CONFIG_MAPS, config_map(&file(true)));
    for namespace in ["default", SYSTEM] {
        api.put("/api/v1/namespaces", json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }));
    }
    let class = json!({ "controllerName": OURS });
    api.put(
        GATEWAY_CLASSES,
        json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": { "name": "eg" }, "spec": class }),
    );
    api.put(GATEWAYS, gateway("eg"));
    api.put(BACKENDS, backend());
    api.put(ROUTES, route());
    api.put(POLICIES, policy(5));
}

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What was logged on this thread, and so by this test: each runs on a thread of its own.
pub(crate) struct Log;

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// One subscriber for all threads: with one for a thread alone, `tracing` would remember what a thread without one wants to hear.
    fn install() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tracing_subscriber::fmt().json().flatten_event(true).with_writer(|| Self).init());
    }

    /// The lines that `grep -i "connection\|limit"` finds.
    pub(crate) fn grep() -> Vec<Value> {
        let text = LOG.with_borrow(|log| String::from_utf8(log.clone()).expect("text"));
        let found = text.lines().filter(|line| {
            let line = line.to_lowercase();
            line.contains("connection") || line.contains("limit")
        });
        found.map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}
