//! The event loop: takes in what watches, writes and containers report, and reconciles what that touches.

mod pods;
mod services;
#[cfg(test)]
mod tests;
mod workloads;

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::Config;
use crate::address::Addresses;
use crate::dns::Resolver;
use crate::events::Recorder;
use crate::kubelet::status::ContainerView;
use crate::kubelet::{Kubelet, Shared};
use crate::logs::LogStore;
use crate::meta::ObjectName;
use crate::plan::{Kind, Note, Plan, Write};
use crate::queue::{Key, Queue};
use crate::watcher::Change;
use crate::workload::Workload;
use crate::world::{HasMeta, Object, Store, Taken, World};
use crate::write::{self, Written};
use services::ServiceRun;

/// What the loop hears.
pub(crate) enum Input {
    Watch(Change),
    /// The answer to a write of ours; it may come before the watch tells.
    Written(Object),
    /// All writes of a key have been made, or one failed.
    Finished {
        key: Key,
        failure: Option<kube::Error>,
        notes: Vec<Note>,
    },
    /// A container's state changed.
    Container {
        pod: ObjectName,
        uid: String,
        index: usize,
        view: ContainerView,
    },
    /// A stopped pod's containers have all ended.
    PodEnded {
        pod: ObjectName,
        uid: String,
    },
    /// Ends everything.
    Stop {
        grace: Duration,
        done: oneshot::Sender<()>,
    },
}

/// How far the start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The first lists are being read.
    Listing,
    /// Everything is known and is being taken care of.
    Listed,
    /// Everything found at the start has been taken care of.
    Settled,
}

const KINDS: usize = 6;
/// Keys whose writes are made at a time. Each may be a connection to the API.
const WRITERS: usize = 16;
/// Keys looked at before inputs are taken in again.
const BATCH: usize = 64;
/// A failure that lasts this long is no race.
const LASTING: Duration = Duration::from_millis(100);

pub(crate) struct Driver {
    config: Config,
    /// Containers that may run at a time.
    capacity: usize,
    /// Pods that wait for a place.
    waiting: BTreeSet<ObjectName>,
    world: World,
    queue: Queue,
    kubelet: Kubelet,
    services: HashMap<ObjectName, ServiceRun>,
    addresses: Addresses,
    resolver: Resolver,
    recorder: Recorder,
    inputs: mpsc::Sender<Input>,
    listed: BTreeSet<Kind>,
    writers: Arc<Semaphore>,
    stopping: Option<oneshot::Sender<()>>,
}

impl Driver {
    pub(crate) fn new(
        config: Config,
        capacity: usize,
        workloads: Vec<Arc<dyn Workload>>,
        logs: LogStore,
        resolver: Resolver,
        recorder: Recorder,
        inputs: mpsc::Sender<Input>,
    ) -> Driver {
        let addresses = Addresses::new(&config.address_seed);
        let kubelet = Kubelet::new(Shared {
            client: config.client.clone(),
            workloads,
            logs,
            recorder: recorder.clone(),
            inputs: inputs.clone(),
            host_ip: addresses.node(),
        });
        Driver {
            config,
            capacity,
            waiting: BTreeSet::new(),
            world: World::default(),
            queue: Queue::default(),
            kubelet,
            services: HashMap::new(),
            addresses,
            resolver,
            recorder,
            inputs,
            listed: BTreeSet::new(),
            writers: Arc::new(Semaphore::new(WRITERS)),
            stopping: None,
        }
    }

    /// Runs until stopped.
    pub(crate) async fn run(mut self, mut inputs: mpsc::Receiver<Input>, progress: watch::Sender<Progress>) {
        loop {
            let works = self.listed.len() == KINDS && self.stopping.is_none();
            if works {
                self.work();
                self.tell(&progress);
            }
            if self.kubelet.runs.values().all(|r| r.ended)
                && let Some(done) = self.stopping.take()
            {
                let _ = done.send(());
                return;
            }
            if works && self.queue.has_ready() {
                // There is more to do, and others have their turn as well.
                tokio::task::yield_now().await;
            } else {
                let due = self.queue.due().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
                tokio::select! {
                    input = inputs.recv() => match input {
                        Some(input) => self.take(input),
                        None => return,
                    },
                    () = tokio::time::sleep_until(due) => {}
                }
            }
            // All there is, before anything is decided: fewer writes, and no decision on half a change.
            while let Ok(input) = inputs.try_recv() {
                self.take(input);
            }
        }
    }

