//! TLS at listeners: from the Model to what a handshake needs, the first message of a client, and the stream after it.

mod certificates;
mod config;
mod fingerprint;
mod forwarded;
mod hello;
mod matching;
mod names;
mod signing;
mod stream;
mod suites;
mod verify;

pub(crate) use config::{Terms, build};
pub(crate) use fingerprint::{Fingerprints, filled};
pub(crate) use forwarded::element as forwarded_certificate;
pub(crate) use hello::{Greeting, Heard};
pub(crate) use stream::{Failed, Progress, Secure, Session};

/// Why a listener's TLS cannot be used. The text says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// A certificate or its key.
    #[error("certificate {name}: {reason}")]
    Certificate {
        /// What the Model calls it.
        name: std::sync::Arc<str>,
        /// What is wrong.
        reason: String,
    },
    /// There is none.
    #[error("there is no certificate")]
    NoCertificate,
    /// A cipher suite that is not there.
    #[error("cipher {0} is not supported: use {1}")]
    Cipher(String, String),
    /// A key exchange group that is not there.
    #[error("curve {0} is not supported: use {1}")]
    Curve(String, String),
    /// A signature algorithm that is not there.
    #[error("signature algorithm {0} is not supported: use {1}")]
    SignatureAlgorithm(String, String),
    /// The lowest version is above the highest, or no suite is left for one.
    #[error("TLS versions and ciphers do not go together: {0}")]
    Versions(String),
    /// The authorities, revocation lists, hashes or names that clients are judged by.
    #[error("client validation: {0}")]
    Validation(String),
    /// The library cannot make what it needs.
    #[error("{0}")]
    Library(String),
}
