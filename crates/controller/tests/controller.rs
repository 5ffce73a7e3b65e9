//! The whole controller against a small API and a data plane by hand.

mod api;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::Api;
use hyper::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_controller::{CONFIG_KEY, CONFIG_MAP, Config, Connect};
use weir_model::{Acknowledgement, Answer, ListenerName, ListenerReport, ListenerState, Model, Publish, Refused, Report};

const SYSTEM: &str = "envoy-gateway-system";
const GATEWAY_CLASSES: &str = "/apis/gateway.networking.k8s.io/v1/gatewayclasses";
const GATEWAYS: &str = "/apis/gateway.networking.k8s.io/v1/gateways";
const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/httproutes";
const BACKENDS: &str = "/apis/gateway.envoyproxy.io/v1alpha1/backends";
const POLICIES: &str = "/apis/gateway.envoyproxy.io/v1alpha1/clienttrafficpolicies";
const DEPLOYMENTS: &str = "/apis/apps/v1/deployments";
const SERVICES: &str = "/api/v1/services";
const CONFIG_MAPS: &str = "/api/v1/configmaps";
const EVENTS: &str = "/api/v1/events";
const OURS: &str = "gateway.envoyproxy.io/gatewayclass-controller";

type Plane = (mpsc::Receiver<Publish>, mpsc::Sender<Answer>);

