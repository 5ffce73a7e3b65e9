//! Names: what stays the same while everything about a thing may change.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A namespaced object of the control plane, such as the policy that a limit comes from. Shown as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name within it.
    pub name: Arc<str>,
}

impl ObjectName {
    /// Names `namespace/name`.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A gateway, shown as `namespace/name`.
pub type GatewayName = ObjectName;

/// One listener of a gateway, shown as `namespace/gateway/listener`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ListenerName {
    /// The gateway.
    pub gateway: GatewayName,
    /// The listener's own name within it.
    pub listener: Arc<str>,
}

impl ListenerName {
    /// Names listener `listener` of `gateway`.
    pub fn new(gateway: GatewayName, listener: impl Into<Arc<str>>) -> Self {
        Self { gateway, listener: listener.into() }
    }
}

impl fmt::Display for ListenerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.gateway, self.listener)
    }
}

/// A set of endpoints, such as `service/default/app/3000` or `backend/default/app`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackendName(pub Arc<str>);

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A limit: the policy that sets it and what it limits, such as `default/eg/http`. Stable while its number changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LimitName {
    /// The policy.
    pub policy: ObjectName,
    /// What it limits: `namespace/gateway`, `namespace/gateway/listener`, or for a route `namespace/gateway/httproute:namespace/name`.
    pub target: Arc<str>,
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.policy, self.target)
    }
}

/// Which hosts: all, one, or all below a domain. Always lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    /// Every host.
    Any,
    /// This host alone.
    Exact(Arc<str>),
    /// `*.DOMAIN`: every host that ends in `.DOMAIN`, one label or more before it. Holds `DOMAIN` without the dot.
    Suffix(Arc<str>),
}

impl HostPattern {
    /// Reads `*`, `example.com` or `*.example.com`; an empty text means every host.
    ///
    /// # Errors
    /// [`Invalid::Host`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let lower = text.to_ascii_lowercase();
        let is_name = |name: &str| {
            !name.is_empty()
                && name.len() <= 253
                && name.split('.').all(|label| {
                    !label.is_empty()
                        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                })
        };
        match lower.as_str() {
            "" | "*" => Ok(Self::Any),
            name => match name.strip_prefix("*.") {
                Some(domain) if is_name(domain) => Ok(Self::Suffix(domain.into())),
                None if is_name(name) => Ok(Self::Exact(name.into())),
                _ => Err(Invalid::Host(text.to_owned())),
            },
        }
    }

    /// Whether `host` (lower case, without a port) is one of these.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => **name == *host,
            Self::Suffix(domain) => host.strip_suffix(&**domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        }
    }

    /// The hosts that are in both, if any: the narrower pattern (Gateway API, `HTTPRouteSpec.hostnames`).
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, one) | (one, Self::Any) => Some(one.clone()),
            (Self::Exact(name), pattern) | (pattern, Self::Exact(name)) => pattern.matches(name).then(|| Self::Exact(name.clone())),
            (Self::Suffix(a), Self::Suffix(b)) => {
                let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
                (long == short || Self::Suffix(short.clone()).matches(long)).then(|| Self::Suffix(long.clone()))
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}
