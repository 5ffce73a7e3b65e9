use serde_json::json;

use super::super::spec::tests::{proxy, template};
use super::*;

fn stored(mut object: Value) -> Value {
    object["metadata"]["uid"] = json!("u");
    object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("1");
    object["spec"]["clusterIP"] = json!("10.0.0.1");
    object
}

/// Carries out what is due; returns it.
fn settle(fleet: &mut Fleet, now: Instant) -> Vec<(Item, Op)> {
    let ops = fleet.due(now, 16);
    for (item, op) in &ops {
        let outcome = match op {
            Op::Create(object) => Outcome::Stored(stored(object.clone())),
            Op::Patch(patch) => {
                let mut object = fleet.found[item].clone();
                apply(&mut object, patch);
                Outcome::Stored(object)
            }
            Op::Delete(_) => Outcome::Gone,
        };
        fleet.done(item, outcome, now);
    }
    ops
}

fn apply(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().expect("an object").shift_remove(key);
        } else {
            apply(&mut target[key], value);
        }
    }
}

#[test]
fn objects_are_made_once_and_deleted_with_their_gateway() {
    let now = Instant::now();
    let mut fleet = Fleet::default();
    fleet.want(&[proxy("eg")], &template());
    let made = settle(&mut fleet, now);
    assert!(matches!(made.as_slice(), [(_, Op::Create(_)), (_, Op::Create(_))]), "{made:?}");
    assert!(settle(&mut fleet, now + SETTLE).is_empty(), "nothing differs");
    assert!(fleet.wake(now).is_none());
    fleet.want(&[], &template());
    let gone = settle(&mut fleet, now + SETTLE);
    assert!(gone.iter().all(|(_, op)| *op == Op::Delete("u".into())) && gone.len() == 2, "{gone:?}");
    assert!(settle(&mut fleet, now + 2 * SETTLE).is_empty());
    assert!(fleet.paces.is_empty());
}

#[test]
fn what_is_found_at_a_start_stays_until_it_is_known_what_is_wanted() {
    let now = Instant::now();
    let mut fleet = Fleet::default();
    for item in [ItemKind::Deployment, ItemKind::Service].map(|kind| Item { kind, name: "envoy-ns-eg".into() }) {
        let object = if item.kind == ItemKind::Service { template().service(&proxy("eg")) } else { template().deployment(&proxy("eg")) };
        fleet.observe(item, stored(object));
    }
    assert!(fleet.due(now, 16).is_empty() && fleet.wake(now).is_none());
    fleet.want(&[proxy("eg")], &template());
    assert!(fleet.due(now, 16).is_empty(), "as it should be");
}

#[test]
fn only_what_differs_is_patched() {
    let now = Instant::now();
    let mut fleet = Fleet::default();
    let mut eg = proxy("eg");
    eg.service_annotations.insert("a".into(), "b".into());
    eg.addresses = vec!["127.0.0.9".into()];
    fleet.want(&[eg.clone()], &template());
    settle(&mut fleet, now);
    eg.service_annotations.clear();
    eg.addresses.clear();
    fleet.want(&[eg], &template());
    let ops = settle(&mut fleet, now + SETTLE);
    let [(item, Op::Patch(patch))] = ops.as_slice() else { panic!("{ops:?}") };
    assert_eq!(item.kind, ItemKind::Service);
    assert_eq!(*patch, json!({ "metadata": { "annotations": { "a": null } }, "spec": { "externalIPs": null } }));
    assert!(settle(&mut fleet, now + 2 * SETTLE).is_empty());
}

