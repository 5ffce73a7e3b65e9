//! What a policy targets.

use serde_json::{Value, json};
use weir_api::client_traffic_policy::{ClientTrafficPolicySpec, TargetFromNamespaces, TargetNamespaces, TargetSelector};
use weir_api::reference::{ParentReference, PolicyTargetReference};
use weir_model::ObjectName;

use super::Gateways;
use crate::grants;
use crate::memo::Reader;
use crate::resources::{Kind, Resources};
use crate::selector::Selector;

/// A target, or a section of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) name: ObjectName,
    pub(super) section: Option<String>,
}

impl Target {
    fn new(reference: &PolicyTargetReference, namespace: &str) -> Self {
        let PolicyTargetReference { group, kind, name, section_name } = reference;
        Self { group: group.clone(), kind: kind.clone(), name: ObjectName::new(namespace, name.as_str()), section: section_name.clone() }
    }

    pub(super) fn is_gateway(&self) -> bool {
        self.group == Kind::Gateway.group() && self.kind == Kind::Gateway.as_str()
    }

    pub(super) fn is_route(&self) -> bool {
        self.group == Kind::HttpRoute.group() && self.kind == Kind::HttpRoute.as_str()
    }

    /// The Gateway, or the listener of it, that a route of `namespace` names as its parent; none where it names something else.
    pub(super) fn parent(reference: &ParentReference, namespace: &str) -> Option<Self> {
        let ParentReference { group, kind, namespace: given, name, section_name, port: _ } = reference;
        let name = ObjectName::new(given.as_deref().unwrap_or(namespace), name.as_str());
        let target = Self { group: group.clone(), kind: kind.clone(), name, section: section_name.clone() };
        target.is_gateway().then_some(target)
    }

    /// What one of another kind is told.
    pub(super) fn refusal(&self) -> String {
        format!("Targets of kind {} are not supported yet, only Gateways, their listeners (sectionName) and HTTPRoutes are.", self.kind)
    }

    /// As `ancestorRef`.
    pub(super) fn json(&self) -> Value {
        let mut out = json!({ "group": self.group, "kind": self.kind, "namespace": &*self.name.namespace, "name": &*self.name.name });
        if let Some(section) = &self.section {
            out["sectionName"] = json!(section);
        }
        out
    }
}

/// The targets of a policy: those that its selectors find, the oldest first, then those that it names.
pub(super) fn of(
    resources: &Resources,
    reader: &Reader<'_>,
    gateways: &Gateways<'_>,
    policy: &ObjectName,
    spec: &ClientTrafficPolicySpec,
) -> Vec<Target> {
    let mut found: Vec<(&str, Target)> = Vec::new();
    for selector in &spec.target_selectors {
        for (created, target) in selected(resources, reader, gateways, policy, selector) {
            if !found.iter().any(|(_, it)| *it == target) {
                found.push((created, target));
            }
        }
    }
    found.sort_by(|(a, x), (b, y)| (a, &x.name).cmp(&(b, &y.name)));
    let mut targets: Vec<Target> = found.into_iter().map(|(_, target)| target).collect();
    for reference in spec.target_ref.iter().chain(&spec.target_refs) {
        let target = Target::new(reference, &policy.namespace);
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets
}

/// The targets that can be read of a policy that cannot be decoded, as a specification that says nothing else.
pub(super) fn readable(object: &Value) -> ClientTrafficPolicySpec {
    let field = |key: &str| object.get("spec").and_then(|it| it.get(key)).cloned().unwrap_or_default();
    let each = |key: &str| field(key).as_array().cloned().unwrap_or_default();
    ClientTrafficPolicySpec {
        target_ref: serde_json::from_value(field("targetRef")).unwrap_or_default(),
        target_refs: each("targetRefs").into_iter().filter_map(|it| serde_json::from_value(it).ok()).collect(),
        target_selectors: each("targetSelectors").into_iter().filter_map(|it| serde_json::from_value(it).ok()).collect(),
        ..ClientTrafficPolicySpec::default()
    }
}

fn selected<'a>(
    resources: &'a Resources,
    reader: &Reader<'_>,
    gateways: &'a Gateways<'a>,
    policy: &ObjectName,
    selector: &TargetSelector,
) -> Vec<(&'a str, Target)> {
    let TargetSelector { group, kind, match_labels, match_expressions, namespaces } = selector;
    let Ok(labels) = Selector::new(match_labels, match_expressions) else { return Vec::new() };
    let kind = if *group == *Kind::Gateway.group() { kind.as_str() } else { "" };
    let candidates: Vec<(&ObjectName, &weir_api::Metadata)> = match kind {
        "Gateway" => gateways.iter().map(|(name, it)| (name, &it.object.metadata)).collect(),
        "HTTPRoute" => resources.http_routes.iter().map(|(name, it)| (name, &it.object.metadata)).collect(),
        _ => Vec::new(),
    };
    let allowed = |name: &ObjectName| {
        namespace_fits(reader, namespaces.as_ref(), &policy.namespace, &name.namespace) && {
            let from = grants::From {
                group: Kind::ClientTrafficPolicy.group(),
                kind: Kind::ClientTrafficPolicy.as_str(),
                namespace: &policy.namespace,
            };
            reader.permitted(&from, &grants::To { group, kind, namespace: &name.namespace, name: &name.name })
        }
    };
    let fitting = candidates.into_iter().filter(|(name, metadata)| labels.matches(&metadata.labels) && allowed(name));
    let target = |name: &ObjectName| Target { group: group.clone(), kind: kind.to_owned(), name: name.clone(), section: None };
    fitting.map(|(name, metadata)| (metadata.creation_timestamp.as_deref().unwrap_or_default(), target(name))).collect()
}

fn namespace_fits(reader: &Reader<'_>, namespaces: Option<&TargetNamespaces>, own: &str, other: &str) -> bool {
    let Some(TargetNamespaces { from, selector }) = namespaces else { return own == other };
    match from {
        TargetFromNamespaces::Same => own == other,
        TargetFromNamespaces::All => true,
        TargetFromNamespaces::Selector => {
            let selector = selector.as_ref().and_then(|it| Selector::read(it).ok());
            selector.is_some_and(|it| it.matches(&reader.namespace_labels(other)))
        }
        TargetFromNamespaces::Unknown(_) => false,
    }
}
