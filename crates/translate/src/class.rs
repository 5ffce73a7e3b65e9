//! GatewayClasses: which are ours, and with which parameters.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use weir_api::gateway_class::GatewayClassSpec;
use weir_model::ObjectName;

use crate::Settings;
use crate::condition::Conditions;
use crate::envoy_proxy::{self, Parameters};
use crate::features;
use crate::resources::{Kind, Resources};
use crate::status::{Merge, ObjectRef, StatusWriter, json as to_json};

const VALID: &str = "Valid GatewayClass";

/// A GatewayClass of ours.
pub(crate) struct Class {
    pub(crate) parameters: Arc<Parameters>,
    /// The EnvoyProxy that it names, when that is there.
    pub(crate) envoy_proxy: Option<ObjectName>,
}

/// The GatewayClasses of ours, by name.
pub(crate) type Classes = BTreeMap<String, Class>;

/// Finds our classes and writes their statuses. Gateways of a class that is broken, or whose parameters are missing, go on with the
/// defaults: traffic that flows should not stop for it (Envoy Gateway does the same). Where parameters were to keep clients out, nothing
/// is served.
pub(crate) fn judge(resources: &Resources, settings: &Settings, statuses: &mut StatusWriter) -> Classes {
    let mut classes = Classes::new();
    for (name, stored) in resources.gateway_classes.iter() {
        let GatewayClassSpec { controller_name, parameters_ref, description: _ } = &stored.object.spec;
        if **controller_name != *settings.controller_name {
            continue;
        }
        let mut conditions = Conditions::new(stored.object.metadata.generation.unwrap_or_default());
        let parameters = match parameters_ref.as_ref().map(|it| envoy_proxy::for_class(resources, &name.name, it)) {
            Some(Err(message)) => {
                conditions.no("Accepted", "InvalidParameters", format!("Invalid parametersRef: {message}"));
                None
            }
            Some(Ok((name, parameters))) => {
                match &parameters.refused {
                    Some(message) => conditions.no("Accepted", "InvalidParameters", format!("Invalid parametersRef: {message}")),
                    None => conditions.yes("Accepted", "Accepted", VALID),
                }
                Some((name, parameters))
            }
            None => {
                conditions.yes("Accepted", "Accepted", VALID);
                None
            }
        };
        let (envoy_proxy, parameters) = parameters.map_or_else(Default::default, |(name, parameters)| (Some(name), parameters));
        classes.insert(name.name.to_string(), Class { parameters: Arc::new(parameters), envoy_proxy });
        let object = ObjectRef::new(Kind::GatewayClass, "".into(), name.name.clone());
        statuses.write(object, Merge::Whole, json!({ "conditions": to_json(&conditions), "supportedFeatures": features::supported() }));
    }
    for (name, broken) in resources.gateway_classes.broken() {
        let controller = broken.object.get("spec").and_then(|it| it.get("controllerName")).and_then(|it| it.as_str());
        if controller == Some(&*settings.controller_name) {
            let mut conditions = Conditions::new(broken.generation());
            conditions.no("Accepted", "Unsupported", format!("The object cannot be read: {}", broken.error));
            classes.insert(name.name.to_string(), Class { parameters: Arc::default(), envoy_proxy: None });
            let object = ObjectRef::new(Kind::GatewayClass, "".into(), name.name.clone());
            statuses.write(object, Merge::Whole, json!({ "conditions": to_json(&conditions), "supportedFeatures": features::supported() }));
        }
    }
    classes
}