#[test]
fn somebody_elses_change_of_ours_is_put_right_and_the_rest_left() {
    let now = Instant::now();
    let mut fleet = Fleet::default();
    fleet.want(&[proxy("eg")], &template());
    settle(&mut fleet, now);
    let item = Item { kind: ItemKind::Deployment, name: "envoy-ns-eg".into() };
    let mut changed = fleet.found[&item].clone();
    changed["spec"]["replicas"] = json!(3);
    changed["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = json!("now");
    fleet.observe(item.clone(), changed);
    assert_eq!(fleet.due(now + SETTLE, 16), [(item, Op::Patch(json!({ "spec": { "replicas": 1 } })))]);
}

#[test]
fn without_ports_what_is_there_stays_and_nothing_is_made() {
    let now = Instant::now();
    let mut fleet = Fleet::default();
    let mut eg = proxy("eg");
    eg.ports.clear();
    fleet.want(&[eg.clone()], &template());
    assert!(fleet.due(now, 16).is_empty());
    fleet.want(&[proxy("eg")], &template());
    settle(&mut fleet, now);
    fleet.want(&[eg], &template());
    assert!(fleet.due(now + SETTLE, 16).is_empty());
}

#[test]
fn a_foreign_object_is_never_touched() {
    let mut now = Instant::now();
    let mut fleet = Fleet::default();
    fleet.want(&[proxy("eg")], &template());
    for _ in 0..3 {
        for (item, op) in fleet.due(now, 16) {
            assert!(matches!(op, Op::Create(_)));
            fleet.done(&item, Outcome::Foreign, now);
        }
        now = fleet.wake(now).expect("tried again later");
    }
}

#[test]
fn what_is_being_deleted_is_waited_for() {
    let now = Instant::now();
    let mut fleet = Fleet::default();
    fleet.want(&[proxy("eg")], &template());
    settle(&mut fleet, now);
    let item = Item { kind: ItemKind::Service, name: "envoy-ns-eg".into() };
    let mut leaving = fleet.found[&item].clone();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    fleet.observe(item.clone(), leaving);
    assert!(fleet.due(now + SETTLE, 16).is_empty());
    fleet.forget(&item);
    assert!(matches!(fleet.due(now + SETTLE, 16).as_slice(), [(_, Op::Create(_))]));
}

#[test]
fn addresses_and_proxies_are_read_from_the_objects() {
    let now = Instant::now();
    let mut fleet = Fleet::default();
    let mut eg = proxy("eg");
    eg.addresses = vec!["127.0.0.9".into()];
    fleet.want(&[eg], &template());
    settle(&mut fleet, now);
    let gateway = GatewayName::new("ns", "eg");
    assert!(fleet.addresses(true).is_empty());
    assert_eq!(fleet.addresses(false)[&gateway], ["127.0.0.9"]);
    for (item, object) in fleet.found.clone() {
        let status = match item.kind {
            ItemKind::Deployment => json!({ "replicas": 2, "availableReplicas": 1 }),
            ItemKind::Service => json!({ "loadBalancer": { "ingress": [{ "ip": "127.1.0.1" }, { "hostname": "lb" }] } }),
        };
        let mut object = object;
        object["status"] = status;
        fleet.observe(item, object);
    }
    assert_eq!(fleet.addresses(true)[&gateway], ["127.1.0.1", "lb"]);
    assert_eq!(fleet.proxies()[&gateway], ProxyState { replicas: 2, available: 1 });
}

#[test]
fn an_answer_that_comes_after_newer_news_does_not_undo_them() {
    let now = Instant::now();
    let mut fleet = Fleet::default();
    fleet.want(&[proxy("eg")], &template());
    let ops = fleet.due(now, 16);
    let (item, Op::Create(object)) = &ops[1] else { panic!("{ops:?}") };
    let at = |version: &str, status: Value| {
        let mut object = stored(object.clone());
        object["metadata"]["resourceVersion"] = json!(version);
        object["status"] = status;
        object
    };
    let mut newer = at("10", json!({ "loadBalancer": { "ingress": [{ "ip": "127.1.0.1" }] } }));
    newer["spec"]["type"] = json!("ClusterIP");
    fleet.observe(item.clone(), newer);
    fleet.done(item, Outcome::Stored(at("9", json!({}))), now);
    assert_eq!(fleet.addresses(true).len(), 1);
    let patch = Op::Patch(json!({ "spec": { "type": "LoadBalancer" } }));
    assert!(fleet.due(now + SETTLE, 16).contains(&(item.clone(), patch)), "what was changed meanwhile is put right");
}

#[test]
fn a_server_that_changes_what_it_is_given_is_not_asked_for_ever() {
    let now = Instant::now();
    let mut fleet = Fleet::default();
    fleet.want(&[proxy("eg")], &template());
    for (item, op) in fleet.due(now, 16) {
        let Op::Create(object) = op else { panic!("{op:?}") };
        let mut object = stored(object);
        object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("policy-engine");
        fleet.done(&item, Outcome::Stored(object), now);
    }
    assert!(fleet.due(now + SETTLE, 16).is_empty());
    let mut eg = proxy("eg");
    eg.service_annotations.insert("a".into(), "b".into());
    fleet.want(&[eg], &template());
    assert_eq!(fleet.due(now + SETTLE, 16).len(), 1, "something new is worth another try");
}

#[test]
fn what_is_wanted_while_an_answer_is_under_way_is_sent_after_it() {
    let now = Instant::now();
    let mut fleet = Fleet::default();
    let with = |ports: &[u16]| {
        let mut proxy = proxy("eg");
        let first = proxy.ports[0].clone();
        proxy.ports.extend(ports.iter().map(|port| weir_translate::ProxyPort { port: *port, ..first.clone() }));
        proxy
    };
    fleet.want(&[with(&[])], &template());
    settle(&mut fleet, now);
    fleet.want(&[with(&[8080])], &template());
    let under_way = fleet.due(now + SETTLE, 16);
    assert_eq!(under_way.len(), 2);
    fleet.want(&[with(&[8080, 443])], &template());
    for (item, op) in under_way {
        let Op::Patch(patch) = op else { panic!("{op:?}") };
        let mut object = fleet.found[&item].clone();
        apply(&mut object, &patch);
        fleet.done(&item, Outcome::Stored(object), now + SETTLE);
    }
    let later = settle(&mut fleet, now + 2 * SETTLE);
    assert!(matches!(later.as_slice(), [(_, Op::Patch(_)), (_, Op::Patch(_))]), "{later:?}");
    assert!(settle(&mut fleet, now + 3 * SETTLE).is_empty());
}
