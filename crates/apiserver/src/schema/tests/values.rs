use super::*;

const B: &str = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

fn spec(spec: Value) -> Vec<String> {
    let mut object = json!({"spec": spec});
    policy().prune(&mut object);
    policy().default(&mut object);
    texts(&policy().validate(&object, None))
}

fn limit(limit: Value) -> Vec<String> {
    spec(json!({"connection": {"connectionLimit": limit}}))
}

#[test]
fn causes_read_as_on_a_real_server() {
    let value = "spec.connection.connectionLimit.value";
    let delay = "spec.connection.connectionLimit.closeDelay";
    let cases: Vec<(Vec<String>, Vec<String>)> = vec![
        (limit(json!({"value": 5})), vec![]),
        (limit(json!({"value": 5.0})), vec![]),
        (limit(json!({"value": 1e3})), vec![]),
        (limit(json!({"value": null})), vec![]),
        (limit(json!({"value": 0})), vec![format!("{value}: Invalid value: 0: {value} in body should be greater than or equal to 1")]),
        (
            limit(json!({"value": "five"})),
            vec![format!("{value}: Invalid value: \"string\": {value} in body must be of type integer: \"string\""), B.into()],
        ),
        (
            limit(json!({"value": 5.5})),
            vec![
                format!("{value}: Invalid value: \"float64\": {value} in body must be of type int64: \"float64\""),
                format!("<nil>: Invalid value: \"\": Checked value must be of type integer with format int64 in {value}"),
                B.into(),
            ],
        ),
        (
            limit(json!({"value": 9223372036854775808u64})),
            vec![
                format!("{value}: Invalid value: \"float64\": {value} in body must be of type int64: \"float64\""),
                format!("<nil>: Invalid value: \"\": Checked value must be of type integer with format int64 in {value}"),
                B.into(),
            ],
        ),
        (
            limit(json!({"value": true})),
            vec![format!("{value}: Invalid value: \"\": {value} in body must be of type int64: \"\""), B.into()],
        ),
        (
            limit(json!({"closeDelay": "1s"})),
            vec!["spec.connection.connectionLimit: Invalid value: closeDelay can only be configured when value is set".into()],
        ),
        (
            limit(json!({"value": 1, "closeDelay": "10mib"})),
            vec![format!("{delay}: Invalid value: \"10mib\": {delay} in body should match '^([0-9]{{1,5}}(h|m|s|ms)){{1,4}}$'")],
        ),
        (
            limit(json!({"value": 1, "closeDelay": 5})),
            vec![format!("{delay}: Invalid value: \"integer\": {delay} in body must be of type string: \"integer\""), B.into()],
        ),
        (
            spec(json!({"type": "Bogus"})),
            vec!["spec.type: Unsupported value: \"Bogus\": supported values: \"Endpoints\", \"DynamicResolver\"".into(), B.into()],
        ),
        (
            spec(json!({"listeners": [{"name": ""}]})),
            vec!["spec.listeners[0].name: Invalid value: \"\": spec.listeners[0].name in body should be at least 1 chars long".into()],
        ),
        (
            spec(json!({"listeners": [{"name": "abcdef"}]})),
            vec!["spec.listeners[0].name: Too long: may not be more than 5 bytes".into(), B.into()],
        ),
        (spec(json!({"listeners": [{}]})), vec!["spec.listeners[0].name: Required value".into(), B.into()]),
        (
            spec(json!({"listeners": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}]})),
            vec!["spec.listeners: Too many: 4: must have at most 3 items".into(), B.into()],
        ),
        (spec(json!({"listeners": [{"name": "a"}, {"name": "a"}]})), vec!["spec.listeners[1]: Duplicate value: {\"name\":\"a\"}".into()]),
        (spec(json!({"port": "http"})), vec![]),
        (
            spec(json!({"port": true})),
            vec!["spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"".into(), B.into()],
        ),
        (spec(json!({"when": "2026-01-01T00:00:00Z"})), vec![]),
        (
            spec(json!({"when": "soon"})),
            vec!["spec.when: Invalid value: \"soon\": spec.when in body must be of type date-time: \"soon\"".into(), B.into()],
        ),
    ];
    for (index, (found, expected)) in cases.into_iter().enumerate() {
        assert_eq!(found, expected, "case {index}");
    }
}

#[test]
fn reasons_are_machine_readable() {
    let reasons = |object: Value| policy().validate(&object, None).into_iter().map(|e| e.reason).collect::<Vec<_>>();
    assert_eq!(reasons(json!({})), ["FieldValueRequired", "FieldValueInvalid"]);
    assert_eq!(reasons(json!({"spec": {"type": 1}})), ["FieldValueTypeInvalid", "FieldValueNotSupported", "FieldValueInvalid"]);
}

#[test]
fn what_did_not_change_is_not_complained_about() {
    let old = json!({"spec": {"type": "Bogus", "listeners": [{"name": "abcdef", "port": 1}]}});
    let mut new = old.clone();
    new["spec"]["listeners"][0]["port"] = json!(2);
    assert_eq!(texts(&policy().validate(&new, Some(&old))), Vec::<String>::new());
    let twice = json!({"spec": {"listeners": [{"name": "a"}, {"name": "a"}]}});
    assert_eq!(policy().validate(&twice, Some(&twice)), []);
    new["spec"]["type"] = json!("Worse");
    assert_eq!(policy().validate(&new, Some(&old)).len(), 2);
}

