//! ClientTrafficPolicies: which listeners and routes each covers, and what it does there.
//!
//! Gateways and their sections are judged before routes are translated ([`judge`]), since a policy that cannot be carried out makes
//! routes fail; what depends on where routes attach comes after ([`Judged::finish`]).

mod ancestors;
mod apply;
mod headers;
mod names;
mod ports;
mod read;
mod routes;
mod targets;
mod tls;
mod unserved;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_api::gateway::Protocol;
use weir_model::{ClientSettings, GatewayName, Limit, LimitName, ListenerName, Model, ObjectName, Tls};

use crate::condition::{Conditions, sentence};
use crate::fields;
use crate::gateway::{Failure, GatewayState, ListenerState};
use crate::memo::Reader;
use crate::resources::{Kind, Resources};
use crate::status::{Merge, ObjectRef, StatusWriter};
use ancestors::Ancestors;
use read::Read;
use targets::Target;

pub(crate) use tls::default as default_tls;

/// What policies do.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The listeners whose routes must answer 500.
    pub(crate) failures: BTreeMap<ListenerName, Failure>,
    /// The routes that must answer 500, by the Gateways that they name as parents.
    pub(crate) failed_routes: BTreeMap<GatewayName, BTreeMap<ObjectName, Failure>>,
    /// How listeners treat clients, where it is not as by default.
    pub(crate) settings: BTreeMap<ListenerName, Arc<ClientSettings>>,
    /// How listeners end TLS, certificates aside.
    pub(crate) tls: BTreeMap<ListenerName, Tls>,
    pub(crate) limits: BTreeMap<LimitName, Limit>,
}

/// Policies, judged but for what depends on routes.
pub(crate) struct Judged<'a> {
    pub(crate) outcome: Outcome,
    policies: Vec<Policy<'a>>,
}

/// A policy on its way.
struct Policy<'a> {
    name: &'a ObjectName,
    created: &'a str,
    generation: i64,
    read: Read,
    targets: Vec<Target>,
    ancestors: Ancestors,
    /// The listeners that it is in force at, with the targets that made it so.
    covers: Vec<(Target, ListenerName)>,
    /// The routes that it is in force at, with their parents.
    routes: Vec<(ObjectName, Vec<Target>)>,
}

/// Who has taken what.
#[derive(Default)]
struct Claims {
    /// Gateways as a whole.
    gateways: BTreeSet<GatewayName>,
    /// Sections, by their names; true: the policy of the section is in force there.
    sections: BTreeMap<ListenerName, bool>,
    routes: BTreeSet<ObjectName>,
}

type Gateways<'a> = BTreeMap<GatewayName, GatewayState<'a>>;

/// Judges all policies, the oldest first: what one has taken another does not get. Sections go before whole Gateways.
pub(crate) fn judge<'a>(resources: &'a Resources, reader: &Reader<'_>, gateways: &Gateways<'_>) -> Judged<'a> {
    let mut policies = collect(resources, reader, gateways);
    let mut outcome = Outcome::default();
    let mut claims = Claims::default();
    for policy in &mut policies {
        for target in std::mem::take(&mut policy.targets) {
            match &target.section {
                Some(section) if target.is_gateway() => judge_section(policy, &target, section, gateways, &mut claims, &mut outcome),
                _ if target.is_gateway() || target.is_route() => policy.targets.push(target),
                _ => policy.ancestors.at(&target, policy.generation).no("Accepted", "Invalid", target.refusal()),
            }
        }
    }
    for policy in &mut policies {
        for target in std::mem::take(&mut policy.targets) {
            if target.is_route() {
                policy.targets.push(target);
            } else {
                judge_gateway(policy, &target, gateways, &mut claims, &mut outcome);
            }
        }
    }
    for policy in &mut policies {
        for target in std::mem::take(&mut policy.targets) {
            routes::judge(resources, policy, &target, gateways, &mut claims, &mut outcome);
        }
    }
    ports::agree(gateways, &mut policies, &mut outcome);
    Judged { outcome, policies }
}

