//! What an Envoy Gateway installation has and Weir's users therefore expect: its namespace, its configuration, its Deployment.

use kube::Client;
use serde_json::{Value, json};

use crate::files::collection_path;

/// The namespace of the controller and of what it provisions.
pub(crate) const NAMESPACE: &str = "envoy-gateway-system";

/// The image name that stands for Weir's own controller; the version says which.
pub(crate) const CONTROLLER_IMAGE: &str = concat!("weir/controller:v", env!("CARGO_PKG_VERSION"));

/// The image name that stands for Weir's own data plane.
pub(crate) const PROXY_IMAGE: &str = concat!("weir/proxy:v", env!("CARGO_PKG_VERSION"));

/// The port of the controller's health endpoint in its pod, as Envoy Gateway's.
pub(crate) const HEALTH_PORT: u16 = 8081;

const CONFIG: &str = "apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
provider:
  type: Kubernetes
gateway:
  controllerName: gateway.envoyproxy.io/gatewayclass-controller
";

/// Makes the namespace where it is missing.
///
/// # Errors
/// When the API refuses.
pub(crate) async fn namespace(client: &Client) -> Result<(), kube::Error> {
    create(client, "v1", "namespaces", "", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).await
}

/// Makes the configuration and the Deployment where they are missing, and brings the Deployment's image up to this version.
///
/// # Errors
/// When the API refuses.
pub(crate) async fn controller(client: &Client) -> Result<(), kube::Error> {
    let mut config = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "envoy-gateway-config", "namespace": NAMESPACE, "annotations": {}},
        "data": {"envoy-gateway.yaml": CONFIG},
    });
    // `kubectl apply` asks for its own record of what was applied, and warns where there is none.
    let record = format!("{config}\n");
    config["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json!(record);
    create(client, "v1", "configmaps", NAMESPACE, &config).await?;
    let deployment = deployment();
    create(client, "apps/v1", "deployments", NAMESPACE, &deployment).await?;
    let image = json!({"spec": {"template": {"spec": {"containers": deployment["spec"]["template"]["spec"]["containers"]}}}});
    let path = format!("{}/envoy-gateway", collection_path("apps/v1", "deployments", NAMESPACE));
    let current: Value = client.request(request("GET", &path, "application/json", Vec::new())?).await?;
    if current.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str) == Some(CONTROLLER_IMAGE) {
        return Ok(());
    }
    let body = serde_json::to_vec(&image).unwrap_or_default();
    client.request::<Value>(request("PATCH", &path, "application/strategic-merge-patch+json", body)?).await.map(drop)
}

fn deployment() -> Value {
    let labels = json!({"control-plane": "envoy-gateway", "app.kubernetes.io/name": "gateway-helm", "app.kubernetes.io/instance": "eg"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "envoy-gateway", "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": 1,
            // Two controllers at once would write the same statuses: the old one is gone before the new one starts.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{
                    "name": "envoy-gateway",
                    "image": CONTROLLER_IMAGE,
                    "args": ["controller"],
                    "ports": [{"name": "health", "containerPort": HEALTH_PORT}],
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": HEALTH_PORT}, "periodSeconds": 1},
                    "livenessProbe": {"httpGet": {"path": "/healthz", "port": HEALTH_PORT}, "initialDelaySeconds": 15, "periodSeconds": 20},
                }]},
            },
        },
    })
}

async fn create(client: &Client, api_version: &str, plural: &str, namespace: &str, object: &Value) -> Result<(), kube::Error> {
    let path = format!("{}?fieldManager=weir", collection_path(api_version, plural, namespace));
    let body = serde_json::to_vec(object).unwrap_or_default();
    match client.request::<Value>(request("POST", &path, "application/json", body)?).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        outcome => outcome.map(drop),
    }
}

fn request(method: &str, path: &str, content_type: &str, body: Vec<u8>) -> Result<http::Request<Vec<u8>>, kube::Error> {
    http::Request::builder().method(method).uri(path).header("content-type", content_type).body(body).map_err(kube::Error::HttpError)
}
