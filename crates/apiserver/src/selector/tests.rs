use serde_json::{Value, json};

use super::*;
use crate::builtin;

fn labels(text: &str, object: &Value) -> bool {
    LabelSelector::parse(text).unwrap().matches(object)
}

#[test]
fn label_requirements() {
    let object = json!({"metadata": {"labels": {"app": "web", "tier": "2", "empty": ""}}});
    for yes in [
        "",
        "app",
        "app=web",
        "app==web",
        "app!=db",
        "app in (web, db)",
        "app notin (db)",
        "!gone",
        "gone!=x",
        "empty=",
        "tier>1",
        "tier<3",
        "app=web,tier",
    ] {
        assert!(labels(yes, &object), "{yes}");
    }
    for no in ["gone", "app=db", "app!=web", "app in (db)", "app notin (web,db)", "!app", "tier>2", "app=web,gone"] {
        assert!(!labels(no, &object), "{no}");
    }
}

#[test]
fn bad_label_selectors_say_what_was_found() {
    assert_eq!(LabelSelector::parse("==x").unwrap_err(), "found '==', expected: !, identifier, or 'end of string'");
    assert!(LabelSelector::parse("a in b").unwrap_err().contains("expected: '('"));
    assert!(LabelSelector::parse("a=b c").is_err());
    assert!(LabelSelector::parse("a=b,").is_err());
}

fn resource(plural: &str) -> std::sync::Arc<Resource> {
    let registry = crate::registry::Registry::new(&[], None);
    assert!(!builtin::all().is_empty());
    std::sync::Arc::clone(registry.find("", "v1", plural).unwrap())
}

#[test]
fn field_terms() {
    let events = resource("events");
    let event = json!({"metadata": {"name": "e", "namespace": "default"}, "involvedObject": {"kind": "Pod", "apiVersion": "v1"}, "source": {"component": "x"}});
    let matches = |text: &str| FieldSelector::parse(text, &events).unwrap().matches(&event);
    assert!(matches("involvedObject.kind=Pod,involvedObject.namespace=,metadata.name==e"));
    assert!(matches("involvedObject.kind!=Service,source=x"));
    assert!(!matches("involvedObject.uid=1"));
    assert_eq!(FieldSelector::parse("spec.x=1", &events).unwrap_err(), "field label not supported: spec.x");
    assert!(FieldSelector::parse("metadata.name", &events).unwrap_err().contains("can't understand 'metadata.name'"));
    assert!(FieldSelector::parse(r"metadata.name=a\,b", &events).is_ok());
}

#[test]
fn kept_objects_are_read_as_far_as_a_selector_needs() {
    let pod = json!({"metadata": {"name": "p", "namespace": "a", "labels": {"app": "web"}}, "spec": {"nodeName": "n"}});
    let stored = Stored::new(pod, crate::apply::Managed::default(), 1).unwrap();
    let matches = |query: &str| Selector::from_query(&Query::parse(query), &resource("pods")).unwrap().matches(&stored);
    for yes in [
        "",
        "labelSelector=app%3Dweb",
        "fieldSelector=metadata.name%3Dp,metadata.namespace!%3Db",
        "fieldSelector=metadata.name%3Dp&labelSelector=app",
        "fieldSelector=spec.nodeName%3Dn,metadata.namespace%3Da&labelSelector=!db",
    ] {
        assert!(matches(yes), "{yes}");
    }
    for no in [
        "labelSelector=app%3Ddb",
        "fieldSelector=metadata.name%3Dq",
        "fieldSelector=metadata.name%3Dp&labelSelector=!app",
        "fieldSelector=spec.nodeName%3Dn,metadata.namespace%3Db",
        "fieldSelector=spec.nodeName%3Dm",
    ] {
        assert!(!matches(no), "{no}");
    }
}
