//! GatewayClass: which controller serves Gateways that name it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::object::Object;
use crate::reference::ObjectReference;

/// A GatewayClass object.
pub type GatewayClass = Object<GatewayClassSpec>;

/// Which controller serves the Gateways of this class, and with which parameters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    /// Name of the controller that serves this class, a domain and a path such as example.net/gateway-controller. Cannot be changed.
    pub controller_name: String,
    /// An object with the controller's parameters for this class; Weir reads a namespaced EnvoyProxy.
    pub parameters_ref: Option<ObjectReference>,
    /// A note for humans, at most 64 characters.
    pub description: Option<String>,
}
