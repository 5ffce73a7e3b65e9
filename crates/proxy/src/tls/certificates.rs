//! A listener's certificates, and which of them a client is shown.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureScheme};
use smallvec::SmallVec;
use weir_model::Certificate;

use super::Unusable;
use super::names::AlternativeNames;
use super::signing;

/// The certificates, and where each name leads.
#[derive(Debug)]
pub(super) struct Certificates {
    all: Vec<Arc<CertifiedKey>>,
    /// The URIs in each of `all`.
    uris: Vec<Vec<String>>,
    /// Places in `all` by name, lower case; a wildcard's name is what follows `*`: `.example.com`.
    by_name: HashMap<Box<str>, SmallVec<[usize; 2]>>,
}

impl Certificates {
    /// Those of a listener, whose keys sign with the `allowed` schemes alone, if there are any.
    pub(super) fn load(certificates: &[Certificate], provider: &CryptoProvider, allowed: &[SignatureScheme]) -> Result<Self, Unusable> {
        let mut this = Self { all: Vec::with_capacity(certificates.len()), uris: Vec::new(), by_name: HashMap::new() };
        for certificate in certificates {
            let wrong = |reason: String| Unusable::Certificate { name: certificate.name.clone(), reason };
            let key = load(certificate, provider).map_err(wrong)?;
            let unfit = || wrong("the key signs with none of the signature algorithms that are allowed".into());
            let key = signing::restricted(key, allowed).ok_or_else(unfit)?;
            let names = key.cert.first().map(|leaf| AlternativeNames::of(leaf)).unwrap_or_default();
            for name in names.dns {
                let name = name.strip_prefix('*').unwrap_or(&name).to_ascii_lowercase();
                this.by_name.entry(name.into()).or_default().push(this.all.len());
            }
            this.all.push(Arc::new(key));
            this.uris.push(names.uri);
        }
        if this.all.is_empty() { Err(Unusable::NoCertificate) } else { Ok(this) }
    }

    /// The URIs in the certificate that is shown to who asks for `name`.
    pub(super) fn uris(&self, name: Option<&str>) -> &[String] {
        // Certificates of one name for different keys are of one holder: which of them it was makes no difference.
        self.choose(name, |_| true).and_then(|at| self.uris.get(at)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Those for exactly this name, those for a wildcard that covers it, then all: of each kind the first whose key the client can verify.
    fn choose(&self, name: Option<&str>, suits: impl Fn(&CertifiedKey) -> bool) -> Option<usize> {
        let exact = name.and_then(|name| self.by_name.get(name));
        let wildcard = name.and_then(|name| self.by_name.get(name.get(name.find('.')?..)?));
        let named = [exact, wildcard].into_iter().flatten().flatten().copied();
        named.chain(0..self.all.len()).find(|at| self.all.get(*at).is_some_and(|key| suits(key)))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let chosen = self.choose(hello.server_name(), |key| key.key.choose_scheme(schemes).is_some())?;
        self.all.get(chosen).cloned()
    }
}

fn load(certificate: &Certificate, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).collect();
    let chain = chain.map_err(|error| format!("the chain is not PEM: {error}"))?;
    let Some(leaf) = chain.first() else { return Err("the chain holds no certificate".into()) };
    rustls::server::ParsedCertificate::try_from(leaf).map_err(|error| format!("the leaf cannot be read: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.0.as_bytes()).map_err(|error| format!("the key is not PEM: {error}"))?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| format!("the key cannot be used: {error}"))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // A key that does not say cannot be compared; the first handshake will show.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(_) => Err("the key is not the certificate's".into()),
    }
}