    /// Looks at what is due, for a while: what becomes due meanwhile, or is left, comes after the inputs of that time.
    fn work(&mut self) {
        let now = Instant::now();
        for _ in 0..BATCH {
            let Some(key) = self.queue.next(now) else { return };
            self.reconcile(key);
        }
    }

    fn tell(&self, progress: &watch::Sender<Progress>) {
        let settled = self.queue.is_idle() && self.kubelet.has_reported();
        progress.send_if_modified(|p| {
            let next = if *p == Progress::Settled || settled { Progress::Settled } else { Progress::Listed };
            let news = *p != next;
            *p = next;
            news
        });
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Watch(Change::Applied(object)) | Input::Written(object) => self.upsert(object),
            Input::Watch(Change::Deleted(object)) => self.remove(&object),
            Input::Watch(Change::Listed(kind, objects)) => self.replace(kind, objects),
            Input::Finished { key, failure, notes } => self.finished(key, failure, notes),
            Input::Container { pod, uid, index, view } => {
                let run = self.kubelet.runs.get_mut(&pod).filter(|r| r.uid == uid);
                if let Some(place) = run.and_then(|r| r.views.get_mut(index)) {
                    *place = Some(view);
                    self.queue.add(Key::Pod(pod));
                }
            }
            Input::PodEnded { pod, uid } => {
                if let Some(run) = self.kubelet.runs.get_mut(&pod).filter(|r| r.uid == uid) {
                    run.ended = true;
                    self.queue.add(Key::Pod(pod));
                }
            }
            Input::Stop { grace, done } => {
                let names: Vec<ObjectName> = self.kubelet.runs.keys().cloned().collect();
                names.iter().for_each(|name| self.kubelet.stop(name, grace));
                self.stopping = Some(done);
            }
        }
    }

    fn finished(&mut self, key: Key, failure: Option<kube::Error>, notes: Vec<Note>) {
        notes.into_iter().for_each(|note| self.recorder.note(note));
        match failure {
            None => self.queue.done(key),
            Some(error) => {
                let delay = self.queue.failed(key.clone(), Instant::now());
                // Conflicts and races are everyday; what lasts is worth telling.
                if delay < LASTING {
                    return tracing::debug!(?key, %error, ?delay, "a write failed; it is tried again");
                }
                tracing::warn!(?key, %error, ?delay, "a write failed; it is tried again");
                self.note_failed_create(&key, &error);
            }
        }
    }

    fn reconcile(&mut self, key: Key) {
        // A defect in one object's controller is that object's: it is tried again later, and the node lives on.
        let plan = match std::panic::catch_unwind(AssertUnwindSafe(|| self.plan(&key))) {
            Ok(plan) => plan,
            Err(_) => {
                let delay = self.queue.failed(key.clone(), Instant::now()).max(LASTING);
                return tracing::error!(
                    ?key,
                    ?delay,
                    "the controller of this object panicked, which is a defect of Weir; it is tried again"
                );
            }
        };
        let Plan { writes, notes, again_after } = plan;
        if let Some(delay) = again_after {
            self.queue.add_after(key.clone(), delay, Instant::now());
        }
        if writes.is_empty() {
            notes.into_iter().for_each(|note| self.recorder.note(note));
            self.queue.done(key);
            return;
        }
        self.write(key, writes, notes);
    }

    fn plan(&mut self, key: &Key) -> Plan {
        match key {
            Key::Deployment(name) => self.deployment(name),
            Key::ReplicaSet(name) => self.replica_set(name),
            Key::Job(name) => self.job(name),
            Key::Pod(name) => self.pod(name),
            Key::Service(name) => self.service(name),
        }
    }

    /// Makes the writes of a key, one after the other, beside those of other keys.
    fn write(&self, key: Key, writes: Vec<Write>, notes: Vec<Note>) {
        let (client, inputs, writers) = (self.config.client.clone(), self.inputs.clone(), self.writers.clone());
        tokio::spawn(async move {
            let _writer = writers.acquire_owned().await;
            let mut failure = None;
            for write in &writes {
                match write::perform(&client, write).await {
                    Ok(Written::Object(object)) => drop(inputs.send(Input::Written(object)).await),
                    Ok(Written::Gone) => {}
                    Err(error) => {
                        tracing::debug!(?write, %error, "write failed");
                        failure = Some(error);
                        break;
                    }
                }
            }
            // A note tells of something done.
            let notes = if failure.is_none() { notes } else { Vec::new() };
            let _ = inputs.send(Input::Finished { key, failure, notes }).await;
        });
    }

    fn upsert(&mut self, object: Object) {
        match object {
            Object::Deployment(o) => self.upsert_deployment(*o),
            Object::ReplicaSet(o) => self.upsert_replica_set(*o),
            Object::Job(o) => self.upsert_job(*o),
            Object::Pod(o) => self.upsert_pod(*o),
            Object::Service(o) => {
                let name = ObjectName::of(&o.metadata);
                if let Taken::News(_) = self.world.services.upsert(*o) {
                    self.queue.add(Key::Service(name));
                }
            }
            Object::Slice(o) => {
                let service = services::service_of(&o);
                if let Taken::News(_) = self.world.slices.upsert(*o) {
                    self.queue_service(service);
                }
            }
        }
    }

    fn remove(&mut self, object: &Object) {
        match object {
            Object::Deployment(o) => self.remove_deployment(&ObjectName::of(&o.metadata), o.metadata.uid.as_deref()),
            Object::ReplicaSet(o) => self.remove_replica_set(&ObjectName::of(&o.metadata), o.metadata.uid.as_deref()),
            Object::Job(o) => self.remove_job(&ObjectName::of(&o.metadata), o.metadata.uid.as_deref()),
            Object::Pod(o) => self.remove_pod(&ObjectName::of(&o.metadata), o.metadata.uid.as_deref()),
            Object::Service(o) => {
                let name = ObjectName::of(&o.metadata);
                self.world.services.remove(&name, o.metadata.uid.as_deref());
                self.queue.add(Key::Service(name));
            }
            Object::Slice(o) => {
                self.world.slices.remove(&ObjectName::of(&o.metadata), o.metadata.uid.as_deref());
                self.queue_service(services::service_of(o));
            }
        }
    }

    /// Takes a whole list: what is not in it is gone.
    fn replace(&mut self, kind: Kind, objects: Vec<Object>) {
        macro_rules! drop_missing {
            ($store:ident, $variant:ident) => {{
                let listed: Vec<_> =
                    objects.iter().filter_map(|o| if let Object::$variant(o) = o { Some((**o).clone()) } else { None }).collect();
                let (gone, unsure) = self.world.$store.missing_from(&listed);
                for known in gone {
                    self.remove(&Object::$variant(Box::new((*known).clone())));
                    self.world.$store.may_return(known.metadata.uid.as_deref().unwrap_or_default());
                }
                for known in unsure {
                    self.look_up(kind, &known.metadata, Object::$variant(Box::new((*known).clone())));
                }
            }};
        }
        match kind {
            Kind::Deployment => drop_missing!(deployments, Deployment),
            Kind::ReplicaSet => drop_missing!(replica_sets, ReplicaSet),
            Kind::Job => drop_missing!(jobs, Job),
            Kind::Pod => drop_missing!(pods, Pod),
            Kind::Service => drop_missing!(services, Service),
            Kind::Slice => drop_missing!(slices, Slice),
        }
        objects.into_iter().for_each(|object| self.upsert(object));
        if self.listed.insert(kind) && self.listed.len() == KINDS {
            self.begin();
        }
    }

    /// Asks whether an object is still there that a list lacks: its deletion may be what the watch missed.
    fn look_up(&self, kind: Kind, meta: &ObjectMeta, object: Object) {
        let (client, inputs) = (self.config.client.clone(), self.inputs.clone());
        let (name, uid) = (ObjectName::of(meta), meta.uid.clone().unwrap_or_default());
        tokio::spawn(async move {
            if write::is_gone(&client, kind, &name, &uid).await {
                let _ = inputs.send(Input::Watch(Change::Deleted(object))).await;
            }
        });
    }

    /// Everything is known for the first time: what is in use is marked, and what nobody needs any more removed.
    fn begin(&mut self) {
        tracing::debug!("everything is listed");
        self.mark_addresses();
        // What ran before has its place before what only waited for one.
        let pods = &self.world.pods;
        self.queue.prefer(|key| matches!(key, Key::Pod(name) if pods.get(name).is_some_and(|pod| pods::has_started(pod))));
        let uids: Vec<(ObjectName, String)> =
            self.world.pods.all().map(|(name, pod)| (name.clone(), pod.metadata.uid.clone().unwrap_or_default())).collect();
        self.kubelet.shared.logs.sweep(uids.iter().map(|(name, uid)| (name, uid.as_str())));
    }
}

/// Objects of a store that a uid's owner manages.
fn owned<'a, K: HasMeta>(store: &'a Store<K>, namespace: &'a str, uid: Option<&'a str>) -> impl Iterator<Item = &'a K> {
    store.in_namespace(namespace).map(Arc::as_ref).filter(move |o| crate::meta::owned_by(o.meta(), uid))
}
