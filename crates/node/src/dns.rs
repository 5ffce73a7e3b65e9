//! Cluster DNS names, answered from what the node knows.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::meta::ObjectName;

/// Answers for `NAME.NAMESPACE.svc[.cluster.local]`. Cheap to clone.
#[derive(Clone, Default)]
pub struct Resolver {
    answers: Arc<RwLock<HashMap<ObjectName, Vec<IpAddr>>>>,
}

impl Resolver {
    /// The cluster address of a Service, or the addresses of the ready pods of a headless one. Names are compared without regard to case; a final dot is allowed.
    pub fn lookup(&self, name: &str) -> Vec<IpAddr> {
        service_name(name).and_then(|name| self.answers.read().get(&name).cloned()).unwrap_or_default()
    }

    pub(crate) fn set(&self, service: ObjectName, addresses: Vec<IpAddr>) {
        self.answers.write().insert(service, addresses);
    }

    pub(crate) fn forget(&self, service: &ObjectName) {
        self.answers.write().remove(service);
    }
}

/// `NAME.NAMESPACE.svc` in any of its written forms.
fn service_name(name: &str) -> Option<ObjectName> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let name = name.strip_suffix(".cluster.local").unwrap_or(name);
    let (service, namespace) = name.strip_suffix(".svc")?.split_once('.')?;
    (!service.is_empty() && !namespace.is_empty() && !namespace.contains('.')).then(|| ObjectName::new(namespace, service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_forms() {
        let resolver = Resolver::default();
        resolver.set(ObjectName::new("default", "app"), vec![IpAddr::from([127, 1, 16, 1])]);
        for name in ["app.default.svc", "app.default.svc.cluster.local", "App.Default.svc.cluster.local."] {
            assert_eq!(resolver.lookup(name).len(), 1, "{name}");
        }
        for name in ["app", "app.default", "app.other.svc", "x.app.default.svc", ".svc", "default.svc.cluster.local"] {
            assert!(resolver.lookup(name).is_empty(), "{name}");
        }
    }
}
