//! What an API server makes of many HTTPRoutes: the embedded one, or another one by its kubeconfig. Run by `cargo xtask bench api`.
//!
//! ```text
//! cargo bench --profile dist -p weir --bench api -- [--routes N] [--kubeconfig FILE [--programs NAME,NAME]]
//! ```
//!
//! It prints `api NAME VALUE UNIT` lines. The embedded server is a process of its own on a disk, and syncs as it always does. With
//! `--programs` the memory and processor time of another server's processes are told, too.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

#[path = "api/objects.rs"]
mod objects;
#[path = "api/server.rs"]
mod server;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::{AsyncBufReadExt, StreamExt, TryStreamExt, stream};
use http::Request;
use kube::Client;
use serde_json::{Value, json};

use objects::{NAMESPACE, Plural, number};
use server::Processes;

/// Writes that are under way at the same time, where it is about throughput.
const AT_ONCE: usize = 32;
/// Writes that are measured, one by one or at once.
const WRITES: usize = 1000;
/// How often everything is listed.
const LISTS: usize = 10;
/// Watches that follow the same writes.
const WATCHES: usize = 10;
/// How many objects a page of a list has: as many as client-go asks for.
const PAGE: usize = 500;
/// Nothing here may take longer.
const PATIENCE: Duration = Duration::from_secs(600);

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| words.iter().position(|it| it == name).and_then(|at| words.get(at + 1));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        if let Some(folder) = option("--serve") {
            return server::serve(PathBuf::from(folder)).await;
        }
        let routes = option("--routes").map_or(Ok(10_000), |it| it.parse())?;
        let (kubeconfig, processes, _embedded) = match option("--kubeconfig") {
            Some(file) => (PathBuf::from(file), Processes::named(option("--programs").map_or("", String::as_str))?, None),
            None => {
                let embedded = server::Embedded::start()?;
                (embedded.kubeconfig(), Processes::of(&embedded), Some(embedded))
            }
        };
        let bench = Bench { client: server::connect(&kubeconfig).await?, routes, processes };
        tokio::time::timeout(PATIENCE, bench.run()).await?
    })
}

struct Bench {
    client: Client,
    routes: usize,
    processes: Processes,
}

impl Bench {
    async fn run(&self) -> Result<(), Failed> {
        self.prepare().await?;
        self.measure("create", self.routes, AT_ONCE, objects::create).await?;
        self.lists().await?;
        self.measure("get", WRITES, 1, |at| objects::get(number(at, self.routes))).await?;
        self.measure("patch", WRITES, 1, |at| objects::patch(number(at, self.routes), at)).await?;
        self.measure("patch/at-once", WRITES, AT_ONCE, |at| objects::patch(number(at, self.routes), at + WRITES)).await?;
        self.measure("patch-status/at-once", WRITES, AT_ONCE, |at| objects::patch_status(number(at, self.routes), at)).await?;
        self.watch(1).await?;
        self.watch(WATCHES).await?;
        self.watch_from_nothing().await?;
        self.processes.tell("all");
        Ok(())
    }

