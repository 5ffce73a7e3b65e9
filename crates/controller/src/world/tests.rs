use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::provision::Template;

fn world() -> World {
    World::new("system")
}

fn class(name: &str, version: u64, description: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": { "name": name, "uid": name, "resourceVersion": version.to_string() },
        "spec": { "controllerName": "c", "description": description },
        "status": { "version": version },
    })
}

fn own_service(name: &str) -> Value {
    let labels = json!({ "app.kubernetes.io/managed-by": "envoy-gateway", "gateway.envoyproxy.io/owning-gateway-name": "eg" });
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": "system", "uid": name, "labels": labels },
        "spec": { "ports": [{ "port": 80 }] },
    })
}

#[test]
fn an_echo_of_a_status_write_asks_for_nothing() {
    let mut world = world();
    assert!(world.apply(Change::Applied(Kind::GatewayClass, class("eg", 1, "a"))).translate);
    assert!(!world.apply(Change::Applied(Kind::GatewayClass, class("eg", 2, "a"))).translate);
    let key = Key { kind: Kind::GatewayClass, namespace: "".into(), name: "eg".into() };
    assert_eq!(world.board.known(&key).expect("known").status.value()["version"], 2);
    assert!(world.apply(Change::Applied(Kind::GatewayClass, class("eg", 3, "b"))).translate);
}

#[test]
fn a_list_replaces_what_was_known_of_its_kind() {
    let mut world = world();
    world.apply(Change::Listed(Kind::GatewayClass, vec![class("a", 1, ""), class("b", 1, "")]));
    world.apply(Change::Listed(Kind::Service, vec![own_service("s")]));
    assert!(world.apply(Change::Listed(Kind::GatewayClass, vec![class("b", 1, "")])).translate);
    let key = |name: &str| Key { kind: Kind::GatewayClass, namespace: "".into(), name: name.into() };
    assert!(world.board.known(&key("a")).is_none() && world.board.known(&key("b")).is_some());
    assert!(!world.apply(Change::Listed(Kind::GatewayClass, vec![class("b", 1, "")])).translate, "the same again");
    assert_eq!(world.seen.len(), 2, "other kinds are untouched");
}

#[test]
fn it_is_full_when_every_kind_was_listed_or_does_not_exist() {
    let mut world = world();
    for kind in Kind::ALL {
        assert!(!world.is_full());
        let absent = matches!(kind, Kind::EnvoyProxy | Kind::Gateway);
        let change = if absent { Change::Absent(kind) } else { Change::Listed(kind, Vec::new()) };
        assert!(world.apply(change).translate);
    }
    assert!(world.is_full() && world.missing().is_empty());
    assert!(!world.may_provision(), "without a list of Gateways nothing is taken away");
    assert!(!world.apply(Change::Absent(Kind::EnvoyProxy)).translate, "no news");
    world.apply(Change::Listed(Kind::Gateway, Vec::new()));
    assert!(world.may_provision());
}

#[test]
fn own_objects_are_those_with_our_labels_in_our_namespace() {
    let mut world = world();
    world.apply(Change::Applied(Kind::Service, own_service("ours")));
    let mut foreign = own_service("foreign");
    foreign["metadata"]["namespace"] = json!("default");
    world.apply(Change::Applied(Kind::Service, foreign));
    let mut plain = own_service("plain");
    plain["metadata"]["labels"] = json!({});
    world.apply(Change::Applied(Kind::Service, plain));
    let template = Template { namespace: "system".into(), image: "weir".into(), embedded: true };
    world.fleet.want(&[], &template);
    let names: Vec<_> = world.fleet.due(Instant::now(), 16).into_iter().map(|(item, _)| item.name).collect();
    assert_eq!(names, ["ours"], "what nobody wants is deleted, but only ours");
}

#[test]
fn the_configuration_is_handed_on() {
    let mut world = world();
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": CONFIG_MAP, "namespace": "system" } });
    let mut other = map.clone();
    other["metadata"]["namespace"] = json!("default");
    assert_eq!(world.apply(Change::Applied(Kind::ConfigMap, other)).config, None, "one of somebody else, which a policy may refer to");
    assert_eq!(world.apply(Change::Applied(Kind::ConfigMap, map.clone())).config, Some(Some(map)));
    assert_eq!(world.apply(Change::Listed(Kind::ConfigMap, Vec::new())).config, Some(None));
}
