//! Connection limits on real sockets.

mod support;

use std::time::Duration;

use support::*;
use weir_model::Answer;
use weir_proxy::Settings;

async fn served(client: &mut Client) {
    client.send(GET).await;
    assert!(client.until("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn exactly_as_many_as_the_limit_are_admitted() {
    let origin = Origin::plain().await;
    let mut bench = Bench::start(with_limit(model(vec![forward("b")], &[("b", &[origin.address])]), 5)).await;
    let mut admitted = Vec::new();
    for _ in 0..5 {
        let mut client = bench.client().await;
        served(&mut client).await;
        admitted.push(client);
    }
    for _ in 0..20 {
        assert!(bench.refuses().await);
    }
    let refused = bench
        .answer(|answer| match answer {
            Answer::Refused(refused) => Some(refused),
            _ => None,
        })
        .await;
    assert_eq!((refused.limit.clone(), refused.max, refused.current), (limit_name(), 5, 5));
    assert_eq!(refused.last_client.ip(), "127.0.0.1".parse::<std::net::IpAddr>().unwrap());
    let report = bench.report(|report| report.limits[&limit_name()].refused.over_connection_limit == 20).await;
    assert_eq!((report.limits[&limit_name()].current, report.limits[&limit_name()].max), (5, 5));
    assert_eq!(report.listeners[&listener_name()].connections, 5);
    let line = bench.log.line(|line| line["connection_termination_details"] == "over_connection_limit").await;
    assert_eq!((&line["response_code"], &line["limit_scope"], &line["limit_value"]), (&0.into(), &"gateway".into(), &5.into()));
    assert_eq!((&line["limit_name"], &line["current"]), (&"ns/policy@ns/eg".into(), &5.into()));

    // Those that were admitted are untouched, and a closed one makes room for exactly one.
    served(&mut admitted[0]).await;
    drop(admitted.pop());
    let cleared = bench.answer(|answer| if let Answer::Cleared { current, max, .. } = answer { Some((current, max)) } else { None }).await;
    assert_eq!(cleared, (4, 5));
    let mut next = bench.client().await;
    served(&mut next).await;
    assert!(bench.refuses().await);
}

#[tokio::test]
async fn a_storm_never_overshoots() {
    let origin = Origin::plain().await;
    let bench = Bench::start(with_limit(model(vec![forward("b")], &[("b", &[origin.address])]), 10)).await;
    let target = bench.target();
    let tries = (0..200).map(|_| {
        tokio::spawn(async move {
            let mut client = Client::to(target).await;
            let sent = tokio::io::AsyncWriteExt::write_all(&mut client.stream, GET.as_bytes()).await.is_ok();
            let mut bytes = [0; 512];
            let read = tokio::io::AsyncReadExt::read(&mut client.stream, &mut bytes).await;
            (sent && matches!(read, Ok(count) if count > 0)).then_some(client)
        })
    });
    let mut held = Vec::new();
    for client in tries.collect::<Vec<_>>() {
        held.extend(client.await.unwrap());
    }
    assert_eq!(held.len(), 10, "nobody left, so as many as the limit are in");
    drop(held);
    let empty = async {
        while bench.plane.report().limits[&limit_name()].current > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, empty).await.expect("all slots come back");
}

#[tokio::test]
async fn edits_never_lose_count() {
    let origin = Origin::plain().await;
    let free = model(vec![forward("b")], &[("b", &[origin.address])]);
    let mut bench = Bench::start(free.clone()).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(bench.client().await);
        served(held.last_mut().unwrap()).await;
    }
    // A limit that comes later finds the connections that are there; one below them admits nobody and ends nobody.
    bench.apply(with_limit(free.clone(), 2)).await;
    assert!(bench.refuses().await);
    for client in &mut held {
        served(client).await;
    }
    bench.apply(with_limit(free.clone(), 4)).await;
    let mut fourth = bench.client().await;
    served(&mut fourth).await;
    assert!(bench.refuses().await);
    bench.apply(free).await;
    served(&mut bench.client().await).await;
    assert!(!bench.metrics().await.contains("connection_limit"), "series end with the limit");
}

#[tokio::test]
async fn silent_clients_lose_their_slots() {
    let origin = Origin::plain().await;
    let model = with_limit(model(vec![forward("b")], &[("b", &[origin.address])]), 2);
    let model = with_client(model, |client| client.timeouts.headers = Some(Duration::from_millis(200)));
    let bench = Bench::with_settings(model, Settings { workers: 1, ..Settings::default() }).await;
    let mut silent = bench.client().await;
    let mut slow = bench.client().await;
    slow.send("GET / HTTP/1.1\r\nHost: a.te").await;
    assert!(slow.rest().await.starts_with("HTTP/1.1 408 "));
    assert_eq!(silent.rest().await, "");
    let mut good = bench.client().await;
    served(&mut good).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_frees_its_slot() {
    let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = [origin.local_addr().unwrap()];
    let bench = Bench::start(with_limit(model(vec![forward("b")], &[("b", &backend)]), 1)).await;
    let mut client = bench.client().await;
    client.send(GET).await;
    let _waiting = origin.accept().await.unwrap();
    drop(client);
    let line = bench.log.line(|line| line["response_flags"] == "DC").await;
    assert_eq!((&line["response_code"], &line["response_code_details"]), (&0.into(), &"downstream_remote_disconnect".into()));
    let mut next = bench.client().await;
    next.send("BAD\r\n\r\n").await;
    assert!(next.rest().await.starts_with("HTTP/1.1 400 "));
}
