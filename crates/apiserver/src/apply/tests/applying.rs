use super::*;

#[test]
fn what_is_no_longer_applied_goes() {
    let mut world = World::new();
    world
        .apply("one", false, json!({"a": "1", "map": {"x": "1", "y": "1"}, "keyed": [{"name": "n", "note": "1"}, {"name": "m"}]}))
        .unwrap();
    world.apply("one", false, json!({"a": "1", "map": {"x": "1"}, "keyed": [{"name": "n"}]})).unwrap();
    assert_eq!(world.spec(), &json!({"a": "1", "map": {"x": "1"}, "keyed": [{"name": "n"}]}));
    assert_eq!(world.owns("one"), [".a", ".keyed[name=\"n\"]", ".keyed[name=\"n\"].name", ".map.x"]);
    world.apply("one", false, json!({})).unwrap();
    // What is left is nothing, which decoding drops.
    assert_eq!(world.live["spec"], Value::Null);
}

#[test]
fn what_others_own_stays() {
    let mut world = World::new();
    world.apply("one", false, json!({"map": {"x": "1", "both": "1"}, "set": ["a"]})).unwrap();
    world.apply("two", false, json!({"map": {"both": "1", "y": "2"}, "set": ["b"]})).unwrap();
    assert_eq!(world.spec(), &json!({"map": {"x": "1", "both": "1", "y": "2"}, "set": ["a", "b"]}));
    world.apply("one", false, json!({})).unwrap();
    assert_eq!(world.spec(), &json!({"map": {"both": "1", "y": "2"}, "set": ["b"]}));
    // Nobody's is what was there before.
    let mut world = World::new();
    world.update("hand", json!({"map": {"x": "1"}}));
    world.apply("one", false, json!({"map": {"y": "1"}})).unwrap();
    world.apply("one", false, json!({"a": "1"})).unwrap();
    assert_eq!(world.spec(), &json!({"map": {"x": "1"}, "a": "1"}));
}

#[test]
fn conflicts_name_their_owners_and_force_takes() {
    let mut world = World::new();
    world.apply("one", false, json!({"a": "1", "b": "1"})).unwrap();
    world.update("hand", json!({"a": "1", "b": "1", "number": 1, "list": ["x"]}));
    let mut again = |spec: Value| conflicts(world.apply("two", false, spec));
    assert_eq!(again(json!({"a": "2"})), "Apply failed with 1 conflict: conflict with \"one\": .spec.a");
    assert_eq!(again(json!({"number": 2})), "Apply failed with 1 conflict: conflict with \"hand\" using v1: .spec.number");
    assert_eq!(
        again(json!({"a": "2", "b": "2", "list": []})),
        "Apply failed with 3 conflicts: conflicts with \"hand\" using v1:\n- .spec.list\nconflicts with \"one\":\n- .spec.a\n- .spec.b"
    );
    // The same value is shared.
    assert_eq!(again(json!({"a": "1"})), "none");
    assert_eq!((world.owns("one"), world.owns("two")), (vec![".a".to_owned(), ".b".to_owned()], vec![".a".to_owned()]));
    world.apply("two", true, json!({"a": "2"})).unwrap();
    assert_eq!((world.owns("one"), world.owns("two")), (vec![".b".to_owned()], vec![".a".to_owned()]));
    assert_eq!(
        conflicts(world.apply("one", false, json!({"a": "1", "b": "1"}))),
        "Apply failed with 1 conflict: conflict with \"two\": .spec.a"
    );
    assert_eq!(world.spec()["a"], "2");
}

#[test]
fn lists_keep_an_order_that_both_would_accept() {
    let cases = [
        (vec!["a", "b"], vec!["c"], vec!["a", "b", "c"]),
        (vec!["a", "b", "c"], vec!["c", "a"], vec!["b", "c", "a"]),
        (vec!["a", "c"], vec!["a", "b", "c"], vec!["a", "b", "c"]),
        (vec!["x", "a", "y"], vec!["b", "a"], vec!["x", "b", "a", "y"]),
        (vec![], vec!["b", "a"], vec!["b", "a"]),
    ];
    for (before, applied, after) in cases {
        let items = |names: &[&str]| json!({"keyed": names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>()});
        let mut world = World::new();
        world.update("hand", items(&before));
        world.apply("one", false, items(&applied)).unwrap();
        assert_eq!(world.spec(), &items(&after), "{before:?} with {applied:?}");
    }
}

