//! What a Service is allotted by the server: a cluster address and node ports.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::Ipv4Addr;

use rand::Rng;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::object::ObjectExt;
use crate::registry::Resource;
use crate::schema::FieldError;
use crate::status::ApiError;

/// Cluster addresses are in 10.96.0.0/16, the range that clusters commonly use; the first 256 are left to fixed assignments.
const RANGE: u32 = 0x0a60_0000;
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

/// A Service written again without what it was allotted keeps it.
pub(super) fn keep_allotted(object: &mut Value, old: Option<&Value>) {
    let Some(old) = old else { return };
    if kind(object) == "ExternalName" || kind(old) == "ExternalName" {
        return;
    }
    let Some(old_spec) = old.get("spec") else { return };
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().is_empty() {
        for key in ["clusterIP", "clusterIPs"] {
            if let Some(value) = old_spec.get(key) {
                spec.insert(key.to_owned(), value.clone());
            }
        }
    }
    for key in ["ipFamilies", "ipFamilyPolicy"] {
        if let (None, Some(value)) = (spec.get(key), old_spec.get(key)) {
            spec.insert(key.to_owned(), value.clone());
        }
    }
    if !matches!(spec.get("type").and_then(Value::as_str), Some("NodePort" | "LoadBalancer")) {
        return;
    }
    let old_ports = old_spec.get("ports").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let same = old_ports.iter().find(|p| {
            p.get("port") == port.get("port") && p.get("protocol").unwrap_or(&json!("TCP")) == port.get("protocol").unwrap_or(&json!("TCP"))
        });
        if let (None, Some(node_port)) = (port.get("nodePort"), same.and_then(|p| p.get("nodePort"))) {
            crate::object::set_or_remove(port, "nodePort", Some(&node_port.clone()));
        }
    }
}

/// What another Service has been allotted.
#[derive(Debug, Deserialize)]
struct Allotted<'a> {
    #[serde(borrow, default)]
    spec: AllottedSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AllottedSpec<'a> {
    #[serde(rename = "clusterIP", borrow)]
    cluster_ip: Option<Cow<'a, str>>,
    ports: Vec<AllottedPort>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AllottedPort {
    node_port: Option<u64>,
}

/// Gives a Service the addresses and ports that its type asks for, unless somebody else does.
pub(super) fn allot(api: &Api, resource: &Resource, object: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    let asks = asked(object).is_some_and(|address| old.and_then(asked) != Some(address));
    if api.hooks.addresses_elsewhere && !asks {
        return Ok(());
    }
    let own = (object.namespace().to_owned(), object.name().to_owned());
    let (services, _) = api.store.list(&resource.shelf, None);
    let others = services.iter().filter(|s| (s.namespace(), s.name()) != (own.0.as_str(), own.1.as_str()));
    let others: Vec<Allotted<'_>> = others.filter_map(|service| service.fields()).collect();
    if asks {
        not_taken(object, &others, resource)?;
    }
    if api.hooks.addresses_elsewhere {
        return Ok(());
    }
    allot_address(object, &others);
    allot_ports(object, &others);
    Ok(())
}

fn kind(object: &Value) -> &str {
    object.pointer("/spec/type").and_then(Value::as_str).unwrap_or("ClusterIP")
}

/// The cluster address that a Service names.
fn asked(object: &Value) -> Option<&str> {
    let address = object.pointer("/spec/clusterIP").and_then(Value::as_str)?;
    (kind(object) != "ExternalName" && !matches!(address, "" | "None")).then_some(address)
}

/// An address that a Service asks for must be nobody else's.
fn not_taken(object: &Value, others: &[Allotted<'_>], resource: &Resource) -> Result<(), ApiError> {
    let Some(wanted) = asked(object).filter(|wanted| others.iter().any(|other| other.spec.cluster_ip.as_deref() == Some(wanted))) else {
        return Ok(());
    };
    let message = format!("Invalid value: [\"{wanted}\"]: failed to allocate IP {wanted}: provided IP is already allocated");
    let error = FieldError { reason: "FieldValueInvalid", field: "spec.clusterIPs".to_owned(), message };
    Err(ApiError::invalid(&resource.group, &resource.kind, object.name(), &[error]))
}

fn allot_address(object: &mut Value, others: &[Allotted<'_>]) {
    if kind(object) == "ExternalName" {
        return;
    }
    let used: HashSet<&str> = others.iter().filter_map(|s| s.spec.cluster_ip.as_deref()).collect();
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let wanted = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    let address = match wanted.as_str() {
        "" => free_address(&used),
        _ => wanted,
    };
    spec.insert("clusterIP".to_owned(), Value::from(address.as_str()));
    if spec.get("clusterIPs").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec.insert("clusterIPs".to_owned(), json!([address]));
    }
    spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy").or_insert_with(|| json!("SingleStack"));
}

fn free_address(used: &HashSet<&str>) -> String {
    let mut random = rand::rng();
    loop {
        // Far fewer Services than addresses fit into one process: this ends soon.
        let address = Ipv4Addr::from(RANGE | random.random_range(256..65_535)).to_string();
        if !used.contains(address.as_str()) {
            return address;
        }
    }
}

fn allot_ports(object: &mut Value, others: &[Allotted<'_>]) {
    let wants = match kind(object) {
        "NodePort" => true,
        "LoadBalancer" => object.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false)),
        _ => false,
    };
    if !wants {
        return;
    }
    let ports = |s: &Value| -> Vec<u64> {
        let list = s.pointer("/spec/ports").and_then(Value::as_array);
        list.map(|l| l.iter().filter_map(|p| p.get("nodePort")?.as_u64()).collect()).unwrap_or_default()
    };
    let others = others.iter().flat_map(|s| &s.spec.ports).filter_map(|port| port.node_port);
    let mut used: HashSet<u64> = others.chain(ports(object)).collect();
    let mut random = rand::rng();
    let Some(list) = object.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return };
    for port in list {
        if port.get("nodePort").and_then(Value::as_u64).unwrap_or(0) != 0 || used.len() >= NODE_PORTS.len() {
            continue;
        }
        let free = loop {
            let candidate = u64::from(random.random_range(NODE_PORTS));
            if used.insert(candidate) {
                break candidate;
            }
        };
        crate::object::set_or_remove(port, "nodePort", Some(&Value::from(free)));
    }
}
