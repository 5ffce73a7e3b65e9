//! Small facts about objects' metadata that every controller asks for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ObjectName {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> ObjectName {
        ObjectName { namespace: namespace.into(), name: name.into() }
    }

    pub(crate) fn of(meta: &ObjectMeta) -> ObjectName {
        ObjectName::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The owner that manages an object, if there is one of this kind.
pub(crate) fn controller<'a>(meta: &'a ObjectMeta, kind: &str) -> Option<&'a OwnerReference> {
    meta.owner_references.as_deref().unwrap_or_default().iter().find(|o| o.controller == Some(true) && o.kind == kind)
}

/// Whether `owner` manages the object.
pub(crate) fn owned_by(meta: &ObjectMeta, owner_uid: Option<&str>) -> bool {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owner_uid.is_some_and(|uid| owners.iter().any(|o| o.controller == Some(true) && o.uid == uid))
}

/// The reference that a controller puts on what it makes.
pub(crate) fn owner_reference(api_version: &str, kind: &str, meta: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether all pairs of `selector` are among `labels`. An empty selector selects nothing, as in a Service.
pub(crate) fn selects(selector: &BTreeMap<String, String>, labels: Option<&BTreeMap<String, String>>) -> bool {
    !selector.is_empty() && selector.iter().all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v))
}

/// API times have whole seconds.
pub(crate) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

const SUFFIX_LENGTH: usize = 5;
/// No vowels and nothing that looks like another character, so that no name is a word (apimachinery `util/rand`).
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The random end of a generated name.
pub(crate) fn random_suffix() -> String {
    use rand::seq::IndexedRandom;
    let mut rng = rand::rng();
    (0..SUFFIX_LENGTH).filter_map(|_| ALPHABET.choose(&mut rng)).map(|b| char::from(*b)).collect()
}

/// Writes any text in the alphabet of generated names, one letter for one.
pub(crate) fn safe_encode(text: &str) -> String {
    text.bytes().filter_map(|b| ALPHABET.get(usize::from(b) % ALPHABET.len())).map(|b| char::from(*b)).collect()
}