#[test]
fn a_configuration_must_fit_the_schema() {
    let keyed = |items: Value| json!({"keyed": items});
    for (spec, problem) in [
        (json!({"c": 1}), ".spec.c: field not declared in schema"),
        (json!({"number": "five"}), ".spec.number: expected numeric (int or float), got string"),
        (json!({"a": 5}), ".spec.a: expected string, got &value.valueUnstructured{Value:5}"),
        (json!({"deep": "x"}), ".spec.deep: expected map, got &{x}"),
        (json!({"list": {"a": 1}}), ".spec.list: expected list, got &{map[a:1]}"),
        (json!({"set": ["a", "a"]}), ".spec.set: duplicate entries for key [=\"a\"]"),
        (keyed(json!([{"name": "a"}, {"name": "a"}])), ".spec.keyed: duplicate entries for key [name=\"a\"]"),
        (keyed(json!([{"name": "a", "x": 1}])), ".spec.keyed[name=\"a\"].x: field not declared in schema"),
        (
            keyed(json!([{"note": "a"}])),
            ".spec.keyed: element 0: associative list with keys has an element that omits all key fields [\"name\"] (and doesn't have default \
             values for any key fields)",
        ),
        (
            json!({"a": 1, "c": 1}),
            "errors:\n  .spec.a: expected string, got &value.valueUnstructured{Value:1}\n  .spec.c: field not declared in schema",
        ),
    ] {
        match World::new().apply("m", false, spec.clone()) {
            Err(ApplyError::Typed(found)) => assert_eq!(found, problem),
            other => panic!("{spec}: {:?}", other.err()),
        }
    }
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let mut world = World::new();
    let spec = json!({"a": "1", "map": {"x": "1"}, "list": ["a"], "deep": {"x": "1"}, "set": [], "free": {"q": [{"r": 1}]}});
    world.apply("one", false, spec.clone()).unwrap();
    let before = (world.live.clone(), world.managers.clone());
    world.apply("one", false, spec).unwrap();
    assert_eq!((world.live.clone(), world.managers.clone()), before);
}

#[test]
fn ownership_begins_with_the_first_apply() {
    let mut world = World::new();
    world.live = object(json!({"a": "1", "b": "1"}));
    assert_eq!(
        conflicts(world.apply("one", false, json!({"a": "2"}))),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .spec.a"
    );
    world.apply("one", true, json!({"a": "2"})).unwrap();
    assert_eq!(world.owns("before-first-apply"), ["", ".b"]);
}

#[test]
fn kubectl_takes_over_what_its_client_side_apply_left() {
    const NAME: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let mut world = World::new();
    world.update("kubectl-client-side-apply", json!({"a": "1", "b": "1"}));
    let last = json!({"apiVersion": "v1", "kind": "T", "spec": {"a": "1"}}).to_string();
    world.live["metadata"]["annotations"] = json!({NAME: last});
    assert_eq!(conflicts(world.apply("other", false, json!({"a": "2"}))).lines().count(), 1);
    // `b` is not in the annotation.
    assert_eq!(
        conflicts(world.apply("kubectl", false, json!({"a": "2", "b": "2"}))),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .spec.b"
    );
    world.apply("kubectl", false, json!({"a": "2"})).unwrap();
    assert_eq!(world.spec(), &json!({"a": "2", "b": "1"}));
    let last = world.live["metadata"]["annotations"][NAME].as_str().unwrap();
    assert_eq!(last, "{\"apiVersion\":\"v1\",\"kind\":\"T\",\"metadata\":{\"name\":\"t\"},\"spec\":{\"a\":\"2\"}}\n");
}
