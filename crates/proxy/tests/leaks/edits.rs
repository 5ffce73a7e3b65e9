//! Edits of limits while clients come again and again: the counts follow the sockets, and nobody loses a connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use weir_model::{Limit, LimitName, LimitScope, Listener, ListenerName, Model, ObjectName, Publish};

use super::crowd::{eventually, until};
use super::support::*;

/// So many come again and again.
const CLIENTS: usize = 8;
/// So many refusals are enough to see that nobody more comes in.
const ENOUGH: usize = 100;

/// Clients of one port that hold on to what they get.
struct Crowd {
    held: Arc<Mutex<Vec<TcpStream>>>,
    refused: Arc<AtomicUsize>,
    /// How many more are wanted.
    wanted: Arc<Semaphore>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn gather(target: SocketAddr, wanted: usize) -> Self {
        let (held, refused) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicUsize>::default());
        let (wanted, stop) = (Arc::new(Semaphore::new(wanted)), Arc::<AtomicBool>::default());
        let task = |_| {
            let (held, refused, wanted, stop) = (held.clone(), refused.clone(), wanted.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(place) = wanted.try_acquire() {
                        match served(target).await {
                            Some(stream) => {
                                place.forget();
                                held.lock().unwrap().push(stream);
                            }
                            None => drop(refused.fetch_add(1, Ordering::Relaxed)),
                        }
                    }
                    tokio::task::yield_now().await;
                }
            })
        };
        let tasks = (0..CLIENTS).map(task).collect();
        Self { held, refused, wanted, stop, tasks }
    }

    fn holds(&self) -> usize {
        self.held.lock().unwrap().len()
    }

    /// So many are in, and however many try, no one more comes in and no one loses its connection.
    async fn stays(&self, count: usize, why: &str) {
        let state = || format!("{} of {count}", self.holds());
        eventually(why, state, async || self.holds() == count).await;
        let before = self.refused.load(Ordering::Relaxed);
        let tried = async || self.refused.load(Ordering::Relaxed) >= before + ENOUGH;
        eventually(why, state, tried).await;
        assert_eq!(self.holds(), count, "{why}");
        let mut held = std::mem::take(&mut *self.held.lock().unwrap());
        for stream in &mut held {
            stream.write_all(GET.as_bytes()).await.expect(why);
            assert!(until(stream, &mut Vec::new(), "ok").await, "{why}: somebody was disconnected");
        }
        let mut now = self.held.lock().unwrap();
        assert!(now.is_empty(), "{why}: one more");
        *now = held;
    }

    /// So many leave.
    fn release(&self, count: usize) {
        let mut held = self.held.lock().unwrap();
        let rest = held.len() - count;
        held.truncate(rest);
    }

    async fn end(self) -> Vec<TcpStream> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        std::mem::take(&mut *self.held.lock().unwrap())
    }
}

