//! References to authorities and revocation lists.

use std::sync::Arc;

use weir_model::ObjectName;

use crate::grants;
use crate::memo::Reader;
use crate::resources::Kind;

/// What is referred to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference<'a> {
    pub(crate) group: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
}

/// Which part of a Secret or ConfigMap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Key `ca.crt`.
    Authorities,
    /// Key `ca.crl`.
    Revoked,
}

/// Why a reference leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Another kind than Secret and ConfigMap.
    #[error("unsupported ref kind:{0}, must be ConfigMap or Secret")]
    Kind(String),
    /// Into another namespace, without a grant.
    #[error("{kind} ref to {kind} {target} not permitted by any ReferenceGrant")]
    NotPermitted {
        /// As referred to.
        kind: String,
        /// As referred to.
        target: ObjectName,
    },
    /// Not there, or without what is looked for.
    #[error("{0}")]
    Content(String),
}

/// What a reference of `from` leads to, as PEM.
pub(crate) fn load(reader: &Reader<'_>, from: &grants::From<'_>, reference: Reference<'_>, part: Part) -> Result<Arc<str>, Fault> {
    let Reference { group, kind, namespace, name } = reference;
    let known = [Kind::Secret, Kind::ConfigMap].into_iter().find(|it| it.as_str() == kind && group == it.group());
    let Some(known) = known else { return Err(Fault::Kind(kind.to_owned())) };
    let namespace = namespace.filter(|it| !it.is_empty()).unwrap_or(from.namespace);
    let target = ObjectName::new(namespace, name);
    if !reader.permitted(from, &grants::To { group: known.group(), kind, namespace, name }) {
        return Err(Fault::NotPermitted { kind: kind.to_owned(), target });
    }
    let trust = match known {
        Kind::Secret => reader.secret(&target).map(|it| &it.trust),
        _ => reader.config_map(&target),
    };
    let lower = kind.to_ascii_lowercase();
    let trust = trust.ok_or_else(|| Fault::Content(format!("{lower} {target} does not exist")))?;
    let (found, key) = match part {
        Part::Authorities => (&trust.authorities, "ca.crt"),
        Part::Revoked => (&trust.revoked, "ca.crl"),
    };
    match found {
        Some(Ok(text)) => Ok(text.clone()),
        Some(Err(error)) => Err(Fault::Content(format!("{lower} {target}: {error}"))),
        None => Err(Fault::Content(format!("{lower} {target} has no key {key}"))),
    }
}
