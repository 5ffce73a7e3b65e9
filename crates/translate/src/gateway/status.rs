//! The status of a Gateway.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use weir_model::{GatewayName, ListenerName, ListenerState as Bound, Model};

use super::GatewayState;
use super::listener::{ListenerState, SEE_OTHERS};
use crate::Observed;
use crate::class::Classes;
use crate::condition::Conditions;
use crate::resources::{Kind, Resources};
use crate::status::{Merge, ObjectRef, StatusWriter, json as to_json};

/// The most addresses that a status holds.
const ADDRESSES_MAX: usize = 16;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListenerStatus {
    name: String,
    supported_kinds: Vec<RouteKind>,
    attached_routes: u32,
    conditions: Conditions,
}

#[derive(Serialize)]
struct RouteKind {
    group: String,
    kind: String,
}

/// How far a listener has come in the data plane.
enum Progress {
    Bound,
    Failed(String),
    Pending(&'static str),
}

/// The status of a Gateway: `attached` counts the routes of each listener.
pub(crate) fn gateway_status(
    gateway: &GatewayState<'_>,
    attached: &BTreeMap<ListenerName, u32>,
    observed: &Observed,
    model: &Model,
) -> Value {
    let progress = |it: &ListenerState<'_>| progress(&it.name, observed, model);
    let listeners: Vec<ListenerStatus> = gateway
        .listeners
        .iter()
        .map(|it| ListenerStatus {
            name: it.spec.name.clone(),
            supported_kinds: it.supported_kinds.iter().map(|it| RouteKind { group: it.group.clone(), kind: it.kind.clone() }).collect(),
            attached_routes: attached.get(&it.name).copied().unwrap_or_default(),
            conditions: listener_conditions(gateway, it, progress),
        })
        .collect();
    let addresses = observed.addresses.get(&gateway.name).map(Vec::as_slice).unwrap_or_default();
    let mut conditions = Conditions::new(gateway.generation());
    accepted(gateway, &mut conditions);
    programmed(gateway, addresses, observed, progress, &mut conditions);
    if gateway.insecure_frontend {
        let message = "spec.tls.frontend lets clients in without a valid certificate (AllowInsecureFallback)";
        conditions.yes("InsecureFrontendValidationMode", "ConfigurationChanged", message);
    }
    if !gateway.unsupported.is_empty() {
        conditions.warn("UnsupportedField", &crate::fields::message(&gateway.unsupported));
    }
    let addresses: Vec<Value> = addresses.iter().take(ADDRESSES_MAX).map(|it| address(it)).collect();
    json!({ "addresses": addresses, "conditions": to_json(&conditions), "listeners": to_json(&listeners) })
}

fn address(value: &str) -> Value {
    let kind = if value.parse::<std::net::IpAddr>().is_ok() { "IPAddress" } else { "Hostname" };
    json!({ "type": kind, "value": value })
}

fn accepted(gateway: &GatewayState<'_>, conditions: &mut Conditions) {
    if let Some((reason, message)) = &gateway.refused {
        conditions.no("Accepted", *reason, message);
        return;
    }
    let mut refused: Vec<&str> = gateway.listeners.iter().filter(|it| !it.is_accepted()).map(|it| it.spec.name.as_str()).collect();
    refused.sort_unstable();
    let names = refused.join(", ");
    if refused.is_empty() {
        conditions.yes("Accepted", "Accepted", "The Gateway has been scheduled by Envoy Gateway");
    } else if refused.len() < gateway.listeners.len() {
        conditions.yes("Accepted", "ListenersNotValid", format!("Listeners not valid: {names}"));
    } else {
        conditions.no("Accepted", "ListenersNotValid", format!("No listeners are valid: {names}"));
    }
}

fn programmed(
    gateway: &GatewayState<'_>,
    addresses: &[String],
    observed: &Observed,
    progress: impl Fn(&ListenerState<'_>) -> Progress,
    conditions: &mut Conditions,
) {
    const KIND: &str = "Programmed";
    let served: Vec<(&str, Progress)> = gateway.served().map(|it| (it.spec.name.as_str(), progress(it))).collect();
    let failed: Vec<String> =
        served.iter().filter_map(|(name, it)| if let Progress::Failed(why) = it { Some(format!("{name}: {why}")) } else { None }).collect();
    let waiting: Vec<&str> = served.iter().filter(|(_, it)| matches!(it, Progress::Pending(_))).map(|(name, _)| *name).collect();
    let proxies = observed.proxies.get(&gateway.name).copied().unwrap_or_default();
    if served.is_empty() {
        conditions.no(KIND, "Invalid", "Nothing to program: the Gateway or all its listeners are not accepted, see other conditions.");
    } else if !gateway.addresses.unusable.is_empty() {
        let which = gateway.addresses.unusable.join(", ");
        conditions.no(KIND, "AddressNotUsable", format!("One or more Gateway addresses cannot be used: {which}"));
    } else if addresses.is_empty() {
        conditions.no(KIND, "AddressNotAssigned", "No addresses have been assigned to the Gateway");
    } else if proxies.available == 0 {
        conditions.no(KIND, "NoResources", "Envoy replicas unavailable");
    } else if !failed.is_empty() && failed.len() == served.len() && !gateway.addresses.addresses.is_empty() {
        // Where the user chose the addresses and nothing can listen there, the addresses are what to look at.
        let message = format!("One or more Gateway addresses cannot be used: {}", failed.join("; "));
        conditions.no(KIND, "AddressNotUsable", message);
    } else if !failed.is_empty() {
        conditions.no(KIND, "Invalid", format!("Listeners not programmed: {}", failed.join("; ")));
    } else if !waiting.is_empty() {
        conditions.no(KIND, "Pending", format!("Waiting for the data plane: {}", waiting.join(", ")));
    } else if addresses.len() > ADDRESSES_MAX {
        let message = format!(
            "Too many addresses ({}) have been assigned to the Gateway; only the first {ADDRESSES_MAX} are included in the status.",
            addresses.len()
        );
        conditions.yes(KIND, "Programmed", message);
    } else {
        let message = format!("Address assigned to the Gateway, {}/{} envoy replicas available", proxies.available, proxies.replicas);
        conditions.yes(KIND, "Programmed", message);
    }
}

fn progress(name: &ListenerName, observed: &Observed, model: &Model) -> Progress {
    let applied = match (model.listeners.get(name), observed.applied.listeners.get(name)) {
        (Some(wanted), Some(there)) => std::sync::Arc::ptr_eq(wanted, there) || wanted == there,
        _ => false,
    };
    match observed.listeners.get(name) {
        _ if !applied => Progress::Pending("The data plane has not applied the listener yet"),
        Some(Bound::Bound(_)) => Progress::Bound,
        Some(Bound::Failed(why)) => Progress::Failed(why.clone()),
        None => Progress::Pending("The data plane has not bound the listener yet"),
    }
}

fn listener_conditions(
    gateway: &GatewayState<'_>,
    listener: &ListenerState<'_>,
    progress: impl Fn(&ListenerState<'_>) -> Progress,
) -> Conditions {
    let mut conditions = Conditions::new(gateway.generation());
    match (&listener.not_accepted, &listener.conflicted) {
        (Some((reason, message)), _) | (None, Some((reason, message))) => conditions.no("Accepted", *reason, message),
        (None, None) => conditions.yes("Accepted", "Accepted", "Listener has been successfully translated"),
    }
    match &listener.not_programmed {
        Some((reason, message)) => conditions.no("Programmed", *reason, message),
        None if gateway.refused.is_some() => conditions.no("Programmed", "Invalid", "The Gateway is not accepted, see its conditions."),
        None if !listener.is_served() => conditions.no("Programmed", "Invalid", SEE_OTHERS),
        None => match progress(listener) {
            Progress::Bound => conditions.yes("Programmed", "Programmed", "Sending translated listener configuration to the data plane"),
            Progress::Failed(why) => conditions.no("Programmed", "PortUnavailable", why),
            Progress::Pending(what) => conditions.no("Programmed", "Pending", what),
        },
    }
    match &listener.not_resolved {
        Some((reason, message)) => conditions.no("ResolvedRefs", *reason, message),
        None => conditions.yes("ResolvedRefs", "ResolvedRefs", "Listener references have been resolved"),
    }
    if let Some((reason, message)) = &listener.conflicted {
        conditions.yes("Conflicted", *reason, message);
    }
    if let Some((reason, message)) = &listener.overlapping {
        conditions.yes("OverlappingTLSConfig", *reason, message);
    }
    conditions
}

/// Gateways of our classes that cannot be decoded: writes their statuses, and gives their names and classes.
pub(crate) fn write_broken<'a>(
    resources: &'a Resources,
    classes: &Classes,
    statuses: &mut StatusWriter,
) -> Vec<(&'a GatewayName, &'a str)> {
    let mut ours = Vec::new();
    for (name, broken) in resources.gateways.broken() {
        let class = broken.object.pointer("/spec/gatewayClassName").and_then(Value::as_str).unwrap_or_default();
        if classes.contains_key(class) {
            let mut conditions = Conditions::new(broken.generation());
            conditions.no("Accepted", "Invalid", format!("The object cannot be read: {}", broken.error));
            conditions.no("Programmed", "Invalid", "Nothing to program: the Gateway is not accepted.");
            let object = ObjectRef::new(Kind::Gateway, name.namespace.clone(), name.name.clone());
            statuses.write(object, Merge::Whole, json!({ "conditions": to_json(&conditions) }));
            ours.push((name, class));
        }
    }
    ours
}
