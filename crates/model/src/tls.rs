//! TLS at a listener. Certificates come as they are in their Secrets; keys never show in debug output.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::client::StringMatch;

/// TLS at a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// What may be presented, in order; the name that the client asks for decides, else the first. At least one.
    pub certificates: Vec<Certificate>,
    /// The lowest version.
    #[serde(default)]
    pub min_version: TlsVersion,
    /// The highest version.
    #[serde(default = "TlsVersion::newest")]
    pub max_version: TlsVersion,
    /// Cipher suites of TLS 1.2 by their OpenSSL names, in order; empty: the defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ciphers: Vec<Arc<str>>,
    /// Key exchange groups, in order; empty: the defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Arc<str>>,
    /// Signature algorithms by their names in IANA's registry, in order, for what is signed and what is verified; empty: the defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signature_algorithms: Vec<Arc<str>>,
    /// What is told of the software that a client uses, to header filters that ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<Fingerprint>,
    /// What is offered by ALPN, in order; empty: there is no negotiation, and HTTP/1.1 is spoken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alpn: Vec<Arc<str>>,
    /// Whether and how clients must prove who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_validation: Option<ClientValidation>,
    /// Whether a client may resume a session with a ticket that it keeps itself.
    pub tickets: bool,
    /// Whether a client may resume a session that is kept here, in this data plane alone.
    #[serde(default, skip_serializing_if = "crate::client::is_default")]
    pub sessions: bool,
}

impl Tls {
    /// The same, fit to be shown: without private keys.
    pub fn redacted(&self) -> Self {
        let certificates = self.certificates.iter().map(|it| Certificate { key: Secret(SHOWN.into()), ..it.clone() }).collect();
        Self { certificates, ..self.clone() }
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// 1.2
    #[default]
    V1_2,
    /// 1.3
    V1_3,
}

impl TlsVersion {
    fn newest() -> Self {
        Self::V1_3
    }
}

/// A fingerprint of a ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fingerprint {
    /// JA3: MD5, and the order of extensions counts.
    Ja3,
    /// JA4: readable at its start, and the order of extensions does not count.
    Ja4,
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// What logs and errors call it: `namespace/name` of the Secret.
    pub name: Arc<str>,
    /// The chain, leaf first.
    pub chain: Arc<str>,
    /// The private key.
    pub key: Secret,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is shown instead of a secret.
const SHOWN: &str = "(secret)";

/// A text that must not be shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub Arc<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

/// How clients must prove who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientValidation {
    /// Whether a client without a certificate, or with a wrong one, is served all the same.
    #[serde(default)]
    pub mode: ClientValidationMode,
    /// The authorities, PEM, all in one text. Empty only where nothing is verified by them: modes that do not verify, or hashes that pin.
    pub authorities: Arc<str>,
    /// Revocation lists, PEM, all in one text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Arc<str>>,
    /// Whether only the leaf is looked up in the revocation lists.
    #[serde(default)]
    pub revocation_of_leaf_only: bool,
    /// SHA-256 of the public key, base64. With `certificate_hashes`: one of either must match, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spki_hashes: Vec<Arc<str>>,
    /// SHA-256 of the certificate, lower-case hex without colons. See `spki_hashes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificate_hashes: Vec<Arc<str>>,
    /// Names, one of which the certificate must have, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<(NameKind, StringMatch)>,
    /// Names of other kinds, by the kind's object identifier in dotted form. With `names`: one of either must fit, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<(Arc<str>, StringMatch)>,
    /// Whether a certificate that has expired is taken.
    #[serde(default)]
    pub allow_expired: bool,
}

/// Whether clients without a valid certificate are served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClientValidationMode {
    /// They are not: a certificate must be presented, and be valid.
    #[default]
    Require,
    /// Those without one are; a wrong one ends the handshake.
    VerifyIfGiven,
    /// A certificate must be presented; it is not verified (but it must fit the hashes and names, if there are any).
    RequireAny,
    /// All are: a certificate is asked for, so that it can be told to the backend, and not verified.
    Request,
}

/// Which kind of name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NameKind {
    /// A DNS name.
    Dns,
    /// An e-mail address.
    Email,
    /// An address.
    Ip,
    /// A URI.
    Uri,
}