impl Judged<'_> {
    /// Adds what depends on where routes attach, and writes the statuses.
    pub(crate) fn finish(mut self, reader: &Reader<'_>, gateways: &Gateways<'_>, model: &Model, statuses: &mut StatusWriter) -> Outcome {
        routes::default_hosts(&mut self.policies, gateways, model, &mut self.outcome);
        for policy in &self.policies {
            routes::limits(policy, model, &mut self.outcome);
        }
        let controller = &*reader.settings().controller_name;
        for policy in self.policies {
            let object = ObjectRef::new(Kind::ClientTrafficPolicy, policy.name.namespace.clone(), policy.name.name.clone());
            statuses.write(object, Merge::Ancestors, policy.ancestors.status(controller));
        }
        self.outcome
    }
}

fn collect<'a>(resources: &'a Resources, reader: &Reader<'_>, gateways: &Gateways<'_>) -> Vec<Policy<'a>> {
    let good = resources.policies.iter().map(|(name, stored)| Policy {
        name,
        created: stored.object.metadata.creation_timestamp.as_deref().unwrap_or_default(),
        generation: stored.object.metadata.generation.unwrap_or_default(),
        read: read::read(reader, &name.namespace, &stored.object.spec),
        targets: targets::of(resources, reader, gateways, name, &stored.object.spec),
        ancestors: Ancestors::default(),
        covers: Vec::new(),
        routes: Vec::new(),
    });
    let broken = resources.policies.broken().map(|(name, broken)| Policy {
        name,
        created: broken.object.pointer("/metadata/creationTimestamp").and_then(|it| it.as_str()).unwrap_or_default(),
        generation: broken.generation(),
        read: Read::broken(&broken.error),
        targets: targets::of(resources, reader, gateways, name, &targets::readable(&broken.object)),
        ancestors: Ancestors::default(),
        covers: Vec::new(),
        routes: Vec::new(),
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
    let sharing: Vec<String> = gateway
        .served()
        .filter(|it| it.container_port == listener.container_port && it.name != listener.name && is_http(it))
        .map(|it| it.name.to_string())
        .collect();
    if gateway.served().any(|it| it.name == listener.name) && is_http(listener) && !sharing.is_empty() {
        // Connections of one port cannot be told apart before their first request, so the policy would catch the others' as well. It is
        // refused; unlike in Envoy Gateway the policy of the whole Gateway goes on to cover the listener.
        claims.sections.insert(listener.name.clone(), false);
        let message = format!(
            "ClientTrafficPolicy is being applied to multiple http (non https) listeners ({}) on the same port, which is not allowed",
            sharing.join(", ")
        );
        conditions.no("Accepted", "Invalid", sentence(&message));
        policy.read.warn(conditions);
    } else {
        claims.sections.insert(listener.name.clone(), true);
        let covered: Vec<&ListenerState<'_>> = gateway.served().filter(|it| it.name == listener.name).collect();
        apply::apply(policy, target, &gateway.name, &covered, outcome);
    }
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
    apply::apply(policy, target, &gateway.name, &covered, outcome);
}

fn is_http(listener: &ListenerState<'_>) -> bool {
    listener.spec.protocol == Protocol::Http
}

impl Read {
    /// What is wrong with the policy as a whole, or (`https`) only where TLS is ended.
    fn problems(&self, https: bool) -> Vec<String> {
        if https { self.tls.iter().flat_map(|it| it.invalid.clone()).collect() } else { self.invalid.clone() }
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

/// The Accepted condition of a policy with these problems.
fn accept(problems: &[String], conditions: &mut Conditions) {
    if problems.is_empty() {
        conditions.yes("Accepted", "Accepted", "Policy has been accepted.");
    } else {
        conditions.no("Accepted", "Invalid", sentence(&problems.join("\n")));
    }
}
