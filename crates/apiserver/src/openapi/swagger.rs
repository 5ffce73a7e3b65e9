//! OpenAPI v2 (Swagger): everything that the v3 documents say, in one.

use serde_json::{Map, Value, json};

use super::Document;

const V3: &str = "#/components/schemas/";
const V2: &str = "#/definitions/";

/// The one document of v2, made of those of v3.
pub(crate) fn swagger<'d>(documents: impl Iterator<Item = &'d Document>, version: &str) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for document in documents {
        // They are ours: what cannot be read was never written.
        let Ok(Value::Object(mut document)) = serde_json::from_str(&document.text) else { continue };
        if let Some(Value::Object(all)) = document.get_mut("components").and_then(|c| c.get_mut("schemas")).map(Value::take) {
            definitions.extend(all.into_iter().map(|(name, schema)| {
                let schema = definition(&name, schema);
                (name, schema)
            }));
        }
        if let Some(Value::Object(all)) = document.get_mut("paths").map(Value::take) {
            paths.extend(all.into_iter().map(|(path, item)| (path, path_item(item))));
        }
    }
    json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": version}, "paths": paths, "definitions": definitions})
}

fn definition(name: &str, schema_v3: Value) -> Value {
    if name.ends_with(".IntOrString") {
        return json!({"description": schema_v3.get("description"), "type": "string", "format": "int-or-string"});
    }
    schema(schema_v3)
}

/// What v2 can say of a schema: no alternatives, no nulls, and nothing beside a reference but its description.
fn schema(value: Value) -> Value {
    match value {
        Value::Object(mut fields) => {
            for gone in ["nullable", "oneOf", "anyOf", "not"] {
                fields.shift_remove(gone);
            }
            let reference = match fields.shift_remove("allOf") {
                Some(Value::Array(all)) => all.first().and_then(|one| one.get("$ref")).cloned(),
                _ => fields.get("$ref").cloned(),
            };
            if let Some(Value::String(reference)) = reference {
                let reference = reference.replace(V3, V2);
                return match fields.get("description") {
                    Some(description) => json!({"description": description, "$ref": reference}),
                    None => json!({"$ref": reference}),
                };
            }
            for (name, field) in &mut fields {
                match name.as_str() {
                    // Fields by name, of which one may be called like a keyword.
                    "properties" => {
                        if let Value::Object(all) = field {
                            all.values_mut().for_each(|one| *one = schema(one.take()));
                        }
                    }
                    "items" | "additionalProperties" => *field = schema(field.take()),
                    _ => {}
                }
            }
            Value::Object(fields)
        }
        other => other,
    }
}

fn path_item(item: Value) -> Value {
    let Value::Object(operations) = item else { return item };
    let operations = operations.into_iter().map(|(method, value)| {
        let value = if method == "parameters" { parameters(value, None) } else { operation(value) };
        (method, value)
    });
    Value::Object(operations.collect())
}

fn operation(value: Value) -> Value {
    let Value::Object(mut fields) = value else { return value };
    let content = fields.shift_remove("requestBody").and_then(|mut body| body.get_mut("content").map(Value::take));
    let consumes: Vec<String> = content.as_ref().and_then(Value::as_object).map(|c| c.keys().cloned().collect()).unwrap_or_default();
    let body = content.and_then(|content| content.as_object()?.values().next()?.get("schema").cloned());
    let own = fields.shift_remove("parameters").unwrap_or_else(|| json!([]));
    fields.insert("parameters".to_owned(), parameters(own, body));
    if !consumes.is_empty() {
        fields.insert("consumes".to_owned(), json!(consumes));
    }
    fields.insert("produces".to_owned(), json!(["application/json", "application/yaml"]));
    for answer in fields.get_mut("responses").and_then(Value::as_object_mut).into_iter().flat_map(|all| all.values_mut()) {
        let shown = answer.get_mut("content").and_then(|c| c.as_object_mut()?.values_mut().next()?.get_mut("schema").map(Value::take));
        if let (Some(answer), Some(shown)) = (answer.as_object_mut(), shown) {
            answer.shift_remove("content");
            answer.insert("schema".to_owned(), schema(shown));
        }
    }
    Value::Object(fields)
}

/// A parameter's schema stands in the parameter itself; a body is one more parameter.
fn parameters(list: Value, body: Option<Value>) -> Value {
    let Value::Array(list) = list else { return list };
    let mut list: Vec<Value> = list
        .into_iter()
        .map(|mut parameter| {
            if let (Some(Value::Object(own)), Some(parameter)) = (parameter.get_mut("schema").map(Value::take), parameter.as_object_mut()) {
                parameter.shift_remove("schema");
                parameter.extend(own);
            }
            parameter
        })
        .collect();
    list.extend(body.map(|body| json!({"name": "body", "in": "body", "required": true, "schema": schema(body)})));
    Value::Array(list)
}
