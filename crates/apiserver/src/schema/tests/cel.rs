use super::*;

fn with_rules(rules: Value) -> Structural {
    schema(json!({"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-validations": rules, "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "with-dash": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "wait": {"type": "string", "format": "duration"},
        "at": {"type": "string", "format": "date-time"},
        "port": {"x-kubernetes-int-or-string": true},
        "fixed": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "Value is immutable"}]},
        "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object", "properties": {
            "name": {"type": "string"},
            "fixed": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]},
        }}},
        "map": {"type": "object", "additionalProperties": {"type": "string", "x-kubernetes-validations": [{"rule": "self != 'bad'"}]}},
    }}}}))
}

fn run(rule: Value, spec: Value) -> Vec<String> {
    texts(&with_rules(json!([rule])).validate(&json!({"spec": spec}), None))
}

#[test]
fn rules_see_typed_values() {
    for (rule, spec) in [
        ("self.name.startsWith('a') && size(self.name) == 2", json!({"name": "ab"})),
        ("has(self.name) || !has(self.count)", json!({})),
        ("self.__namespace__ == 'x'", json!({"namespace": "x"})),
        ("self.with__dash__dash == 'x'", json!({"with-dash": "x"})),
        ("self.ratio == 2.0", json!({"ratio": 2})),
        ("self.wait > duration('1s')", json!({"wait": "2s"})),
        ("self.at < timestamp('2027-01-01T00:00:00Z')", json!({"at": "2026-01-01T00:00:00Z"})),
        ("type(self.port) == int ? self.port > 1 : self.port == 'http'", json!({"port": "http"})),
        ("self.items.all(i, i.name.matches('^[a-z]+$'))", json!({"items": [{"name": "a"}, {"name": "b"}]})),
        ("self.items.exists_one(i, i.name == 'a')", json!({"items": [{"name": "a"}, {"name": "b"}]})),
        ("self.items.filter(i, has(i.fixed)).size() == 1", json!({"items": [{"name": "a", "fixed": 1}, {"name": "b"}]})),
        ("self.name.split('.')[1] == 'b'", json!({"name": "a.b"})),
        ("self.name.substring(1, 2) == 'b'", json!({"name": "ab"})),
        ("isIP(self.name)", json!({"name": "10.0.0.1"})),
        ("!format.dns1123Label().validate(self.name).hasValue()", json!({"name": "abc"})),
        ("'k' in self.map && self.map['k'] == 'v'", json!({"map": {"k": "v"}})),
        ("self.name in ['a', 'b']", json!({"name": "a"})),
        ("size(self.name) == 1 && self.name.size() == 1", json!({"name": "é"})),
        ("size(self.items) > 0 || size(self.map) > 0", json!({"map": {"a": "b"}})),
        ("dyn(self.count) == 1 && type(self.name) != type(self.count)", json!({"count": 1, "name": "a"})),
        ("self.map.all(k, v, k != v)", json!({"map": {"a": "b", "b": "c"}})),
        ("!self.map.all(k, v, k != v) && self.map.exists(k, v, k == v)", json!({"map": {"a": "b", "c": "c"}})),
        ("self.items.exists(i, item, i == 1 && item.name == 'b' || item.nope)", json!({"items": [{"name": "a"}, {"name": "b"}]})),
        ("self.items.existsOne(i, item, i > 0)", json!({"items": [{"name": "a"}, {"name": "b"}]})),
        ("self.items.transformList(i, item, i > 0, item.name) == ['b']", json!({"items": [{"name": "a"}, {"name": "b"}]})),
        ("self.map.transformList(k, v, k + v) == ['ab', 'cd']", json!({"map": {"c": "d", "a": "b"}})),
        ("self.map.transformMap(k, v, k != 'a', v + k) == {'c': 'dc'}", json!({"map": {"c": "d", "a": "b"}})),
        ("self.items.transformMapEntry(i, item, {item.name: i}) == {'a': 0, 'b': 1}", json!({"items": [{"name": "a"}, {"name": "b"}]})),
        ("self.items.all(i, a, self.items.exists(j, b, j == 1 - i && a.name != b.name))", json!({"items": [{"name": "a"}, {"name": "b"}]})),
        ("self.?name.optMap(n, n + 'x').orValue('none') == 'ax'", json!({"name": "a"})),
        ("self.?name.hasValue() ? false : !self.?map.?a.hasValue()", json!({})),
        ("self.?map.?a.orValue('x') == 'b' && self.map[?'z'].orValue('x') == 'x'", json!({"map": {"a": "b"}})),
        ("self.?name.optFlatMap(n, optional.of(n)).orValue('none') == 'none' && !has(self.name)", json!({})),
    ] {
        assert_eq!(run(json!({"rule": rule}), spec), Vec::<String>::new(), "{rule}");
    }
}

