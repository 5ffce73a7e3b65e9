//! The objects that a translation reads, decoded one by one.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use weir_api::{
    Backend, ClientTrafficPolicy, EndpointSlice, EnvoyProxy, Gateway, GatewayClass, HttpRoute, Namespace, ReferenceGrant, Service, decode,
};
use weir_model::ObjectName;

use crate::material::{Secret, Trust};
pub(crate) use table::{Broken, Table};

/// The kinds that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `gateway.networking.k8s.io` GatewayClass.
    GatewayClass,
    /// `gateway.networking.k8s.io` Gateway.
    Gateway,
    /// `gateway.networking.k8s.io` HTTPRoute.
    HttpRoute,
    /// `gateway.networking.k8s.io` ReferenceGrant.
    ReferenceGrant,
    /// `gateway.envoyproxy.io` Backend.
    Backend,
    /// `gateway.envoyproxy.io` ClientTrafficPolicy.
    ClientTrafficPolicy,
    /// `gateway.envoyproxy.io` EnvoyProxy.
    EnvoyProxy,
    /// Service.
    Service,
    /// `discovery.k8s.io` EndpointSlice.
    EndpointSlice,
    /// Secret. Of its contents `tls.crt` and `tls.key` are kept where it is of type `kubernetes.io/tls`, and certificates and revocation lists in `ca.crt` and `ca.crl`.
    Secret,
    /// ConfigMap. Of its contents certificates and revocation lists in `ca.crt` and `ca.crl` are kept.
    ConfigMap,
    /// Namespace.
    Namespace,
}

impl Kind {
    /// Every kind that is read.
    pub const ALL: [Self; 12] = [
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
        Self::ConfigMap,
        Self::Namespace,
    ];

    /// The group; empty for the core group.
    pub fn group(self) -> &'static str {
        match self {
            Self::GatewayClass | Self::Gateway | Self::HttpRoute | Self::ReferenceGrant => "gateway.networking.k8s.io",
            Self::Backend | Self::ClientTrafficPolicy | Self::EnvoyProxy => "gateway.envoyproxy.io",
            Self::EndpointSlice => "discovery.k8s.io",
            Self::Service | Self::Secret | Self::ConfigMap | Self::Namespace => "",
        }
    }

    /// The kind as objects write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GatewayClass => "GatewayClass",
            Self::Gateway => "Gateway",
            Self::HttpRoute => "HTTPRoute",
            Self::ReferenceGrant => "ReferenceGrant",
            Self::Backend => "Backend",
            Self::ClientTrafficPolicy => "ClientTrafficPolicy",
            Self::EnvoyProxy => "EnvoyProxy",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Namespace => "Namespace",
        }
    }

    /// Whether objects of it are in namespaces.
    pub fn namespaced(self) -> bool {
        !matches!(self, Self::GatewayClass | Self::Namespace)
    }

    /// The kind of an object, if it is one that is read.
    pub fn of(object: &Value) -> Option<Self> {
        let version = object.get("apiVersion")?.as_str()?;
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        let kind = object.get("kind")?.as_str()?;
        Self::ALL.into_iter().find(|it| it.group() == group && it.as_str() == kind)
    }
}

/// Why an object could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name}: {path}: {message}", kind = .kind.as_str())]
pub struct DecodeError {
    /// The object's kind.
    pub kind: Kind,
    /// Its namespace and name.
    pub name: ObjectName,
    /// The field, such as `spec.listeners[0].port`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// The objects that a translation reads. A [`crate::Translator`] goes with one `Resources`: it remembers what it read in it.
#[derive(Debug, Default)]
pub struct Resources {
    clock: u64,
    pub(crate) gateway_classes: Table<GatewayClass>,
    pub(crate) gateways: Table<Gateway>,
    pub(crate) http_routes: Table<HttpRoute>,
    pub(crate) reference_grants: Table<ReferenceGrant>,
    pub(crate) backends: Table<Backend>,
    pub(crate) policies: Table<ClientTrafficPolicy>,
    pub(crate) envoy_proxies: Table<EnvoyProxy>,
    pub(crate) services: Table<Service>,
    slices: Table<EndpointSlice>,
    pub(crate) secrets: Table<Secret>,
    pub(crate) config_maps: Table<Trust>,
    pub(crate) namespaces: Table<Namespace>,
    by_service: BTreeMap<ObjectName, Slices>,
}

/// The EndpointSlices of one Service.
#[derive(Debug, Default)]
struct Slices {
    stamp: u64,
    names: BTreeSet<ObjectName>,
}

impl Resources {
    /// Adds or replaces an object. Kinds that are not read are passed over. An object that says what it said before (whatever its
    /// status and resourceVersion) changes nothing.
    ///
    /// # Errors
    /// The object cannot be decoded. It is remembered as broken: a translation says so in its status, and it has no other effect.
    pub fn upsert(&mut self, mut object: Value) -> Result<(), DecodeError> {
        let Some(kind) = Kind::of(&object) else { return Ok(()) };
        self.clock += 1;
        let stamp = self.clock;
        strip(&mut object);
        let name = name_of(kind, &object);
        match kind {
            Kind::GatewayClass => self.gateway_classes.upsert(kind, name, stamp, object, decoded),
            Kind::Gateway => self.gateways.upsert(kind, name, stamp, object, decoded),
            Kind::HttpRoute => self.http_routes.upsert(kind, name, stamp, object, decoded),
            Kind::ReferenceGrant => self.reference_grants.upsert(kind, name, stamp, object, decoded),
            Kind::Backend => self.backends.upsert(kind, name, stamp, object, decoded),
            Kind::ClientTrafficPolicy => self.policies.upsert(kind, name, stamp, object, decoded),
            Kind::EnvoyProxy => self.envoy_proxies.upsert(kind, name, stamp, object, decoded),
            Kind::Service => self.services.upsert(kind, name, stamp, object, decoded),
            Kind::EndpointSlice => self.upsert_slice(name, stamp, object),
            Kind::Secret => self.secrets.upsert(kind, name.clone(), stamp, object, |it| Ok(Secret::read(&name, &it))),
            Kind::ConfigMap => self.config_maps.upsert(kind, name, stamp, object, |it| Ok(Trust::of_config_map(&it))),
            Kind::Namespace => self.namespaces.upsert(kind, name, stamp, object, decoded),
        }
    }

