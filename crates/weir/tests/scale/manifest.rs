//! Many routes as one file: what `weir run -f` is given.

use std::fmt::Write as _;

/// Where the Gateway listens, on port 80.
pub(crate) const ADDRESS: &str = "127.0.0.9";
/// The namespace of the routes.
pub(crate) const NAMESPACE: &str = "default";
/// The header in which every answer says which route it met.
pub(crate) const ROUTE: &str = "x-route";

/// How many Backends the routes share.
const BACKENDS: usize = 100;

const GATEWAY: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: envoy-gateway-config, namespace: envoy-gateway-system}
data:
  envoy-gateway.yaml: |
    apiVersion: gateway.envoyproxy.io/v1alpha1
    kind: EnvoyGateway
    provider: {type: Kubernetes}
    gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
    extensionApis: {enableBackend: true}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: eg, namespace: envoy-gateway-system}
spec:
  gatewayClassName: eg
  addresses: [{type: IPAddress, value: 127.0.0.9}]
  listeners:
    - {name: http, protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: All}}}
";

/// The manifests of one Gateway, 100 Backends (each an address of its own in 127.0.1.0/24, all at `origin_port`) and this many routes.
pub(crate) fn manifests(routes: usize, origin_port: u16) -> String {
    let mut text = GATEWAY.to_owned();
    for backend in 0..BACKENDS {
        let address = format!("127.0.1.{}", backend + 1);
        let _ = write!(
            text,
            "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {{name: b{backend}, namespace: {NAMESPACE}}}\nspec:\n  \
             endpoints:\n    - ip: {{address: {address}, port: {origin_port}}}\n"
        );
    }
    for index in 0..routes {
        let (name, host, path, backend) = (name(index), host(index), path(index), index % BACKENDS);
        let _ = write!(
            text,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\nspec:\n  \
             parentRefs:\n    - name: eg\n      namespace: envoy-gateway-system\n  hostnames:\n    - {host}\n  rules:\n    - matches:\n        \
             - path:\n            type: PathPrefix\n            value: {path}\n      filters:\n        - type: ResponseHeaderModifier\n          \
             responseHeaderModifier:\n            set:\n              - name: {ROUTE}\n                value: {name}\n      backendRefs:\n        \
             - group: gateway.envoyproxy.io\n          kind: Backend\n          name: b{backend}\n          port: {origin_port}\n"
        );
    }
    text
}

/// What route `index` is called.
pub(crate) fn name(index: usize) -> String {
    format!("r{index:05}")
}

/// The host that route `index` is for: every other route has one of its own, the rest share one.
pub(crate) fn host(index: usize) -> String {
    if index.is_multiple_of(2) { format!("h{index}.example.com") } else { "shared.example.com".to_owned() }
}

/// The path that route `index` is for: those that share a host have one of their own.
pub(crate) fn path(index: usize) -> String {
    if index.is_multiple_of(2) { "/".to_owned() } else { format!("/team{}/service{index}", index % 37) }
}
