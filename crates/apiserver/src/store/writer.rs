//! The one thread that writes: checks, numbers, commits in batches, then shows.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::disk::{Disk, Row};
use super::memory::Event;
use super::stored::Interner;
use super::{CommitError, Expect, Job, Key, Shared, Stored};

/// Changes that share one transaction at most.
const BATCH: usize = 256;

type Answer = oneshot::Sender<Result<Arc<Stored>, CommitError>>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Disk,
    interner: Interner,
}

/// What a change does to what is there.
enum Step {
    Put(Option<Arc<Stored>>, Stored),
    Delete(Arc<Stored>),
}

/// A checked and numbered change, not yet on disk.
struct Numbered {
    key: Key,
    event: Event,
    json: Vec<u8>,
    answer: Answer,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, disk: Disk, interner: Interner) -> Self {
        Self { shared, disk, interner }
    }

    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let mut jobs = vec![first];
            while jobs.len() < BATCH
                && let Ok(job) = queue.try_recv()
            {
                jobs.push(job);
            }
            self.batch(jobs);
        }
    }

    fn batch(&mut self, jobs: Vec<Job>) {
        let mut version = self.shared.memory.read().version();
        let mut overlay: HashMap<Key, Option<Arc<Stored>>> = HashMap::new();
        let mut numbered: Vec<Numbered> = Vec::with_capacity(jobs.len());
        let mut refused = Vec::new();
        for mut job in jobs {
            match self.check(&overlay, &mut job) {
                Err(stale) => refused.push((job.answer, stale)),
                Ok(step) => {
                    version += 1;
                    let item = number(job, step, version, &mut self.interner);
                    overlay.insert(item.key.clone(), (!item.event.deleted).then(|| Arc::clone(&item.event.object)));
                    numbered.push(item);
                }
            }
        }
        if !numbered.is_empty() {
            self.store(numbered, version);
        }
        // Not before what made them stale can be read: else they would try again with the same old state.
        for (answer, stale) in refused {
            // The asker may be gone; nobody else needs to know.
            let _ = answer.send(Err(stale));
        }
    }

    /// Writes and shows checked changes, or tells why not.
    fn store(&mut self, numbered: Vec<Numbered>, version: u64) {
        let rows: Vec<Row<'_>> =
            numbered.iter().map(|n| Row { key: &n.key, json: (!n.event.deleted).then_some(n.json.as_slice()) }).collect();
        match self.disk.write(&rows, version) {
            Ok(()) => self.show(numbered),
            Err(reason) => {
                tracing::error!(%reason, "the API's database could not be written");
                let memory = self.shared.memory.read();
                for item in numbered {
                    // What this transaction left on disk is unknown: the next one puts back what is true.
                    self.disk.restore(item.key.clone(), memory.get(&item.key).map(|s| s.json()));
                    let _ = item.answer.send(Err(CommitError::Disk(reason.clone())));
                }
            }
        }
    }

    fn current(&self, overlay: &HashMap<Key, Option<Arc<Stored>>>, key: &Key) -> Option<Arc<Stored>> {
        match overlay.get(key) {
            Some(pending) => pending.clone(),
            None => self.shared.memory.read().get(key),
        }
    }

    fn check(&self, overlay: &HashMap<Key, Option<Arc<Stored>>>, job: &mut Job) -> Result<Step, CommitError> {
        if let Some((key, version)) = &job.guard
            && self.current(overlay, key).is_none_or(|g| g.version != *version)
        {
            return Err(CommitError::Stale);
        }
        match (job.expect, self.current(overlay, &job.key), job.object.take()) {
            (Expect::Absent, None, Some(object)) => Ok(Step::Put(None, object)),
            (Expect::Version(version), Some(current), Some(object)) if current.version == version => Ok(Step::Put(Some(current), object)),
            (Expect::Version(version), Some(current), None) if current.version == version => Ok(Step::Delete(current)),
            _ => Err(CommitError::Stale),
        }
    }

    fn show(&self, numbered: Vec<Numbered>) {
        let mut answers = Vec::with_capacity(numbered.len());
        {
            let mut memory = self.shared.memory.write();
            for item in numbered {
                answers.push((item.answer, Arc::clone(&item.event.object)));
                memory.apply(&item.key, item.event);
            }
            if memory.has_suspects() {
                self.shared.garbage.notify_one();
            }
        }
        for (answer, object) in answers {
            let _ = answer.send(Ok(object));
        }
    }
}

fn number(job: Job, step: Step, version: u64, interner: &mut Interner) -> Numbered {
    let key = interner.key(&job.key);
    let deleted = matches!(step, Step::Delete(_));
    let (previous, object) = match step {
        Step::Put(previous, object) => {
            let managed = match &previous {
                Some(previous) if previous.managed == job.managed => previous.managed.clone(),
                _ => interner.managed.intern(&job.managed),
            };
            (previous, object.settled(&key, managed, version, interner))
        }
        // The last state is told under the version of the deletion.
        Step::Delete(last) => {
            let object = last.under(version);
            (Some(last), object)
        }
    };
    let json = if deleted { Vec::new() } else { object.json() };
    Numbered { key, event: Event::new(previous, object.into(), deleted), json, answer: job.answer }
}
