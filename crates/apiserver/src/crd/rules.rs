//! The rules of a definition, held against the schema that they are about.

use serde_json::{Value, json};

use crate::schema::typing::{Place, Purpose, check as check_types};
use crate::schema::{FieldError, ListType, Node};
use crate::texts::Room;

/// What is wrong with the rules below `schema`, of which `node` is the parsed form, as far as there is room to tell it. Types come first and
/// changes later, as they are read.
pub(super) fn check(schema: &Value, node: &Node, path: &str, room: &mut Room) -> Vec<FieldError> {
    let mut found = Found { errors: Vec::new(), room };
    walk(At { schema, node, resource: true, lost: None }, path, &mut found);
    found.errors
}

struct Found<'a> {
    errors: Vec<FieldError>,
    room: &'a mut Room,
}

impl Found<'_> {
    fn push(&mut self, error: FieldError) {
        self.room.take(error.field.len() + error.message.len());
        self.errors.push(error);
    }
}

#[derive(Clone, Copy)]
struct At<'a> {
    schema: &'a Value,
    node: &'a Node,
    /// A whole object.
    resource: bool,
    /// The list above whose items have no names: which of the old ones an item was, nobody knows.
    lost: Option<&'a str>,
}

fn walk(at: At<'_>, path: &str, found: &mut Found<'_>) {
    let At { schema, node, lost, .. } = at;
    if !node.deep.rules || !found.room.is_left() {
        return;
    }
    let embedded = |child: &Node| child.embedded;
    if let Some(child) = node.additional.schema() {
        let schema = &schema["additionalProperties"];
        walk(At { schema, node: child, resource: embedded(child), lost }, &format!("{path}.additionalProperties"), found);
    }
    let atomic = if node.atomic_map { lost.or(Some(path)) } else { lost };
    for (name, child) in &node.properties {
        let schema = &schema["properties"][&**name];
        walk(At { schema, node: child, resource: embedded(child), lost: atomic }, &format!("{path}.properties[{name}]"), found);
    }
    if let Some(child) = &node.items {
        let lost = if matches!(node.list, ListType::Map(_)) { lost } else { lost.or(Some(path)) };
        walk(At { schema: &schema["items"], node: child, resource: embedded(child), lost }, &format!("{path}.items"), found);
    }
    for (index, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        if !found.room.is_left() {
            return;
        }
        check_rule(at, rule, &format!("{path}.x-kubernetes-validations[{index}]"), found);
    }
}

fn check_rule(at: At<'_>, rule: &Value, path: &str, found: &mut Found<'_>) {
    let place = Place { node: at.node, resource: at.resource, optional_old: rule["optionalOldSelf"] == true };
    let text = |key: &str| rule[key].as_str().unwrap_or_default();
    let rule_itself = check_types(place, text("rule"), Purpose::Rule);
    // Of a rule that cannot be used, nobody knows what it uses; its message is not looked at.
    let uses_old = rule_itself.as_ref().is_ok_and(|uses_old| *uses_old);
    match rule_itself {
        Err(problem) => found.push(refused(rule, "rule", path, &problem)),
        Ok(_) if text("messageExpression").is_empty() => {}
        Ok(_) => {
            if let Err(problem) = check_types(place, text("messageExpression"), Purpose::Message) {
                found.push(refused(rule, "messageExpression", path, &problem));
            }
        }
    }
    if let Some(lost) = at.lost.filter(|_| uses_old) {
        let detail = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {lost}");
        found.push(FieldError::invalid(format!("{path}.rule"), &rule["rule"], &detail));
    }
    if !uses_old && !rule["optionalOldSelf"].is_null() {
        let detail = "may not be set if oldSelf is not used in rule";
        found.push(FieldError::invalid(format!("{path}.optionalOldSelf"), &rule["optionalOldSelf"], detail));
    }
}

/// An expression that cannot be used is shown with the rule that holds it, as Go writes that.
fn refused(rule: &Value, key: &str, path: &str, problem: &str) -> FieldError {
    let text = |key: &str| rule[key].as_str().unwrap_or_default();
    let shown = json!({
        "Rule": text("rule"), "Message": text("message"), "MessageExpression": text("messageExpression"), "Reason": rule["reason"],
        "FieldPath": text("fieldPath"), "OptionalOldSelf": rule["optionalOldSelf"],
    });
    let shown =
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")].iter().fold(shown.to_string(), |text, (from, to)| text.replace(*from, to));
    FieldError { reason: "FieldValueInvalid", field: format!("{path}.{key}"), message: format!("Invalid value: {shown}: {problem}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(schema: &Value) -> Vec<String> {
        let node = Node::parse(schema).unwrap();
        check(schema, &node, "s", &mut Room::default()).iter().map(|e| format!("{}: {}", e.field, e.message)).collect()
    }

    #[test]
    fn rules_that_cannot_be_used_are_named_with_their_paths() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "list": {"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}},
            "named": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
                "type": "object", "properties": {"name": {"type": "string"}}, "x-kubernetes-validations": [{"rule": "self.name == oldSelf.name"}],
            }},
        }, "x-kubernetes-validations": [
            {"rule": "1 > ("},
            {"rule": "true", "messageExpression": "1"},
            {"rule": "has(self.list)", "optionalOldSelf": true},
        ]}}, "x-kubernetes-validations": [{"rule": "self.metadata.name != self.kind"}]});
        let found = said(&schema);
        let starts = [
            "s.properties[spec].properties[list].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be \
             used on the uncorrelatable portion of the schema within s.properties[spec].properties[list]",
            "s.properties[spec].x-kubernetes-validations[0].rule: Invalid value: {\"Rule\":\"1 \\u003e (\",\"Message\":\"\",",
            "s.properties[spec].x-kubernetes-validations[1].messageExpression: Invalid value: {\"Rule\":\"true\",",
            "s.properties[spec].x-kubernetes-validations[2].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule",
        ];
        assert_eq!(found.len(), starts.len(), "{found:#?}");
        for (found, start) in found.iter().zip(starts) {
            assert!(found.starts_with(start), "{found}");
        }
        assert!(found[1].contains("}: compilation failed: ERROR: "), "{}", found[1]);
    }

    #[test]
    fn there_is_an_end_to_what_is_told_of_rules() {
        let rule = format!("{} == ''", vec!["self.gone"; 600].join(" + "));
        let rules = vec![json!({ "rule": rule }); 400];
        let found = said(&json!({"type": "object", "properties": {"a": {"type": "object", "x-kubernetes-validations": rules}}}));
        assert!(!found.is_empty() && found.iter().map(String::len).sum::<usize>() < 512 * 1024, "{}", found.len());
        let many = vec![json!({ "rule": "self.gone" }); 2000];
        assert!(said(&json!({"type": "object", "x-kubernetes-validations": many})).len() <= 1000);
    }
}
