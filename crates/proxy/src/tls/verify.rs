//! Whether a client is who it must be: authorities, revocation, pins and names.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use weir_model::{ClientValidation, ClientValidationMode, NameKind};

use super::Unusable;
use super::matching::Matcher;
use super::names::AlternativeNames;

/// How often a chain is verified as of another time, to leave out that one of its certificates has expired. Chains are shorter.
const OTHER_TIMES: usize = 8;

type Hash = [u8; 32];

/// Judges clients' certificates.
#[derive(Debug)]
pub(super) struct Verifier {
    mode: ClientValidationMode,
    /// By authorities; none when only pins count, or nothing does.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    keys: Vec<Hash>,
    certificates: Vec<Hash>,
    names: Vec<(NameKind, Matcher)>,
    other_names: Vec<(Arc<str>, Matcher)>,
    allow_expired: bool,
    algorithms: WebPkiSupportedAlgorithms,
    /// Of those, the ones that clients may sign with.
    schemes: Vec<SignatureScheme>,
}

impl Verifier {
    /// `allowed`: the schemes that clients may sign with; empty: all.
    pub(super) fn new(
        validation: &ClientValidation,
        provider: &Arc<CryptoProvider>,
        allowed: &[SignatureScheme],
    ) -> Result<Self, Unusable> {
        let wrong = Unusable::Validation;
        let verifies = matches!(validation.mode, ClientValidationMode::Require | ClientValidationMode::VerifyIfGiven);
        let pinned = !(validation.spki_hashes.is_empty() && validation.certificate_hashes.is_empty());
        let chain = match (verifies, validation.authorities.trim().is_empty()) {
            (false, _) => None,
            (true, false) => Some(chain(validation, provider)?),
            (true, true) if pinned => None,
            (true, true) => return Err(wrong("there is no authority".into())),
        };
        let keys = validation.spki_hashes.iter().map(|text| {
            let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text.as_bytes());
            hash(bytes.ok()).ok_or_else(|| wrong(format!("`{text}` is not a SHA-256 in base64")))
        });
        let certificates = validation.certificate_hashes.iter().map(|text| {
            let bytes = hex::decode(text.replace(':', ""));
            hash(bytes.ok()).ok_or_else(|| wrong(format!("`{text}` is not a SHA-256 in hexadecimal digits")))
        });
        let matcher = |it| Matcher::new(it).map_err(|error| wrong(error.to_string()));
        let names = validation.names.iter().map(|(kind, it)| Ok((*kind, matcher(it)?)));
        let other_names = validation.other_names.iter().map(|(kind, it)| Ok((kind.clone(), matcher(it)?)));
        let algorithms = provider.signature_verification_algorithms;
        let mut schemes = algorithms.supported_schemes();
        schemes.retain(|scheme| allowed.is_empty() || allowed.contains(scheme));
        Ok(Self {
            mode: validation.mode,
            chain,
            keys: keys.collect::<Result<_, _>>()?,
            certificates: certificates.collect::<Result<_, _>>()?,
            names: names.collect::<Result<_, _>>()?,
            other_names: other_names.collect::<Result<_, _>>()?,
            allow_expired: validation.allow_expired,
            algorithms,
            schemes,
        })
    }

    fn verify_chain(&self, leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let Some(chain) = &self.chain else { return Ok(()) };
        let mut outcome = chain.verify_client_cert(leaf, rest, now);
        for _ in 0..OTHER_TIMES {
            // The library has no way to leave times out, so it is asked as of a time at which the certificate was valid.
            match &outcome {
                Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) if self.allow_expired => {
                    outcome = chain.verify_client_cert(leaf, rest, *not_after);
                }
                _ => break,
            }
        }
        outcome.map(drop)
    }

    /// Whether one of the pins is this certificate's, if there are any.
    fn is_pinned(&self, leaf: &CertificateDer<'_>) -> Result<bool, Error> {
        if self.keys.is_empty() && self.certificates.is_empty() {
            return Ok(true);
        }
        if self.certificates.contains(&Sha256::digest(leaf).into()) {
            return Ok(true);
        }
        let key = ParsedCertificate::try_from(leaf)?.subject_public_key_info();
        Ok(self.keys.contains(&Sha256::digest(&key).into()))
    }

    fn may_sign_with(&self, scheme: SignatureScheme) -> Result<(), Error> {
        if self.schemes.contains(&scheme) {
            return Ok(());
        }
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    /// Whether one of its names is wanted, if any is.
    fn is_named(&self, leaf: &CertificateDer<'_>) -> bool {
        if self.names.is_empty() && self.other_names.is_empty() {
            return true;
        }
        let has = AlternativeNames::of(leaf);
        let is_named = |(kind, wanted): &(NameKind, Matcher)| match kind {
            NameKind::Dns => has.dns.iter().any(|name| wanted.matches_dns(name)),
            NameKind::Email => has.email.iter().any(|name| wanted.matches(name)),
            NameKind::Uri => has.uri.iter().any(|name| wanted.matches(name)),
            NameKind::Ip => has.ip.iter().any(|address| wanted.matches(&address.to_string())),
        };
        let is_other = |(kind, wanted): &(Arc<str>, Matcher)| has.other.iter().any(|(it, name)| **kind == **it && wanted.matches(name));
        self.names.iter().any(is_named) || self.other_names.iter().any(is_other)
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        matches!(self.mode, ClientValidationMode::Require | ClientValidationMode::RequireAny)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.mode != ClientValidationMode::Request {
            self.verify_chain(leaf, rest, now)?;
            if !self.is_pinned(leaf)? || !self.is_named(leaf) {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.may_sign_with(signature.scheme)?;
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.may_sign_with(signature.scheme)?;
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

fn hash(bytes: Option<Vec<u8>>) -> Option<Hash> {
    bytes?.try_into().ok()
}

fn chain(validation: &ClientValidation, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Unusable> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| Unusable::Validation(format!("{what}: {error}"));
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(validation.authorities.as_bytes()) {
        let authority = authority.map_err(|error| wrong("an authority is not PEM", &error))?;
        roots.add(authority).map_err(|error| wrong("an authority cannot be read", &error))?;
    }
    let lists: Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_slice_iter(validation.revoked.as_deref().unwrap_or_default().as_bytes()).collect();
    let lists = lists.map_err(|error| wrong("a revocation list is not PEM", &error))?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).with_crls(lists);
    if validation.revocation_of_leaf_only {
        builder = builder.only_check_end_entity_revocation();
    }
    builder.build().map_err(|error| wrong("authorities or revocation lists", &error))
}
