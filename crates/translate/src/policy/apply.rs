//! What a policy does to the listeners that it covers.

use std::sync::Arc;

use weir_model::{FailReason, GatewayName, Limit, LimitName, LimitScope, ListenerName};

use super::targets::Target;
use super::{Outcome, Policy, accept, is_http};
use crate::gateway::{Failure, ListenerState};

/// What the access log says of requests that a broken policy stops.
pub(super) const BROKEN: &str = "client_traffic_policy_invalid";

/// Applies a policy, and says so at its target. One that cannot be carried out stops the routes of the listeners: what it was to protect
/// must not go on unprotected. What is wrong with its TLS concerns the listeners that end TLS alone.
pub(super) fn apply(
    policy: &mut Policy<'_>,
    target: &Target,
    gateway: &GatewayName,
    covered: &[&ListenerState<'_>],
    outcome: &mut Outcome,
) {
    let (plain, secure): (Vec<&ListenerState<'_>>, Vec<&ListenerState<'_>>) = covered.iter().copied().partition(|it| is_http(it));
    let mut problems = policy.read.problems(false);
    let whole = problems.is_empty();
    let of_tls = if secure.is_empty() { Vec::new() } else { policy.read.problems(true) };
    let failed = if whole { if of_tls.is_empty() { &[][..] } else { &secure[..] } } else { covered };
    let failure = Failure(FailReason(BROKEN.into()));
    outcome.failures.extend(failed.iter().map(|it| (it.name.clone(), failure.clone())));
    if whole {
        in_force(policy, target, gateway, &plain, if of_tls.is_empty() { &secure } else { &[] }, outcome);
    }
    problems.extend(of_tls);
    let conditions = policy.ancestors.at(target, policy.generation);
    accept(&problems, conditions);
    policy.read.warn(conditions);
    if policy.read.tls.is_some() && secure.is_empty() && !covered.is_empty() {
        conditions.warn("NoTLSListener", "spec.tls has no effect here, because no HTTPS listener is covered");
    }
    // As in Envoy Gateway: HTTP connections have an idle timeout of their own.
    if policy.read.tcp_idle && !covered.is_empty() {
        let why = "spec.timeout.tcp.idleTimeout has no effect here, because no TCP listener is covered; spec.timeout.http.idleTimeout is for HTTP";
        conditions.warn("NoTCPListener", why);
    }
}

fn in_force(
    policy: &mut Policy<'_>,
    target: &Target,
    gateway: &GatewayName,
    plain: &[&ListenerState<'_>],
    secure: &[&ListenerState<'_>],
    outcome: &mut Outcome,
) {
    for listener in plain.iter().chain(secure) {
        outcome.settings.insert(listener.name.clone(), policy.read.settings.clone());
        policy.covers.push((target.clone(), listener.name.clone()));
    }
    for listener in secure {
        if let Some(tls) = &policy.read.tls {
            outcome.tls.insert(listener.name.clone(), tls.settings.clone());
        }
    }
    let Some(value) = policy.read.limit else { return };
    let mut add = |scope: LimitScope, target: String, mut cells: Vec<ListenerName>| {
        cells.sort();
        let name = LimitName { policy: policy.name.clone(), target: Arc::from(target) };
        outcome.limits.insert(name.clone(), Limit { name, gateway: gateway.clone(), scope, value, cells, route: None });
    };
    let (scope, shared) = match target.section {
        Some(_) => (LimitScope::Listener, plain.first().map(|it| it.name.to_string())),
        None => (LimitScope::Gateway, plain.first().map(|_| gateway.to_string())),
    };
    // All HTTP listeners share one count; each that ends TLS has its own (Envoy Gateway's documentation).
    if let Some(shared) = shared {
        add(scope, shared, plain.iter().map(|it| it.name.clone()).collect());
    }
    for listener in secure {
        add(LimitScope::Listener, listener.name.to_string(), vec![listener.name.clone()]);
    }
}