/// A running controller and what it runs against.
struct Rig {
    api: Api,
    planes: mpsc::UnboundedReceiver<Plane>,
    model: Model,
    /// Whether the data plane says that it has bound what it was told to.
    binds: bool,
    stop: CancellationToken,
    run: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Rig {
    async fn start(prepare: impl FnOnce(&Api)) -> Self {
        let (api, client) = Api::start().await;
        prepare(&api);
        Self::start_on(api, client)
    }

    fn start_on(api: Api, client: kube::Client) -> Self {
        let (opened, planes) = mpsc::unbounded_channel();
        let connect: Connect = Arc::new(move || {
            let (publish, published) = mpsc::channel(4);
            let (answer, answers) = mpsc::channel(16);
            opened.send((published, answer)).expect("the test listens");
            (publish, answers)
        });
        let config = Config {
            namespace: SYSTEM.into(),
            embedded: true,
            health: "127.0.0.1:0".parse().expect("an address"),
            proxy_image: "weir/proxy".into(),
            cluster_domain: "cluster.local".into(),
            leader_election: false,
        };
        let stop = CancellationToken::new();
        let run = tokio::spawn(weir_controller::run(client, connect, config, stop.clone()));
        Self { api, planes, model: Model::default(), binds: false, stop, run }
    }

    /// The data plane's end of the next line that is opened.
    async fn line(&mut self) -> Plane {
        within("a line", self.planes.recv()).await.expect("opened")
    }

    /// Takes the next message, acknowledges it.
    async fn take(&mut self, plane: &mut Plane) -> Publish {
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
    async fn report(&self, plane: &Plane, epoch: u64, version: u64) {
        let state = ListenerState::Bound(vec!["127.7.0.1:80".parse().expect("an address")]);
        let bound = |name: &ListenerName| (name.clone(), ListenerReport { state: state.clone(), connections: 0 });
        let listeners = self.model.listeners.keys().filter(|_| self.binds).map(bound).collect();
        let report = Report { epoch, version, listeners, ..Report::default() };
        plane.1.send(Answer::Report(Arc::new(report))).await.expect("listened to");
    }

    /// Takes messages until the Model is as wanted.
    async fn take_until(&mut self, plane: &mut Plane, wanted: impl Fn(&Model) -> bool) {
        while !wanted(&self.model) {
            self.take(plane).await;
        }
    }

    /// Plays node: gives the provisioned Service an address, makes the Deployment available, binds all listeners.
    async fn bring_up(&mut self, plane: &mut Plane) {
        let name = self.api.until("a Service", |api| own(api, SERVICES)).await;
        self.api.until("a Deployment", |api| own(api, DEPLOYMENTS)).await;
        self.api.edit(SERVICES, SYSTEM, &name, |it| it["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "127.7.0.1" }] } }));
        self.api.edit(DEPLOYMENTS, SYSTEM, &name, |it| it["status"] = json!({ "replicas": 1, "availableReplicas": 1 }));
        self.binds = true;
        self.report(plane, 0, 0).await;
    }

    async fn end(self) {
        self.stop.cancel();
        within("the end", self.run).await.expect("no panic").expect("no error");
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap_or_else(|_| panic!("never: {what}"))
}

fn own(api: &Api, collection: &str) -> Option<String> {
    api.all(collection).first().map(|it| it["metadata"]["name"].as_str().expect("a name").to_owned())
}

fn condition(object: Option<&Value>, path: &str, kind: &str) -> Option<Value> {
    let conditions = object?.pointer(path)?.as_array()?;
    conditions.iter().find(|it| it["type"] == kind).cloned()
}

fn is(object: Option<&Value>, path: &str, kind: &str, status: &str) -> Option<Value> {
    condition(object, path, kind).filter(|it| it["status"] == status)
}

fn config_map(text: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": CONFIG_MAP, "namespace": SYSTEM }, "data": { CONFIG_KEY: text } })
}

fn file(enable_backend: bool) -> String {
    format!("apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyGateway\nextensionApis:\n  enableBackend: {enable_backend}\n")
}

fn gateway(name: &str) -> Value {
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

fn policy(value: u64) -> Value {
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

fn backend() -> Value {
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "Backend",
        "metadata": { "name": "app", "namespace": "default" },
        "spec": { "endpoints": [{ "ip": { "address": "10.0.0.1", "port": 80 } }] },
    })
}

fn route() -> Value {
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

fn other_route() -> Value {
    let mut route = route();
    route["metadata"]["name"] = json!("other");
    route["spec"]["hostnames"] = json!(["other.example.com"]);
    route
}

/// The walkthrough's objects.
fn walkthrough(api: &Api) {
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

#[tokio::test]
async fn a_gateway_is_provisioned_published_and_programmed() {
    let mut rig = Rig::start(walkthrough).await;
    let mut plane = rig.line().await;
    let first = rig.take(&mut plane).await;
    assert_eq!((first.version, first.base), (1, 0));
    assert_eq!(rig.model.limits.values().map(|it| it.value).collect::<Vec<_>>(), [5]);
    rig.bring_up(&mut plane).await;
    let programmed = |api: &Api| is(api.get(GATEWAYS, SYSTEM, "eg").as_ref(), "/status/conditions", "Programmed", "True");
    let condition = rig.api.until("Programmed", programmed).await;
    assert_eq!(condition["observedGeneration"], 1);
    let time = condition["lastTransitionTime"].as_str().expect("a time");
    assert!(time.ends_with('Z') && time.len() == 20, "{time}");
    let object = rig.api.get(GATEWAYS, SYSTEM, "eg").expect("there");
    assert_eq!(object["status"]["addresses"], json!([{ "type": "IPAddress", "value": "127.7.0.1" }]));
    let accepted = |api: &Api| is(api.get(ROUTES, "default", "app").as_ref(), "/status/parents/0/conditions", "Accepted", "True");
    rig.api.until("the route accepted", accepted).await;
    rig.api
        .until("the policy accepted", |api| {
            is(api.get(POLICIES, SYSTEM, "policy").as_ref(), "/status/ancestors/0/conditions", "Accepted", "True")
        })
        .await;
    let writes = rig.api.writes();
    let mut statuses = BTreeMap::<_, u32>::new();
    for (method, path, _) in writes.iter().filter(|(_, path, _)| path.ends_with("/status")) {
        assert_eq!(method, "PATCH");
        *statuses.entry(path.clone()).or_default() += 1;
    }
    // Of the Gateway there is more to say than once: its Service, its Deployment, its listeners come one after the other.
    assert!(statuses.values().all(|count| *count <= 4), "{statuses:?}");
    let deployment = rig.api.all(DEPLOYMENTS).pop().expect("there");
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "weir/proxy");
    assert_eq!(deployment["metadata"]["labels"]["gateway.envoyproxy.io/owning-gateway-name"], "eg");
    rig.end().await;
}

#[tokio::test]
async fn a_changed_number_is_one_delta_and_a_deleted_gateway_takes_everything_along() {
    let mut rig = Rig::start(walkthrough).await;
    let mut plane = rig.line().await;
    rig.take(&mut plane).await;
    rig.bring_up(&mut plane).await;
    rig.api.put(POLICIES, policy(7));
    let delta = rig.take(&mut plane).await;
    assert_eq!((delta.base, delta.version, delta.delta.put.len(), delta.delta.remove.len()), (1, 2, 1, 0));
    rig.api.delete(GATEWAYS, SYSTEM, "eg");
    rig.take_until(&mut plane, |model| model.gateways.is_empty() && model.limits.is_empty()).await;
    rig.api.until("nothing left", |api| (api.all(DEPLOYMENTS).is_empty() && api.all(SERVICES).is_empty()).then_some(())).await;
    rig.end().await;
}

#[tokio::test]
async fn a_restart_writes_nothing_when_nothing_has_changed() {
    let (api, client) = Api::start().await;
    walkthrough(&api);
    let mut rig = Rig::start_on(api.clone(), client.clone());
    let mut plane = rig.line().await;
    rig.take(&mut plane).await;
    rig.bring_up(&mut plane).await;
    let programmed = |api: &Api| is(api.get(GATEWAYS, SYSTEM, "eg").as_ref(), "/status/conditions", "Programmed", "True");
    api.until("Programmed", programmed).await;
    api.until("the policy accepted", |api| {
        is(api.get(POLICIES, SYSTEM, "policy").as_ref(), "/status/ancestors/0/conditions", "Accepted", "True")
    })
    .await;
    rig.end().await;
    let before = api.writes().len();
    let mut rig = Rig::start_on(api.clone(), client);
    rig.binds = true;
    let mut plane = rig.line().await;
    // The world as it is: the data plane has kept everything, and says so when it is told again.
    let first = rig.take(&mut plane).await;
    assert_eq!(first.base, 0);
    // Something that is written, so that the end of all other writing can be seen.
    api.put(ROUTES, other_route());
    rig.take(&mut plane).await;
    let other = |api: &Api| is(api.get(ROUTES, "default", "other").as_ref(), "/status/parents/0/conditions", "Accepted", "True");
    api.until("the other route accepted", other).await;
    let paths: Vec<_> = api.writes().split_off(before).into_iter().map(|(_, path, _)| path).collect();
    let route = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/other/status";
    let gateway = "/apis/gateway.networking.k8s.io/v1/namespaces/envoy-gateway-system/gateways/eg/status";
    assert!(paths.iter().all(|it| it == route || it == gateway) && paths.len() <= 2, "{paths:?}");
    assert!(programmed(&api).is_some());
    rig.end().await;
}

#[tokio::test]
async fn others_entries_stay_when_ours_come_and_go() {
    let theirs = json!({
        "parentRef": { "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "other" },
        "controllerName": "example.com/theirs",
        "conditions": [],
    });
    let prepare = |api: &Api| {
        walkthrough(api);
        api.edit(ROUTES, "default", "app", |it| it["status"] = json!({ "parents": [theirs.clone()] }));
    };
    let mut rig = Rig::start(prepare).await;
    let mut plane = rig.line().await;
    rig.take(&mut plane).await;
    let parents = |api: &Api| api.get(ROUTES, "default", "app").and_then(|it| it["status"]["parents"].as_array().cloned());
    let both = rig.api.until("two entries", |api| parents(api).filter(|it| it.len() == 2)).await;
    assert_eq!(both[0], theirs);
    rig.api.edit(ROUTES, "default", "app", |it| it["spec"]["parentRefs"] = json!([{ "name": "other" }]));
    let one = rig.api.until("one entry", |api| parents(api).filter(|it| it.len() == 1)).await;
    assert_eq!(one, [theirs]);
    rig.end().await;
}

#[tokio::test]
async fn trouble_with_the_api_is_survived() {
    let prepare = |api: &Api| {
        walkthrough(api);
        api.set_absent(BACKENDS, true);
        api.fail(Method::GET, "configmaps", 503);
        api.fail(Method::GET, "/gateways", 500);
        api.fail(Method::GET, "/httproutes", 429);
        api.fail(Method::POST, "/services", 500);
        api.fail(Method::PATCH, "/gateways/eg/status", 409);
        api.fail(Method::PATCH, "/gatewayclasses/eg/status", 500);
    };
    let mut rig = Rig::start(prepare).await;
    let mut plane = rig.line().await;
    rig.take(&mut plane).await;
    rig.bring_up(&mut plane).await;
    rig.api
        .until("the class accepted", |api| is(api.get(GATEWAY_CLASSES, "", "eg").as_ref(), "/status/conditions", "Accepted", "True"))
        .await;
    rig.api.until("Programmed", |api| is(api.get(GATEWAYS, SYSTEM, "eg").as_ref(), "/status/conditions", "Programmed", "True")).await;
    assert!(rig.model.backends.is_empty(), "the kind is not there");
    rig.api.set_absent(BACKENDS, false);
    rig.take_until(&mut plane, |model| !model.backends.is_empty()).await;
    rig.end().await;
}

#[tokio::test]
async fn a_broken_line_is_opened_again_and_everything_sent() {
    let mut rig = Rig::start(walkthrough).await;
    let mut plane = rig.line().await;
    let first = rig.take(&mut plane).await;
    drop(plane);
    let mut plane = rig.line().await;
    let again = rig.take(&mut plane).await;
    assert_eq!((again.epoch, again.base, again.delta.clone()), (first.epoch, 0, first.delta));
    // Refused: the same again, on a new line.
    rig.api.put(POLICIES, policy(9));
    let delta = within("a message", plane.0.recv()).await.expect("published");
    let refused = Acknowledgement { epoch: delta.epoch, version: delta.version, refused: Some("unknown base".into()) };
    plane.1.send(Answer::Acknowledgement(refused)).await.expect("listened to");
    let mut plane = rig.line().await;
    let whole = rig.take(&mut plane).await;
    assert_eq!(whole.base, 0);
    assert_eq!(rig.model.limits.values().map(|it| it.value).collect::<Vec<_>>(), [9]);
    rig.end().await;
}

#[tokio::test]
async fn an_edited_configuration_is_picked_up_and_an_invalid_one_is_not() {
    let prepare = |api: &Api| {
        walkthrough(api);
        api.put(CONFIG_MAPS, config_map(&file(false)));
    };
    let mut rig = Rig::start(prepare).await;
    let mut plane = rig.line().await;
    rig.take(&mut plane).await;
    let resolved = |status: &'static str| {
        move |api: &Api| is(api.get(ROUTES, "default", "app").as_ref(), "/status/parents/0/conditions", "ResolvedRefs", status)
    };
    rig.api.until("Backends refused", resolved("False")).await;
    rig.api.put(CONFIG_MAPS, config_map(&file(true)));
    rig.take_until(&mut plane, |model| !model.backends.is_empty()).await;
    rig.api.until("Backends allowed", resolved("True")).await;
    rig.api.put(CONFIG_MAPS, config_map("kind: Nonsense"));
    rig.api.put(POLICIES, policy(6));
    rig.take_until(&mut plane, |model| model.limits.values().any(|it| it.value == 6)).await;
    assert!(!rig.model.backends.is_empty(), "the last good one is in force");
    rig.end().await;
}

#[tokio::test]
async fn an_invalid_configuration_at_start_is_an_error_that_says_why() {
    let rig = Rig::start(|api| api.put(CONFIG_MAPS, config_map("apiVersion: v1\nkind: Pod\n"))).await;
    let error = within("the end", rig.run).await.expect("no panic").expect_err("refused");
    let text = format!("{error:#}");
    assert!(text.contains("envoy-gateway-config is invalid") && text.contains("EnvoyGateway"), "{text}");
}

#[tokio::test]
async fn refusals_become_events_of_the_policy_and_the_gateway() {
    let mut rig = Rig::start(walkthrough).await;
    let mut plane = rig.line().await;
    rig.take(&mut plane).await;
    let limit = rig.model.limits.values().next().expect("a limit").clone();
    let refused = |count| {
        Answer::Refused(Refused {
            limit: limit.name.clone(),
            gateway: limit.gateway.clone(),
            scope: limit.scope,
            max: 5,
            current: 5,
            refused: count,
            total: count,
            last_client: "127.0.0.1:4000".parse().expect("an address"),
        })
    };
    for count in [1, 2] {
        plane.1.send(refused(count)).await.expect("listened to");
    }
    let two = |api: &Api| Some(api.all(EVENTS)).filter(|it| it.len() == 2 && it.iter().all(|event| event["count"] == 2));
    for event in rig.api.until("two Events", two).await {
        assert_eq!((&event["reason"], &event["type"]), (&json!("LimitReached"), &json!("Warning")));
        assert_eq!(event["metadata"]["namespace"], SYSTEM);
        let uid = event["involvedObject"]["uid"].as_str().expect("a uid");
        assert!(["uid-eg", "uid-policy"].contains(&uid), "{uid}");
        let message = event["message"].as_str().expect("a message");
        assert_eq!(message, "Gateway envoy-gateway-system/eg: 5 of 5 connections in use, 3 refused (last client 127.0.0.1)");
    }
    rig.end().await;
}

#[tokio::test]
async fn somebody_elses_service_of_the_same_name_is_left_alone() {
    // Find out the name first.
    let mut rig = Rig::start(walkthrough).await;
    let mut plane = rig.line().await;
    rig.take(&mut plane).await;
    let name = rig.api.until("a Service", |api| own(api, SERVICES)).await;
    rig.end().await;
    let foreign =
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": SYSTEM }, "spec": { "ports": [] } });
    let mut rig = Rig::start(|api| {
        walkthrough(api);
        api.put(SERVICES, foreign);
    })
    .await;
    let mut plane = rig.line().await;
    rig.take(&mut plane).await;
    rig.api.until("a Deployment", |api| own(api, DEPLOYMENTS)).await;
    rig.api.delete(GATEWAYS, SYSTEM, "eg");
    rig.api.until("no Deployment", |api| api.all(DEPLOYMENTS).is_empty().then_some(())).await;
    let service = rig.api.get(SERVICES, SYSTEM, &name).expect("still there");
    assert!(service["spec"].get("type").is_none(), "untouched: {service}");
    rig.end().await;
}

#[tokio::test]
async fn what_happens_while_watches_are_down_is_caught_up_with() {
    let mut rig = Rig::start(walkthrough).await;
    let mut plane = rig.line().await;
    rig.take(&mut plane).await;
    rig.bring_up(&mut plane).await;
    let wanted = |value: u64, routes: usize| {
        move |model: &Model| model.limits.values().all(|it| it.value == value) && model.limits.len() == 1 && model.routes.len() == routes
    };
    // Cut off and resumed.
    rig.api.cut(false);
    rig.api.put(POLICIES, policy(6));
    rig.take_until(&mut plane, wanted(6, 1)).await;
    // Too late to resume: everything is listed again. What is gone by then goes, without an event that says so.
    for (value, gone_as_status) in [(7, false), (8, true)] {
        rig.api.lapse(gone_as_status, |api| {
            api.put(POLICIES, policy(value));
            api.put(ROUTES, other_route());
            api.delete(ROUTES, "default", "app");
        });
        rig.take_until(&mut plane, wanted(value, 1)).await;
        assert_eq!(rig.model.routes.keys().next().map(|it| it.name.to_string()), Some("other".to_owned()));
        rig.api.lapse(gone_as_status, |api| {
            api.put(ROUTES, route());
            api.delete(ROUTES, "default", "other");
            api.put(POLICIES, policy(value + 10));
        });
        rig.take_until(&mut plane, wanted(value + 10, 1)).await;
    }
    rig.end().await;
}

#[tokio::test]
async fn it_ends_at_once_when_told_to_even_without_an_api() {
    let nobody = kube::Config::new("http://127.0.0.1:1".parse().expect("a URL"));
    let rig = Rig::start_on(Api::default(), kube::Client::try_from(nobody).expect("a client"));
    tokio::task::yield_now().await;
    rig.end().await;
}
