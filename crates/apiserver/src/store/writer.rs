//! The one thread that writes: checks, numbers, commits in batches, then shows.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::disk::{Disk, Row};
use super::memory::Event;
use super::{Change, CommitError, Expect, Job, Key, Shared, Stored};
use crate::apply::Interner;
use crate::object::ObjectExt;

/// Changes that share one transaction at most.
const BATCH: usize = 256;

type Answer = oneshot::Sender<Result<Arc<Stored>, CommitError>>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Disk,
    interner: Interner,
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
        for (change, answer) in jobs {
            match self.check(&overlay, &change) {
                Err(stale) => refused.push((answer, stale)),
                Ok(previous) => {
                    version += 1;
                    let item = number(change, previous, version, answer, &mut self.interner);
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

    fn check(&self, overlay: &HashMap<Key, Option<Arc<Stored>>>, change: &Change) -> Result<Option<Arc<Stored>>, CommitError> {
        if let Some((key, version)) = &change.guard
            && self.current(overlay, key).is_none_or(|g| g.version != *version)
        {
            return Err(CommitError::Stale);
        }
        let current = self.current(overlay, &change.key);
        let fits = match (&change.expect, &current) {
            (Expect::Absent, None) => change.object.is_some(),
            (Expect::Version(version), Some(current)) => current.version == *version,
            _ => false,
        };
        if fits { Ok(current) } else { Err(CommitError::Stale) }
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

fn number(change: Change, previous: Option<Arc<Stored>>, version: u64, answer: Answer, interner: &mut Interner) -> Numbered {
    let deleted = change.object.is_none();
    let last = || previous.as_ref().map(|p| p.value.clone()).unwrap_or(Value::Null);
    let mut value = change.object.unwrap_or_else(last);
    value.set_meta("resourceVersion", version.to_string());
    let managed = match &previous {
        // Told by the last state of what is deleted too.
        Some(previous) if deleted || previous.managed == change.managed => previous.managed.clone(),
        _ => interner.intern(&change.managed),
    };
    let object = Stored::new(value, managed, version);
    let json = object.json();
    let size = json.len();
    Numbered { key: change.key, event: Event { version, previous, object, deleted, size }, json, answer }
}
