//! Making a document wrong in every way that its schema speaks of, one at a time.

use serde_json::{Value, json};

/// What is put where a pattern or a set of values is asked for: neither a name, nor a number, nor a path.
const ODD: &str = "!! odd !!";
/// Longer lists are not made: they would only be large.
const LONGEST_LIST: u64 = 300;

/// Every mutation of `document` below `spec`, with what it is called.
pub(super) fn all(document: &Value, schema: &Value) -> Vec<(String, Value)> {
    let mut mutations = Mutations { document, made: Vec::new() };
    if let Some(schema) = schema.pointer("/properties/spec") {
        mutations.walk(schema, "/spec", "spec");
    }
    mutations.made
}

struct Mutations<'d> {
    document: &'d Value,
    made: Vec<(String, Value)>,
}

impl Mutations<'_> {
    fn walk(&mut self, schema: &Value, pointer: &str, path: &str) {
        match self.document.pointer(pointer) {
            Some(Value::Object(members)) => {
                let free = schema["x-kubernetes-preserve-unknown-fields"] == true;
                if schema["properties"].is_object() && !free {
                    self.put(&format!("{pointer}/odd"), path, "unknown field", json!(1));
                }
                for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                    let (pointer, path) = (format!("{pointer}/{}", escape(name)), format!("{path}.{name}"));
                    if !members.contains_key(name) {
                        self.wrong_type(property, &pointer, &path);
                        continue;
                    }
                    if schema["required"].as_array().is_some_and(|required| required.iter().any(|required| required == name)) {
                        self.remove(&pointer, &path);
                    }
                    self.member(property, &pointer, &path);
                }
                for name in members.keys().filter(|_| schema["additionalProperties"].is_object()) {
                    self.member(&schema["additionalProperties"], &format!("{pointer}/{}", escape(name)), &format!("{path}[{name}]"));
                }
            }
            Some(Value::Array(items)) if !items.is_empty() => self.member(&schema["items"], &format!("{pointer}/0"), &format!("{path}[0]")),
            _ => {}
        }
    }

    /// A value that is there, and what is in it.
    fn member(&mut self, schema: &Value, pointer: &str, path: &str) {
        self.wrong_type(schema, pointer, path);
        self.put(pointer, path, "null", Value::Null);
        if schema["enum"].is_array() {
            self.put(pointer, path, "enum", json!(ODD));
        }
        if schema["pattern"].is_string() {
            self.put(pointer, path, "pattern", json!(ODD));
        }
        if schema["minLength"].as_u64().is_some_and(|least| least > 0) {
            self.put(pointer, path, "minLength", json!(""));
        }
        if let Some(most) = schema["maxLength"].as_u64() {
            self.put(pointer, path, "maxLength", json!("a".repeat(most as usize + 1)));
        }
        if let Some(least) = schema["minimum"].as_i64() {
            self.put(pointer, path, "minimum", json!(least - 1));
        }
        if let Some(most) = schema["maximum"].as_i64() {
            self.put(pointer, path, "maximum", json!(most + 1));
        }
        self.list(schema, pointer, path);
        self.walk(schema, pointer, path);
    }

    fn list(&mut self, schema: &Value, pointer: &str, path: &str) {
        let Some(Value::Array(items)) = self.document.pointer(pointer) else { return };
        let Some(first) = items.first() else { return };
        if schema["minItems"].as_u64().is_some_and(|least| least > 0) {
            self.put(pointer, path, "minItems", json!([]));
        }
        if let Some(most) = schema["maxItems"].as_u64().filter(|most| *most < LONGEST_LIST) {
            self.put(pointer, path, "maxItems", vec![first.clone(); most as usize + 1].into());
        }
        if schema["x-kubernetes-list-type"] == "map" || schema["x-kubernetes-list-type"] == "set" {
            let twice = items.iter().chain([first]).cloned().collect();
            self.put(pointer, path, "duplicate", Value::Array(twice));
        }
    }

    fn wrong_type(&mut self, schema: &Value, pointer: &str, path: &str) {
        let wrong = match schema["type"].as_str() {
            _ if schema["x-kubernetes-int-or-string"] == true => json!(true),
            Some("string") => json!(7),
            Some(_) => json!("x"),
            None => return,
        };
        self.put(pointer, path, "type", wrong);
    }

    fn put(&mut self, pointer: &str, path: &str, what: &str, value: Value) {
        self.make(pointer, format!("{path}: {what}"), Some(value));
    }

    fn remove(&mut self, pointer: &str, path: &str) {
        self.make(pointer, format!("{path}: required"), None);
    }

    fn make(&mut self, pointer: &str, name: String, value: Option<Value>) {
        let Some((parent, last)) = pointer.rsplit_once('/') else { return };
        let last = last.replace("~1", "/").replace("~0", "~");
        let mut document = self.document.clone();
        match (document.pointer_mut(parent), value) {
            (Some(Value::Object(members)), Some(value)) => drop(members.insert(last, value)),
            (Some(Value::Object(members)), None) => drop(members.remove(&last)),
            (Some(Value::Array(items)), Some(value)) => {
                if let Some(item) = items.first_mut() {
                    *item = value;
                }
            }
            _ => return,
        }
        self.made.push((name, document));
    }
}

/// A name as a part of a JSON pointer.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_of_the_schema_is_broken_once() {
        let schema = json!({"properties": {"spec": {"type": "object", "required": ["a"], "properties": {
            "a": {"type": "string", "pattern": "a", "maxLength": 2},
            "l": {"type": "array", "maxItems": 1, "items": {"type": "integer", "minimum": 1}},
            "b": {"type": "boolean"},
        }}}});
        let made = all(&json!({"spec": {"a": "a", "l": [1]}}), &schema);
        let names: Vec<&str> = made.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "spec: unknown field",
            "spec.a: required",
            "spec.a: type",
            "spec.a: null",
            "spec.a: pattern",
            "spec.a: maxLength",
            "spec.l: type",
            "spec.l: null",
            "spec.l: maxItems",
            "spec.l[0]: type",
            "spec.l[0]: null",
            "spec.l[0]: minimum",
            "spec.b: type",
        ];
        assert_eq!(names, expected);
        assert_eq!(made[1].1, json!({"spec": {"l": [1]}}));
        assert_eq!(made[11].1, json!({"spec": {"a": "a", "l": [0]}}));
    }
}
