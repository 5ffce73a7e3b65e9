//! Policies on HTTPRoutes, and what else depends on routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_api::reference::ParentReference;
use weir_model::{FailReason, GatewayName, HostPattern, Http10, Limit, LimitName, LimitScope, ListenerName, Model, ObjectName};

use super::apply::BROKEN;
use super::targets::Target;
use super::{Claims, Gateways, Outcome, Policy, accept};
use crate::condition::sentence;
use crate::gateway::Failure;
use crate::resources::Resources;

/// Judges one target that is a route. It is told where the route's parents are, as Envoy Gateway does with policies on routes.
pub(super) fn judge(
    resources: &Resources,
    policy: &mut Policy<'_>,
    target: &Target,
    gateways: &Gateways<'_>,
    claims: &mut Claims,
    outcome: &mut Outcome,
) {
    let parents: Vec<Target> = parents(resources, &target.name)
        .iter()
        .filter_map(|it| Target::parent(it, &target.name.namespace))
        .filter(|it| gateways.contains_key(&it.name))
        .collect();
    // Of a route that is not there, or not ours, nobody can be told (Envoy Gateway does the same for Gateways).
    if parents.is_empty() {
        return;
    }
    let taken = !claims.routes.insert(target.name.clone());
    let problems = problems(policy, target);
    for parent in &parents {
        let conditions = policy.ancestors.at(parent, policy.generation);
        if taken {
            let message =
                format!("Unable to target HTTPRoute {}, another ClientTrafficPolicy has already attached to it", target.name.name);
            conditions.no("Accepted", "Conflicted", message);
            continue;
        }
        // The same policy may have been judged at this Gateway: what was wrong stays wrong.
        if !problems.is_empty() || !conditions.has("Accepted") {
            accept(&problems, conditions);
            policy.read.warn(conditions);
        }
    }
    if taken {
        return;
    }
    if problems.is_empty() {
        policy.routes.push((target.name.clone(), parents));
        return;
    }
    let failure = Failure(FailReason(BROKEN.into()));
    for parent in parents {
        outcome.failed_routes.entry(parent.name).or_default().insert(target.name.clone(), failure.clone());
    }
}

fn parents(resources: &Resources, route: &ObjectName) -> Vec<ParentReference> {
    resources.http_routes.get(route).map(|it| it.object.spec.parent_refs.clone()).unwrap_or_default()
}

/// Only the limit's value has a meaning for a route: everything else concerns connections before a route is known.
fn problems(policy: &Policy<'_>, target: &Target) -> Vec<String> {
    let mut problems = policy.read.problems(false);
    if target.section.is_some() {
        problems.push(format!("sectionName is not supported for HTTPRoute {}: the limit is for the whole route", target.name.name));
    }
    if !policy.read.not_for_routes.is_empty() {
        problems.push(format!(
            "on HTTPRoute {} only spec.connection.connectionLimit.value has a meaning, not {}",
            target.name.name,
            policy.read.not_for_routes.join(", ")
        ));
    }
    problems
}

/// The limits of a policy on routes: one for each route and Gateway, over the listeners that the route is attached to.
pub(super) fn limits(policy: &Policy<'_>, model: &Model, outcome: &mut Outcome) {
    let Some(value) = policy.read.limit else { return };
    for (route, _) in &policy.routes {
        let Some(attached) = model.routes.get(route) else { continue };
        let mut cells: BTreeMap<GatewayName, BTreeSet<ListenerName>> = BTreeMap::new();
        for attachment in &attached.attachments {
            cells.entry(attachment.listener.gateway.clone()).or_default().insert(attachment.listener.clone());
        }
        for (gateway, cells) in cells {
            let name = LimitName { policy: policy.name.clone(), target: format!("{gateway}/httproute:{route}").into() };
            let cells = cells.into_iter().collect();
            let limit = Limit { name: name.clone(), gateway, scope: LimitScope::Route, value, cells, route: Some(route.clone()) };
            outcome.limits.insert(name, limit);
        }
    }
}

/// Fills in the hosts of HTTP/1.0 requests that name none: the listener's, else that of its only route.
pub(super) fn default_hosts(policies: &mut [Policy<'_>], gateways: &Gateways<'_>, model: &Model, outcome: &mut Outcome) {
    for policy in policies.iter_mut().filter(|it| it.read.default_host) {
        for (target, listener) in policy.covers.clone() {
            match default_host(&listener, gateways, model) {
                Ok(host) => {
                    let mut settings = outcome.settings.get(&listener).map(|it| (**it).clone()).unwrap_or_default();
                    settings.http1.http10 = Some(Http10 { default_host: Some(host) });
                    outcome.settings.insert(listener, Arc::new(settings));
                }
                // Requests without a host go on being refused, which exposes nothing.
                Err(problem) => {
                    let conditions = policy.ancestors.at(&target, policy.generation);
                    conditions.no("Accepted", "Invalid", sentence(&format!("HTTP1: {problem}")));
                }
            }
        }
    }
}

fn default_host(listener: &ListenerName, gateways: &Gateways<'_>, model: &Model) -> Result<Arc<str>, &'static str> {
    let state = gateways.get(&listener.gateway).and_then(|it| it.listeners.iter().find(|it| it.name == *listener));
    if let Some(HostPattern::Exact(host)) = state.map(|it| &it.hostname) {
        return Ok(host.clone());
    }
    let attachments = model.routes.values().flat_map(|it| &it.attachments).filter(|it| it.listener == *listener);
    let hosts: BTreeSet<&Arc<str>> = attachments
        .flat_map(|it| &it.hostnames)
        .filter_map(|it| match it {
            HostPattern::Exact(host) => Some(host),
            _ => None,
        })
        .collect();
    let mut hosts = hosts.into_iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Ok(host.clone()),
        (None, _) => Err("cannot set http10 default host on listener with only wildcard hostnames"),
        (Some(_), Some(_)) => {
            Err("cannot set http10 default host on listener with only wildcard hostnames and more than one possible default route")
        }
    }
}
