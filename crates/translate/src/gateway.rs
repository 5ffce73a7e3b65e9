//! Gateways: which are ours, which of their listeners can be served, and what routes see of them.

mod address;
mod certificate;
mod conflict;
mod frontend;
mod listener;
mod overlap;
mod status;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_api::Gateway;
use weir_api::gateway::{GatewayInfrastructure, GatewaySpec, GatewayTls};
use weir_model::{GatewayName, ObjectName};

use crate::class::Classes;
use crate::envoy_proxy::{self, Parameters};
use crate::fields::Fields;
use crate::memo::Reader;
use crate::resources::Resources;

pub(crate) use listener::ListenerState;
pub(crate) use status::{gateway_status, write_broken};
pub(crate) use view::{Failure, ListenerView, View};

/// A Gateway of ours, judged.
pub(crate) struct GatewayState<'a> {
    pub(crate) name: GatewayName,
    pub(crate) object: &'a Gateway,
    pub(crate) class: &'a str,
    /// Why it is not accepted, listeners aside: reason and message.
    pub(crate) refused: Option<(&'static str, String)>,
    /// How its proxies are run.
    pub(crate) parameters: Arc<Parameters>,
    /// The EnvoyProxy that it names itself.
    pub(crate) own_parameters: Option<ObjectName>,
    pub(crate) listeners: Vec<ListenerState<'a>>,
    pub(crate) infrastructure: Option<&'a GatewayInfrastructure>,
    pub(crate) addresses: address::Addresses,
    /// Whether some listener asks clients for a certificate and lets them in whatever they show.
    pub(crate) insecure_frontend: bool,
    /// Paths of fields that have no effect yet.
    pub(crate) unsupported: Vec<String>,
}

impl GatewayState<'_> {
    pub(crate) fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or_default()
    }

    /// The listeners that go to the data plane.
    pub(crate) fn served(&self) -> impl Iterator<Item = &ListenerState<'_>> {
        self.listeners.iter().filter(|it| self.refused.is_none() && it.is_served())
    }
}

/// The Gateways of our classes, by name.
pub(crate) fn judge<'a>(resources: &'a Resources, reader: &Reader<'_>, classes: &Classes) -> BTreeMap<GatewayName, GatewayState<'a>> {
    let all = resources.gateways.iter();
    let ours = all.filter_map(|(name, stored)| {
        let class = classes.get(stored.object.spec.gateway_class_name.as_str())?;
        Some((name.clone(), judge_one(resources, reader, name, &stored.object, &class.parameters)))
    });
    ours.collect()
}

fn judge_one<'a>(
    resources: &'a Resources,
    reader: &Reader<'_>,
    name: &GatewayName,
    object: &'a Gateway,
    class_parameters: &Arc<Parameters>,
) -> GatewayState<'a> {
    let GatewaySpec { gateway_class_name, listeners, addresses, infrastructure, allowed_listeners, tls, default_scope } = &object.spec;
    let reference = infrastructure.as_ref().and_then(|it| it.parameters_ref.as_ref());
    let (parameters, mut refused) = match reference.map(|it| envoy_proxy::for_gateway(resources, name, it)) {
        None => (class_parameters.clone(), None),
        Some(Ok(parameters)) => (Arc::new(parameters), None),
        Some(Err(message)) => (class_parameters.clone(), Some(("InvalidParameters", message))),
    };
    if let (None, Some(message)) = (&refused, &parameters.refused) {
        refused = Some(("InvalidParameters", format!("Invalid parametersRef: {message}")));
    }
    let addresses = address::judge(addresses);
    if let (None, Some(unsupported)) = (&refused, &addresses.unsupported) {
        refused = Some(("UnsupportedAddress", format!("Gateway has an address with an unsupported type: {unsupported}")));
    }
    let mut judged: Vec<ListenerState<'a>> = listeners.iter().map(|it| listener::judge(reader, name, it, &parameters)).collect();
    let GatewayTls { backend, frontend } = tls.as_ref().cloned().unwrap_or_default();
    for listener in &mut judged {
        if let Some(frontend) = &frontend {
            frontend::judge(reader, name, frontend, listener);
        }
    }
    conflict::judge(name, &mut judged);
    overlap::judge(&mut judged);
    let mut unsupported = Fields::default();
    unsupported.note("spec.allowedListeners", allowed_listeners);
    unsupported.note("spec.defaultScope", default_scope.as_ref().is_some_and(|it| it.as_str() != "None"));
    for (at, listener) in listeners.iter().enumerate() {
        for option in listener.tls.iter().flat_map(|it| it.options.keys()) {
            unsupported.note(&format!("spec.listeners[{at}].tls.options[{option}]"), true);
        }
    }
    unsupported.note("spec.tls.backend", backend.is_some());
    GatewayState {
        name: name.clone(),
        object,
        class: gateway_class_name,
        refused,
        own_parameters: reference.map(|it| ObjectName::new(name.namespace.clone(), it.name.as_str())),
        parameters,
        listeners: judged,
        infrastructure: infrastructure.as_ref(),
        addresses,
        insecure_frontend: frontend.as_ref().is_some_and(frontend::is_insecure),
        unsupported: unsupported.paths,
    }
}
