use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

/// What the schema of the cases is.
fn schema() -> Value {
    json!({"type": "object", "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "with-dash": {"type": "string"},
        "if": {"type": "string"},
        "x__y": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "on": {"type": "boolean"},
        "wait": {"type": "string", "format": "duration"},
        "at": {"type": "string", "format": "date-time"},
        "raw": {"type": "string", "format": "byte"},
        "port": {"x-kubernetes-int-or-string": true},
        "obj": {"type": "object", "properties": {"a": {"type": "string"}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"k": {"type": "string"}}},
        "any": {"x-kubernetes-preserve-unknown-fields": true},
        "anys": {"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": true}},
        "emb": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        "items": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "fixed": {"type": "integer"}}}},
        "names": {"type": "array", "items": {"type": "string"}},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "bare": {"type": "object"},
    }})
}

fn node(schema: &Value) -> Arc<Node> {
    Arc::new(Node::parse(schema).unwrap())
}

/// `cases.txt` holds rules, after `== `, and what the compiler of apiextensions-apiserver 1.37.2 says of each, with this schema. A tab is
/// before a message expression; `oldSelf` is optional where a rule asks it for its value.
#[test]
fn rules_are_judged_as_the_real_server_judges_them() {
    let schema = node(&schema());
    let mut wrong = Vec::new();
    for case in include_str!("cases.txt").trim_start_matches("== ").split("\n== ") {
        let (line, expected) = case.trim_end().split_once('\n').unwrap();
        let (rule, message) = line.split_once('\t').map_or((line, None), |(rule, message)| (rule, Some(message)));
        let rule = rule.replace("\\n", "\n");
        let optional_old = rule.contains("oldSelf.hasValue") || rule.contains("oldSelf.orValue");
        let place = Place { node: &schema, resource: false, optional_old };
        let mut said = check(place, &rule, Purpose::Rule).map_or_else(|problem| problem, |_| "ok".to_owned());
        if let Some(Err(problem)) = message.map(|message| check(place, message, Purpose::Message)) {
            said += &format!("\nMSG {problem}");
        }
        if said != expected {
            wrong.push(format!("{line}\nexpected {expected}\nfound    {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_function_that_is_known_can_be_called() {
    let context = crate::schema::cel_functions::context();
    let is_missing = |source: &str| {
        let said = context.resolve(&Lazy::new(source).get().unwrap().parsed);
        said.is_err_and(|error| error.to_string().contains("ndeclared"))
    };
    assert!(is_missing("null.nothing()") && is_missing("nothing.at.all()"));
    functions::functions().with(|functions| {
        for (name, overloads) in functions.iter().filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_alphabetic())) {
            let target = if overloads.iter().any(|overload| overload.member) { "null." } else { "" };
            assert!(!is_missing(&format!("{target}{name}()")), "{name}");
        }
    });
}
