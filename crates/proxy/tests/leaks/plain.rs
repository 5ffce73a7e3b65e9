//! Ends that take no time.

use std::time::Duration;

use weir_model::{Action, ClientSettings, Model, PathMatch, ProxyProtocol};

use super::crowd::Step::{Hold, Repeat, Reset, Rest, Shut, Until};
use super::crowd::*;
use super::origin;
use super::support::*;

/// Connections through each way, unless asked otherwise.
pub const USUAL: usize = 2000;

const CHAT: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const CHAT_END: &str = "GET /chat-end HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const CHAT_RESET: &str = "GET /chat-reset HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const CHAT_SHUT: &str = "GET /chat-shut HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nabc";
const STALLED: &str = "GET /stalled HTTP/1.1\r\nHost: a.test\r\n\r\n";
const EXPECT: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
const THREE: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// Host `a.test` at a backend that misbehaves on demand; below some paths there is none.
pub fn world(backend: std::net::SocketAddr, closed: std::net::SocketAddr) -> Model {
    let below = |path: &str, action| {
        let mut rule = rule(action);
        rule.name = format!("httproute/ns/route/rule{path}").into();
        rule.matches[0].path = PathMatch::Prefix(path.into());
        rule
    };
    let nowhere = below("/refused", Action::Forward(vec![to("closed")]));
    let nobody = below("/nobody", Action::Forward(vec![to("empty")]));
    let failed = below("/failed", Action::Fail(weir_model::FailReason("InvalidRef".into())));
    let backends: [(&str, &[_]); 3] = [("b", &[backend]), ("closed", &[closed]), ("empty", &[])];
    with_limit(model(vec![nowhere, nobody, failed, forward("b")], &backends), LIMIT)
}

