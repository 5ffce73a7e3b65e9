//! The addresses that a Gateway asks for.

use std::net::IpAddr;

use weir_api::gateway::GatewayAddress;

/// What a Gateway asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// IP addresses, as written.
    pub(crate) addresses: Vec<String>,
    /// Values that cannot be used: host names (nobody can assign them), and texts that are not IP addresses.
    pub(crate) unusable: Vec<String>,
    /// The first type that is not known.
    pub(crate) unsupported: Option<String>,
}

/// Sorts the addresses by what can be done with them. An address without a value asks for any: nothing to do.
pub(crate) fn judge(addresses: &[GatewayAddress]) -> Addresses {
    let mut out = Addresses::default();
    for GatewayAddress { type_, value } in addresses {
        let value = value.as_deref().filter(|it| !it.is_empty());
        match (type_.as_str(), value) {
            ("IPAddress" | "Hostname", None) => {}
            ("IPAddress", Some(value)) if value.parse::<IpAddr>().is_ok() => out.addresses.push(value.to_owned()),
            ("IPAddress" | "Hostname", Some(value)) => out.unusable.push(value.to_owned()),
            (other, _) => out.unsupported = out.unsupported.or_else(|| Some(other.to_owned())),
        }
    }
    out
}
