//! The kinds of objects that are watched, and how.

use std::sync::Arc;

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;
use weir_translate::ObjectRef;

use crate::status::Ownership;

/// One kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    GatewayClass,
    Gateway,
    HttpRoute,
    ReferenceGrant,
    Backend,
    ClientTrafficPolicy,
    EnvoyProxy,
    Service,
    EndpointSlice,
    Secret,
    Namespace,
    ConfigMap,
    Deployment,
}

/// Which objects of a kind are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All.
    All,
    /// What the controller made, in its own namespace.
    Own,
}

const GATEWAY_API: &str = "gateway.networking.k8s.io";
const ENVOY_GATEWAY: &str = "gateway.envoyproxy.io";

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 13] = [
        Self::GatewayClass,
        Self::Gateway,
        Self::HttpRoute,
        Self::ReferenceGrant,
        Self::Backend,
        Self::ClientTrafficPolicy,
        Self::EnvoyProxy,
        Self::Service,
        Self::EndpointSlice,
        Self::Secret,
        Self::Namespace,
        Self::ConfigMap,
        Self::Deployment,
    ];

    /// Group, version, kind and plural.
    pub(crate) fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::GatewayClass => (GATEWAY_API, "v1", "GatewayClass", "gatewayclasses"),
            Self::Gateway => (GATEWAY_API, "v1", "Gateway", "gateways"),
            Self::HttpRoute => (GATEWAY_API, "v1", "HTTPRoute", "httproutes"),
            // v1 came with Gateway API 1.5; every bundle so far serves v1beta1.
            Self::ReferenceGrant => (GATEWAY_API, "v1beta1", "ReferenceGrant", "referencegrants"),
            Self::Backend => (ENVOY_GATEWAY, "v1alpha1", "Backend", "backends"),
            Self::ClientTrafficPolicy => (ENVOY_GATEWAY, "v1alpha1", "ClientTrafficPolicy", "clienttrafficpolicies"),
            Self::EnvoyProxy => (ENVOY_GATEWAY, "v1alpha1", "EnvoyProxy", "envoyproxies"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            Self::Secret => ("", "v1", "Secret", "secrets"),
            Self::Namespace => ("", "v1", "Namespace", "namespaces"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
        }
    }

    /// As kube-rs wants it.
    pub(crate) fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.names();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// `group/version`, or `version` for the core group.
    pub(crate) fn api_version(self) -> String {
        self.resource().api_version
    }

    /// What its CustomResourceDefinition is called.
    pub(crate) fn definition(self) -> String {
        let (group, _, _, plural) = self.names();
        format!("{plural}.{group}")
    }

    /// The kind of this group and name.
    pub(crate) fn find(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| {
            let (its_group, _, its_kind, _) = it.names();
            (its_group, its_kind) == (group, kind)
        })
    }

    /// What the translator calls it; none: it does not read such objects.
    pub(crate) fn translated(self) -> Option<weir_translate::Kind> {
        use weir_translate::Kind as Read;
        match self {
            Self::GatewayClass => Some(Read::GatewayClass),
            Self::Gateway => Some(Read::Gateway),
            Self::HttpRoute => Some(Read::HttpRoute),
            Self::ReferenceGrant => Some(Read::ReferenceGrant),
            Self::Backend => Some(Read::Backend),
            Self::ClientTrafficPolicy => Some(Read::ClientTrafficPolicy),
            Self::EnvoyProxy => Some(Read::EnvoyProxy),
            Self::Service => Some(Read::Service),
            Self::EndpointSlice => Some(Read::EndpointSlice),
            Self::Secret => Some(Read::Secret),
            Self::Namespace => Some(Read::Namespace),
            Self::ConfigMap => Some(Read::ConfigMap),
            Self::Deployment => None,
        }
    }

    /// Which objects are watched.
    pub(crate) fn scope(self) -> Scope {
        match self {
            Self::Deployment => Scope::Own,
            _ => Scope::All,
        }
    }

    /// How much of its objects' status is the controller's; none: nothing.
    pub(crate) fn ownership(self) -> Option<Ownership> {
        match self {
            Self::GatewayClass | Self::Gateway | Self::Backend => Some(Ownership::Whole),
            Self::HttpRoute => Some(Ownership::Entries { list: "parents", reference: "parentRef" }),
            Self::ClientTrafficPolicy | Self::EnvoyProxy => Some(Ownership::Entries { list: "ancestors", reference: "ancestorRef" }),
            _ => None,
        }
    }
}

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    /// Empty for kinds without namespaces.
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl Key {
    /// Names the object that `value` is.
    pub(crate) fn of(kind: Kind, value: &Value) -> Self {
        let field = |key: &str| value.pointer("/metadata").and_then(|it| it.get(key)).and_then(Value::as_str).unwrap_or_default();
        Self { kind, namespace: field("namespace").into(), name: field("name").into() }
    }

    /// As the translator names it.
    pub(crate) fn object(&self) -> ObjectRef {
        let (group, _, kind, _) = self.kind.names();
        ObjectRef { group, kind, namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// What the translator names so; none: a kind that is not watched.
    pub(crate) fn of_object(object: &ObjectRef) -> Option<Self> {
        let kind = Kind::find(object.group, object.kind)?;
        Some(Self { kind, namespace: object.namespace.clone(), name: object.name.clone() })
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (_, _, kind, _) = self.kind.names();
        match &*self.namespace {
            "" => write!(f, "{kind} {}", self.name),
            namespace => write!(f, "{kind} {namespace}/{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_names() {
        for kind in Kind::ALL {
            let (group, _, name, _) = kind.names();
            assert_eq!(Kind::find(group, name), Some(kind));
            if let Some(read) = kind.translated() {
                assert_eq!((read.group(), read.as_str()), (group, name));
            }
        }
        assert_eq!(Kind::find("", "Pod"), None);
        assert_eq!(Kind::Gateway.api_version(), "gateway.networking.k8s.io/v1");
        assert_eq!(Kind::Service.api_version(), "v1");
    }
}
