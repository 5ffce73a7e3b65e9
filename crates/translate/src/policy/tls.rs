//! What a policy says of TLS.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use weir_api::backend::{TlsFingerprint, TlsVersion as ApiVersion};
use weir_api::client_traffic_policy::tls::{
    ClientTls, ClientValidation, ClientValidationMode, Crl, OtherName, SessionResumption, SubjectAltNames, TlsSession,
};
use weir_api::reference::SecretObjectReference;
use weir_model as model;
use weir_model::{Fingerprint, NameKind, StringMatch, Tls, TlsVersion};

use super::names;
use super::read::{Read, string_match, wrong};
use crate::grants;
use crate::memo::Reader;
use crate::resources::Kind;
use crate::trust::{self, Part, Reference};

const PART: &str = "TLS";

/// What TLS 1.2 is served with, and how else the suites are called. All that rustls has: forward secret and authenticated.
const CIPHERS: [(&str, &str); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
];

/// What Envoy Gateway takes besides, and is not served: without forward secrecy, or with CBC.
const WEAK_CIPHERS: [(&str, &str); 8] = [
    ("ECDHE-ECDSA-AES128-SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    ("ECDHE-RSA-AES128-SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    ("AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    ("AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"),
    ("ECDHE-ECDSA-AES256-SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    ("ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    ("AES256-GCM-SHA384", "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    ("AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"),
];

/// Key exchange groups, by the names that the Model has and others that users write.
const CURVES: [(&str, &[&str]); 4] = [
    ("X25519", &["X25519", "x25519"]),
    ("P-256", &["P-256", "secp256r1", "prime256v1"]),
    ("P-384", &["P-384", "secp384r1"]),
    ("X25519MLKEM768", &["X25519MLKEM768"]),
];

/// Signature algorithms by IANA's names, which the Model has, and by those of OpenSSL's lists, which Envoy takes too.
const SIGNATURE_ALGORITHMS: [(&str, &[&str]); 10] = [
    ("ecdsa_secp256r1_sha256", &["ECDSA+SHA256"]),
    ("rsa_pss_rsae_sha256", &["RSA-PSS+SHA256", "PSS+SHA256"]),
    ("rsa_pkcs1_sha256", &["RSA+SHA256"]),
    ("ecdsa_secp384r1_sha384", &["ECDSA+SHA384"]),
    ("rsa_pss_rsae_sha384", &["RSA-PSS+SHA384", "PSS+SHA384"]),
    ("rsa_pkcs1_sha384", &["RSA+SHA384"]),
    ("ecdsa_secp521r1_sha512", &["ECDSA+SHA512"]),
    ("rsa_pss_rsae_sha512", &["RSA-PSS+SHA512", "PSS+SHA512"]),
    ("rsa_pkcs1_sha512", &["RSA+SHA512"]),
    ("ed25519", &[]),
];

/// What Envoy takes besides, and is not served: with SHA-1, which is broken.
const WEAK_SIGNATURE_ALGORITHMS: [&str; 4] = ["rsa_pkcs1_sha1", "ecdsa_sha1", "RSA+SHA1", "ECDSA+SHA1"];

/// The one protocol that is served over TLS.
const HTTP11: &str = "http/1.1";

/// What a policy says of TLS, for listeners that end it.
#[derive(Debug, Clone)]
pub(super) struct TlsRead {
    /// Without certificates: those are the listener's.
    pub(super) settings: Tls,
    /// What is wrong with it.
    pub(super) invalid: Vec<String>,
}

/// What holds without a policy.
pub(crate) fn default() -> Tls {
    Tls {
        certificates: Vec::new(),
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        ciphers: Vec::new(),
        curves: Vec::new(),
        signature_algorithms: Vec::new(),
        fingerprints: Vec::new(),
        alpn: vec![HTTP11.into()],
        client_validation: None,
        tickets: false,
        sessions: false,
    }
}

/// Reads what a policy of `namespace` says of TLS.
pub(super) fn read(reader: &Reader<'_>, namespace: &str, tls: &ClientTls, out: &mut Read) -> TlsRead {
    let ClientTls {
        client_validation,
        min_version,
        max_version,
        ciphers,
        ecdh_curves,
        signature_algorithms,
        alpn_protocols,
        fingerprints,
        session,
    } = tls;
    let mut read = TlsRead { settings: default(), invalid: Vec::new() };
    read.versions(min_version.as_ref(), max_version.as_ref(), out);
    read.ciphers(ciphers, out);
    read.curves(ecdh_curves, out);
    read.signature_algorithms(signature_algorithms, out);
    for fingerprint in fingerprints {
        read.fingerprint(fingerprint);
    }
    if let Some(protocols) = alpn_protocols {
        read.alpn(protocols, out);
    }
    if let Some(validation) = client_validation {
        if validation.optional == Some(true) {
            out.deprecated.insert("spec.tls.clientValidation.optional", "spec.tls.clientValidation.mode");
        }
        read.settings.client_validation = read.validation(reader, namespace, validation);
    }
    if let Some(TlsSession { resumption: Some(SessionResumption { stateless, stateful }) }) = session {
        (read.settings.tickets, read.settings.sessions) = (stateless.is_some(), stateful.is_some());
    }
    read
}

impl TlsRead {
    fn wrong(&mut self, message: impl std::fmt::Display) {
        wrong(&mut self.invalid, PART, message);
    }

    fn versions(&mut self, min: Option<&ApiVersion>, max: Option<&ApiVersion>, out: &mut Read) {
        match min {
            None | Some(ApiVersion::Auto | ApiVersion::V1_2) => {}
            Some(ApiVersion::V1_3) => self.settings.min_version = TlsVersion::V1_3,
            // Stricter than asked: nobody loses protection.
            Some(old @ (ApiVersion::V1_0 | ApiVersion::V1_1)) => {
                out.unsupported.push(format!("spec.tls.minVersion {old} (1.2 is in force)"))
            }
            Some(ApiVersion::Unknown(word)) => self.wrong(names::unknown("minVersion", word, ApiVersion::WORDS)),
        }
        match max {
            None | Some(ApiVersion::Auto | ApiVersion::V1_3) => {}
            Some(ApiVersion::V1_2) => self.settings.max_version = TlsVersion::V1_2,
            Some(old @ (ApiVersion::V1_0 | ApiVersion::V1_1)) => self.wrong(format!("maxVersion {old} is not supported, 1.2 and 1.3 are")),
            Some(ApiVersion::Unknown(word)) => self.wrong(names::unknown("maxVersion", word, ApiVersion::WORDS)),
        }
        if self.settings.min_version > self.settings.max_version {
            self.wrong("setting minVersion higher than maxVersion is not supported");
        }
    }

    fn ciphers(&mut self, ciphers: &[String], out: &mut Read) {
        for cipher in ciphers {
            let named = |(ossl, iana): &&(&str, &str)| cipher == ossl || cipher == iana;
            if let Some((ossl, _)) = CIPHERS.iter().find(named) {
                self.settings.ciphers.push((*ossl).into());
            } else if WEAK_CIPHERS.iter().any(|it| named(&it)) {
                out.unsupported.push(format!("spec.tls.ciphers {cipher}"));
            } else {
                self.wrong(format!("unsupported cipher suite: {cipher}"));
            }
        }
        if !ciphers.is_empty() && self.settings.ciphers.is_empty() && self.invalid.is_empty() {
            // Nothing is left for 1.2, and the defaults would not be what was asked for.
            match self.settings.max_version {
                TlsVersion::V1_3 => self.settings.min_version = TlsVersion::V1_3,
                TlsVersion::V1_2 => self.wrong("none of the ciphers is supported, and maxVersion excludes TLS 1.3, which has its own"),
            }
        }
    }

    fn curves(&mut self, curves: &[String], out: &mut Read) {
        for curve in curves {
            match CURVES.iter().find(|(_, names)| names.contains(&curve.as_str())) {
                Some((name, _)) => self.settings.curves.push((*name).into()),
                None => out.unsupported.push(format!("spec.tls.ecdhCurves {curve}")),
            }
        }
        if !curves.is_empty() && self.settings.curves.is_empty() {
            self.wrong(format!("none of the ecdhCurves is supported, {} are", CURVES.map(|(name, _)| name).join(", ")));
        }
    }

    fn fingerprint(&mut self, fingerprint: &TlsFingerprint) {
        let kind = match fingerprint {
            TlsFingerprint::Ja3 => Fingerprint::Ja3,
            TlsFingerprint::Ja4 => Fingerprint::Ja4,
            TlsFingerprint::Unknown(word) => return self.wrong(names::unknown("fingerprints", word, TlsFingerprint::WORDS)),
        };
        if !self.settings.fingerprints.contains(&kind) {
            self.settings.fingerprints.push(kind);
        }
    }

    fn signature_algorithms(&mut self, names: &[String], out: &mut Read) {
        for name in names {
            if let Some((iana, _)) = SIGNATURE_ALGORITHMS.iter().find(|(iana, openssl)| name == iana || openssl.contains(&name.as_str())) {
                let name = Arc::from(*iana);
                if !self.settings.signature_algorithms.contains(&name) {
                    self.settings.signature_algorithms.push(name);
                }
            } else if WEAK_SIGNATURE_ALGORITHMS.contains(&name.as_str()) {
                out.unsupported.push(format!("spec.tls.signatureAlgorithms {name}"));
            } else {
                self.wrong(format!("unsupported signature algorithm: {name}"));
            }
        }
        if !names.is_empty() && self.settings.signature_algorithms.is_empty() {
            let all = SIGNATURE_ALGORITHMS.map(|(iana, _)| iana).join(", ");
            self.wrong(format!("none of the signatureAlgorithms is supported, {all} are"));
        }
    }

    /// HTTP/2, which is not served, is left out; where nothing else was listed, HTTP/1.1 is offered in its place, and a warning says so.
    fn alpn(&mut self, protocols: &[String], out: &mut Read) {
        self.settings.alpn.clear();
        for protocol in protocols {
            match protocol.as_str() {
                HTTP11 | "http/1.0" => self.settings.alpn.push(protocol.as_str().into()),
                "h2" => {}
                other => out.unsupported.push(format!("spec.tls.alpnProtocols {other}")),
            }
        }
        if self.settings.alpn.is_empty() && !protocols.is_empty() {
            if protocols.iter().all(|it| it == "h2") {
                out.unsupported.push("spec.tls.alpnProtocols h2 (http/1.1 is offered instead)".into());
            }
            self.settings.alpn.push(HTTP11.into());
        }
    }

    fn validation(&mut self, reader: &Reader<'_>, namespace: &str, validation: &ClientValidation) -> Option<model::ClientValidation> {
        let ClientValidation {
            optional,
            mode,
            ca_certificate_refs,
            spki_hashes,
            certificate_hashes,
            subject_alt_names,
            crl,
            allow_expired_certificate,
        } = validation;
        let legacy = mode.is_none() && *optional == Some(true);
        let (mode, word) = match mode {
            None if legacy => (model::ClientValidationMode::VerifyIfGiven, "VerifyIfGiven"),
            None | Some(ClientValidationMode::RequireAndVerify) => (model::ClientValidationMode::Require, "RequireAndVerify"),
            Some(ClientValidationMode::VerifyIfGiven) => (model::ClientValidationMode::VerifyIfGiven, "VerifyIfGiven"),
            Some(ClientValidationMode::RequireAny) => (model::ClientValidationMode::RequireAny, "RequireAny"),
            Some(ClientValidationMode::Request) => (model::ClientValidationMode::Request, "Request"),
            Some(ClientValidationMode::Unknown(word)) => {
                self.wrong(names::unknown("clientValidation.mode", word, ClientValidationMode::WORDS));
                return None;
            }
        };
        let before = self.invalid.len();
        let authorities = self.load(reader, namespace, ca_certificate_refs, Part::Authorities, "failed to get certificate from ref");
        let verifies = matches!(mode, model::ClientValidationMode::Require | model::ClientValidationMode::VerifyIfGiven);
        if verifies && authorities.is_empty() && self.invalid.len() == before {
            self.wrong(if legacy {
                format!("tls.clientValidation.optional=true requires caCertificateRefs (maps to mode {word:?})")
            } else {
                format!("tls.clientValidation.mode {word:?} requires caCertificateRefs")
            });
        }
        let (revoked, revocation_of_leaf_only) = match crl {
            None => (None, false),
            Some(Crl { refs, only_verify_leaf_certificate }) => {
                let lists = self.load(reader, namespace, refs, Part::Revoked, "failed to get crl from ref");
                (Some(lists).filter(|it| !it.is_empty()).map(Arc::from), *only_verify_leaf_certificate == Some(true))
            }
        };
        Some(model::ClientValidation {
            mode,
            authorities: authorities.into(),
            revoked,
            revocation_of_leaf_only,
            spki_hashes: self.hashes("spkiHashes", spki_hashes, spki_hash),
            certificate_hashes: self.hashes("certificateHashes", certificate_hashes, certificate_hash),
            names: subject_alt_names.as_ref().map(|it| self.names(it)).unwrap_or_default(),
            other_names: subject_alt_names.as_ref().map(|it| self.other_names(it)).unwrap_or_default(),
            allow_expired: *allow_expired_certificate == Some(true),
        })
    }

    fn load(&mut self, reader: &Reader<'_>, namespace: &str, refs: &[SecretObjectReference], part: Part, failed: &str) -> String {
        let from = grants::From { group: Kind::ClientTrafficPolicy.group(), kind: Kind::ClientTrafficPolicy.as_str(), namespace };
        let mut text = String::new();
        for SecretObjectReference { group, kind, name, namespace } in refs {
            match trust::load(reader, &from, Reference { group, kind, namespace: namespace.as_deref(), name }, part) {
                // The same authority in two places is one.
                Ok(more) if text.contains(&*more) => {}
                Ok(more) => text.push_str(&more),
                Err(error) => self.wrong(format!("{failed}: {error}")),
            }
        }
        text
    }

    fn hashes(&mut self, field: &str, given: &[String], read: fn(&str) -> Option<String>) -> Vec<Arc<str>> {
        let mut hashes = Vec::new();
        for hash in given {
            match read(hash) {
                Some(hash) => hashes.push(hash.into()),
                None => self.wrong(format!("invalid clientValidation.{field} value {hash}")),
            }
        }
        hashes
    }

    fn names(&mut self, given: &SubjectAltNames) -> Vec<(NameKind, StringMatch)> {
        let SubjectAltNames { dns_names, email_addresses, ip_addresses, uris, other_names: _ } = given;
        let mut names = Vec::new();
        let all = [(NameKind::Dns, dns_names), (NameKind::Email, email_addresses), (NameKind::Ip, ip_addresses), (NameKind::Uri, uris)];
        for (kind, list) in all {
            for it in list {
                match string_match("clientValidation.subjectAltNames", &it.type_, &it.value, kind == NameKind::Dns) {
                    Ok(it) => names.push((kind, it)),
                    Err(error) => self.wrong(error),
                }
            }
        }
        names
    }

    fn other_names(&mut self, given: &SubjectAltNames) -> Vec<(Arc<str>, StringMatch)> {
        let mut names = Vec::new();
        for OtherName { oid, type_, value } in &given.other_names {
            let is_dotted = oid.contains('.') && oid.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|it| it.is_ascii_digit()));
            if !is_dotted {
                self.wrong(format!("invalid clientValidation.subjectAltNames.otherNames oid {oid}"));
                continue;
            }
            match string_match("clientValidation.subjectAltNames", type_, value, false) {
                Ok(it) => names.push((oid.as_str().into(), it)),
                Err(error) => self.wrong(error),
            }
        }
        names
    }
}

fn spki_hash(text: &str) -> Option<String> {
    STANDARD.decode(text).ok().filter(|it| it.len() == 32).map(|it| STANDARD.encode(it))
}

fn certificate_hash(text: &str) -> Option<String> {
    let digits = text.replace(':', "").to_ascii_lowercase();
    hex::decode(&digits).ok().filter(|it| it.len() == 32).map(|_| digits)
}
