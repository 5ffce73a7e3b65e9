//! Requests to the API server under way: statuses, objects, Events. At most one for each object, and a bounded number in all.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::events::{self, Recorder, seconds};
use crate::provision::{self, Item, Op};
use crate::status::{self, Job};
use crate::world::World;

/// Requests of one sort at once: enough to be quick, too few to crowd out an API server.
const SLOTS: usize = 16;
/// A request that takes longer has gone astray (a half-open TCP connection says nothing) and is made again.
const PATIENCE: Duration = Duration::from_secs(30);
const NO_ANSWER: &str = "the API server did not answer in time, or another controller leads";

/// A request that has ended.
pub(crate) enum Done {
    /// A status was written, or not.
    Status(Job, status::Outcome),
    /// An object was made, changed or deleted, or not.
    Object(Item, &'static str, provision::Outcome),
    /// An Event was written, or not.
    Event(events::Key, events::Outcome),
}

/// The requests under way.
pub(crate) struct Work {
    client: kube::Client,
    namespace: String,
    leads: watch::Receiver<bool>,
    tasks: JoinSet<Done>,
    statuses: usize,
    objects: usize,
    events: usize,
}

impl Work {
    /// Nothing under way. Objects are made in `namespace`; what is under way is given up as soon as this replica no longer `leads`.
    pub(crate) fn new(client: kube::Client, namespace: &str, leads: watch::Receiver<bool>) -> Self {
        Self { client, namespace: namespace.to_owned(), leads, tasks: JoinSet::new(), statuses: 0, objects: 0, events: 0 }
    }

    /// The next request that has ended; pending while there is none. Cancel-safe.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Done> {
        match self.tasks.join_next().await {
            Some(done) => Ok(done?),
            None => std::future::pending().await,
        }
    }

    /// When something may be due that no event announces. Statuses are not written before `hold`.
    pub(crate) fn wake(&self, now: Instant, hold: Option<Instant>, world: &World, events: &Recorder) -> Option<Instant> {
        // Where all slots are taken, the end of a request is what to wait for.
        let free = |taken: usize| (taken < SLOTS).then_some(());
        let statuses = free(self.statuses).and_then(|()| world.board.wake(now)).map(|at| hold.map_or(at, |hold| at.max(hold)));
        let objects = free(self.objects).and_then(|()| world.fleet.wake(now));
        let events = free(self.events).and_then(|()| events.wake(now));
        [statuses, objects, events].into_iter().flatten().min()
    }

    /// Starts every request that is due.
    pub(crate) fn start(&mut self, now: Instant, hold: Option<Instant>, world: &mut World, events: &mut Recorder) {
        if hold.is_none_or(|until| until <= now) {
            let time = seconds(Timestamp::now());
            for job in world.board.due(now, &time, SLOTS.saturating_sub(self.statuses)) {
                self.statuses += 1;
                let (client, leads) = (self.client.clone(), self.leads.clone());
                self.tasks.spawn(async move {
                    let write = while_leading(leads, status::write(client, &job)).await;
                    let outcome = write.unwrap_or_else(|| status::Outcome::Failed(NO_ANSWER.to_owned()));
                    Done::Status(job, outcome)
                });
            }
        }
        for (item, op) in world.fleet.due(now, SLOTS.saturating_sub(self.objects)) {
            self.objects += 1;
            let (client, namespace, leads) = (self.client.clone(), self.namespace.clone(), self.leads.clone());
            let verb = match &op {
                Op::Create(_) => "created",
                Op::Patch(_) => "updated",
                Op::Delete(_) => "deleted",
            };
            self.tasks.spawn(async move {
                let write = while_leading(leads, provision::write(client, &namespace, &item, op)).await;
                let outcome = write.unwrap_or_else(|| provision::Outcome::Failed(NO_ANSWER.to_owned()));
                Done::Object(item, verb, outcome)
            });
        }
        for (key, write) in events.due(now, SLOTS.saturating_sub(self.events)) {
            self.events += 1;
            let (client, leads) = (self.client.clone(), self.leads.clone());
            self.tasks.spawn(async move {
                let write = while_leading(leads, write_event(client, &key, write)).await;
                let outcome = write.unwrap_or(events::Outcome::Failed);
                Done::Event(key, outcome)
            });
        }
    }

