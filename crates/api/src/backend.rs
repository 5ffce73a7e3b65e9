//! Backend: endpoints that are no Kubernetes Service.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::object::Object;
use crate::reference::{LocalObjectReference, SecretObjectReference};

/// A Backend object.
pub type Backend = Object<BackendSpec>;

/// Endpoints that routes can send requests to, by address or by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendSpec {
    /// Endpoints: those listed. DynamicResolver: the request's own host, resolved by DNS. Default: Endpoints.
    #[serde(rename = "type")]
    pub type_: BackendType,
    /// The endpoints; for type Endpoints. Names and addresses cannot be mixed.
    pub endpoints: Vec<BackendEndpoint>,
    /// Protocols that the endpoints speak besides HTTP/1.1.
    pub app_protocols: Vec<AppProtocol>,
    /// Used only when every backend of the rule without this mark is unhealthy. Default: false.
    pub fallback: Option<bool>,
    /// TLS towards the endpoints. Default: clear text, unless a BackendTLSPolicy says otherwise.
    pub tls: Option<BackendTls>,
}

words! {
    /// Where a Backend's endpoints come from.
    BackendType { Endpoints = "Endpoints", DynamicResolver = "DynamicResolver" } default Endpoints
}

words! {
    /// What endpoints speak.
    AppProtocol {
        H2c = "gateway.envoyproxy.io/h2c",
        Ws = "gateway.envoyproxy.io/ws",
        Wss = "gateway.envoyproxy.io/wss",
    }
}

/// One endpoint: exactly one of fqdn, ip and unix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendEndpoint {
    /// A DNS name and a port.
    pub fqdn: Option<FqdnEndpoint>,
    /// An IP address and a port.
    pub ip: Option<IpEndpoint>,
    /// A Unix domain socket.
    pub unix: Option<UnixEndpoint>,
    /// Name of this endpoint, used as server name and for verification where TLS takes it from the endpoint.
    pub hostname: Option<String>,
    /// Zone of the endpoint, for routing within a zone.
    pub zone: Option<String>,
}

/// A DNS name and a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FqdnEndpoint {
    /// The name, lower case.
    pub hostname: String,
    /// The port, 0 to 65535.
    pub port: i32,
}

/// An IP address and a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpEndpoint {
    /// The IPv4 or IPv6 address. Loopback addresses are refused on a cluster.
    pub address: String,
    /// The port, 0 to 65535.
    pub port: i32,
}

/// A Unix domain socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnixEndpoint {
    /// Absolute path of the socket in the proxy's file system, at most 108 bytes.
    pub path: String,
}

/// TLS towards the endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendTls {
    /// Objects with the certificate authorities that are trusted, in the same namespace; instead of wellKnownCACertificates.
    pub ca_certificate_refs: Vec<LocalObjectReference>,
    /// System trusts the system's certificate authorities; a domain-prefixed name those that an implementation knows by it.
    #[serde(rename = "wellKnownCACertificates")]
    pub well_known_ca_certificates: Option<String>,
    /// Whether the endpoint's certificate is left unverified. Default: false.
    pub insecure_skip_verify: bool,
    /// Server name that is asked for and verified.
    pub sni: Option<String>,
    /// Takes server name and verified name from each endpoint's hostname. Not together with sni.
    #[serde(rename = "autoSNIFromEndpointHostname")]
    pub auto_sni_from_endpoint_hostname: Option<bool>,
    /// Certificate with its key that is shown to endpoints that ask for one.
    pub client_certificate_ref: Option<SecretObjectReference>,
    /// Lowest TLS version: Auto, 1.0, 1.1, 1.2 or 1.3. Default: 1.2.
    pub min_version: Option<TlsVersion>,
    /// Highest TLS version: Auto, 1.0, 1.1, 1.2 or 1.3. Default: 1.3.
    pub max_version: Option<TlsVersion>,
    /// Cipher suites for TLS up to 1.2, in order of preference; without effect on 1.3.
    pub ciphers: Vec<String>,
    /// Curves for the key exchange, in order of preference.
    pub ecdh_curves: Vec<String>,
    /// Signature algorithms that are accepted, in order of preference.
    pub signature_algorithms: Vec<String>,
    /// Application protocols that are offered, in order of preference. Default: h2 and http/1.1.
    pub alpn_protocols: Option<Vec<String>>,
    /// Fingerprints of the handshake that are computed for logs and headers.
    pub fingerprints: Vec<TlsFingerprint>,
}

words! {
    /// A TLS version.
    TlsVersion { Auto = "Auto", V1_0 = "1.0", V1_1 = "1.1", V1_2 = "1.2", V1_3 = "1.3" }
}

words! {
    /// A fingerprint of a TLS handshake.
    TlsFingerprint { Ja3 = "JA3", Ja4 = "JA4" }
}
