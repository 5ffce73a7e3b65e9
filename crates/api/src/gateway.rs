//! Gateway: listeners, addresses, and who may attach to them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::object::Object;
use crate::reference::{LocalObjectReference, ObjectReference, SecretObjectReference, gateway_group};
use crate::selector::LabelSelector;

/// A Gateway object.
pub type Gateway = Object<GatewaySpec>;

/// Where traffic comes in: addresses and listeners, served by the controller of the named class.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// Name of the GatewayClass.
    pub gateway_class_name: String,
    /// The ports that are served, each with protocol and hostname. Port, protocol and hostname together must be unique.
    pub listeners: Vec<Listener>,
    /// Addresses asked for. Default: one is assigned.
    #[serde(default)]
    pub addresses: Vec<GatewayAddress>,
    /// What the objects created for this Gateway carry.
    pub infrastructure: Option<GatewayInfrastructure>,
    /// Which ListenerSets may add listeners to this Gateway. Default: none.
    pub allowed_listeners: Option<AllowedListeners>,
    /// TLS settings that belong to the Gateway rather than to one listener.
    pub tls: Option<GatewayTls>,
    /// Makes this a Gateway that routes may attach to without naming it. Default: None.
    pub default_scope: Option<GatewayDefaultScope>,
}

words! {
    /// Which routes a default Gateway takes.
    GatewayDefaultScope { All = "All", None = "None" }
}

/// One port that is served, for one protocol and, where the protocol has them, one hostname.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Name of the listener, unique within the Gateway; the sectionName of references to it.
    pub name: String,
    /// Hostname that is served, with an optional leading wildcard label (*.example.com). Default: every hostname.
    pub hostname: Option<String>,
    /// Port that clients connect to, 1 to 65535.
    pub port: i32,
    /// Protocol that clients speak: HTTP, HTTPS, TLS, TCP, UDP, or a domain-prefixed one.
    pub protocol: Protocol,
    /// How TLS is handled; for protocols HTTPS and TLS.
    pub tls: Option<ListenerTls>,
    /// Which routes may attach. Default: routes of the Gateway's own namespace, of the kinds that fit the protocol.
    #[serde(default)]
    pub allowed_routes: AllowedRoutes,
}

/// What a listener speaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP in clear text.
    Http,
    /// HTTP over TLS that ends here.
    Https,
    /// TLS, ended here or passed through.
    Tls,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Another one, as written.
    Other(String),
}

impl Protocol {
    /// The protocol as it is written in the object.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Other(text) => text,
        }
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(deserializer)? {
            text if text == "HTTP" => Self::Http,
            text if text == "HTTPS" => Self::Https,
            text if text == "TLS" => Self::Tls,
            text if text == "TCP" => Self::Tcp,
            text if text == "UDP" => Self::Udp,
            text => Self::Other(text),
        })
    }
}

impl JsonSchema for Protocol {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Protocol".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// How a listener handles TLS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// Terminate ends the TLS session here; Passthrough forwards it unopened. Default: Terminate.
    #[serde(default)]
    pub mode: TlsMode,
    /// Certificates with their keys, at least one with mode Terminate. The fitting one is chosen by server name.
    #[serde(default)]
    pub certificate_refs: Vec<SecretObjectReference>,
    /// Implementation-specific settings by domain-prefixed key.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

words! {
    /// Who ends the TLS session.
    TlsMode { Terminate = "Terminate", Passthrough = "Passthrough" } default Terminate
}

/// Which routes may attach to a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AllowedRoutes {
    /// Namespaces that routes may come from. Default: the Gateway's own.
    pub namespaces: RouteNamespaces,
    /// Kinds of routes. Default: those that fit the protocol.
    pub kinds: Vec<RouteGroupKind>,
}

/// Namespaces that routes may come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteNamespaces {
    /// All: every namespace. Selector: those that the selector chooses. Same: the Gateway's own. Default: Same.
    pub from: FromNamespaces,
    /// Chooses namespaces by their labels; read only when from is Selector.
    pub selector: Option<LabelSelector>,
}

words! {
    /// Namespaces that routes may come from.
    FromNamespaces { All = "All", Selector = "Selector", Same = "Same" } default Same
}

/// A kind of route.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteGroupKind {
    /// API group of the route. Default: gateway.networking.k8s.io.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// Kind of the route, such as HTTPRoute.
    pub kind: String,
}

/// An address that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayAddress {
    /// IPAddress, Hostname, NamedAddress, or a domain-prefixed type. Default: IPAddress.
    #[serde(default = "ip_address", rename = "type")]
    pub type_: String,
    /// The address. Default: one of the given type is assigned.
    pub value: Option<String>,
}

fn ip_address() -> String {
    "IPAddress".to_owned()
}

/// What the objects created for a Gateway carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayInfrastructure {
    /// Labels for the created objects, at most 8.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the created objects, at most 16.
    pub annotations: BTreeMap<String, String>,
    /// An object with parameters for this Gateway alone, in its namespace; Weir reads an EnvoyProxy.
    pub parameters_ref: Option<LocalObjectReference>,
}

/// Which ListenerSets may add listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AllowedListeners {
    /// Namespaces that ListenerSets may come from. Default: none.
    pub namespaces: ListenerNamespaces,
}

/// Namespaces that ListenerSets may come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerNamespaces {
    /// All: every namespace. Selector: those that the selector chooses. Same: the Gateway's own. Default: None.
    pub from: ListenerFromNamespaces,
    /// Chooses namespaces by their labels; read only when from is Selector.
    pub selector: Option<LabelSelector>,
}

words! {
    /// Namespaces that ListenerSets may come from.
    ListenerFromNamespaces { All = "All", Selector = "Selector", Same = "Same", None = "None" } default None
}

/// TLS settings of the whole Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayTls {
    /// Settings for connections from the Gateway to backends.
    pub backend: Option<GatewayBackendTls>,
    /// Settings for connections from clients, in particular the validation of client certificates.
    pub frontend: Option<FrontendTls>,
}

/// TLS towards backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayBackendTls {
    /// Certificate with its key that the Gateway shows to backends that ask for one.
    pub client_certificate_ref: Option<SecretObjectReference>,
}

/// TLS from clients: a default, and exceptions by port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTls {
    /// Settings for every HTTPS listener whose port has no entry in perPort.
    pub default: FrontendTlsSettings,
    /// Settings by port; an entry replaces the default wholly.
    #[serde(default)]
    pub per_port: Vec<FrontendTlsPort>,
}

/// TLS settings for the listeners of one port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTlsPort {
    /// The port, 1 to 65535; listed once.
    pub port: i32,
    /// The settings.
    pub tls: FrontendTlsSettings,
}

/// TLS settings towards clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FrontendTlsSettings {
    /// How client certificates are validated. Default: none is asked for.
    pub validation: Option<FrontendTlsValidation>,
}

/// How client certificates are validated.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTlsValidation {
    /// Objects with the certificate authorities that are trusted, such as a ConfigMap with key ca.crt.
    pub ca_certificate_refs: Vec<ObjectReference>,
    /// AllowValidOnly refuses clients without a valid certificate; AllowInsecureFallback lets them in. Default: AllowValidOnly.
    #[serde(default)]
    pub mode: FrontendValidationMode,
}

words! {
    /// What happens to clients without a valid certificate.
    FrontendValidationMode { AllowValidOnly = "AllowValidOnly", AllowInsecureFallback = "AllowInsecureFallback" } default AllowValidOnly
}
