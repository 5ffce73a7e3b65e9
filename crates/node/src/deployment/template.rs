//! Names and equality of pod templates.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::meta::safe_encode;
use crate::patch::to_value;

/// The label that tells a Deployment's ReplicaSets apart.
pub(crate) const HASH_LABEL: &str = "pod-template-hash";

/// FNV-1a, 32 bits: as long as the hashes people know from ReplicaSet names.
fn fnv(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A template's hash. `collisions` changes it when another template already took the name.
pub(crate) fn hash(template: &PodTemplateSpec, collisions: i32) -> String {
    let mut text = to_value(template).to_string();
    if collisions > 0 {
        text.push_str(&collisions.to_string());
    }
    safe_encode(&fnv(text.into_bytes()).to_string())
}

/// A ReplicaSet's template without the label that its Deployment added.
fn without_hash(set: &ReplicaSet) -> Option<PodTemplateSpec> {
    let mut template = set.spec.as_ref()?.template.clone()?;
    if let Some(meta) = template.metadata.as_mut()
        && let Some(labels) = meta.labels.as_mut()
    {
        labels.remove(HASH_LABEL);
        if labels.is_empty() {
            meta.labels = None;
        }
    }
    Some(template)
}

/// Whether a ReplicaSet runs this template.
pub(crate) fn runs(set: &ReplicaSet, template: &PodTemplateSpec) -> bool {
    without_hash(set).is_some_and(|mut own| {
        let mut template = template.clone();
        for meta in [&mut own.metadata, &mut template.metadata] {
            if meta.as_ref() == Some(&Default::default()) {
                *meta = None;
            }
        }
        own == template
    })
}