#[test]
fn combinations_hold_or_say_which_failed() {
    let one_of = schema(
        json!({"type": "object", "properties": {"a": {"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "string"}},
        "oneOf": [{"required": ["x"]}, {"required": ["y"]}]}}}),
    );
    let check = |object: Value| texts(&one_of.validate(&object, None));
    assert!(check(json!({"a": {"x": ""}})).is_empty());
    assert_eq!(
        check(json!({"a": {}})),
        ["<nil>: Invalid value: \"\": \"a\" must validate one and only one schema (oneOf). Found none valid", "a.x: Required value"]
    );
    assert_eq!(
        check(json!({"a": {"x": "", "y": ""}})),
        ["<nil>: Invalid value: \"\": \"a\" must validate one and only one schema (oneOf). Found 2 valid alternatives"]
    );
    let mixed = schema(json!({"type": "object", "properties": {
        "b": {"type": "string", "anyOf": [{"format": "ipv4"}, {"pattern": "^x"}]},
        "c": {"type": "integer", "allOf": [{"minimum": 1}, {"maximum": 5}], "not": {"enum": [3]}},
    }}));
    let check = |object: Value| texts(&mixed.validate(&object, None));
    assert!(check(json!({"b": "10.0.0.1", "c": 2})).is_empty());
    assert!(check(json!({"b": "xyz"})).is_empty());
    assert_eq!(check(json!({"b": "abc"}))[0], "<nil>: Invalid value: \"\": \"b\" must validate at least one schema (anyOf)");
    assert_eq!(
        check(json!({"c": 9})),
        [
            "c: Invalid value: 9: c in body should be less than or equal to 5",
            "<nil>: Invalid value: \"\": \"c\" must validate all the schemas (allOf)"
        ]
    );
    assert_eq!(check(json!({"c": 3})), ["<nil>: Invalid value: \"\": \"c\" must not validate the schema (not)"]);
}

#[test]
fn bounds_of_numbers_lists_and_maps() {
    let bounds = schema(json!({"type": "object", "properties": {
        "i": {"type": "integer", "format": "int32"},
        "x": {"type": "integer", "minimum": 0, "exclusiveMinimum": true, "maximum": 10, "exclusiveMaximum": true, "multipleOf": 3},
        "f": {"type": "number", "minimum": 0.5},
        "l": {"type": "array", "minItems": 2, "uniqueItems": true, "items": {"type": "string"}},
        "m": {"type": "object", "minProperties": 1, "maxProperties": 2, "additionalProperties": {"type": "string"}},
        "s": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    }}));
    let check = |object: Value| texts(&bounds.validate(&object, None));
    assert_eq!(
        check(json!({"i": 2147483648u32})),
        ["<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in i"]
    );
    assert_eq!(check(json!({"x": 0})), ["x: Invalid value: 0: x in body should be greater than 0"]);
    assert_eq!(
        check(json!({"x": 10})),
        ["x: Invalid value: 10: x in body should be a multiple of 3", "x: Invalid value: 10: x in body should be less than 10"]
    );
    assert_eq!(check(json!({"f": 0.25})), ["f: Invalid value: 0.25: f in body should be greater than or equal to 0.5"]);
    assert!(check(json!({"f": 2})).is_empty());
    assert_eq!(check(json!({"l": []})), ["l: Invalid value: 0: l in body should have at least 2 items"]);
    assert_eq!(check(json!({"l": ["a", "a"]})), ["l: Invalid value: \"\": l in body shouldn't contain duplicates"]);
    assert_eq!(check(json!({"m": {}})), ["m: Invalid value: 0: m in body should have at least 1 properties"]);
    assert_eq!(check(json!({"m": {"a": "", "b": "", "c": ""}})), ["m: Too many: 3: must have at most 2 items"]);
    assert_eq!(check(json!({"s": ["a", "b", "a", "a"]})), ["s[2]: Duplicate value: \"a\""]);
}

#[test]
fn formats() {
    use super::super::format::holds;
    for (format, good, bad) in [
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
        ("duration", "1h30m", "1x"),
        ("duration", "22 ns", ""),
        ("date", "2026-02-28", "2026-02-30"),
        ("date-time", "2026-02-28T01:02:03.5+01:00", "2026-02-28 01:02:03Z"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-42661417400"),
        ("mac", "00:11:22:33:44:55", "00:11:22:33:44"),
        ("hostname", "a.example.com", "a_b"),
        ("uri", "http://x/y", "x y"),
        ("byte", "aGk=", "aGk"),
        ("hexcolor", "#fff", "#ffff"),
        ("k8s-short-name", "a-b", "a.b"),
        ("k8s-long-name", "a.b", "A.b"),
    ] {
        assert!(holds(format, good), "{format} {good}");
        assert!(!holds(format, bad), "{format} {bad}");
    }
}

#[test]
fn of_alternatives_the_one_with_most_to_say_is_told() {
    let either = schema(json!({"type": "object", "oneOf": [
        {"properties": {"t": {"enum": ["A"]}, "v": {"format": "ipv4"}}},
        {"properties": {"t": {"not": {"enum": ["A"]}}}},
    ], "properties": {"t": {"type": "string"}, "v": {"type": "string"}}}));
    let said = texts(&either.validate(&json!({"t": "A", "v": "x"}), None));
    assert!(said.iter().any(|text| text == "v: Invalid value: \"x\": v in body must be of type ipv4: \"x\""), "{said:?}");
    assert!(!said.iter().any(|text| text.contains("(not)")), "{said:?}");
}
