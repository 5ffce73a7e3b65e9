//! What a data plane says back: whether a change is in force, which listeners are bound, and its numbers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{GatewayName, LimitName, LimitScope, ListenerName};

/// A message from a data plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// What became of one [`crate::Publish`].
    Acknowledgement(Acknowledgement),
    /// How things stand; sent after every change of a listener's state, and about once a second while numbers change.
    Report(Arc<Report>),
    /// Connections that a limit refused since the last such message; at most one a second for each limit.
    Refused(Refused),
    /// A limit that had refused connections has room again.
    Cleared {
        /// The limit.
        limit: LimitName,
        /// Connections open now.
        current: u64,
        /// How many may be.
        max: u64,
    },
}

/// What became of a [`crate::Publish`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The epoch of the message that this answers.
    pub epoch: u64,
    /// Its version.
    pub version: u64,
    /// Why it was refused as a whole (an older epoch, an unknown base); none when it is in force.
    pub refused: Option<String>,
}

/// How things stand in a data plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The last version in force, and its epoch; 0 before the first.
    pub epoch: u64,
    /// See `epoch`.
    pub version: u64,
    /// Each listener that the Model has and a bind plan covers.
    #[serde(with = "as_pairs")]
    pub listeners: BTreeMap<ListenerName, ListenerReport>,
    /// Each limit.
    #[serde(with = "as_pairs")]
    pub limits: BTreeMap<LimitName, LimitReport>,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerReport {
    /// Whether it is bound.
    pub state: ListenerState,
    /// Connections open now.
    pub connections: u64,
}

/// Whether a listener accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListenerState {
    /// It accepts connections at these addresses.
    Bound(Vec<SocketAddr>),
    /// It could not be bound; the text names the cause and the way out.
    Failed(String),
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitReport {
    /// The gateway whose connections it limits.
    pub gateway: GatewayName,
    /// What kind of thing it limits.
    pub scope: LimitScope,
    /// Connections open now.
    pub current: u64,
    /// How many may be.
    pub max: u64,
    /// Connections refused since the data plane started.
    pub refused: Refusals,
}

/// Refused connections by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// Accepted and closed, since the limit was reached; for a route's limit, answered 503.
    pub over_connection_limit: u64,
}

/// Connections that a limit refused within about a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The limit.
    pub limit: LimitName,
    /// The gateway whose connections it limits.
    pub gateway: GatewayName,
    /// What kind of thing it limits.
    pub scope: LimitScope,
    /// How many connections may be open at once.
    pub max: u64,
    /// How many are.
    pub current: u64,
    /// How many were refused since the last message.
    pub refused: u64,
    /// How many were refused since the data plane started.
    pub total: u64,
    /// The client that was refused last.
    pub last_client: SocketAddr,
}

/// JSON keys are texts; maps with structured keys travel as lists of pairs.
mod as_pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(map: &BTreeMap<K, V>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}
