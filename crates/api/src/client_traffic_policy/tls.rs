//! TLS towards clients.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{StringMatch, StringMatchType};
use crate::backend::{TlsFingerprint, TlsVersion};
use crate::reference::SecretObjectReference;

/// TLS towards clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTls {
    /// How client certificates are validated. Default: none is asked for.
    pub client_validation: Option<ClientValidation>,
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
    /// Application protocols that are offered, in order of preference; an empty list turns the negotiation off. Default: h2 and http/1.1.
    pub alpn_protocols: Option<Vec<String>>,
    /// Fingerprints of the client's handshake that are computed for logs and headers.
    pub fingerprints: Vec<TlsFingerprint>,
    /// How TLS sessions are resumed.
    pub session: Option<TlsSession>,
}

/// How client certificates are validated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientValidation {
    /// Whether clients without a certificate are let in. Default: false. Deprecated in favour of mode.
    pub optional: Option<bool>,
    /// Whether a certificate is asked for, required and verified. Default: RequireAndVerify.
    pub mode: Option<ClientValidationMode>,
    /// ConfigMaps or Secrets with the trusted certificate authorities under key ca.crt.
    pub ca_certificate_refs: Vec<SecretObjectReference>,
    /// Accepts only certificates whose public key has one of these SHA-256 hashes, in base64.
    pub spki_hashes: Vec<String>,
    /// Accepts only certificates with one of these SHA-256 hashes, in hex.
    pub certificate_hashes: Vec<String>,
    /// Accepts only certificates with a subject alternative name that fits.
    pub subject_alt_names: Option<SubjectAltNames>,
    /// Refuses certificates that were revoked.
    pub crl: Option<Crl>,
    /// Whether certificates past their end are accepted when all else is right. Default: false.
    pub allow_expired_certificate: Option<bool>,
}

words! {
    /// What is asked of a client's certificate.
    ClientValidationMode {
        /// Asked for, not required, not verified.
        Request = "Request",
        /// Required, not verified.
        RequireAny = "RequireAny",
        /// Not required, verified when shown.
        VerifyIfGiven = "VerifyIfGiven",
        /// Required and verified.
        RequireAndVerify = "RequireAndVerify",
    }
}

/// Subject alternative names that are accepted, by kind; one that fits is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectAltNames {
    /// DNS names.
    pub dns_names: Vec<StringMatch>,
    /// Email addresses.
    pub email_addresses: Vec<StringMatch>,
    /// IP addresses.
    pub ip_addresses: Vec<StringMatch>,
    /// URIs.
    pub uris: Vec<StringMatch>,
    /// Names of other kinds.
    pub other_names: Vec<OtherName>,
}

/// A subject alternative name of another kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtherName {
    /// Object identifier of the kind, in dotted form.
    pub oid: String,
    /// How the name is compared. Default: Exact.
    #[serde(default, rename = "type")]
    pub type_: StringMatchType,
    /// What the name is compared with.
    pub value: String,
}

/// Lists of revoked certificates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Crl {
    /// ConfigMaps or Secrets with the lists, in PEM, under key ca.crl.
    pub refs: Vec<SecretObjectReference>,
    /// Whether only the client's own certificate is looked up, not its issuers. Default: false.
    pub only_verify_leaf_certificate: Option<bool>,
}

/// How TLS sessions are resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsSession {
    /// Ways of resumption that are offered. Default: none.
    pub resumption: Option<SessionResumption>,
}

/// Ways of resumption that are offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionResumption {
    /// By session tickets that the client keeps.
    pub stateless: Option<StatelessResumption>,
    /// By session identifiers that the proxy keeps; not shared between its replicas.
    pub stateful: Option<StatefulResumption>,
}

/// Resumption by session tickets. Has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct StatelessResumption {}

/// Resumption by session identifiers. Has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct StatefulResumption {}
