//! The requests.

use http::Request;
use serde_json::{Value, json};

use crate::Failed;

pub(crate) const NAMESPACE: &str = "bench";

/// Where requests go.
#[derive(Clone, Copy)]
pub(crate) enum Plural {
    Routes,
    Namespaces,
    Definitions,
}

fn path(plural: Plural) -> String {
    match plural {
        Plural::Routes => format!("/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/httproutes"),
        Plural::Namespaces => "/api/v1/namespaces".to_owned(),
        Plural::Definitions => "/apis/apiextensions.k8s.io/v1/customresourcedefinitions".to_owned(),
    }
}

/// The object that the request with this number is for: spread over all, and no two that follow each other are neighbours.
pub(crate) fn number(at: usize, routes: usize) -> usize {
    at * 7919 % routes
}

pub(crate) fn list(plural: Plural, query: &str) -> Result<Request<Vec<u8>>, Failed> {
    Ok(Request::get(format!("{}?{query}", path(plural))).body(Vec::new())?)
}

pub(crate) fn get(route: usize) -> Result<Request<Vec<u8>>, Failed> {
    Ok(Request::get(format!("{}/r{route}", path(Plural::Routes))).body(Vec::new())?)
}

pub(crate) fn post(plural: Plural, object: &Value) -> Result<Request<Vec<u8>>, Failed> {
    Ok(Request::post(path(plural)).header("content-type", "application/json").body(body(object))?)
}

pub(crate) fn create(route: usize) -> Result<Request<Vec<u8>>, Failed> {
    let rule = json!({
        "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
        "filters": [{ "type": "RequestHeaderModifier", "requestHeaderModifier": { "set": [{ "name": "x-route", "value": format!("r{route}") }] } }],
        "backendRefs": [{ "name": "backend", "port": 3000 }],
    });
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": { "name": format!("r{route}"), "namespace": NAMESPACE },
        "spec": { "parentRefs": [{ "name": "none" }], "hostnames": [format!("r{route}.example.com")], "rules": [rule] },
    });
    post(Plural::Routes, &object)
}

/// Changes the first host: another one each time, so that something has changed.
pub(crate) fn patch(route: usize, time: usize) -> Result<Request<Vec<u8>>, Failed> {
    merge(format!("{}/r{route}", path(Plural::Routes)), &json!({ "spec": { "hostnames": [format!("r{route}-{time}.example.com")] } }))
}

/// Writes a status as a controller does.
pub(crate) fn patch_status(route: usize, time: usize) -> Result<Request<Vec<u8>>, Failed> {
    let condition = json!({
        "type": "Accepted", "status": "True", "reason": "Accepted", "message": format!("the route is accepted ({time})"),
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let parent = json!({ "parentRef": { "name": "none" }, "controllerName": "example.com/bench", "conditions": [condition] });
    merge(format!("{}/r{route}/status", path(Plural::Routes)), &json!({ "status": { "parents": [parent] } }))
}

fn merge(path: String, change: &Value) -> Result<Request<Vec<u8>>, Failed> {
    Ok(Request::patch(path).header("content-type", "application/merge-patch+json").body(body(change))?)
}

fn body(object: &Value) -> Vec<u8> {
    object.to_string().into_bytes()
}