    /// The namespace, and the kind if nobody knows it.
    async fn prepare(&self) -> Result<(), Failed> {
        if self.client.request_text(objects::list(Plural::Routes, "limit=1")?).await.is_err() {
            for crd in weir_api::crds().iter().filter(|crd| crd["spec"]["names"]["kind"] == "HTTPRoute") {
                self.client.request_text(objects::post(Plural::Definitions, crd)?).await?;
            }
            while self.client.request_text(objects::list(Plural::Routes, "limit=1")?).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        self.client.request_text(objects::post(Plural::Namespaces, &namespace)?).await?;
        self.processes.tell("at rest");
        Ok(())
    }

    /// Sends `count` requests, `at_once` at a time, and tells how long one takes and how many there are in a second.
    async fn measure(
        &self,
        name: &str,
        count: usize,
        at_once: usize,
        request: impl Fn(usize) -> Result<Request<Vec<u8>>, Failed>,
    ) -> Result<(), Failed> {
        let before = self.processes.time();
        let start = Instant::now();
        let requests = stream::iter(0..count).map(|at| {
            let request = request(at);
            async move {
                let start = Instant::now();
                self.client.request_text(request?).await?;
                Ok::<_, Failed>(start.elapsed())
            }
        });
        let times: Vec<Duration> = requests.buffer_unordered(at_once).try_collect().await?;
        tell(name, times, Some(start.elapsed()));
        self.processes.tell_time(name, before, count);
        Ok(())
    }

    /// All objects: from storage, from a cache where there is one, by pages.
    async fn lists(&self) -> Result<(), Failed> {
        for (name, query) in [("list", ""), ("list/any-version", "resourceVersion=0")] {
            let (before, mut times, mut size) = (self.processes.time(), Vec::new(), 0);
            for _ in 0..LISTS {
                let start = Instant::now();
                size = self.client.request_text(objects::list(Plural::Routes, query)?).await?.len();
                times.push(start.elapsed());
            }
            tell(name, times, None);
            println!("api {name}/size {:.2} MiB", size as f64 / f64::from(1 << 20));
            self.processes.tell_time(name, before, LISTS);
        }
        let mut times = Vec::new();
        for _ in 0..LISTS {
            let start = Instant::now();
            let (mut token, mut seen) = (String::new(), 0);
            loop {
                let text = self.client.request_text(objects::list(Plural::Routes, &format!("limit={PAGE}&continue={token}"))?).await?;
                let page: Value = serde_json::from_str(&text)?;
                seen += page["items"].as_array().map_or(0, Vec::len);
                match page["metadata"]["continue"].as_str() {
                    Some(next) if !next.is_empty() => token = next.to_owned(),
                    _ => break,
                }
            }
            if seen != self.routes {
                return Err(format!("{seen} objects were listed by pages").into());
            }
            times.push(start.elapsed());
        }
        tell("list/pages", times, None);
        Ok(())
    }

    /// How long it takes until `watches` have seen as many writes, from the first one on.
    async fn watch(&self, watches: usize) -> Result<(), Failed> {
        let version = self.version().await?;
        let mut followers = Vec::new();
        for _ in 0..watches {
            let query = format!("watch=true&resourceVersion={version}");
            let mut lines = self.client.request_stream(objects::list(Plural::Routes, &query)?).await?.lines();
            followers.push(tokio::spawn(async move {
                for _ in 0..WRITES {
                    lines.next().await.ok_or("the watch has ended")?.map_err(|error| error.to_string())?;
                }
                Ok::<_, String>(Instant::now())
            }));
        }
        let before = self.processes.time();
        let start = Instant::now();
        let requests = stream::iter(0..WRITES).map(|at| async move {
            // Numbers that no write before had: what changes nothing is not told.
            self.client.request_text(objects::patch(number(at, self.routes), at + (watches + 2) * WRITES)?).await?;
            Ok::<_, Failed>(())
        });
        requests.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        let written = start.elapsed();
        let mut last = start;
        for follower in followers {
            last = last.max(follower.await??);
        }
        let name = format!("watch/{watches}");
        println!("api {name}/all-seen {:.1} ms", (last - start).as_secs_f64() * 1000.0);
        println!("api {name}/behind {:.1} ms", ((last - start).saturating_sub(written)).as_secs_f64() * 1000.0);
        self.processes.tell_time(&name, before, WRITES);
        Ok(())
    }

    /// How long it takes until a watch that begins with what there is has told all.
    async fn watch_from_nothing(&self) -> Result<(), Failed> {
        let mut times = Vec::new();
        for _ in 0..LISTS {
            let start = Instant::now();
            let lines = self.client.request_stream(objects::list(Plural::Routes, "watch=true&resourceVersion=0")?).await?.lines();
            let seen = lines.take(self.routes).try_fold(0, |seen, _| async move { Ok(seen + 1) }).await?;
            if seen != self.routes {
                return Err(format!("{seen} objects were told").into());
            }
            times.push(start.elapsed());
        }
        tell("watch/from-nothing", times, None);
        Ok(())
    }

    async fn version(&self) -> Result<String, Failed> {
        let list: Value = serde_json::from_str(&self.client.request_text(objects::list(Plural::Routes, "limit=1")?).await?)?;
        Ok(list["metadata"]["resourceVersion"].as_str().ok_or("a list has a version")?.to_owned())
    }
}

/// Tells the median and what one in a hundred exceeds; and how many there were in a second of `all`.
fn tell(name: &str, mut times: Vec<Duration>, all: Option<Duration>) {
    times.sort();
    let millis = |share: usize| times.get((times.len() * share / 100).min(times.len() - 1)).map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    println!("api {name}/p50 {:.2} ms", millis(50));
    println!("api {name}/p99 {:.2} ms", millis(99));
    if let Some(all) = all {
        println!("api {name}/rate {:.0} per-second", times.len() as f64 / all.as_secs_f64());
    }
}
