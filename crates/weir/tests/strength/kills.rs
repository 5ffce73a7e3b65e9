//! `kill -9` at any moment.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::core::WatchEvent;
use serde_json::json;

use crate::api::{Answer, Api, MAPS, version};
use crate::common::{PATIENCE, isolated};
use crate::ledger::{Ledger, SHARED, State, object, what};
use crate::random::{Random, number};
use crate::server::{answering, kill, runtime, spawn};

const CLIENTS: u64 = 16;
/// Own objects of each client.
const OBJECTS: u64 = 4;
const SHARED_OBJECTS: u64 = 2;
/// Lives, and the writes in the middle of which each ends: what fits into every run of the tests, and with `WEIR_TEST_KILLS`.
const FEW: (u64, u64) = (5, 200);
const MANY_WRITES: u64 = 1000;

/// What the clients of one life share.
struct Life {
    id: u32,
    ledger: Mutex<Ledger>,
    /// The highest version before it.
    before: u64,
    /// With this many writes acknowledged the end comes, this much later.
    end: (u64, Duration),
}

impl Life {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no client failed")
    }

    /// Ends the server when its time has come. By then others may have counted on.
    async fn count(&self) {
        if self.ledger().acknowledged >= self.end.0 {
            tokio::time::sleep(self.end.1).await;
            kill(self.id);
        }
    }
}

#[test]
fn what_was_acknowledged_outlives_kills_in_the_middle_of_writes() {
    isolated("kills::what_was_acknowledged_outlives_kills_in_the_middle_of_writes", || {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let mut random = Random::new(Random::seed());
        let runtime = runtime();
        let lives = number("WEIR_TEST_KILLS", FEW.0);
        let writes = if lives > FEW.0 { MANY_WRITES } else { FEW.1 };
        let (mut ledger, mut starts, mut slowest) = (Ledger::default(), Vec::new(), Duration::from_millis(300));
        for round in 0..lives {
            if round > 0 {
                let weir = spawn(&data);
                std::thread::sleep(slowest.mul_f64(random.below(1000) as f64 / 1000.0));
                weir.signal("KILL");
            }
            let start = Instant::now();
            let mut weir = spawn(&data);
            let api = runtime.block_on(answering(&data));
            starts.push(start.elapsed().as_millis());
            slowest = slowest.max(start.elapsed());
            runtime.block_on(async { ledger.settle(&api.get(MAPS).await.done()) });
            println!("life {round}: {} ms to start, {} objects, version {}", starts[starts.len() - 1], ledger.slots.len(), ledger.highest);
            let end = (ledger.acknowledged + 1 + random.below(writes), Duration::from_micros(random.below(3000)));
            let before = ledger.highest;
            let life = Arc::new(Life { id: weir.id(), ledger: Mutex::new(ledger), before, end });
            runtime.block_on(live(&data, &api, &life, &mut random));
            weir.wait();
            ledger = Arc::into_inner(life).expect("all clients are gone").ledger.into_inner().expect("none failed");
        }
        let _weir = spawn(&data);
        runtime.block_on(async { ledger.settle(&answering(&data).await.get(MAPS).await.done()) });
        starts.sort_unstable();
        println!("{} writes; starts took {starts:?} ms", ledger.acknowledged);
    });
}

#[test]
fn a_start_that_was_killed_leaves_nothing_in_the_way_of_the_next() {
    isolated("kills::a_start_that_was_killed_leaves_nothing_in_the_way_of_the_next", || {
        let runtime = runtime();
        let mut first = Duration::from_millis(300);
        for round in 0..6 {
            let folder = tempfile::tempdir().expect("a folder");
            let data = folder.path().join("data");
            let weir = spawn(&data);
            // From the very begin, over the files being made one by one, to some time after the first answer.
            std::thread::sleep(first.mul_f64(f64::from(round) / 5.0));
            weir.signal("KILL");
            drop(weir);
            let start = Instant::now();
            let _weir = spawn(&data);
            let api = runtime.block_on(answering(&data));
            first = if round == 0 { start.elapsed() } else { first };
            runtime.block_on(async {
                api.create(&object("first", 1)).await.done();
            });
        }
    });
}

