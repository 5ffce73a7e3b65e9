use super::*;

#[test]
fn a_writer_owns_what_he_changed_and_others_lose_it() {
    let mut world = World::new();
    world.update("one", json!({"a": "1", "b": "1", "map": {"x": "1"}}));
    assert_eq!(world.owns("one"), ["", ".a", ".b", ".map", ".map.x"]);
    world.update("two", json!({"a": "2", "b": "1", "map": {"x": "1", "y": "1"}}));
    assert_eq!(world.owns("one"), ["", ".b", ".map", ".map.x"]);
    assert_eq!(world.owns("two"), [".a", ".map.y"]);
    // What is gone is nobody's.
    world.update("two", json!({"a": "2", "map": {"y": "1"}}));
    assert_eq!(world.owns("one"), ["", ".map"]);
    // No change: no owner, no time.
    let before = world.managers.clone();
    world.update("three", json!({"a": "2", "map": {"y": "1"}}));
    assert_eq!(world.managers, before);
}

#[test]
fn lists_are_owned_as_their_schema_says() {
    let cases = [
        (json!({"list": ["a"]}), vec![".list"]),
        (json!({"whole": {"a": "1"}}), vec![".whole"]),
        (json!({"set": ["b", "a"]}), vec![".set", ".set[=\"a\"]", ".set[=\"b\"]"]),
        (
            json!({"keyed": [{"name": "n", "note": "x"}]}),
            vec![".keyed", ".keyed[name=\"n\"]", ".keyed[name=\"n\"].name", ".keyed[name=\"n\"].note"],
        ),
        // A key that is left out has its default.
        (json!({"ports": [{"port": 80}]}), vec![".ports", ".ports[port=80,protocol=\"TCP\"]", ".ports[port=80,protocol=\"TCP\"].port"]),
        (json!({"free": {"x": {"y": [1]}}}), vec![".free", ".free.x", ".free.x.y"]),
        (json!({"map": {}}), vec![".map"]),
    ];
    for (spec, mut owned) in cases {
        let mut world = World::new();
        world.update("m", spec.clone());
        owned.insert(0, "");
        assert_eq!(world.owns("m"), owned, "{spec}");
    }
}

#[test]
fn items_with_the_same_key_are_one_piece() {
    let twice = |a: &str, b: &str| json!({"keyed": [{"name": "n", "note": a}, {"name": "n", "note": b}]});
    let mut world = World::new();
    world.update("one", twice("1", "2"));
    assert_eq!(world.owns("one"), ["", ".keyed", ".keyed[name=\"n\"]"]);
    world.update("two", twice("1", "3"));
    assert_eq!(world.owns("two"), [".keyed[name=\"n\"]"]);
    world.update("one", json!({"keyed": [{"name": "n", "note": "1"}]}));
    assert_eq!(world.owns("two"), Vec::<String>::new());
}

#[test]
fn only_ten_updaters_are_told_apart() {
    let mut world = World::new();
    for n in 0..14 {
        let map: serde_json::Map<String, Value> = (0..=n).map(|k| (format!("k{k}"), json!("1"))).collect();
        world.update(&format!("m{n:02}"), json!({"map": map}));
    }
    assert_eq!(world.managers.entries.len(), 10);
    assert_eq!(world.owns("m13"), [".map.k13"]);
    assert_eq!(world.owns("ancient-changes"), ["", ".map", ".map.k0", ".map.k1", ".map.k2", ".map.k3", ".map.k4"]);
    let times: Vec<_> = world.managers.entries.iter().map(|entry| entry.time.unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn what_the_server_keeps_is_nobodys() {
    let schema = schema();
    let mut new = object(json!({}));
    new["metadata"] = json!({"name": "t", "uid": "u", "generation": 3, "labels": {"a": "b"}, "finalizers": ["x/y"]});
    new["status"] = json!({"a": 1});
    let managers = update(Typed::Object(&schema.root), &json!({}), &new, Managers::default(), &who("m", Operation::Update), 1, &["status"]);
    let paths = managers.unwrap().entries[0].fields.paths();
    assert_eq!(paths, [".spec", ".metadata.finalizers", ".metadata.labels", ".metadata.finalizers[=\"x/y\"]", ".metadata.labels.a"]);
}

#[test]
fn many_managers_take_no_longer_than_their_list() {
    let entry = |n: usize| {
        json!({"manager": format!("m{n}"), "operation": "Update", "apiVersion": format!("v{}", n % 2), "fieldsType": "FieldsV1",
            "time": "2026-11-23T12:00:00Z", "fieldsV1": {"f:spec": {format!("f:{n}"): {}}}})
    };
    let many: Vec<Value> = (0..30_000).chain([0]).map(entry).collect();
    let mut managers = Managers::from_value(&json!(many)).unwrap();
    assert_eq!((managers.entries.len(), managers.entries[29_999].who.manager.as_str()), (30_000, "m0"));
    managers.cap();
    assert_eq!(managers.entries.len(), 10);
    let members: usize = managers.entries.iter().map(|entry| entry.fields.paths().len()).sum();
    assert_eq!(members, 30_000);
}
