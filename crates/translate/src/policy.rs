//! ClientTrafficPolicies: which listeners each covers, and what it does there.

mod ancestors;
mod read;
mod targets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_api::gateway::Protocol;
use weir_model::{FailReason, GatewayName, Limit, LimitName, LimitScope, ListenerName, ObjectName};

use crate::condition::{Conditions, sentence};
use crate::fields;
use crate::gateway::{Failure, GatewayState, ListenerState};
use crate::memo::Reader;
use crate::resources::{Kind, Resources};
use crate::status::{Merge, ObjectRef, StatusWriter};
use ancestors::Ancestors;
use read::Read;
use targets::Target;

/// What the access log says of requests that a broken policy stops.
const BROKEN: &str = "client_traffic_policy_invalid";

/// What policies do.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The listeners whose routes must answer 500.
    pub(crate) failures: BTreeMap<ListenerName, Failure>,
    pub(crate) limits: BTreeMap<LimitName, Limit>,
}

/// A policy on its way.
struct Policy<'a> {
    name: &'a ObjectName,
    created: &'a str,
    generation: i64,
    read: Read,
    targets: Vec<Target>,
    ancestors: Ancestors,
}

/// Who has taken what.
#[derive(Default)]
struct Claims {
    /// Gateways as a whole.
    gateways: BTreeSet<GatewayName>,
    /// Sections, by their names; true: the policy of the section is in force there.
    sections: BTreeMap<ListenerName, bool>,
}

type Gateways<'a> = BTreeMap<GatewayName, GatewayState<'a>>;

/// Judges all policies, the oldest first: what one has taken another does not get. Sections go before whole Gateways.
pub(crate) fn judge(resources: &Resources, reader: &Reader<'_>, gateways: &Gateways<'_>, statuses: &mut StatusWriter<'_>) -> Outcome {
    let mut policies = collect(resources, reader, gateways);
    let mut outcome = Outcome::default();
    let mut claims = Claims::default();
    for policy in &mut policies {
        for target in std::mem::take(&mut policy.targets) {
            match (&target.section, target.is_gateway()) {
                (Some(section), true) => judge_section(policy, &target, section, gateways, &mut claims, &mut outcome),
                (None, true) => policy.targets.push(target),
                (_, false) => policy.ancestors.at(&target, policy.generation).no("Accepted", "Invalid", target.refusal()),
            }
        }
    }
    for policy in &mut policies {
        for target in std::mem::take(&mut policy.targets) {
            judge_gateway(policy, &target, gateways, &mut claims, &mut outcome);
        }
    }
    let controller = &*reader.settings().controller_name;
    for policy in policies {
        let object = ObjectRef::new(Kind::ClientTrafficPolicy, policy.name.namespace.clone(), policy.name.name.clone());
        statuses.write(object, Merge::Ancestors, policy.ancestors.status(controller));
    }
    outcome
}

fn collect<'a>(resources: &'a Resources, reader: &Reader<'_>, gateways: &Gateways<'_>) -> Vec<Policy<'a>> {
    let good = resources.policies.iter().map(|(name, stored)| Policy {
        name,
        created: stored.object.metadata.creation_timestamp.as_deref().unwrap_or_default(),
        generation: stored.object.metadata.generation.unwrap_or_default(),
        read: read::read(&stored.object.spec),
        targets: targets::of(resources, reader, gateways, name, &stored.object.spec),
        ancestors: Ancestors::default(),
    });
    let broken = resources.policies.broken().map(|(name, broken)| Policy {
        name,
        created: broken.object.pointer("/metadata/creationTimestamp").and_then(|it| it.as_str()).unwrap_or_default(),
        generation: broken.generation(),
        read: Read { invalid: vec![format!("the object cannot be read: {}", broken.error)], ..Read::default() },
        targets: targets::of(resources, reader, gateways, name, &targets::readable(&broken.object)),
        ancestors: Ancestors::default(),
    });
    let mut all: Vec<Policy<'a>> = good.chain(broken).collect();
    all.sort_by(|a, b| (a.created, a.name).cmp(&(b.created, b.name)));
    all
}

