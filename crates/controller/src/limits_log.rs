//! The log lines about connection limits: what is in force, what changes, what is refused. Every one contains `limit`, so that
//! `kubectl logs ... | grep -i "connection\|limit"` finds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::{Limit, LimitName, LimitScope, Model, Refused, Report};

/// What there is to say about a limit when a Model gets in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was there when the controller started.
    InForce,
    /// It is new.
    Set,
    /// Its number was this one before.
    Changed(u64),
    /// It is gone.
    Removed,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) change: Change,
    pub(crate) limit: Arc<Limit>,
    /// Connections open now, as last reported.
    pub(crate) current: u64,
}

/// Remembers the limits in force to say what changed.
#[derive(Debug, Default)]
pub(crate) struct LimitsLog {
    known: Option<BTreeMap<LimitName, Arc<Limit>>>,
}

impl LimitsLog {
    /// The lines to write now that `model` is in force. The first call says everything, later ones what changed.
    pub(crate) fn in_force(&mut self, model: &Model, report: Option<&Report>) -> Vec<Line> {
        let current = |name: &LimitName| report.and_then(|it| it.limits.get(name)).map_or(0, |it| it.current);
        let line = |change, limit: &Arc<Limit>| Line { change, limit: limit.clone(), current: current(&limit.name) };
        let lines = match &self.known {
            None => model.limits.values().map(|limit| line(Change::InForce, limit)).collect(),
            Some(known) => {
                let fresh = model.limits.values().filter_map(|limit| match known.get(&limit.name) {
                    None => Some(line(Change::Set, limit)),
                    Some(before) if before.value != limit.value => Some(line(Change::Changed(before.value), limit)),
                    Some(_) => None,
                });
                let gone = known.values().filter(|it| !model.limits.contains_key(&it.name)).map(|it| line(Change::Removed, it));
                fresh.chain(gone).collect()
            }
        };
        self.known = Some(model.limits.clone());
        lines
    }

    /// The lines that say every limit in force once more.
    pub(crate) fn restate(&mut self, report: Option<&Report>) -> Vec<Line> {
        let Some(known) = self.known.take() else { return Vec::new() };
        self.in_force(&Model { limits: known, ..Model::default() }, report)
    }

    /// A limit in force.
    pub(crate) fn limit(&self, name: &LimitName) -> Option<&Arc<Limit>> {
        self.known.as_ref().and_then(|known| known.get(name))
    }
}

/// What a limit limits, as users call it: `Gateway ns/eg` or `Listener ns/eg/http`.
pub(crate) fn subject(scope: LimitScope, name: &LimitName) -> String {
    match scope {
        LimitScope::Gateway => format!("Gateway {}", name.target),
        LimitScope::Listener => format!("Listener {}", name.target),
        LimitScope::Route => match name.target.split_once("/httproute:") {
            Some((gateway, route)) => format!("HTTPRoute {route} at Gateway {gateway}"),
            None => format!("HTTPRoute {}", name.target),
        },
    }
}

impl Line {
    /// Writes it to the log.
    pub(crate) fn write(&self) {
        let Line { change, limit, current } = self;
        let subject = subject(limit.scope, &limit.name);
        let value = limit.value;
        let text = match change {
            Change::InForce => format!("connection limit in force: {value} for {subject}"),
            Change::Set => format!("connection limit set: {value} for {subject}"),
            Change::Changed(before) => format!("connection limit changed: {before} -> {value} for {subject}"),
            Change::Removed => format!("connection limit removed: was {value} for {subject}"),
        };
        tracing::info!(limit_scope = limit.scope.as_str(), limit_name = %limit.name, limit_value = value, current, "{text}");
    }
}

/// Writes that a limit refused connections. The data plane sends at most one such message a second for each limit.
pub(crate) fn write_refused(refused: &Refused) {
    let Refused { limit, scope, max, current, refused, total, last_client, gateway: _ } = refused;
    tracing::warn!(
        limit_scope = scope.as_str(),
        limit_name = %limit,
        limit_value = max,
        current,
        refused,
        refused_total = total,
        last_client = %last_client.ip(),
        "over_connection_limit: {refused} refused for {}",
        subject(*scope, limit)
    );
}

/// Writes that a limit has room again.
pub(crate) fn write_cleared(limit: &Limit, current: u64, max: u64) {
    tracing::info!(
        limit_scope = limit.scope.as_str(),
        limit_name = %limit.name,
        limit_value = max,
        current,
        "connection limit of {} has room again",
        subject(limit.scope, &limit.name)
    );
}

#[cfg(test)]
mod tests {
    use weir_model::{GatewayName, LimitReport, ObjectName};

    use super::*;

    fn limit(policy: &str, value: u64) -> Arc<Limit> {
        let name = LimitName { policy: ObjectName::new("ns", policy), target: "ns/eg".into() };
        Arc::new(Limit { name, gateway: GatewayName::new("ns", "eg"), scope: LimitScope::Gateway, value, cells: Vec::new(), route: None })
    }

    fn model(limits: &[Arc<Limit>]) -> Model {
        Model { limits: limits.iter().map(|it| (it.name.clone(), it.clone())).collect(), ..Model::default() }
    }

    #[test]
    fn a_start_says_all_and_later_only_what_changed() {
        let (five, seven, other) = (limit("a", 5), limit("a", 7), limit("b", 1));
        let mut report = Report::default();
        let numbers =
            LimitReport { gateway: five.gateway.clone(), scope: five.scope, current: 3, max: 5, refused: weir_model::Refusals::default() };
        report.limits.insert(five.name.clone(), numbers);
        let mut log = LimitsLog::default();
        let said = |lines: Vec<Line>| lines.into_iter().map(|it| (it.change, it.limit.value, it.current)).collect::<Vec<_>>();
        assert_eq!(said(log.in_force(&model(std::slice::from_ref(&five)), Some(&report))), [(Change::InForce, 5, 3)]);
        assert!(log.in_force(&model(&[five]), Some(&report)).is_empty(), "nothing new");
        let lines = said(log.in_force(&model(&[seven.clone(), other]), Some(&report)));
        assert_eq!(lines, [(Change::Changed(5), 7, 3), (Change::Set, 1, 0)]);
        assert!(log.limit(&seven.name).is_some());
        assert_eq!(said(log.restate(None)), [(Change::InForce, 7, 0), (Change::InForce, 1, 0)]);
        assert_eq!(said(log.in_force(&model(&[seven]), None)), [(Change::Removed, 1, 0)]);
    }

    #[test]
    fn without_limits_a_start_says_nothing() {
        assert!(LimitsLog::default().in_force(&model(&[]), None).is_empty());
    }
}
