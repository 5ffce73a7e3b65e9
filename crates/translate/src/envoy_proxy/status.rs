//! The statuses of EnvoyProxies: one ancestor for each GatewayClass or Gateway that names them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_model::{GatewayName, ObjectName};

use super::Parameters;
use crate::class::Classes;
use crate::condition::{Conditions, sentence};
use crate::fields;
use crate::gateway::GatewayState;
use crate::resources::{Kind, Resources};
use crate::status::{Merge, ObjectRef, StatusWriter, json as to_json};

/// Writes the statuses of the EnvoyProxies that something of ours names. The others have none, as with Envoy Gateway.
pub(crate) fn write(
    resources: &Resources,
    classes: &Classes,
    gateways: &BTreeMap<GatewayName, GatewayState<'_>>,
    statuses: &mut StatusWriter,
) {
    let mut ancestors: BTreeMap<&ObjectName, Vec<Value>> = BTreeMap::new();
    for (name, class) in classes {
        if let Some(envoy_proxy) = &class.envoy_proxy {
            let reference = json!({ "group": Kind::GatewayClass.group(), "kind": Kind::GatewayClass.as_str(), "name": name });
            ancestors.entry(envoy_proxy).or_default().push(reference);
        }
    }
    for gateway in gateways.values() {
        if let Some(envoy_proxy) = &gateway.own_parameters {
            let reference = json!({
                "group": Kind::Gateway.group(), "kind": Kind::Gateway.as_str(),
                "namespace": &*gateway.name.namespace, "name": &*gateway.name.name,
            });
            ancestors.entry(envoy_proxy).or_default().push(reference);
        }
    }
    for (name, references) in ancestors {
        let Some(stored) = resources.envoy_proxies.get(name) else { continue };
        let mut conditions = Conditions::new(stored.object.metadata.generation.unwrap_or_default());
        let Parameters { refused, unsupported, .. } = super::read(&stored.object.spec);
        match refused {
            Some(message) => conditions.no("Accepted", "InvalidParameters", sentence(&message)),
            None => conditions.yes("Accepted", "Accepted", "EnvoyProxy has been accepted."),
        }
        if !unsupported.is_empty() {
            conditions.warn("UnsupportedField", &fields::message(&unsupported));
        }
        let conditions = to_json(&conditions);
        let entries: Vec<Value> = references.into_iter().map(|it| json!({ "ancestorRef": it, "conditions": conditions.clone() })).collect();
        let object = ObjectRef::new(Kind::EnvoyProxy, name.namespace.clone(), name.name.clone());
        statuses.write(object, Merge::Whole, json!({ "ancestors": entries }));
    }
}
