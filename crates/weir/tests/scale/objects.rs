//! The routes as the API shows them.

use std::path::Path;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::manifest::{self, NAMESPACE};

/// The HTTPRoutes, through the kubeconfig in this data directory.
pub(crate) async fn routes(data: &Path) -> Option<Api<DynamicObject>> {
    let text = kube::config::Kubeconfig::read_from(data.join("kubeconfig")).ok()?;
    let config = kube::Config::from_custom_kubeconfig(text, &kube::config::KubeConfigOptions::default()).await.ok()?;
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"), "httproutes");
    Some(Api::namespaced_with(Client::try_from(config).ok()?, NAMESPACE, &resource))
}

/// Whether route `index` has been accepted by its parent.
pub(crate) async fn is_accepted(api: &Api<DynamicObject>, index: usize) -> bool {
    api.get(&manifest::name(index)).await.is_ok_and(|route| accepted(&route))
}

/// How many routes have been accepted.
pub(crate) async fn count_accepted(api: &Api<DynamicObject>) -> usize {
    let routes = api.list(&ListParams::default()).await;
    routes.map_or(0, |routes| routes.iter().filter(|route| accepted(route)).count())
}

fn accepted(route: &DynamicObject) -> bool {
    let parents = route.data.pointer("/status/parents").and_then(Value::as_array);
    let conditions = parents.into_iter().flatten().filter_map(|parent| parent["conditions"].as_array()).flatten();
    let mut accepted = conditions.filter(|it| it["type"] == "Accepted").peekable();
    accepted.peek().is_some() && accepted.all(|it| it["status"] == "True")
}

/// Changes what route `index` says in its answers to [`answer`]; returns when the API has answered.
pub(crate) async fn change(api: &Api<DynamicObject>, index: usize, version: usize) {
    let (name, value) = (manifest::name(index), answer(index, version));
    let pointer = "/spec/rules/0/filters/0/responseHeaderModifier/set/0/value";
    let body = json!([{ "op": "replace", "path": pointer, "value": value }]).to_string().into_bytes();
    let request = http::Request::patch(format!("{}/{name}", api.resource_url())).header("content-type", "application/json-patch+json");
    let changed = api.clone().into_client().request::<DynamicObject>(request.body(body).expect("a request")).await;
    changed.expect("the API takes it");
}

/// What route `index` says after [`change`].
pub(crate) fn answer(index: usize, version: usize) -> String {
    format!("{}-{version}", manifest::name(index))
}
