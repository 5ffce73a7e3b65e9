//! Connection limits.

use serde::{Deserialize, Serialize};

use crate::{GatewayName, LimitName, ListenerName, ObjectName};

/// At most `value` client connections at once over the listeners in `cells` together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Its name; stable while the number changes.
    pub name: LimitName,
    /// The gateway whose connections it limits.
    pub gateway: GatewayName,
    /// What kind of thing it limits.
    pub scope: LimitScope,
    /// How many connections may be open at once; at least 1.
    pub value: u64,
    /// The listeners whose connections count, in ascending order, each once.
    pub cells: Vec<ListenerName>,
    /// When given, only connections that have carried a request for this route count: each from its first such request until it closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<ObjectName>,
}

/// What kind of thing a limit limits; the `scope` of logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitScope {
    /// All HTTP listeners of a gateway together (each HTTPS listener has a limit of its own).
    Gateway,
    /// One listener.
    Listener,
    /// The connections that carry requests for a route.
    Route,
}

impl LimitScope {
    /// As written in logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Listener => "listener",
            Self::Route => "route",
        }
    }
}