#[test]
fn failures_say_what_the_rule_says() {
    let spec = json!({"name": "a", "count": 3});
    for (rule, text) in [
        (json!({"rule": "self.count < 3"}), "spec: Invalid value: failed rule: self.count < 3"),
        (json!({"rule": "self.count < 3", "message": "too many "}), "spec: Invalid value: too many"),
        (json!({"rule": "self.count < 3", "messageExpression": "'count is ' + string(self.count)"}), "spec: Invalid value: count is 3"),
        (json!({"rule": "false", "messageExpression": "''", "message": "plain"}), "spec: Invalid value: plain"),
        (json!({"rule": "false", "message": "m", "reason": "FieldValueForbidden", "fieldPath": ".name"}), "spec.name: Forbidden: m"),
        (json!({"rule": "false", "message": "m", "reason": "FieldValueRequired", "fieldPath": "['name']"}), "spec.name: Required value: m"),
        (json!({"rule": "false", "reason": "FieldValueDuplicate"}), "spec: Duplicate value"),
    ] {
        assert_eq!(run(rule.clone(), spec.clone()), [text], "{rule}");
    }
    let errors = with_rules(json!([])).validate(&json!({"spec": {"map": {"k": "bad"}}}), None);
    assert_eq!(texts(&errors), ["spec.map[k]: Invalid value: \"bad\": failed rule: self != 'bad'"]);
    let no_key = "spec: Invalid value: \"object\": no such key: nope evaluating rule: ";
    assert_eq!(run(json!({"rule": "size(self.nope) == 1"}), spec.clone()), [format!("{no_key}size(self.nope) == 1")]);
    assert_eq!(run(json!({"rule": "self.nope == 1", "message": "m"}), spec.clone()), [format!("{no_key}m")]);
    let twice = json!({"rule": "['a', 'a'].transformMapEntry(i, v, {v: i}) == {}"});
    assert!(run(twice, spec.clone())[0].contains("key a already exists"), "{spec}");
    assert!(run(json!({"rule": "self. =="}), spec)[0].starts_with("spec: Invalid value: \"object\": rule compile error: "));
}

#[test]
fn transition_rules_compare_with_what_was() {
    let schema = with_rules(json!([{"rule": "oldSelf.hasValue() || self.count == 1", "optionalOldSelf": true, "message": "starts at 1"}]));
    let check = |new: Value, old: Option<Value>| {
        let old = old.map(|old| json!({"spec": old}));
        texts(&schema.validate(&json!({"spec": new}), old.as_ref()))
    };
    assert_eq!(check(json!({"count": 2}), None), ["spec: Invalid value: starts at 1"]);
    assert!(check(json!({"count": 2}), Some(json!({"count": 1}))).is_empty());
    assert_eq!(
        check(json!({"count": 1, "fixed": "b"}), Some(json!({"count": 1, "fixed": "a"}))),
        ["spec.fixed: Invalid value: \"b\": Value is immutable"]
    );
    assert!(check(json!({"count": 1, "fixed": "b"}), Some(json!({"count": 1}))).is_empty());
    let items = |a: i64, b: i64| json!({"count": 1, "items": [{"name": "a", "fixed": a}, {"name": "b", "fixed": b}]});
    let swapped = json!({"count": 1, "items": [{"name": "b", "fixed": 5}, {"name": "a", "fixed": 1}]});
    assert!(check(swapped, Some(items(1, 5))).is_empty());
    assert_eq!(check(items(1, 4), Some(items(1, 5))), ["spec.items[1].fixed: Invalid value: 4: failed rule: self >= oldSelf"]);
}

#[test]
fn hostile_rules_are_refused() {
    for rule in [
        vec!["1"; 4000].join("+") + " > 0",
        vec!["self.count"; 150].join("+") + " > 0",
        "(".repeat(4000) + "true" + &")".repeat(4000),
        "[".repeat(300) + &"]".repeat(300) + " == []",
        format!("self{} == 1", ".a".repeat(4000)),
        "true ? true : ".repeat(500) + "true",
        "a".repeat(10_000),
    ] {
        let errors = run(json!({"rule": rule, "message": "m"}), json!({"count": 1}));
        assert!(errors.first().is_some_and(|e| e.contains("rule compile error")), "{errors:?}");
    }
    let long = vec!["self.count == 1"; 60].join(" || ");
    assert_eq!(run(json!({"rule": long}), json!({"count": 1})), Vec::<String>::new());
}
