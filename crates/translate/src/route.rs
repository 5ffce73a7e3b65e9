//! HTTPRoutes: what they say, where they attach, and what is wrong with them.

mod attach;
mod backend_ref;
mod error;
mod filters;
mod matches;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use weir_api::HttpRoute;
use weir_api::http_route::{HttpRouteSpec, UseDefaultGateways};
use weir_api::reference::ParentReference;
use weir_model::{Action, Attachment, ListenerName, ObjectName, Route};

use crate::backend::Key;
use crate::condition::Conditions;
use crate::memo::Reader;
use crate::resources::Broken;
use crate::status::{Merge, Status, StatusUpdate, json as to_json};
use crate::time;
use attach::Parent;
use error::Errors;
pub(crate) use filters::is_header_value;
use rules::Rules;

/// What becomes of one HTTPRoute.
#[derive(Debug)]
pub(crate) struct Translated {
    /// What goes to the data plane: itself, and its double for the listeners where it must fail.
    pub(crate) routes: Vec<Arc<Route>>,
    /// The listeners that count it.
    pub(crate) attached: BTreeSet<ListenerName>,
    /// Where it sends requests.
    pub(crate) backends: BTreeSet<Key>,
    pub(crate) status: StatusUpdate,
}

/// Translates one HTTPRoute. What is as in `previous` is shared with it.
pub(crate) fn translate(reader: &Reader<'_>, name: &ObjectName, object: &HttpRoute, previous: Option<&Translated>) -> Translated {
    let HttpRouteSpec { parent_refs, use_default_gateways, hostnames, rules } = &object.spec;
    let mut translated = rules::translate(reader, name, rules);
    if use_default_gateways.as_ref().is_some_and(|it| *it != UseDefaultGateways::None) {
        translated.errors.without_effect("spec.useDefaultGateways".into());
    }
    let hostnames = attach::hostnames(hostnames);
    if let Err(problem) = &hostnames {
        translated.errors.refuse_all(problem.clone());
    }
    let readable = hostnames.is_ok();
    let hostnames = hostnames.unwrap_or_default();
    let parents: Vec<(&ParentReference, Parent)> =
        parent_refs.iter().filter_map(|it| Some((it, attach::parent(reader, name, it, hostnames.as_deref())?))).collect();
    let (attached, routes) = if readable {
        // A route that is not accepted does not count (Gateway API, ListenerStatus.attachedRoutes), though it may answer 500.
        let counts = !translated.errors.all_refused(rules.len());
        let attached = parents.iter().filter(|_| counts).flat_map(|(_, it)| it.attached()).cloned().collect();
        (attached, routes(name, object, &translated, &parents))
    } else {
        // Without its hosts nobody knows which requests it means.
        Default::default()
    };
    // Backends that no request can reach are not the data plane's business.
    let backends = if routes.iter().any(|it| it.name == *name) { translated.backends } else { BTreeSet::new() };
    let generation = object.metadata.generation.unwrap_or_default();
    let status = status(reader, generation, &parents, &translated.errors, rules.len());
    let shared = |it: Route| match previous.into_iter().flat_map(|it| &it.routes).find(|old| ***old == it) {
        Some(old) => old.clone(),
        None => Arc::new(it),
    };
    Translated {
        routes: routes.into_iter().map(shared).collect(),
        attached,
        backends,
        status: update(status, previous.map(|it| &it.status)),
    }
}

/// What becomes of an HTTPRoute that cannot be decoded: its parents are told, if that much can be read.
pub(crate) fn broken(reader: &Reader<'_>, name: &ObjectName, broken: &Broken) -> StatusUpdate {
    let references = broken.object.get("spec").and_then(|it| it.get("parentRefs")).cloned().unwrap_or_default();
    let references: Vec<ParentReference> = serde_json::from_value(references).unwrap_or_default();
    let parents: Vec<(&ParentReference, Parent)> =
        references.iter().filter_map(|it| Some((it, attach::parent(reader, name, it, None)?))).collect();
    let mut errors = Errors::default();
    errors.refuse_all(format!("the object cannot be read: {}", broken.error));
    update(status(reader, broken.generation(), &parents, &errors, 0), None)
}

fn update(status: Value, previous: Option<&StatusUpdate>) -> StatusUpdate {
    let status = Status::from(&status);
    match previous {
        Some(old) if old.status == status => old.clone(),
        _ => StatusUpdate { status, merge: Merge::Parents },
    }
}

/// The route itself, with the listeners that serve it; and where policies make listeners fail, for each reason a double whose rules
/// answer 500. Its name cannot be an object's.
fn routes(name: &ObjectName, object: &HttpRoute, rules: &Rules, parents: &[(&ParentReference, Parent)]) -> Vec<Route> {
    let mut serving: BTreeMap<Option<Arc<str>>, BTreeMap<ListenerName, Attachment>> = BTreeMap::new();
    for attachment in parents.iter().flat_map(|(_, it)| it.served()) {
        let why = attachment.failure.as_ref().map(|it| it.0.0.clone());
        serving.entry(why).or_default().insert(attachment.attachment.listener.clone(), attachment.attachment.clone());
    }
    let created = time::unix_seconds(object.metadata.creation_timestamp.as_deref());
    let make = |(why, attachments): (Option<Arc<str>>, BTreeMap<ListenerName, Attachment>)| {
        let mut rules = rules.rules.clone();
        let name = match &why {
            None => name.clone(),
            Some(why) => ObjectName::new(name.namespace.clone(), format!("{}!{why}", name.name)),
        };
        if let Some(why) = why {
            for rule in &mut rules {
                rule.filters.clear();
                rule.action = Action::Fail(weir_model::FailReason(why.clone()));
            }
        }
        Route { name, created, attachments: attachments.into_values().collect(), rules }
    };
    if rules.rules.is_empty() { Vec::new() } else { serving.into_iter().map(make).collect() }
}

fn status(reader: &Reader<'_>, generation: i64, parents: &[(&ParentReference, Parent)], errors: &Errors, rules: usize) -> Value {
    let controller = &*reader.settings().controller_name;
    let entries: Vec<Value> = parents
        .iter()
        .map(|(reference, parent)| {
            let mut conditions = Conditions::new(generation);
            match parent.fault() {
                Some((reason, message)) => conditions.no("Accepted", reason, message),
                None => errors.accepted(rules, &mut conditions),
            }
            errors.others(rules, &mut conditions);
            json!({ "parentRef": reference_json(reference), "controllerName": controller, "conditions": to_json(&conditions) })
        })
        .collect();
    json!({ "parents": entries })
}

fn reference_json(reference: &ParentReference) -> Value {
    let ParentReference { group, kind, namespace, name, section_name, port } = reference;
    let mut out = json!({ "group": group, "kind": kind });
    if let Some(namespace) = namespace {
        out["namespace"] = json!(namespace);
    }
    out["name"] = json!(name);
    if let Some(section_name) = section_name {
        out["sectionName"] = json!(section_name);
    }
    if let Some(port) = port {
        out["port"] = json!(port);
    }
    out
}
