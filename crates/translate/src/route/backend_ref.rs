//! Where a rule sends requests.

use std::collections::BTreeSet;

use weir_api::http_route::{HttpBackendRef, HttpRouteFilter};
use weir_model::{FailReason, Filter, Match, ObjectName, Target, Weighted};

use super::error::{Errors, Fault};
use super::filters;
use crate::backend::{self, Key};
use crate::core;
use crate::grants;
use crate::memo::Reader;
use crate::resources::Kind;

/// Translates the backends of rule `rule`. The share of a broken reference is answered 500.
pub(super) fn translate(
    reader: &Reader<'_>,
    route: &ObjectName,
    rule: usize,
    references: &[HttpBackendRef],
    matches: &[Match],
    errors: &mut Errors,
    used: &mut BTreeSet<Key>,
) -> Vec<Weighted> {
    let mut out = Vec::new();
    for (at, reference) in references.iter().enumerate() {
        let weight = u32::try_from(reference.weight).unwrap_or_default();
        let (target, filters) = match follow(reader, route, reference, matches) {
            Ok((key, filters)) => {
                if !reader.ready(&key) {
                    errors.unavailable(format!("failed to find endpoints: no ready endpoints for the related {}", key.object()));
                }
                let target = Target::Backend(key.name());
                // Nothing is sent to a backend of weight 0, so nobody needs to know it.
                if weight > 0 {
                    used.insert(key);
                }
                (target, filters)
            }
            Err(Fault { reason, message, detail }) => {
                errors.unresolved(reason, format!("failed to process route rule {rule} backendRef {at}: {message}"));
                (Target::Fail(FailReason(detail.into())), Vec::new())
            }
        };
        if weight > 0 {
            out.push(Weighted { weight, target, filters });
        }
    }
    out
}

fn follow(reader: &Reader<'_>, route: &ObjectName, reference: &HttpBackendRef, matches: &[Match]) -> Result<(Key, Vec<Filter>), Fault> {
    let HttpBackendRef { group, kind, name, namespace, port, weight: _, filters } = reference;
    let filters = backend_filters(filters, matches)?;
    if !matches!(group.as_str(), "" | "multicluster.x-k8s.io" | "gateway.envoyproxy.io") {
        return Err(Fault::new(
            "InvalidKind",
            "invalid_backend_kind",
            "Group is invalid, only the core API group (specified by omitting the group field or setting it to an empty string), \
             multicluster.x-k8s.io and gateway.envoyproxy.io are supported",
        ));
    }
    let is_backend = match (group.as_str(), kind.as_str()) {
        ("", "Service") => false,
        ("gateway.envoyproxy.io", "Backend") => true,
        _ => {
            let message = "Kind is invalid, only Service and Envoy Gateway Backend are supported";
            return Err(Fault::new("InvalidKind", "invalid_backend_kind", message));
        }
    };
    let namespace = namespace.as_deref().filter(|it| !it.is_empty()).unwrap_or(&route.namespace);
    let from = grants::From { group: Kind::HttpRoute.group(), kind: Kind::HttpRoute.as_str(), namespace: &route.namespace };
    if !reader.permitted(&from, &grants::To { group, kind, namespace, name }) {
        let message = format!("Backend ref to {kind} {namespace}/{name} not permitted by any ReferenceGrant");
        return Err(Fault::new("RefNotPermitted", "ref_not_permitted", message));
    }
    let object = ObjectName::new(namespace, name.as_str());
    let key = if is_backend { backend_key(reader, object)? } else { service_key(reader, object, *port)? };
    Ok((key, filters))
}

fn backend_filters(filters: &[HttpRouteFilter], matches: &[Match]) -> Result<Vec<Filter>, Fault> {
    let translated = filters::translate(filters, matches).map_err(|it| Fault { reason: "UnsupportedRefValue", ..it })?;
    match translated.redirect {
        None => Ok(translated.filters),
        Some(_) => Err(Fault::new(
            "UnsupportedRefValue",
            "unsupported_filter",
            "Specific filter is not supported within BackendRef, only RequestHeaderModifier, ResponseHeaderModifier and URLRewrite are \
             supported",
        )),
    }
}

fn service_key(reader: &Reader<'_>, name: ObjectName, port: Option<i32>) -> Result<Key, Fault> {
    let Some(port) = port else {
        let message = "A valid port number corresponding to a port on the Service must be specified";
        return Err(Fault::new("PortNotSpecified", "backend_port_not_specified", message));
    };
    let Some(service) = reader.service(&name) else {
        return Err(Fault::new("BackendNotFound", "backend_not_found", format!("service {name} not found")));
    };
    if core::is_external_name(service) {
        let message = format!(
            "Service {name} is of type ExternalName, which is not supported as a backend; \
             use an Envoy Gateway Backend resource with an FQDN endpoint instead"
        );
        return Err(Fault::unsupported("unsupported_backend", message));
    }
    let found = core::tcp_port(service, port).and_then(|it| Some((it, u16::try_from(it.port).ok()?)));
    let Some((found, number)) = found else {
        return Err(Fault::new("PortNotFound", "backend_port_not_found", format!("TCP Port {port} not found on Service {name}")));
    };
    if let Some(protocol) = found.app_protocol.as_deref().filter(|it| !backend::speaks_http1(it)) {
        let message = format!("appProtocol {protocol} of port {port} of Service {name} is not supported yet, HTTP/1.1 is");
        return Err(Fault::new("UnsupportedProtocol", "unsupported_backend_protocol", message));
    }
    Ok(Key::Service(name, number))
}

fn backend_key(reader: &Reader<'_>, name: ObjectName) -> Result<Key, Fault> {
    if !reader.settings().enable_backend {
        return Err(Fault::unsupported("backend_disabled", "Backend is disabled in Envoy Gateway configuration"));
    }
    let Some(object) = reader.backend(&name) else {
        return Err(Fault::new("BackendNotFound", "backend_not_found", format!("Backend {name} not found")));
    };
    match backend::judge(reader, &object.spec).and_then(|()| backend::reachable(&object.spec)) {
        Ok(()) => Ok(Key::Backend(name)),
        Err(problem) => Err(Fault::new(problem.reason, "invalid_backend", problem.message)),
    }
}
