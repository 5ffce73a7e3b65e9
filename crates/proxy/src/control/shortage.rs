//! What the process as a whole can carry: its ceiling, followed as the process's own needs change, and a line in the log when clients are
//! refused for it.

use std::time::{Duration, Instant};

use super::{CEILING, HALL};
use crate::ceiling::{Means, QUIET, derive};
use crate::worker::Team;

/// How often it is looked at what the process itself uses, at the most.
const LOOK: Duration = Duration::from_secs(1);

/// What was said about shortages, and how large the ceiling was said to be.
#[derive(Default)]
pub(crate) struct Shortages {
    ceiling: Told,
    hall: Told,
    descriptors: Told,
    looked: Option<Instant>,
    /// What was in the log last.
    said: Option<u64>,
}

/// How many refusals have been told of, and when.
#[derive(Default)]
struct Told {
    count: u64,
    at: Option<Instant>,
}

impl Told {
    /// How many more there are to tell of, if it is time: at once, and then in sums.
    fn due(&mut self, now: Instant, total: u64) -> Option<u64> {
        let more = total.checked_sub(self.count).filter(|more| *more > 0)?;
        if self.at.is_some_and(|at| now < at + QUIET) {
            return None;
        }
        (self.count, self.at) = (total, Some(now));
        Some(more)
    }
}

impl Shortages {
    /// Looks at the process, which has `upstreams` connections to backends.
    pub(crate) fn look(&mut self, now: Instant, team: &Team, upstreams: u64) {
        self.follow(now, team, upstreams);
        let ceiling = team.ledger.ceiling();
        if let Some(refused) = self.ceiling.due(now, ceiling.refused) {
            let (most, current, total) = (ceiling.value, ceiling.current, ceiling.refused);
            let reason = "over_process_ceiling";
            let why = "connections refused: the process can take no more (raise `ulimit -n`, or the memory that it may use)";
            tracing::warn!(reason, refused, total, most, current, "{why}");
        }
        let total = team.process.no_descriptor();
        if let Some(refused) = self.descriptors.due(now, total) {
            let why = "connections refused: only the descriptors in reserve are left (raise `ulimit -n`)";
            tracing::warn!(reason = "no_descriptors", refused, total, "{why}");
        }
        if let Some(hall) = team.ledger.snapshot().into_iter().find(|state| *state.name == *HALL)
            && let Some(refused) = self.hall.due(now, hall.refused)
        {
            let (most, current, total) = (hall.value, hall.current, hall.refused);
            let why = "connections refused: too many clients have not said yet which TLS listener they want";
            tracing::warn!(reason = "too_many_handshakes", refused, total, most, current, "{why}");
        }
    }

    /// Whenever nobody is connected, what is open is what the process itself needs, and the ceiling is what the rest can carry. At its
    /// start it is not known yet: the API, pods and listeners come later.
    fn follow(&mut self, now: Instant, team: &Team, upstreams: u64) {
        let current = team.ledger.ceiling();
        if current.current > 0 || upstreams > 0 || self.looked.is_some_and(|at| now < at + LOOK) {
            return;
        }
        self.looked = Some(now);
        let ceiling = derive(Means::look(), team.settings.backends(), team.settings.max_connections);
        team.process.reserve_from(ceiling.reserved_from);
        if ceiling.value == current.value {
            return;
        }
        team.ledger.set_ceiling(CEILING.into(), ceiling.value);
        // A file more or less is not news.
        let said = *self.said.get_or_insert(current.value);
        if ceiling.value.abs_diff(said) > said / 20 {
            self.said = Some(ceiling.value);
            tracing::info!(connections = ceiling.value, derivation = %ceiling.derivation, "the most connections that this process takes now");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_at_once_and_then_in_sums() {
        let (mut told, now) = (Told::default(), Instant::now());
        assert_eq!(told.due(now, 0), None);
        assert_eq!(told.due(now, 3), Some(3));
        assert_eq!(told.due(now + QUIET / 2, 9), None);
        assert_eq!(told.due(now + QUIET, 9), Some(6));
        assert_eq!(told.due(now + QUIET * 9, 9), None);
    }
}
