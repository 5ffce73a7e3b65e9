//! What the data plane says about limits, told to users: log lines and Events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use weir_model::{GatewayName, LimitName, Model, Refused, Report};

use crate::events::{Involved, Key as EventKey, Reason, Recorder};
use crate::kinds::{Key, Kind};
use crate::limits_log::{LimitsLog, subject, write_cleared, write_refused};
use crate::status::Board;

/// How long lines about a new Model wait for the report that follows it, so that they can say how many connections are open.
const PATIENCE: Duration = Duration::from_millis(500);

/// Logs are rotated, and whoever reads one must find the limits in force at any time: they are said again this often.
const RESTATE: Duration = Duration::from_secs(3600);

/// Everything that is told about limits.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    log: LimitsLog,
    pub(crate) events: Recorder,
    report: Option<Arc<Report>>,
    /// The Model that got in force and has not been told yet, and when it is told at the latest.
    untold: Option<(Arc<Model>, Instant)>,
    /// How many connections each limit refused since it was reached.
    refused: BTreeMap<LimitName, u64>,
    restate_at: Option<Instant>,
}

impl Limits {
    /// This Model is in force now.
    pub(crate) fn in_force(&mut self, model: Arc<Model>, now: Instant) {
        self.refused.retain(|name, _| model.limits.contains_key(name));
        self.untold = Some((model, now + PATIENCE));
    }

    /// The data plane's numbers.
    pub(crate) fn report(&mut self, report: Arc<Report>, now: Instant) {
        self.report = Some(report);
        if let Some((_, at)) = &mut self.untold {
            *at = now;
        }
    }

    /// Writes the log lines that are due.
    pub(crate) fn tell(&mut self, now: Instant) {
        let due = self.untold.as_ref().is_some_and(|(_, at)| *at <= now);
        if let Some((model, _)) = self.untold.take_if(|_| due) {
            for line in self.log.in_force(&model, self.report.as_deref()) {
                line.write();
            }
            self.restate_at.get_or_insert(now + RESTATE);
        }
    }

    /// Writes the limits in force once more, from time to time.
    pub(crate) fn restate(&mut self, now: Instant) {
        if self.restate_at.is_some_and(|at| at <= now) {
            self.restate_at = Some(now + RESTATE);
            for line in self.log.restate(self.report.as_deref()) {
                line.write();
            }
        }
    }

