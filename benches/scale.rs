//! What many routes cost the built binary, as its users meet them: how long a cold start with `-f` takes, how much memory is held, and how soon a
//! change is in force while requests flow.
//!
//! It prints `scale NAME VALUE` lines. The data plane has one worker, pinned to the first core; everything else runs wherever
//! there is room.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

#[path = "../crates/weir/tests/scale/client.rs"]
mod client;
#[path = "../crates/weir/tests/scale/load.rs"]
mod load;
#[path = "../crates/weir/tests/scale/manifest.rs"]
mod manifest;
#[path = "../crates/weir/tests/scale/objects.rs"]
mod objects;
#[path = "../crates/weir/tests/scale/origin.rs"]
mod origin;
#[path = "scale/process.rs"]
mod process;

use std::path::Path;
use std::time::{Duration, Instant};

use client::Connection;
use kube::api::{Api, DynamicObject};
use load::Load;
use process::Weir;

/// Nothing here may take longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// How much of what the worker can do the load takes.
const SHARE: f64 = 0.6;
/// How long the load's price is measured.
const CALIBRATION: Duration = Duration::from_secs(3);
/// Freed memory goes back to the system within this time.
const REST: Duration = Duration::from_secs(15);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let number = |place: usize, default: usize| words.get(place).and_then(|it| it.parse().ok()).unwrap_or(default);
    process::isolate();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match words.first().map(String::as_str) {
            Some("start") => start(number(1, 10_000)).await,
            Some("changes") => changes(number(1, 10_000), number(2, 1000)).await,
            _ => {
                start(10_000).await;
                changes(1, 1000).await;
                changes(10_000, 1000).await;
            }
        }
    });
}

/// A running Weir with routes in force.
struct Scene {
    weir: Weir,
    api: Api<DynamicObject>,
    routes: usize,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// Starts it; prints how long things took.
    async fn start(routes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("routes.yaml");
        std::fs::write(&file, manifest::manifests(routes, origin::serve())).expect("written");
        let begin = Instant::now();
        let weir = Weir::start(&folder.path().join("data"), &file);
        let probe = std::thread::spawn(move || all_answer(routes, begin));
        let api = wait_for_api(&folder.path().join("data"), begin).await;
        let accepted = until(begin, async || objects::is_accepted(&api, routes - 1).await && objects::count_accepted(&api).await == routes);
        let accepted = accepted.await;
        let answering = probe.join().expect("they answer");
        println!("scale start.{routes}.answering_s {:.2}", answering.as_secs_f64());
        println!("scale start.{routes}.statuses_s {:.2}", accepted.as_secs_f64());
        Self { weir, api, routes, _folder: folder }
    }
}

async fn start(routes: usize) {
    let scene = Scene::start(routes).await;
    println!("scale start.{routes}.rss_mib {:.1}", scene.weir.memory("VmRSS"));
    println!("scale start.{routes}.cpu_s {:.2}", scene.weir.cpu().as_secs_f64());
    tokio::time::sleep(REST).await;
    println!("scale start.{routes}.rss_at_rest_mib {:.1}", scene.weir.memory("VmRSS"));
    println!("scale start.{routes}.rss_peak_mib {:.1}", scene.weir.memory("VmHWM"));
}

/// Changes routes one after the other under load.
async fn changes(routes: usize, changes: usize) {
    let scene = Scene::start(routes).await;
    let (load, rate) = calibrated(&scene).await;
    let mut probe = Connection::open().expect("the kernel accepts");
    let (mut delays, mut writes) = (Vec::with_capacity(changes), Vec::with_capacity(changes));
    let (begin, worker, control) = (Instant::now(), scene.weir.worker_cpu(), scene.weir.cpu());
    for version in 1..=changes {
        let index = version * 7919 % scene.routes;
        let asked = Instant::now();
        objects::change(&scene.api, index, version).await;
        let changed = Instant::now();
        writes.push(changed - asked);
        let wanted = objects::answer(index, version);
        loop {
            let answer = probe.ask(&manifest::host(index), &manifest::path(index)).expect("an answer");
            if answer.route == wanted {
                break;
            }
            assert!(changed.elapsed() < PATIENCE, "{wanted} is not in force");
            std::thread::sleep(Duration::from_micros(500));
        }
        delays.push(changed.elapsed());
    }
    let took = begin.elapsed();
    let worker = scene.weir.worker_cpu() - worker;
    let control = scene.weir.cpu() - control - worker;
    let (answered, failed) = load.end();
    let name = format!("changes.{routes}");
    println!("scale {name}.rate_per_s {:.0} of {rate:.0} wanted", answered as f64 / took.as_secs_f64());
    println!("scale {name}.worker_busy {:.2}", worker.as_secs_f64() / took.as_secs_f64());
    println!("scale {name}.control_cpu_ms_per_change {:.2}", control.as_secs_f64() * 1e3 / changes as f64);
    println!("scale {name}.answered {answered}");
    println!("scale {name}.failed {failed}");
    print_times(&format!("{name}.in_force"), delays);
    print_times(&format!("{name}.api_write"), writes);
}

/// Load that takes [`SHARE`] of the worker's time, and its rate.
async fn calibrated(scene: &Scene) -> (Load, f64) {
    let (load, before, begin) = (Load::start(scene.routes, None), scene.weir.worker_cpu(), Instant::now());
    tokio::time::sleep(CALIBRATION).await;
    let (busy, took) = (scene.weir.worker_cpu() - before, begin.elapsed());
    let (answered, failed) = load.end();
    assert_eq!(failed, 0, "nothing changes yet");
    let price = busy.as_secs_f64() / answered as f64;
    let rate = SHARE / price;
    println!(
        "scale changes.{}.calibration {:.1} us a request; closed loop {:.0} a second, worker {:.0}% busy",
        scene.routes,
        price * 1e6,
        answered as f64 / took.as_secs_f64(),
        100.0 * busy.as_secs_f64() / took.as_secs_f64()
    );
    (Load::start(scene.routes, Some(rate)), rate)
}

fn print_times(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("scale {name}_ms p50 {:.1} p90 {:.1} p99 {:.1} max {:.1}", at(0.5), at(0.9), at(0.99), at(1.0));
}

/// How long after `begin` every route had given its own answer.
fn all_answer(routes: usize, begin: Instant) -> Duration {
    let mut connection = None;
    let mut left: Vec<usize> = (0..routes).rev().collect();
    while let Some(&index) = left.last() {
        assert!(begin.elapsed() < PATIENCE, "{} routes do not answer, such as {}", left.len(), manifest::name(index));
        let answer = match &mut connection {
            None => Connection::open().map(|it| connection = Some(it)).map(|()| None),
            Some(open) => open.ask(&manifest::host(index), &manifest::path(index)).map(Some),
        };
        match answer {
            Ok(None) => continue,
            Ok(Some(answer)) if answer.status == 200 && answer.route == manifest::name(index) => drop(left.pop()),
            Ok(Some(_)) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => {
                connection = None;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    begin.elapsed()
}

async fn wait_for_api(data: &Path, begin: Instant) -> Api<DynamicObject> {
    loop {
        if let Some(api) = objects::routes(data).await
            && api.get_opt("none").await.is_ok()
        {
            return api;
        }
        assert!(begin.elapsed() < PATIENCE, "the API does not answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How long after `begin` it held.
async fn until(begin: Instant, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    while !holds().await {
        assert!(begin.elapsed() < PATIENCE, "it takes too long");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begin.elapsed()
}