fn judge_section(
    policy: &mut Policy<'_>,
    target: &Target,
    section: &str,
    gateways: &Gateways<'_>,
    claims: &mut Claims,
    outcome: &mut Outcome,
) {
    let Some(gateway) = gateways.get(&target.name) else { return };
    let conditions = policy.ancestors.at(target, policy.generation);
    let Some(listener) = gateway.listeners.iter().find(|it| *it.name.listener == *section) else {
        conditions.no("Accepted", "TargetNotFound", format!("No section name {section} found for Gateway {}", target.name));
        return;
    };
    if claims.sections.contains_key(&listener.name) {
        let message = format!("Unable to target section of {}, another ClientTrafficPolicy has already attached to it", target.name.name);
        conditions.no("Accepted", "Conflicted", message);
        return;
    }
    let sharing: Vec<String> =
        gateway.served().filter(|it| it.container_port == listener.container_port && it.name != listener.name).map(full_name).collect();
    if gateway.served().any(|it| it.name == listener.name) && !sharing.is_empty() {
        // Connections of one port cannot be told apart before their first request, so the policy would catch the others' as well. It is
        // refused; unlike in Envoy Gateway the policy of the whole Gateway goes on to cover the listener.
        claims.sections.insert(listener.name.clone(), false);
        let message = format!(
            "ClientTrafficPolicy is being applied to multiple http (non https) listeners ({}) on the same port, which is not allowed",
            sharing.join(", ")
        );
        conditions.no("Accepted", "Invalid", sentence(&message));
    } else {
        claims.sections.insert(listener.name.clone(), true);
        let covered: Vec<&ListenerState<'_>> = gateway.served().filter(|it| it.name == listener.name).collect();
        apply(policy.name, &policy.read, LimitScope::Listener, listener.name.to_string(), &gateway.name, &covered, outcome);
        policy.read.accept(conditions);
    }
    policy.read.warn(conditions);
}

fn judge_gateway(policy: &mut Policy<'_>, target: &Target, gateways: &Gateways<'_>, claims: &mut Claims, outcome: &mut Outcome) {
    let Some(gateway) = gateways.get(&target.name) else { return };
    let conditions = policy.ancestors.at(target, policy.generation);
    if !claims.gateways.insert(gateway.name.clone()) {
        let message = format!("Unable to target Gateway {}, another ClientTrafficPolicy has already attached to it", target.name.name);
        conditions.no("Accepted", "Conflicted", message);
        return;
    }
    let taken = |it: &ListenerState<'_>| claims.sections.get(&it.name) == Some(&true);
    let mut overriding: Vec<&str> = gateway.listeners.iter().filter(|it| taken(it)).map(|it| &*it.name.listener).collect();
    overriding.sort_unstable();
    if !overriding.is_empty() {
        let sections = overriding.join(" ");
        let message = format!("There are existing ClientTrafficPolicies that are overriding these sections [{sections}]");
        conditions.yes("Overridden", "Overridden", message);
    }
    let covered: Vec<&ListenerState<'_>> = gateway.served().filter(|it| !taken(it)).collect();
    apply(policy.name, &policy.read, LimitScope::Gateway, gateway.name.to_string(), &gateway.name, &covered, outcome);
    policy.read.accept(conditions);
    policy.read.warn(conditions);
}

/// What a policy does to the listeners that it covers. One that cannot be carried out stops their routes: what it was to protect must
/// not go on unprotected.
fn apply(
    policy: &ObjectName,
    read: &Read,
    scope: LimitScope,
    target: String,
    gateway: &GatewayName,
    covered: &[&ListenerState<'_>],
    outcome: &mut Outcome,
) {
    if !read.invalid.is_empty() || !read.protecting.is_empty() {
        let failure = Failure(FailReason(BROKEN.into()));
        outcome.failures.extend(covered.iter().map(|it| (it.name.clone(), failure.clone())));
        return;
    }
    let mut cells: Vec<ListenerName> = covered.iter().filter(|it| it.spec.protocol == Protocol::Http).map(|it| it.name.clone()).collect();
    cells.sort();
    let Some(value) = read.limit else { return };
    if !cells.is_empty() {
        let name = LimitName { policy: policy.clone(), target: Arc::from(target) };
        outcome.limits.insert(name.clone(), Limit { name, gateway: gateway.clone(), scope, value, cells, route: None });
    }
}

fn full_name(listener: &ListenerState<'_>) -> String {
    listener.name.to_string()
}

impl Read {
    fn accept(&self, conditions: &mut Conditions) {
        let unmet: Vec<String> = self
            .protecting
            .iter()
            .map(|path| format!("field {path} is not supported yet, so requests are answered 500 instead of being served unprotected"))
            .collect();
        let problems: Vec<&str> = self.invalid.iter().chain(&unmet).map(String::as_str).collect();
        if problems.is_empty() {
            conditions.yes("Accepted", "Accepted", "Policy has been accepted.");
        } else {
            conditions.no("Accepted", "Invalid", sentence(&problems.join("\n")));
        }
    }

    fn warn(&self, conditions: &mut Conditions) {
        if !self.deprecated.is_empty() {
            let texts: Vec<String> = self.deprecated.iter().map(|(old, new)| format!("{old} is deprecated, use {new} instead")).collect();
            conditions.warn("DeprecatedField", &texts.join("; "));
        }
        if !self.unsupported.is_empty() {
            conditions.warn("UnsupportedField", &fields::message(&self.unsupported));
        }
    }
}
