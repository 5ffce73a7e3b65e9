//! The pod that a controller makes of its template.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::meta::ObjectName;
use crate::patch::to_value;
use crate::plan::{Kind, Verb, Write};

/// A generated name is cut so that the suffix fits into a DNS label.
const LONGEST_BASE: usize = 58;

/// Makes a pod for `owner`, named after it and `suffix`.
pub(crate) fn create(owner: OwnerReference, namespace: &str, template: &PodTemplateSpec, node_name: &str, suffix: &str) -> Write {
    let own = template.metadata.clone().unwrap_or_default();
    let generate_name = format!("{}-", owner.name);
    let mut base = generate_name.clone();
    base.truncate(LONGEST_BASE);
    let name = ObjectName::new(namespace, base + suffix);
    let mut spec = template.spec.clone().unwrap_or_default();
    // There is one node, so the choice is made; saves a binding per pod.
    spec.node_name.get_or_insert_with(|| node_name.to_owned());
    let pod = Pod {
        metadata: ObjectMeta {
            name: Some(name.name.clone()),
            generate_name: Some(generate_name),
            namespace: Some(name.namespace.clone()),
            labels: own.labels,
            annotations: own.annotations,
            finalizers: own.finalizers,
            owner_references: Some(vec![owner]),
            ..Default::default()
        },
        spec: Some(spec),
        status: None,
    };
    Write { kind: Kind::Pod, name, verb: Verb::Create(to_value(&pod)) }
}