/// One life, from its first client to its end by `life.end`.
async fn live(data: &Path, api: &Api, life: &Arc<Life>, random: &mut Random) {
    let mut tasks = Vec::new();
    for path in [MAPS, "/api/v1/pods", "/apis/coordination.k8s.io/v1/leases"] {
        tasks.push(tokio::spawn(look(Api::open(data).await.expect("it answers"), path, life.before, Arc::clone(life))));
    }
    for number in 0..SHARED_OBJECTS {
        match api.create(&json!({ "metadata": { "name": format!("{SHARED}{number}") } })).await {
            Answer::Done(_) | Answer::Refused(409, _) => {}
            other => panic!("{other:?}"),
        }
    }
    // All before the first of them writes: the end may come with the first write.
    let mut apis = Vec::new();
    for client in 0..CLIENTS {
        apis.push(if client % 4 == 0 { Api::open(data).await.expect("it answers") } else { api.clone() });
    }
    for (client, api) in (0..).zip(apis) {
        tasks.push(tokio::spawn(write(api, client, Random::new(random.next()), Arc::clone(life))));
    }
    for task in tasks {
        tokio::time::timeout(PATIENCE, task).await.expect("the end came").expect("no client failed");
    }
}

/// A client that changes its objects and its keys of the shared ones, until nobody answers.
async fn write(api: Api, client: u64, mut random: Random, life: Arc<Life>) {
    loop {
        let shared = random.below(4) == 0;
        let (name, key) = match shared {
            true => (format!("{SHARED}{}", random.below(SHARED_OBJECTS)), format!("c{client}")),
            false => (format!("own-{client}-{}", random.below(OBJECTS)), String::new()),
        };
        let slot = if shared { format!("{name}/{key}") } else { name.clone() };
        let (sure, step) = life.ledger().step(&slot);
        let deletes = !shared && sure != State::Absent && random.below(5) == 0;
        let wanted = if deletes { State::Absent } else { State::Holds(step) };
        life.ledger().asked(&slot, wanted);
        let answer = match (sure, random.below(3)) {
            _ if shared => api.merge(&name, &json!({ "data": { key: step.to_string() } })).await,
            _ if deletes => api.delete(&name).await,
            (State::Absent, 0..2) => api.create(&object(&name, step)).await,
            (State::Absent, _) | (_, 0) => api.apply(&name, &object(&name, step)).await,
            (_, 1) => api.merge(&name, &object(&name, step)).await,
            _ => api.replace(&name, &object(&name, step)).await,
        };
        match answer {
            Answer::Done(done) => {
                let mut ledger = life.ledger();
                let version = (!deletes).then(|| version(&done));
                if let Some(version) = version {
                    assert!(version > life.before, "{version} was handed out before, up to {}", life.before);
                    ledger.note(version, what(false, &done));
                }
                ledger.acknowledged(&slot, wanted, version);
            }
            Answer::Unknown => return,
            // Too many change the shared object at once.
            Answer::Refused(500, message) if shared && message.contains("concurrent") => life.ledger().refused(&slot),
            Answer::Refused(status, message) => panic!("{slot}: {status} {message}"),
        }
        life.count().await;
    }
}

/// A client that watches until nobody tells it more.
async fn look(api: Api, path: &'static str, begin: u64, life: Arc<Life>) {
    let mut position = begin;
    let Some(mut events) = api.watch(path, begin).await else { return };
    while let Some(event) = events.next().await {
        let (kind, object) = match event {
            WatchEvent::Added(object) => ("ADDED", object),
            WatchEvent::Modified(object) => ("MODIFIED", object),
            WatchEvent::Deleted(object) => ("DELETED", object),
            WatchEvent::Bookmark(bookmark) => {
                ("BOOKMARK", json!({ "metadata": { "resourceVersion": bookmark.metadata.resource_version } }))
            }
            WatchEvent::Error(status) => panic!("{path}: {status:?}"),
        };
        let now = version(&object);
        assert!(now > position || (kind == "BOOKMARK" && now == position), "{path}: {now} after {position}");
        position = now;
        let mut ledger = life.ledger();
        ledger.highest = ledger.highest.max(now);
        if path == MAPS && kind != "BOOKMARK" {
            ledger.seen(kind, &object);
        } else if kind != "BOOKMARK" {
            ledger.note(now, what(kind == "DELETED", &object));
        }
    }
}