async fn served(target: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(target).await.ok()?;
    stream.set_zero_linger().ok()?;
    stream.write_all(GET.as_bytes()).await.ok()?;
    until(&mut stream, &mut Vec::new(), "ok").await.then_some(stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_edited_under_load() {
    let origin = Origin::start(vec![vec!["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"; 100_000]]).await;
    let free = model(vec![forward("b")], &[("b", &[origin.address])]);
    let mut bench = Bench::start(with_limit(free.clone(), 2)).await;
    // Four before the limit is removed, twenty then.
    let crowd = Crowd::gather(bench.target(), 24);
    crowd.stays(2, "two").await;
    bench.apply(with_limit(free.clone(), 3)).await;
    crowd.stays(3, "2 -> 3: exactly one more").await;
    bench.apply(with_limit(free.clone(), 1)).await;
    crowd.stays(3, "3 -> 1: nobody more, nobody fewer").await;
    for left in [2, 1] {
        crowd.release(1);
        crowd.stays(left, "nobody comes in until the count is below 1").await;
    }
    crowd.release(1);
    crowd.stays(1, "and then one").await;

    bench.apply(free.clone()).await;
    eventually("without a limit all come in", String::new, async || crowd.holds() == 21).await;
    bench.apply(with_limit(free.clone(), 5)).await;
    assert_eq!(bench.plane.report().limits[&limit_name()].current, 21, "one that is set again finds the true count");
    crowd.wanted.add_permits(1000);
    crowd.stays(21, "and admits nobody").await;
    crowd.release(17);
    crowd.stays(5, "until there are fewer").await;

    // Another controller, which says the same and starts from nothing.
    let (publish, mut answers) = bench.plane.connect();
    let delta = Model::default().diff(&with_limit(free.clone(), 6));
    publish.send(Publish { epoch: 2, version: 1, base: 0, delta }).await.unwrap();
    while answers.recv().await.is_some_and(|answer| !matches!(answer, weir_model::Answer::Acknowledgement(_))) {}
    crowd.stays(6, "a new controller's limit finds the connections of the old one's time").await;

    let held = crowd.end().await;
    let state = || format!("{} sockets", kernel::open(bench.target()));
    eventually("the kernel says the same", state, async || kernel::open(bench.target()) == held.len()).await;
    assert_eq!(held.len(), 6);
    drop(held);
    bench.counts(0).await;
}

/// The Model with a second listener, `alt`, and with these limits: a target's last name, a number, and listeners.
fn sections(base: &Model, limits: &[(&str, LimitScope, u64, &[&str])]) -> Model {
    let mut model = base.clone();
    for (target, scope, value, listeners) in limits {
        let name = LimitName { policy: ObjectName::new("ns", "policy"), target: (*target).into() };
        let mut cells: Vec<_> = listeners.iter().map(|it| ListenerName::new(gateway(), *it)).collect();
        cells.sort();
        let limit = Limit { name: name.clone(), gateway: gateway(), scope: *scope, value: *value, cells, route: None };
        model.limits.insert(name, Arc::new(limit));
    }
    model
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateways_policy_gives_way_to_a_sections_and_comes_back_under_load() {
    let origin = Origin::start(vec![vec!["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"; 100_000]]).await;
    let mut base = model(vec![forward("b")], &[("b", &[origin.address])]);
    let alt = ListenerName::new(gateway(), "alt");
    let listener = Listener { name: alt.clone(), port: 81, container_port: 10081, ..Listener::clone(&base.listeners[&listener_name()]) };
    base.listeners.insert(alt.clone(), Arc::new(listener));
    let route = base.routes.values().next().unwrap().clone();
    let mut attached = (*route).clone();
    attached.attachments.push(weir_model::Attachment { listener: alt, ..attached.attachments[0].clone() });
    base.routes.insert(attached.name.clone(), Arc::new(attached));
    let of_gateway = sections(&base, &[("ns/eg", LimitScope::Gateway, 6, &["http", "alt"])]);
    let of_section = sections(&base, &[("ns/eg", LimitScope::Gateway, 6, &["alt"]), ("ns/eg/http", LimitScope::Listener, 2, &["http"])]);

    let mut bench = Bench::start(model(vec![], &[])).await;
    bench.plan.send_modify(|plan| plan.ports.extend([(10081, PORT + 1)]));
    bench.apply(of_gateway.clone()).await;
    bench.bound().await;
    let http = Crowd::gather(bench.target(), 3);
    eventually("three", String::new, async || http.holds() == 3).await;
    let alt = Crowd::gather(SocketAddr::new(bench.address, PORT + 1), 1000);
    alt.stays(3, "they share the Gateway's six").await;
    http.wanted.add_permits(1000);
    http.stays(3, "they share the Gateway's six").await;

    bench.apply(of_section).await;
    alt.stays(6, "it has the Gateway's six for itself").await;
    http.stays(3, "three of the section's two").await;
    http.release(2);
    http.stays(2, "the section's two").await;

    bench.apply(of_gateway).await;
    http.stays(2, "eight of six").await;
    alt.stays(6, "eight of six").await;
    alt.release(2);
    alt.stays(4, "six of six").await;
    // One place, for whoever comes first.
    http.release(1);
    let both = || http.holds() + alt.holds();
    eventually("one more", || format!("{}", both()), async || both() == 6).await;
    let (on_http, on_alt) = (http.holds(), alt.holds());
    http.stays(on_http, "full again").await;
    alt.stays(on_alt, "full again").await;
    drop((http.end().await, alt.end().await));
    let nobody = async || bench.plane.report().limits.values().all(|limit| limit.current == 0);
    eventually("all are gone", String::new, nobody).await;
}