    /// When there are log lines to write; none: not until something happens.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.untold.as_ref().map(|(_, at)| *at).into_iter().chain(self.restate_at).min()
    }

    /// A limit refused connections.
    pub(crate) fn refused(&mut self, refused: &Refused, board: &Board, wall: Timestamp) {
        write_refused(refused);
        *self.refused.entry(refused.limit.clone()).or_default() += refused.refused;
        // The number that the metric has, whatever this controller has seen of it.
        let message = format!(
            "{}: {} of {} connections in use, {} refused (last client {})",
            subject(refused.scope, &refused.limit),
            refused.current,
            refused.max,
            refused.total,
            refused.last_client.ip()
        );
        self.note(Reason::LimitReached, &refused.limit, &refused.gateway, message, board, wall);
    }

    /// A limit has room again.
    pub(crate) fn cleared(&mut self, name: &LimitName, current: u64, max: u64, board: &Board, wall: Timestamp) {
        let total = self.refused.remove(name).unwrap_or(0);
        let Some(limit) = self.log.limit(name).cloned() else { return };
        write_cleared(&limit, current, max);
        let subject = subject(limit.scope, name);
        let message = format!("{subject}: {current} of {max} connections in use, room again ({total} were refused)");
        self.note(Reason::LimitCleared, name, &limit.gateway, message, board, wall);
    }

    fn note(&mut self, reason: Reason, limit: &LimitName, gateway: &GatewayName, message: String, board: &Board, wall: Timestamp) {
        let policy = Key { kind: Kind::ClientTrafficPolicy, namespace: limit.policy.namespace.clone(), name: limit.policy.name.clone() };
        let gateway = Key { kind: Kind::Gateway, namespace: gateway.namespace.clone(), name: gateway.name.clone() };
        for key in [policy, gateway] {
            // An object that is gone by now needs no Event.
            let Some(known) = board.known(&key) else { continue };
            let involved = Involved {
                api_version: key.kind.api_version(),
                kind: key.kind.names().2.to_owned(),
                namespace: key.namespace.to_string(),
                name: key.name.to_string(),
                uid: known.uid.clone(),
            };
            self.events.note(EventKey { involved, reason, subject: limit.to_string() }, message.clone(), wall);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use weir_model::{Limit, LimitScope, ObjectName};
    use weir_translate::Status;

    use super::*;
    use crate::events::Write;
    use crate::status::Known;

    fn name() -> LimitName {
        LimitName { policy: ObjectName::new("ns", "policy"), target: "ns/eg".into() }
    }

    fn model() -> Arc<Model> {
        let gateway = GatewayName::new("ns", "eg");
        let limit = Limit { name: name(), gateway, scope: LimitScope::Gateway, value: 5, cells: Vec::new(), route: None };
        Arc::new(Model { limits: [(name(), Arc::new(limit))].into(), ..Model::default() })
    }

    fn board() -> Board {
        let mut board = Board::default();
        for (kind, name) in [(Kind::ClientTrafficPolicy, "policy"), (Kind::Gateway, "eg")] {
            let key = Key { kind, namespace: "ns".into(), name: name.into() };
            board.observe(key, Known { uid: name.into(), resource_version: "1".into(), status: Status::from(&Value::Null) });
        }
        board
    }

    fn refused(count: u64, total: u64) -> Refused {
        Refused {
            limit: name(),
            gateway: GatewayName::new("ns", "eg"),
            scope: LimitScope::Gateway,
            max: 5,
            current: 5,
            refused: count,
            total,
            last_client: "127.0.0.1:4000".parse().expect("an address"),
        }
    }

    fn messages(limits: &mut Limits, now: Instant) -> Vec<(String, String)> {
        let text = |it: &Value| it.as_str().expect("text").to_owned();
        let writes = limits.events.due(now, 16).into_iter().map(|(key, write)| {
            limits.events.done(&key, crate::events::Outcome::Written, now);
            match write {
                Write::Create(event) => (text(&event["involvedObject"]["name"]), text(&event["message"])),
                Write::Update(_, change) => (key.involved.name.clone(), text(&change["message"])),
            }
        });
        writes.collect()
    }

    #[test]
    fn policy_and_gateway_hear_of_refusals_and_of_room() {
        let now = Instant::now();
        let (mut limits, board) = (Limits::default(), board());
        limits.in_force(model(), now);
        limits.tell(now + PATIENCE);
        limits.refused(&refused(3, 3), &board, Timestamp::UNIX_EPOCH);
        let first = "Gateway ns/eg: 5 of 5 connections in use, 3 refused (last client 127.0.0.1)".to_owned();
        assert_eq!(messages(&mut limits, now), [("policy".into(), first.clone()), ("eg".into(), first)]);
        limits.refused(&refused(2, 5), &board, Timestamp::UNIX_EPOCH);
        limits.cleared(&name(), 4, 5, &board, Timestamp::UNIX_EPOCH);
        let later = messages(&mut limits, now + Duration::from_secs(1));
        let texts: Vec<_> = later.iter().filter(|(name, _)| name == "eg").map(|(_, text)| text.as_str()).collect();
        let reached = "Gateway ns/eg: 5 of 5 connections in use, 5 refused (last client 127.0.0.1)";
        assert_eq!(texts, [reached, "Gateway ns/eg: 4 of 5 connections in use, room again (5 were refused)"]);
    }

    #[test]
    fn lines_wait_a_moment_for_numbers() {
        let now = Instant::now();
        let mut limits = Limits::default();
        limits.in_force(model(), now);
        limits.tell(now);
        assert_eq!(limits.wake(), Some(now + PATIENCE));
        limits.report(Arc::new(Report::default()), now);
        limits.tell(now);
        assert_eq!(limits.wake(), Some(now + RESTATE));
    }
}
