//! Electing the one of several replicas that writes, by a Lease, as client-go does it: whoever holds the Lease renews it; who finds that it has
//! not been renewed for as long as it holds takes it.
//!
//! ```text
//!             there is none, nobody's, or not renewed for `lease`
//!   Standby ──────────────────────────────────────────────────────► Leader ──┐ every `retry`: renewed
//!      ▲                                                               │ ▲────┘
//!      └ (a new process)      not renewed for `renew`, or another's    ▼
//!                                                                    Lost: the process ends
//! ```
//!
//! Clocks of two machines are never compared: a replica waits for `lease` on its own clock since it last saw the Lease change, and `renew` is
//! shorter than that. So the old leader begins no request any more, and has given up those under way, before the new one writes.

mod lease;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use weir_api::envoy_gateway::LeaderElection;

pub(crate) use lease::{campaign, release};

/// The Lease that Envoy Gateway's controllers elect their leader by, in the same namespace: so that theirs and ours never both write.
pub(crate) const LEASE: &str = "5b9825d2.gateway.envoyproxy.io";

/// What a replica on the host `name` is called: each start anew, so that a process never takes its predecessor's Lease for its own.
pub(crate) fn identity(name: &str) -> String {
    format!("{name}_{:016x}", rand::random::<u64>())
}

/// How long everything takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// How long the others wait for a silent leader.
    pub(crate) lease: Duration,
    /// How long a leader tries to renew before it gives up.
    pub(crate) renew: Duration,
    /// Between two attempts.
    pub(crate) retry: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { lease: seconds(15), renew: seconds(10), retry: seconds(2) }
    }
}

impl Times {
    /// What the file says, or the defaults.
    ///
    /// # Errors
    /// When two leaders would be possible, or none.
    pub(crate) fn read(file: &LeaderElection) -> Result<Self, String> {
        let default = Self::default();
        let read = |text: &Option<String>, default: Duration| match text {
            Some(text) => weir_api::duration::parse(text).map_err(|error| error.to_string()),
            None => Ok(default),
        };
        let (lease, renew) = (read(&file.lease_duration, default.lease)?, read(&file.renew_deadline, default.renew)?);
        let retry = read(&file.retry_period, default.retry)?;
        let path = "provider.kubernetes.leaderElection";
        // What the Lease says to others is in whole seconds.
        let lease = Duration::from_secs(lease.as_secs());
        if lease < Duration::from_secs(1) || lease <= renew {
            return Err(format!(
                "{path}.leaseDuration: {lease:?} in whole seconds must be at least 1s and longer than renewDeadline, {renew:?}"
            ));
        }
        if retry.is_zero() || renew <= retry {
            return Err(format!("{path}.renewDeadline: {renew:?} must be longer than retryPeriod, {retry:?}, and that longer than 0s"));
        }
        Ok(Self { lease, renew, retry })
    }
}

/// What to do about the Lease.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Make it, with this spec.
    Create(Value),
    /// Merge this into its spec, unless it has changed meanwhile.
    Take(Value),
    /// Another holds it.
    Wait,
}

/// What one replica knows of the Lease.
#[derive(Debug)]
pub(crate) struct Candidate {
    identity: String,
    times: Times,
    /// What its spec was when it last changed, and when that was seen.
    seen: Option<(Value, Instant)>,
}

impl Candidate {
    /// One that has seen nothing yet.
    pub(crate) fn new(identity: String, times: Times) -> Self {
        Self { identity, times, seen: None }
    }

    /// The Lease has this spec (none: there is no Lease); `time` is the wall clock's, for people.
    pub(crate) fn look(&mut self, spec: Option<&Value>, now: Instant, time: &str) -> Step {
        let Some(spec) = spec else { return Step::Create(self.spec(0, time, time)) };
        if self.seen.as_ref().is_none_or(|(seen, _)| seen != spec) {
            self.seen = Some((spec.clone(), now));
        }
        let transitions = spec["leaseTransitions"].as_u64().unwrap_or(0);
        match spec["holderIdentity"].as_str().unwrap_or_default() {
            holder if holder == self.identity => Step::Take(json!({ "renewTime": time })),
            "" => Step::Take(self.spec(transitions + 1, time, time)),
            _ if self.seen.as_ref().is_some_and(|(_, at)| *at + self.silence(spec) <= now) => {
                Step::Take(self.spec(transitions + 1, time, time))
            }
            _ => Step::Wait,
        }
    }

    /// Who holds it, when that is another.
    pub(crate) fn other<'s>(&self, spec: &'s Value) -> Option<&'s str> {
        spec["holderIdentity"].as_str().filter(|it| !it.is_empty() && *it != self.identity)
    }

    /// How long its holder may be silent: what it has promised, and no less than what we were told.
    fn silence(&self, spec: &Value) -> Duration {
        let promised = Duration::from_secs(spec["leaseDurationSeconds"].as_u64().unwrap_or(0));
        promised.max(self.times.lease)
    }

    fn spec(&self, transitions: u64, acquired: &str, renewed: &str) -> Value {
        json!({
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.times.lease.as_secs(),
            "acquireTime": acquired,
            "renewTime": renewed,
            "leaseTransitions": transitions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str) -> Candidate {
        Candidate::new(name.to_owned(), Times::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_leader_is_waited_for_and_then_replaced() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let (mut a, mut b) = (candidate("a"), candidate("b"));
        let Step::Create(mut spec) = a.look(None, start, "t0") else { panic!("there is none") };
        assert_eq!(b.look(Some(&spec), start, "t0"), Step::Wait);
        assert_eq!(b.other(&spec), Some("a"));
        assert_eq!(a.look(Some(&spec), start + 9 * second, "t9"), Step::Take(json!({ "renewTime": "t9" })));
        spec["renewTime"] = json!("t9");
        assert_eq!(b.look(Some(&spec), start + 10 * second, "t10"), Step::Wait, "it was renewed");
        assert_eq!(b.look(Some(&spec), start + 24 * second, "t24"), Step::Wait);
        let Step::Take(taken) = b.look(Some(&spec), start + 25 * second, "t25") else { panic!("silent for 15 s") };
        assert_eq!((&taken["holderIdentity"], &taken["leaseTransitions"]), (&json!("b"), &json!(1)));
        assert_eq!(a.other(&taken), Some("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_was_given_back_is_taken_at_once() {
        let spec = json!({ "holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 4 });
        let Step::Take(taken) = candidate("a").look(Some(&spec), Instant::now(), "t") else { panic!("nobody's") };
        assert_eq!(taken["leaseTransitions"], 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_promised_less_than_we_know_is_not_hurried() {
        let spec = json!({ "holderIdentity": "eg", "leaseDurationSeconds": 60 });
        let (mut a, start) = (candidate("a"), Instant::now());
        assert_eq!(a.look(Some(&spec), start, "t"), Step::Wait);
        assert_eq!(a.look(Some(&spec), start + Duration::from_secs(59), "t"), Step::Wait);
        assert_ne!(a.look(Some(&spec), start + Duration::from_secs(60), "t"), Step::Wait);
    }
}