async fn bench(change: impl FnOnce(&mut ClientSettings)) -> Bench {
    let (backend, _) = origin::start().await;
    let world = world(backend, origin::nowhere().await);
    Bench::start(with_client(world, change)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_of_clients() {
    let bench = bench(|_| {}).await;
    let ways = vec![
        ("FIN at once", vec![]),
        ("RST at once", vec![Reset]),
        ("FIN after an answer", vec![send(GET), Until("ok")]),
        ("RST after an answer", vec![send(GET), Until("ok"), Reset]),
        ("half closed at once", vec![Shut, Rest]),
        ("half closed in a head", vec![send("GET / HT"), Shut, Rest]),
        ("half closed after a request", vec![send(GET), Shut, Rest]),
        ("half closed after an answer", vec![send(GET), Until("ok"), Shut, Rest]),
        ("half closed in a body", vec![send(POST), Shut, Rest]),
        ("FIN in a head", vec![send("GET / HT")]),
        ("RST in a body", vec![send(POST), Reset]),
        ("pipelined, then FIN", vec![send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET /")]),
        ("pipelined, then RST", vec![send(THREE), Reset]),
        ("100-continue abandoned", vec![send(EXPECT), Until("100 Continue")]),
        ("100-continue reset", vec![send(EXPECT), Until("100 Continue"), Reset]),
        ("FIN while the backend stalls", vec![send(STALLED)]),
        ("RST while the backend stalls", vec![send(STALLED), Reset]),
        ("FIN in mid-answer", vec![send("GET /half-stalled HTTP/1.1\r\nHost: a.test\r\n\r\n"), Until("half")]),
        ("RST in mid-answer", vec![send("GET /half-stalled HTTP/1.1\r\nHost: a.test\r\n\r\n"), Until("half"), Reset]),
        ("RST in a large answer", vec![send("GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n"), Until("xxxx"), Reset]),
        ("FIN in a tunnel", vec![send(CHAT), Until("hi")]),
        ("RST in a tunnel", vec![send(CHAT), Until("hi"), Reset]),
        ("half closed in a tunnel", vec![send(CHAT), Until("hi"), Shut, Rest]),
    ];
    nothing_is_left(&bench, connections(USUAL), ADMITTED, ways).await;
    refill(&bench, "at the end").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_of_ours_and_of_backends() {
    let mut bench = bench(|_| {}).await;
    let closing = |path: &str| Step::Send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").into_bytes().into());
    let ways = vec![
        ("400", vec![send("BAD\r\n\r\n"), Until("HTTP/1.1 400"), Rest]),
        ("400 in a body", vec![send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), Until("400"), Rest]),
        ("413", vec![send("POST /early HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nabc"), Until("413"), Until("no"), Rest]),
        ("431", vec![long_head(), Until("HTTP/1.1 431"), Rest]),
        ("no route", vec![send("GET / HTTP/1.1\r\nHost: none.test\r\nConnection: close\r\n\r\n"), Until("404"), Rest]),
        ("no backend", vec![closing("/nobody"), Until("503"), Rest]),
        ("a route that is broken", vec![closing("/failed"), Until("500"), Rest]),
        ("backend refused", vec![closing("/refused"), Until("503"), Rest]),
        ("backend reset", vec![closing("/reset"), Until("503"), Rest]),
        ("backend closed in mid-body", vec![send("GET /half HTTP/1.1\r\nHost: a.test\r\n\r\n"), Until("half"), Rest]),
        ("backend reset in mid-body", vec![send("GET /half-reset HTTP/1.1\r\nHost: a.test\r\n\r\n"), Rest]),
        ("backend half closed in mid-body", vec![send("GET /half-shut HTTP/1.1\r\nHost: a.test\r\n\r\n"), Until("half"), Rest]),
        ("backend half closed after its answer", vec![send("GET /shut HTTP/1.1\r\nHost: a.test\r\n\r\n"), Until("ok")]),
        ("a tunnel closed by the backend", vec![send(CHAT_END), Until("hi"), Rest]),
        ("a tunnel reset by the backend", vec![send(CHAT_RESET), Rest]),
        ("a tunnel half closed by the backend", vec![send(CHAT_SHUT), Until("hi"), Rest]),
    ];
    nothing_is_left(&bench, connections(USUAL), ADMITTED, ways).await;
    refill(&bench, "after these").await;

    let patient = bench.model.clone();
    bench.apply(with_client(patient.clone(), |client| client.connection.max_requests_per_connection = Some(3))).await;
    let ways = vec![
        ("the most requests", vec![Repeat(GET, "ok")]),
        ("the most requests, pipelined", vec![send(THREE), Until("connection: close"), Rest]),
    ];
    nothing_is_left(&bench, connections(USUAL), ADMITTED, ways).await;
    bench.apply(patient).await;
    refill(&bench, "at the end").await;
}

fn long_head() -> Step {
    Step::Send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nx: {}\r\n\r\n", "x".repeat(100_000)).into_bytes().into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_before_a_proxy_header() {
    let patient = |client: &mut ClientSettings| client.proxy_protocol = Some(ProxyProtocol { optional: false });
    let mut bench = bench(patient).await;
    let ways = vec![
        ("no PROXY header", vec![send(GET), Rest]),
        ("a bad one", vec![send("PROXY TCP9 1.2.3.4 1.2.3.4 1 2\r\n"), Rest]),
        ("a bad one, version 2", vec![send("\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c"), Rest]),
        ("FIN in one", vec![send("PROXY TCP4 1.2")]),
        ("RST in one", vec![send("PROXY TCP4 1.2"), Reset]),
        ("FIN instead of one", vec![]),
        ("FIN after one", vec![send("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n")]),
    ];
    nothing_is_left(&bench, connections(USUAL), ADMITTED, ways).await;
    let model = bench.model.clone();
    bench.apply(with_client(model.clone(), |client| client.timeouts.inspection = Some(Duration::from_millis(100)))).await;
    let ways = vec![("a late one", vec![send("PROXY "), Rest]), ("none ever", vec![Hold])];
    nothing_is_left(&bench, connections(USUAL), ADMITTED, ways).await;
    bench.apply(with_client(model, |client| client.proxy_protocol = None)).await;
    refill(&bench, "at the end").await;
}
