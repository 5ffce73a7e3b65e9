use super::*;
use crate::apply::set::FieldSet;
use crate::apply::{Interner, Managed};

fn set(text: &str) -> FieldSet {
    fields_v1::parse(text).unwrap()
}

#[test]
fn sets_read_back_as_they_were_written() {
    for text in [
        "{}",
        r#"{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:replicas":{}}}"#,
        r#"{"f:spec":{"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}}"#,
        r#"{"f:set":{"v:\"x\"":{},"v:true":{}},"f:list":{"i:1":{}}}"#,
        r#"{"f:a\"b\n":{}}"#,
    ] {
        let sorted: Value = serde_json::from_str(text).unwrap();
        let again: Value = serde_json::from_str(&fields_v1::text(&set(text))).unwrap();
        assert_eq!(again, sorted, "{text}");
    }
    for text in ["[]", "{", r#"{"a":{}}"#, r#"{"x:a":{}}"#, r#"{"k:[]":{}}"#, r#"{"i:x":{}}"#, r#"{"f:a":1}"#] {
        assert!(fields_v1::parse(text).is_err(), "{text}");
    }
    let deep = format!("{}{{}}{}", r#"{"f:a":"#.repeat(5000), "}".repeat(5000));
    assert!(fields_v1::parse(&deep).is_err());
}

#[test]
fn sets_combine() {
    let a = set(r#"{"f:a":{},"f:b":{".":{},"f:c":{},"f:d":{}}}"#);
    let b = set(r#"{"f:b":{},"f:e":{},"f:a":{"f:x":{}}}"#);
    let cases = [
        (a.union(&b), r#"{"f:a":{".":{},"f:x":{}},"f:b":{".":{},"f:c":{},"f:d":{}},"f:e":{}}"#),
        (a.intersection(&b), r#"{"f:b":{}}"#),
        // A parent takes nothing of what is below it.
        (a.difference(&b), r#"{"f:a":{},"f:b":{"f:c":{},"f:d":{}}}"#),
        (b.difference(&a), r#"{"f:a":{"f:x":{}},"f:e":{}}"#),
        (a.without_fields(&["b"]), r#"{"f:a":{}}"#),
    ];
    for (found, expected) in cases {
        assert_eq!(fields_v1::text(&found), expected);
    }
    assert_eq!(a.paths(), [".a", ".b", ".b.c", ".b.d"]);
    let mut one = FieldSet::default();
    one.insert(&[Element::field("b"), Element::parse("k:{\"name\":\"x\"}").unwrap()]);
    assert_eq!(one.paths(), [".b[name=\"x\"]"]);
}

#[test]
fn equal_entries_are_kept_once() {
    let list = |manager: &str| {
        json!([{"manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-01-02T03:04:05Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:a": {}}}, "subresource": "status"}])
    };
    let mut interner = Interner::default();
    let one = interner.intern(&Managed::new(&Managers::from_value(&list("m")).unwrap()));
    let same = interner.intern(&Managed::new(&Managers::from_value(&list("m")).unwrap()));
    assert!(one.shares(&same));
    assert_eq!(one.to_value(), list("m"));
    assert_eq!(one.managers(), Managers::from_value(&list("m")).unwrap());
    // What nobody uses is forgotten.
    for n in 0..5000 {
        interner.intern(&Managed::new(&Managers::from_value(&list(&format!("m{n}"))).unwrap()));
    }
    assert!(interner.len() < 2500, "{}", interner.len());
}

#[test]
fn entries_that_cannot_be_read() {
    let good = json!({"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}});
    assert!(Managers::from_value(&json!([good])).is_ok());
    for (key, value) in [
        ("operation", json!("Other")),
        ("apiVersion", json!("")),
        ("fieldsType", json!("FieldsV2")),
        ("fieldsV1", json!({"x": 1})),
        ("fieldsV1", json!(1)),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(Managers::from_value(&json!([bad])).is_err(), "{key}");
    }
    assert!(Managers::is_reset(&json!([])) && Managers::is_reset(&json!([{}])) && !Managers::is_reset(&json!([good])));
}
