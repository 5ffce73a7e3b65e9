//! Makes room while a limit is nearly full: connections that do nothing must not keep those out that would.
//!
//! | of a connection in a cell whose limit is | 90% full | full |
//! |---|---|---|
//! | idle between requests | is ended after six times [`Patience::idle`] | after that |
//! | without a first request | after twice [`Patience::silent`] | after that |
//! | whose client is waited for in an exchange | when it moves less than [`Patience::least_bytes_per_second`] for [`Patience::slow`] | so, too |
//!
//! No more of them than it takes to be below 90 percent. An exchange whose backend is waited for is never touched, nor is anything that a
//! policy sets a time for.
//!
//! [`Patience::idle`]: crate::Patience::idle
//! [`Patience::silent`]: crate::Patience::silent
//! [`Patience::slow`]: crate::Patience::slow
//! [`Patience::least_bytes_per_second`]: crate::Patience::least_bytes_per_second

use std::collections::HashMap;

use smallvec::SmallVec;
use weir_limits::Strain;

use super::Worker;
use super::timers::Bounds;
use crate::Patience;

/// From how many percent on.
const MARK: u64 = 90;

impl Worker {
    /// Ends connections that others could use the places of.
    pub(super) fn relieve(&self, now: u32) {
        let mut strained: SmallVec<[(usize, Vec<Strain>); 8]> = SmallVec::new();
        for listening in self.sockets.borrow().values() {
            let config = listening.socket.config();
            let own = config.port.secure.is_empty().then_some(&config.port.cell);
            let hall = own.is_none().then_some(&self.team.hall);
            for cell in own.into_iter().chain(hall).chain(config.port.secure.iter().map(|it| &it.cell)) {
                let strains = self.team.ledger.strains(cell, MARK);
                if !strains.is_empty() {
                    strained.push((cell.id(), strains));
                }
            }
        }
        // A port has a socket for each of its addresses.
        strained.sort_unstable_by_key(|(cell, _)| *cell);
        strained.dedup_by_key(|(cell, _)| *cell);
        // A limit over several cells needs its excess to go once, wherever it goes.
        let mut gone: HashMap<usize, u64> = HashMap::new();
        let workers = self.team.members.len() as u64;
        for (cell, strains) in strained {
            let left = |it: &Strain| it.excess.div_ceil(workers).saturating_sub(gone.get(&it.limit).copied().unwrap_or_default());
            let pressing = strains.iter().filter(|it| left(it) > 0);
            let Some((percent, most)) = pressing.map(|it| (it.percent, left(it))).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1))) else {
                continue;
            };
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            for (why, count) in self.timers.shed(cell, most, now, &self.bounds(percent)) {
                self.team.process.shed(why, count);
                for strain in &strains {
                    *gone.entry(strain.limit).or_default() += count;
                }
            }
        }
    }

    /// What is too long at this fullness.
    fn bounds(&self, percent: u64) -> Bounds {
        let Patience { idle, silent, slow, least_bytes_per_second } = self.settings.patience;
        let spare = (100 - percent.clamp(MARK, 100)) as u32;
        let least = u64::from(least_bytes_per_second).saturating_mul(slow.as_millis() as u64) / 1000;
        Bounds {
            idle: self.ticks(idle + idle / 2 * spare),
            silent: self.ticks(silent + silent / 10 * spare),
            slow: self.ticks(slow),
            least: u32::try_from(least).unwrap_or(u32::MAX),
        }
    }
}
