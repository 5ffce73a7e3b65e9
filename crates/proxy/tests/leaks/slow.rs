//! Ends by a timeout. It is short, so an answer need not come before it.

use std::time::Duration;

use weir_model::{ClientSettings, ConnectionSettings};

use super::crowd::Step::{Hold, Repeat, Rest};
use super::crowd::*;
use super::origin;
use super::plain::{USUAL, world};
use super::support::*;

const SHORT: Option<Duration> = Some(Duration::from_millis(100));

/// These ways under these settings, and then a full limit under none.
async fn run(bench: &mut Bench, change: impl FnOnce(&mut ClientSettings), ways: Vec<Way>) {
    let patient = bench.model.clone();
    bench.apply(with_client(patient.clone(), change)).await;
    nothing_is_left(bench, connections(USUAL), ADMITTED, ways).await;
    bench.apply(patient).await;
    refill(bench, "without timeouts").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_by_a_timeout() {
    let (backend, _) = origin::start().await;
    let bench = &mut Bench::start(world(backend, origin::nowhere().await)).await;
    const CHAT: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nabc";
    const STALLED: &str = "GET /stalled HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    let ways = vec![("silent", vec![Hold]), ("a head that stops", vec![send("GET / HTTP/1.1\r\nHost"), Rest])];
    run(bench, |client| client.timeouts.headers = SHORT, ways).await;
    run(bench, |client| client.timeouts.idle = SHORT, vec![("idle", vec![send(GET), Rest])]).await;
    run(bench, |client| client.timeouts.request = SHORT, vec![("a body that stops", vec![send(POST), Rest])]).await;
    let ways = vec![
        ("a body that is silent", vec![send(POST), Rest]),
        ("backend stalled", vec![send(STALLED), Rest]),
        ("backend stalled in mid-body", vec![send("GET /half-stalled HTTP/1.1\r\nHost: a.test\r\n\r\n"), Rest]),
        ("a silent tunnel", vec![send(CHAT), Rest]),
        ("a client that does not read", vec![send("GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n"), Hold]),
    ];
    let change = |client: &mut ClientSettings| {
        client.timeouts.stream_idle = SHORT;
        // For those that get 504 since even a good answer came late.
        client.timeouts.idle = SHORT;
        client.connection.socket_buffer_limit = Some(4096);
    };
    run(bench, change, ways).await;
    let ways = vec![("a request that takes too long", vec![send(STALLED), Rest])];
    run(bench, |client| client.connection.max_stream_duration = SHORT, ways).await;

    let aged = |safe| {
        move |client: &mut ClientSettings| {
            client.connection =
                ConnectionSettings { max_connection_duration: SHORT, safe_max_connection_duration: safe, ..client.connection.clone() };
        }
    };
    run(bench, aged(false), vec![("too old, between requests", vec![send(GET), Rest])]).await;
    run(bench, aged(true), vec![("too old, at an answer", vec![Repeat(GET, "ok")])]).await;
}
