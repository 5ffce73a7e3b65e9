//! The whole controller against a small API and a data plane by hand.

mod api;
mod rig;

use std::collections::BTreeMap;

use api::Api;
use hyper::Method;
use rig::*;
use serde_json::{Value, json};
use weir_model::{Acknowledgement, Answer, Model, Refused};

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
    let refused = |count, total| {
        Answer::Refused(Refused {
            limit: limit.name.clone(),
            gateway: limit.gateway.clone(),
            scope: limit.scope,
            max: 5,
            current: 5,
            refused: count,
            total,
            last_client: "127.0.0.1:4000".parse().expect("an address"),
        })
    };
    for (count, total) in [(1, 1), (2, 3)] {
        plane.1.send(refused(count, total)).await.expect("listened to");
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
    let wanted = |value: u64, route: &'static str| {
        move |model: &Model| model.limits.values().map(|it| it.value).eq([value]) && model.routes.keys().map(|it| &*it.name).eq([route])
    };
    // Cut off and resumed.
    rig.api.cut(false);
    rig.api.put(POLICIES, policy(6));
    rig.take_until(&mut plane, wanted(6, "app")).await;
    // Too late to resume: everything is listed again. What is gone by then goes, without an event that says so.
    for (value, gone_as_status) in [(7, false), (8, true)] {
        rig.api.lapse(gone_as_status, |api| {
            api.put(POLICIES, policy(value));
            api.put(ROUTES, other_route());
            api.delete(ROUTES, "default", "app");
        });
        rig.take_until(&mut plane, wanted(value, "other")).await;
        rig.api.lapse(gone_as_status, |api| {
            api.put(ROUTES, route());
            api.delete(ROUTES, "default", "other");
            api.put(POLICIES, policy(value + 10));
        });
        rig.take_until(&mut plane, wanted(value + 10, "app")).await;
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

#[tokio::test]
async fn a_burst_costs_one_write_for_each_route_and_few_for_the_gateway() {
    const ROUTES_MADE: usize = 200;
    let mut rig = Rig::start(walkthrough).await;
    let mut plane = rig.line().await;
    rig.take(&mut plane).await;
    rig.bring_up(&mut plane).await;
    rig.api.until("Programmed", |api| is(api.get(GATEWAYS, SYSTEM, "eg").as_ref(), "/status/conditions", "Programmed", "True")).await;
    let before = rig.api.writes().len();
    for number in 0..ROUTES_MADE {
        let mut route = route();
        route["metadata"]["name"] = json!(format!("r{number}"));
        rig.api.put(ROUTES, route);
    }
    let mut messages = 0;
    while rig.model.routes.len() < ROUTES_MADE + 1 {
        rig.take(&mut plane).await;
        messages += 1;
    }
    // On an idle machine it is one or two; the bound only says that it is not one for each.
    assert!(messages <= ROUTES_MADE / 2, "{messages} messages");
    let attached =
        |api: &Api| api.get(GATEWAYS, SYSTEM, "eg").filter(|it| it["status"]["listeners"][0]["attachedRoutes"] == ROUTES_MADE + 1);
    rig.api.until("all routes counted", attached).await;
    let told = |object: &Value| is(Some(object), "/status/parents/0/conditions", "Accepted", "True").is_some();
    rig.api.until("all routes accepted", |api| api.all(ROUTES).iter().all(told).then_some(())).await;
    let mut writes = BTreeMap::<String, usize>::new();
    for (_, path, _) in rig.api.writes().split_off(before) {
        *writes.entry(path).or_default() += 1;
    }
    let gateway = writes.iter().find(|(path, _)| path.ends_with("/gateways/eg/status")).map(|(_, count)| *count);
    assert!(gateway.is_some_and(|count| count <= ROUTES_MADE / 2), "{gateway:?}");
    assert!(writes.iter().filter(|(path, _)| path.contains("/httproutes/")).all(|(_, count)| *count == 1), "{writes:?}");
    rig.end().await;
}

#[tokio::test]
async fn the_log_speaks_of_limits_when_there_are_limits_and_not_otherwise() {
    let mut rig = Rig::start(|api| {
        walkthrough(api);
        api.delete(POLICIES, SYSTEM, "policy");
    })
    .await;
    let mut plane = rig.line().await;
    rig.take(&mut plane).await;
    rig.bring_up(&mut plane).await;
    rig.api.until("Programmed", |api| is(api.get(GATEWAYS, SYSTEM, "eg").as_ref(), "/status/conditions", "Programmed", "True")).await;
    let words: Vec<_> = Log::grep();
    // The targets of the lines (`weir_controller::limits_log`) are among what is searched.
    assert!(words.is_empty(), "{words:#?}");
    for value in [5, 7] {
        rig.api.put(POLICIES, policy(value));
        rig.take_until(&mut plane, |model| model.limits.values().any(|it| it.value == value)).await;
    }
    rig.api.delete(POLICIES, SYSTEM, "policy");
    rig.take_until(&mut plane, |model| model.limits.is_empty()).await;
    let said = |text: &str| Log::grep().into_iter().find(|line| line["message"].as_str().is_some_and(|it| it.contains(text)));
    let wait = async {
        while said("removed").is_none() {
            tokio::task::yield_now().await;
        }
    };
    within("the last line", wait).await;
    let changed = said("connection limit changed: 5 -> 7").expect("said");
    assert_eq!((&changed["limit_scope"], &changed["limit_value"], &changed["current"]), (&json!("gateway"), &json!(7), &json!(0)));
    assert_eq!(changed["limit_name"], "envoy-gateway-system/policy@envoy-gateway-system/eg");
    assert!(said("connection limit set: 5 for Gateway envoy-gateway-system/eg").is_some());
    rig.end().await;
}
