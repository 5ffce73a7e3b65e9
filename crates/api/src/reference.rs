//! References from one object to another.

use schemars::JsonSchema;
use serde::Deserialize;

/// The group of Gateway API kinds.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// The group of Envoy Gateway kinds.
pub const ENVOY_GATEWAY_GROUP: &str = "gateway.envoyproxy.io";

pub(crate) fn gateway_group() -> String {
    GATEWAY_GROUP.to_owned()
}

pub(crate) fn gateway_kind() -> String {
    "Gateway".to_owned()
}

pub(crate) fn service_kind() -> String {
    "Service".to_owned()
}

pub(crate) fn secret_kind() -> String {
    "Secret".to_owned()
}

/// Names a parent that a route attaches to: a Gateway, or one of its listeners.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// API group of the parent. Default: gateway.networking.k8s.io; empty for the core group.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// Kind of the parent. Default: Gateway.
    #[serde(default = "gateway_kind")]
    pub kind: String,
    /// Namespace of the parent. Default: the namespace of the route.
    pub namespace: Option<String>,
    /// Name of the parent.
    pub name: String,
    /// Attaches to the listener of this name alone. Default: every listener that lets the route in.
    pub section_name: Option<String>,
    /// Attaches to listeners on this port alone. With sectionName, both must fit.
    pub port: Option<i32>,
}

/// Names an object that holds a secret, usually a certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretObjectReference {
    /// API group. Default: empty, the core group.
    #[serde(default)]
    pub group: String,
    /// Kind. Default: Secret.
    #[serde(default = "secret_kind")]
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// Namespace of the object. Another namespace than the referrer's needs a ReferenceGrant there. Default: the referrer's.
    pub namespace: Option<String>,
}

/// Names an object of any kind, possibly in another namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind, such as ConfigMap.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// Namespace of the object. Where the referrer is namespaced, its own is the default and another one needs a ReferenceGrant.
    pub namespace: Option<String>,
}

/// Names an object in the referrer's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalObjectReference {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
}

/// Names what a policy applies to, in the policy's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTargetReference {
    /// API group of the target.
    pub group: String,
    /// Kind of the target.
    pub kind: String,
    /// Name of the target.
    pub name: String,
    /// Limits the policy to one section of the target: the listener of this name. A section's policy replaces the whole target's.
    pub section_name: Option<String>,
}

/// Names a backend that requests are sent to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendObjectReference {
    /// API group. Default: empty, the core group.
    #[serde(default)]
    pub group: String,
    /// Kind. Default: Service.
    #[serde(default = "service_kind")]
    pub kind: String,
    /// Name of the backend.
    pub name: String,
    /// Namespace of the backend. Another namespace than the route's needs a ReferenceGrant there. Default: the route's.
    pub namespace: Option<String>,
    /// Port of the backend. Required for a Service, where it is the Service's own port rather than its pods'.
    pub port: Option<i32>,
}