    /// Takes in what became of a request; whether a translation may now say something else.
    pub(crate) fn done(&mut self, done: Done, now: Instant, world: &mut World, events: &mut Recorder) -> bool {
        match done {
            Done::Status(job, outcome) => {
                self.statuses = self.statuses.saturating_sub(1);
                status_done(job, outcome, now, world);
                false
            }
            Done::Object(item, verb, outcome) => {
                self.objects = self.objects.saturating_sub(1);
                object_done(&item, verb, outcome, now, world);
                true
            }
            Done::Event(key, outcome) => {
                self.events = self.events.saturating_sub(1);
                events.done(&key, outcome, now);
                false
            }
        }
    }
}

/// What a request comes to; none when it takes too long, or this replica no longer leads: it must write nothing then, not even late.
async fn while_leading<T>(mut leads: watch::Receiver<bool>, request: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        // Nobody there any more to say so is as good as a no.
        _ = leads.wait_for(|leads| !leads) => None,
        done = timeout(PATIENCE, request) => done.ok(),
    }
}

fn status_done(job: Job, outcome: status::Outcome, now: Instant, world: &mut World) {
    let error = if let status::Outcome::Failed(error) = &outcome { Some(error.clone()) } else { None };
    world.board.done(&job, outcome, now);
    let Some(error) = error else { return };
    // Said once; what follows is the same until it works.
    if world.board.failures(&job.key) == 1 {
        tracing::warn!(object = %job.key, %error, "cannot write a status; trying again");
    } else {
        tracing::debug!(object = %job.key, %error, "cannot write a status");
    }
}

fn object_done(item: &Item, verb: &str, outcome: provision::Outcome, now: Instant, world: &mut World) {
    let (kind, name) = (item.kind().names().2, &item.name);
    match &outcome {
        provision::Outcome::Stored(_) | provision::Outcome::Gone => tracing::info!(name, "{verb} {kind}"),
        provision::Outcome::Foreign => tracing::error!(name, "a {kind} of that name is not the controller's; delete or rename it"),
        provision::Outcome::Failed(error) => tracing::warn!(name, %error, "a {kind} could not be {verb}; trying again"),
    }
    world.fleet.done(item, outcome, now);
}

async fn write_event(client: kube::Client, key: &events::Key, write: events::Write) -> events::Outcome {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Event"), "events");
    let api: Api<DynamicObject> = Api::namespaced_with(client, &key.involved.namespace, &resource);
    let result = match write {
        events::Write::Create(event) => match serde_json::from_value(event) {
            Ok(event) => api.create(&PostParams::default(), &event).await,
            Err(error) => Err(kube::Error::SerdeError(error)),
        },
        events::Write::Update(name, change) => api.patch(&name, &PatchParams::default(), &Patch::Merge(change)).await,
    };
    match result {
        Ok(_) => events::Outcome::Written,
        Err(kube::Error::Api(status)) if status.code == 404 => events::Outcome::Gone,
        Err(error) => {
            tracing::debug!(%error, object = key.involved.name, "cannot write an Event");
            events::Outcome::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_leads_no_more_gives_up_what_is_under_way() {
        let (leads, led) = watch::channel(true);
        assert_eq!(while_leading(led.clone(), async { 1 }).await, Some(1));
        let pending = tokio::spawn(while_leading(led.clone(), std::future::pending::<u8>()));
        tokio::task::yield_now().await;
        leads.send_replace(false);
        assert_eq!(pending.await.expect("no panic"), None);
        assert_eq!(while_leading(led.clone(), async { 1 }).await, None, "nor is anything begun");
        leads.send_replace(true);
        drop(leads);
        assert_eq!(while_leading(led, std::future::pending::<u8>()).await, None);
    }
}
