use serde_json::{Value, json};

use super::*;
use crate::builtin;

/// Every reference leads somewhere.
fn check_references(document: &Value) {
    fn walk(value: &Value, schemas: &Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    if key == "$ref"
                        && let Some(name) = value.as_str()
                    {
                        let name = name.strip_prefix("#/components/schemas/").expect(name);
                        assert!(schemas[name].is_object(), "{name} is not defined");
                    }
                    walk(value, schemas);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, schemas)),
            _ => {}
        }
    }
    walk(document, &document["components"]["schemas"]);
}

fn builtins(group: &str, version: &str) -> Value {
    let kinds: Vec<Described<'_>> =
        builtin::all().iter().filter(|b| (b.group, b.version) == (group, version)).map(Described::Builtin).collect();
    group_version(group, version, &kinds)
}

#[test]
fn every_built_in_group_version_is_whole() {
    for kind in builtin::all() {
        let document = builtins(kind.group, kind.version);
        check_references(&document);
        let schema = &document["components"]["schemas"][kind.definition];
        assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], kind.kind);
    }
}

#[test]
fn apply_finds_what_it_looks_for() {
    let document = builtins("apps", "v1");
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"], json!({"group": "apps", "version": "v1", "kind": "Deployment"}));
    assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation" && p["in"] == "query"));
    assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_object());
    let schemas = &document["components"]["schemas"];
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    let strategy = &schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"];
    assert_eq!(strategy["x-kubernetes-patch-strategy"], "retainKeys");
    assert_eq!(strategy["allOf"], json!([{"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy"}]));
    assert!(document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["patch"].is_object());
    let core = builtins("", "v1");
    assert!(core["paths"]["/api/v1/namespaces/{name}"]["patch"].is_object());
}

#[test]
fn custom_kinds_are_published_with_their_schema() {
    let crd = json!({"spec": {"group": "gateway.envoyproxy.io", "scope": "Namespaced", "names": {"kind": "ClientTrafficPolicy", "plural": "clienttrafficpolicies"},
    "versions": [{"name": "v1alpha1", "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
        "apiVersion": {"type": "string", "description": "long"}, "metadata": {"type": "object"},
        "spec": {"type": "object", "properties": {"x": {"type": "integer", "minimum": 1, "x-kubernetes-validations": [{"rule": "true"}]}}},
    }}}}]}});
    let document = group_version("gateway.envoyproxy.io", "v1alpha1", &[Described::Custom { crd: &crd, version: "v1alpha1" }]);
    check_references(&document);
    assert_eq!(document["info"], json!({"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}));
    let schema = &document["components"]["schemas"]["io.envoyproxy.gateway.v1alpha1.ClientTrafficPolicy"];
    assert_eq!(schema["properties"]["spec"], crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]);
    assert_eq!(
        schema["properties"]["metadata"]["allOf"],
        json!([{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}])
    );
    assert_ne!(schema["properties"]["apiVersion"]["description"], "long");
    let path = &document["paths"]["/apis/gateway.envoyproxy.io/v1alpha1/namespaces/{namespace}/clienttrafficpolicies/{name}"];
    assert!(path["patch"]["requestBody"]["content"]["application/merge-patch+json"].is_object());
    assert!(path["patch"]["requestBody"]["content"]["application/strategic-merge-patch+json"].is_null());
    let status = "/apis/gateway.envoyproxy.io/v1alpha1/namespaces/{namespace}/clienttrafficpolicies/{name}/status";
    assert!(document["paths"][status]["patch"].is_object());
}

#[test]
fn the_root_names_documents_by_hash() {
    let document = Document::new(&json!({"a": 1}));
    let documents = [(path("", "v1"), document.clone()), (path("apps", "v1"), document.clone())].into_iter().collect();
    assert_eq!(
        root(&documents),
        json!({"paths": {
            "api/v1": {"serverRelativeURL": format!("/openapi/v3/api/v1?hash={}", document.hash)},
            "apis/apps/v1": {"serverRelativeURL": format!("/openapi/v3/apis/apps/v1?hash={}", document.hash)},
        }})
    );
    assert_eq!(document.hash.len(), 64);
}
