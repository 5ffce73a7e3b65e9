//! Whether a Backend can be used.

use std::net::IpAddr;

use weir_api::backend::{AppProtocol, BackendEndpoint, BackendSpec, BackendType, FqdnEndpoint, IpEndpoint, UnixEndpoint};
use weir_model::HostPattern;

use super::endpoints::{Place, place};
use crate::memo::Reader;

/// Why a Backend cannot be used, and the reason that routes give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

fn problem(reason: &'static str, message: impl Into<String>) -> Result<(), Problem> {
    Err(Problem { reason, message: message.into() })
}

/// Judges a Backend by itself.
pub(crate) fn judge(reader: &Reader<'_>, spec: &BackendSpec) -> Result<(), Problem> {
    // `fallback` has no effect yet; the Backend's status says so.
    let BackendSpec { type_, endpoints, app_protocols, fallback: _, tls } = spec;
    match type_ {
        BackendType::Endpoints => {}
        BackendType::DynamicResolver if !endpoints.is_empty() => {
            return problem("InvalidBackendRef", "DynamicResolver type cannot have endpoints specified");
        }
        other => return problem("UnsupportedValue", format!("type {other} is not supported yet")),
    }
    // Sending in the clear what was to be encrypted would be worse than not sending it.
    if tls.is_some() {
        return problem("UnsupportedValue", "TLS to backends (spec.tls) is not supported yet");
    }
    if !app_protocols.is_empty() {
        let protocols: Vec<&str> = app_protocols.iter().map(AppProtocol::as_str).collect();
        return problem("UnsupportedProtocol", format!("appProtocols {} are not supported yet, HTTP/1.1 is", protocols.join(", ")));
    }
    for endpoint in endpoints {
        judge_endpoint(reader, endpoint)?;
    }
    let places: Vec<Place> = endpoints.iter().filter_map(|it| place(reader.settings(), it)).collect();
    let names = places.iter().filter(|it| matches!(it, Place::Name(_))).count();
    let services = places.iter().filter(|it| matches!(it, Place::Service(..))).count();
    if names > 0 && services > 0 {
        return problem("UnsupportedValue", "host names of Services cannot be mixed with other host names yet");
    }
    Ok(())
}

/// Whether routes can send requests there.
pub(crate) fn reachable(spec: &BackendSpec) -> Result<(), Problem> {
    if spec.endpoints.iter().any(|it| it.unix.is_some()) {
        return problem("UnsupportedAddressType", "unix domain sockets are not supported in backend references");
    }
    let names = spec.endpoints.iter().filter(|it| it.fqdn.is_some()).count();
    if names > 0 && names < spec.endpoints.len() {
        let message = "mixed FQDN and IP or Unix address type for the same backendRef is not supported";
        return problem("UnsupportedAddressType", message);
    }
    Ok(())
}

fn judge_endpoint(reader: &Reader<'_>, endpoint: &BackendEndpoint) -> Result<(), Problem> {
    // The zone has no effect yet; the Backend's status says so.
    let BackendEndpoint { fqdn, ip, unix, hostname, zone: _ } = endpoint;
    if let Some(hostname) = hostname {
        judge_hostname(reader, hostname, "hostname")?;
    }
    match (fqdn, ip, unix) {
        (Some(FqdnEndpoint { hostname, port }), None, None) => {
            judge_hostname(reader, hostname, "FQDN")?;
            judge_port(*port)
        }
        (None, Some(IpEndpoint { address, port }), None) => {
            judge_address(reader, address)?;
            judge_port(*port)
        }
        (None, None, Some(UnixEndpoint { path: _ })) => Ok(()),
        _ => problem("InvalidBackendRef", "an endpoint must have exactly one of fqdn, ip and unix"),
    }
}

fn judge_port(port: i32) -> Result<(), Problem> {
    match u16::try_from(port) {
        Ok(1..) => Ok(()),
        _ => problem("InvalidAddress", format!("port {port} is not between 1 and 65535")),
    }
}

fn judge_hostname(reader: &Reader<'_>, hostname: &str, what: &str) -> Result<(), Problem> {
    let name = hostname.strip_suffix('.').unwrap_or(hostname);
    let lower = !name.bytes().any(|it| it.is_ascii_uppercase());
    if !lower || !matches!(HostPattern::parse(name), Ok(HostPattern::Exact(_))) {
        return problem("InvalidAddress", format!("hostname {hostname} is not a valid {what}"));
    }
    if !name.contains('.') && !reader.loopback_backends() {
        let message = format!("hostname {hostname} should be a domain with at least two segments separated by dots");
        return problem("InvalidAddress", message);
    }
    if name.parse::<IpAddr>().is_ok() {
        return problem("InvalidAddress", format!("hostname {hostname} is an IP address"));
    }
    Ok(())
}

fn judge_address(reader: &Reader<'_>, address: &str) -> Result<(), Problem> {
    match address.parse::<IpAddr>() {
        Err(_) => problem("InvalidAddress", format!("IP address {address} is invalid")),
        Ok(ip) if ip.to_canonical().is_loopback() && !reader.loopback_backends() => problem(
            "InvalidAddress",
            format!("IP address {address} in the loopback range is only supported when using the Host infrastructure"),
        ),
        Ok(_) => Ok(()),
    }
}