    /// Takes an object away.
    pub fn remove(&mut self, kind: Kind, namespace: &str, name: &str) {
        self.clock += 1;
        let stamp = self.clock;
        let name = ObjectName::new(if kind.namespaced() { namespace } else { "" }, name);
        match kind {
            Kind::GatewayClass => self.gateway_classes.remove(&name, stamp),
            Kind::Gateway => self.gateways.remove(&name, stamp),
            Kind::HttpRoute => self.http_routes.remove(&name, stamp),
            Kind::ReferenceGrant => self.reference_grants.remove(&name, stamp),
            Kind::Backend => self.backends.remove(&name, stamp),
            Kind::ClientTrafficPolicy => self.policies.remove(&name, stamp),
            Kind::EnvoyProxy => self.envoy_proxies.remove(&name, stamp),
            Kind::Service => self.services.remove(&name, stamp),
            Kind::EndpointSlice => {
                self.relink(&name, self.slices.get(&name).and_then(|it| service_of(&name, &it.object)), stamp, false);
                self.slices.remove(&name, stamp);
            }
            Kind::Secret => self.secrets.remove(&name, stamp),
            Kind::ConfigMap => self.config_maps.remove(&name, stamp),
            Kind::Namespace => self.namespaces.remove(&name, stamp),
        }
    }

    /// The number of the last change.
    pub(crate) fn clock(&self) -> u64 {
        self.clock
    }

    /// When anything of `kind` last changed.
    pub(crate) fn kind_stamp(&self, kind: Kind) -> u64 {
        match kind {
            Kind::GatewayClass => self.gateway_classes.stamp(),
            Kind::Gateway => self.gateways.stamp(),
            Kind::HttpRoute => self.http_routes.stamp(),
            Kind::ReferenceGrant => self.reference_grants.stamp(),
            Kind::Backend => self.backends.stamp(),
            Kind::ClientTrafficPolicy => self.policies.stamp(),
            Kind::EnvoyProxy => self.envoy_proxies.stamp(),
            Kind::Service => self.services.stamp(),
            Kind::EndpointSlice => self.slices.stamp(),
            Kind::Secret => self.secrets.stamp(),
            Kind::ConfigMap => self.config_maps.stamp(),
            Kind::Namespace => self.namespaces.stamp(),
        }
    }

    /// When the EndpointSlices of `service` last changed; 0 when it has none.
    pub(crate) fn slices_stamp(&self, service: &ObjectName) -> u64 {
        self.by_service.get(service).map_or(0, |it| it.stamp)
    }

    /// The EndpointSlices of `service`.
    pub(crate) fn slices_of(&self, service: &ObjectName) -> impl Iterator<Item = &EndpointSlice> {
        let names = self.by_service.get(service).map(|it| it.names.iter()).into_iter().flatten();
        names.filter_map(|name| self.slices.get(name)).map(|it| &*it.object)
    }

    fn upsert_slice(&mut self, name: ObjectName, stamp: u64, object: Value) -> Result<(), DecodeError> {
        let before = self.slices.get(&name).map(|it| (it.stamp, it.object.clone()));
        let result = self.slices.upsert(Kind::EndpointSlice, name.clone(), stamp, object, decoded);
        if before.as_ref().map_or(0, |(stamp, _)| *stamp) != self.slices.stamp_of(&name) {
            // It may have moved from one Service to another.
            self.relink(&name, before.and_then(|(_, it)| service_of(&name, &it)), stamp, false);
            self.relink(&name, self.slices.get(&name).and_then(|it| service_of(&name, &it.object)), stamp, true);
        }
        result
    }

    fn relink(&mut self, name: &ObjectName, service: Option<ObjectName>, stamp: u64, add: bool) {
        let Some(service) = service else { return };
        let slices = self.by_service.entry(service).or_default();
        slices.stamp = stamp;
        if add {
            slices.names.insert(name.clone());
        } else {
            slices.names.remove(name);
        }
    }
}

/// Takes away what is not read and changes often.
fn strip(object: &mut Value) {
    if let Some(object) = object.as_object_mut() {
        object.shift_remove("status");
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            // kubectl keeps a copy of the whole object in an annotation; nothing here reads any.
            for field in ["resourceVersion", "managedFields", "annotations"] {
                metadata.shift_remove(field);
            }
        }
    }
}

fn name_of(kind: Kind, object: &Value) -> ObjectName {
    let field = |key: &str| object.get("metadata").and_then(|it| it.get(key)).and_then(Value::as_str).unwrap_or_default();
    let namespace = match (kind.namespaced(), field("namespace")) {
        (false, _) => "",
        (true, "") => "default",
        (true, given) => given,
    };
    ObjectName::new(namespace, field("name"))
}

/// The Service that a slice belongs to.
fn service_of(slice: &ObjectName, object: &EndpointSlice) -> Option<ObjectName> {
    object.service().map(|service| ObjectName::new(slice.namespace.clone(), service))
}

fn decoded<T: serde::de::DeserializeOwned>(object: Value) -> Result<T, weir_api::DecodeError> {
    decode(object)
}
