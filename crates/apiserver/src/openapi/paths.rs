//! Paths: what kubectl looks up is the kind of an operation, its `fieldValidation` parameter and its patch types.

use serde_json::{Map, Value, json};

use super::Kind;

const JSON: &str = "application/json";

/// Adds the paths of one kind.
pub(super) fn add(kind: &Kind<'_>, paths: &mut Map<String, Value>) {
    let prefix = if kind.group.is_empty() { format!("/api/{}", kind.version) } else { format!("/apis/{}/{}", kind.group, kind.version) };
    let collection = if kind.namespaced {
        paths.insert(format!("{prefix}/{}", kind.plural), json!({"get": read(kind, "list")}));
        format!("{prefix}/namespaces/{{namespace}}/{}", kind.plural)
    } else {
        format!("{prefix}/{}", kind.plural)
    };
    let parameters = |named: bool| {
        let name = named.then(|| in_path("name"));
        let namespace = kind.namespaced.then(|| in_path("namespace"));
        Value::Array(name.into_iter().chain(namespace).collect())
    };
    let body = json!({JSON: {"schema": reference(&kind.definition)}});
    paths.insert(
        collection.clone(),
        json!({
            "get": read(kind, "list"),
            "post": write(kind, "post", body.clone()),
            "delete": read(kind, "deletecollection"),
            "parameters": parameters(false),
        }),
    );
    let object = json!({
        "get": read(kind, "get"),
        "put": write(kind, "put", body),
        "patch": write(kind, "patch", patch_body(kind)),
        "delete": read(kind, "delete"),
        "parameters": parameters(true),
    });
    for subresource in &kind.subresources {
        let mut operations = object.clone();
        if let Value::Object(operations) = &mut operations {
            operations.shift_remove("delete");
            if *subresource == "log" {
                operations.retain(|method, _| method == "get" || method == "parameters");
            }
            if *subresource == "scale" {
                let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
                for operation in operations.values_mut().filter_map(Value::as_object_mut) {
                    operation.insert("x-kubernetes-group-version-kind".to_owned(), scale.clone());
                }
            }
        }
        paths.insert(format!("{collection}/{{name}}/{subresource}"), operations);
    }
    paths.insert(format!("{collection}/{{name}}"), object);
}

fn patch_body(kind: &Kind<'_>) -> Value {
    let schema = json!({"schema": {"type": "object"}});
    let mut content = json!({
        "application/apply-patch+yaml": schema, "application/json-patch+json": schema, "application/merge-patch+json": schema,
    });
    // kubectl has no type of its own to make a strategic patch of a CustomResourceDefinition with.
    if !kind.is_custom() && kind.kind != "CustomResourceDefinition" {
        content["application/strategic-merge-patch+json"] = schema;
    }
    content
}

fn reference(definition: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{definition}")})
}

fn in_path(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}})
}

fn query(name: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}})
}

fn read(kind: &Kind<'_>, action: &str) -> Value {
    let definition = if action == "list" { format!("{}List", kind.definition) } else { kind.definition.clone() };
    let answer = if action.starts_with("delete") { json!({"type": "object"}) } else { reference(&definition) };
    operation(kind, action, json!([]), answer)
}

fn write(kind: &Kind<'_>, action: &str, content: Value) -> Value {
    let mut parameters = vec![query("dryRun"), query("fieldManager"), query("fieldValidation")];
    if action == "patch" {
        parameters.push(query("force"));
    }
    let parameters = Value::Array(parameters);
    let mut operation = operation(kind, action, parameters, reference(&kind.definition));
    operation["requestBody"] = json!({"required": true, "content": content});
    operation
}

fn operation(kind: &Kind<'_>, action: &str, parameters: Value, answer: Value) -> Value {
    json!({
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": {JSON: {"schema": answer}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind.group_version_kind(),
    })
}
