//! Where a route attaches.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_api::reference::ParentReference;
use weir_model::{Attachment, GatewayName, HostPattern, ListenerName, ObjectName};

use crate::gateway::{Failure, ListenerView};
use crate::memo::Reader;
use crate::resources::Kind;

/// What one parent says to a route.
pub(super) enum Parent {
    Refused(&'static str, &'static str),
    Attached(Vec<Attached>),
}

/// A listener that a route is attached to.
pub(super) struct Attached {
    pub(super) attachment: Attachment,
    served: bool,
    pub(super) failure: Option<Failure>,
}

impl Parent {
    /// Why it does not take the route: reason and message.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Refused(reason, message) => Some((reason, message)),
            Self::Attached(_) => None,
        }
    }

    /// The listeners that count the route, served or not.
    pub(super) fn attached(&self) -> impl Iterator<Item = &ListenerName> {
        self.all().iter().map(|it| &it.attachment.listener)
    }

    /// The listeners whose requests can reach the route.
    pub(super) fn served(&self) -> impl Iterator<Item = &Attached> {
        self.all().iter().filter(|it| it.served)
    }

    fn all(&self) -> &[Attached] {
        match self {
            Self::Refused(..) => &[],
            Self::Attached(attached) => attached,
        }
    }
}

/// A route's host names; none stands for all.
pub(super) fn hostnames(hostnames: &[String]) -> Result<Option<Vec<HostPattern>>, String> {
    if hostnames.is_empty() {
        return Ok(None);
    }
    let read = |it: &String| HostPattern::parse(it).map_err(|error| format!("hostname: {error}"));
    hostnames.iter().map(read).collect::<Result<_, _>>().map(Some)
}

/// What a parent says to a route for these hosts (none: all). None: the parent is not ours.
pub(super) fn parent(
    reader: &Reader<'_>,
    route: &ObjectName,
    reference: &ParentReference,
    hosts: Option<&[HostPattern]>,
) -> Option<Parent> {
    let namespace = &*route.namespace;
    let ParentReference { group, kind, namespace: parent_namespace, name, section_name, port } = reference;
    if group != Kind::Gateway.group() || kind != Kind::Gateway.as_str() {
        return None;
    }
    let gateway = GatewayName::new(parent_namespace.as_deref().unwrap_or(namespace), name.as_str());
    let view = reader.view(&gateway)?;
    let meant = |it: &&ListenerView| {
        section_name.as_deref().is_none_or(|name| *it.name.listener == *name) && port.is_none_or(|port| i32::from(it.port) == port)
    };
    let mut selected = view.listeners.iter().filter(meant).peekable();
    if selected.peek().is_none() {
        return Some(Parent::Refused("NoMatchingParent", "No listeners match this parent ref"));
    }
    let labels = || Arc::new(reader.namespace_labels(namespace));
    let mut allowed = selected.filter(|it| it.lets_in(namespace, labels)).peekable();
    if allowed.peek().is_none() {
        let message = "No listeners included by this parent ref allowed this attachment.";
        return Some(Parent::Refused("NotAllowedByListeners", message));
    }
    let attached: Vec<Attached> = allowed.filter_map(|it| attach(it, hosts, view.failed_routes.get(route))).collect();
    if attached.is_empty() {
        let message = "There were no hostname intersections between the HTTPRoute and this parent ref's Listener(s).";
        return Some(Parent::Refused("NoMatchingListenerHostname", message));
    }
    Some(Parent::Attached(attached))
}

fn attach(listener: &ListenerView, hosts: Option<&[HostPattern]>, failed: Option<&Failure>) -> Option<Attached> {
    let hostnames: BTreeSet<HostPattern> = match hosts {
        None => BTreeSet::from([listener.hostname.clone()]),
        Some(hosts) => hosts.iter().filter_map(|it| it.intersect(&listener.hostname)).collect(),
    };
    if hostnames.is_empty() {
        return None;
    }
    let attachment = Attachment { listener: listener.name.clone(), hostnames: hostnames.into_iter().collect() };
    Some(Attached { attachment, served: listener.served, failure: listener.failure.as_ref().or(failed).cloned() })
}
