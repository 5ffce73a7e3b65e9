use super::*;

const OURS: &str = "gateway.envoyproxy.io/gatewayclass-controller";
const THEN: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-02-02T00:00:00Z";
const PARENTS: Ownership = Ownership::Entries { list: "parents", reference: "parentRef" };

fn condition(kind: &str, status: &str, generation: i64) -> Value {
    json!({ "type": kind, "status": status, "reason": kind, "message": "", "observedGeneration": generation })
}

fn at(mut condition: Value, time: &str) -> Value {
    condition["lastTransitionTime"] = json!(time);
    condition
}

#[test]
fn a_time_stands_while_the_status_stands() {
    let current = json!({ "conditions": [at(condition("Accepted", "True", 1), THEN), at(condition("Programmed", "False", 1), THEN)] });
    let desired = json!({ "conditions": [condition("Accepted", "True", 2), condition("Programmed", "True", 2)] });
    let merged = merge(&current, &desired, Ownership::Whole, OURS, NOW);
    let expected = json!({ "conditions": [at(condition("Accepted", "True", 2), THEN), at(condition("Programmed", "True", 2), NOW)] });
    assert_eq!(merged, expected);
    assert_eq!(merge(&merged, &desired, Ownership::Whole, OURS, "later"), merged, "nothing changes the second time");
}

#[test]
fn listeners_are_matched_by_name() {
    let listener = |name: &str, conditions: Value| json!({ "name": name, "attachedRoutes": 1, "conditions": conditions });
    let current = json!({ "listeners": [listener("a", json!([at(condition("Ready", "True", 1), THEN)])), listener("b", json!([]))] });
    let desired = json!({ "listeners": [
        listener("b", json!([condition("Ready", "True", 1)])),
        listener("a", json!([condition("Ready", "True", 1)])),
    ] });
    let merged = merge(&current, &desired, Ownership::Whole, OURS, NOW);
    assert_eq!(merged["listeners"][0]["conditions"][0]["lastTransitionTime"], NOW);
    assert_eq!(merged["listeners"][1]["conditions"][0]["lastTransitionTime"], THEN);
}

#[test]
fn whole_statuses_lose_what_is_not_wanted_but_keep_what_is_others() {
    let theirs = at(condition("example.com/Ready", "True", 1), THEN);
    let current = json!({ "other": 1, "addresses": [{ "value": "127.0.0.1" }], "conditions": [theirs, at(condition("Conflicted", "True", 1), THEN)] });
    let desired = json!({ "conditions": [condition("Accepted", "True", 1)], "addresses": null });
    let merged = merge(&current, &desired, Ownership::Whole, OURS, NOW);
    assert_eq!(merged, json!({ "conditions": [at(condition("Accepted", "True", 1), NOW), theirs], "other": 1 }));
}

fn entry(controller: &str, gateway: &str, conditions: Value) -> Value {
    let reference = json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway });
    json!({ "parentRef": reference, "controllerName": controller, "conditions": conditions })
}

#[test]
fn others_entries_keep_their_places_and_ours_go_when_not_wanted() {
    let theirs = entry("example.com/theirs", "eg", json!([at(condition("Accepted", "False", 1), THEN)]));
    let current = json!({ "parents": [
        entry(OURS, "gone", json!([])),
        entry(OURS, "eg", json!([at(condition("Accepted", "True", 1), THEN)])),
        theirs,
    ] });
    // References may leave out what the schema gives by default.
    let wanted =
        |name: &str| json!({ "parentRef": { "name": name }, "controllerName": OURS, "conditions": [condition("Accepted", "True", 2)] });
    let desired = json!({ "parents": [wanted("new"), wanted("eg")] });
    let merged = merge(&current, &desired, PARENTS, OURS, NOW);
    let list = merged["parents"].as_array().expect("a list");
    assert_eq!(list[0], entry(OURS, "eg", json!([at(condition("Accepted", "True", 2), THEN)])));
    assert_eq!(list[1], theirs);
    assert_eq!(list[2]["parentRef"], json!({ "name": "new" }));
    assert_eq!(list[2]["conditions"][0]["lastTransitionTime"], NOW);
    assert_eq!(list.len(), 3);
    let none = merge(&merged, &json!({ "parents": [] }), PARENTS, OURS, NOW);
    assert_eq!(none, json!({ "parents": [theirs] }));
    assert!(has_ours(&merged, "parents", OURS) && !has_ours(&none, "parents", OURS));
}

#[test]
fn sections_of_one_parent_are_entries_of_their_own() {
    let section = |section: &str, status: &str| {
        let parent = json!({ "name": "eg", "sectionName": section });
        json!({ "parentRef": parent, "controllerName": OURS, "conditions": [condition("Accepted", status, 1)] })
    };
    let desired = json!({ "parents": [section("a", "True"), section("b", "False")] });
    let first = merge(&Value::Null, &desired, PARENTS, OURS, THEN);
    let swapped = json!({ "parents": [section("b", "False"), section("a", "True")] });
    assert_eq!(merge(&first, &swapped, PARENTS, OURS, NOW), first, "order alone changes nothing");
    let flipped = merge(&first, &json!({ "parents": [section("a", "False"), section("b", "False")] }), PARENTS, OURS, NOW);
    assert_eq!(flipped["parents"][0]["conditions"][0]["lastTransitionTime"], NOW);
    assert_eq!(flipped["parents"][1]["conditions"][0]["lastTransitionTime"], THEN);
}

#[test]
fn a_status_of_the_wrong_shape_is_replaced() {
    let desired = json!({ "parents": [] });
    assert_eq!(merge(&json!("text"), &desired, PARENTS, OURS, NOW), desired);
    assert_eq!(merge(&json!({ "parents": 5 }), &desired, PARENTS, OURS, NOW), desired);
}
