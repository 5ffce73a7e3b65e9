//! Storms at ports that speak TLS, where which listener a client wants is known after its first bytes only.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_proxy::Settings;

use super::authority::Authority;
use super::bench::*;
use super::limits::hello;
use super::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernel_refuses_once_every_listener_of_a_port_is_full() {
    let (ca, origin) = (Authority::new(), Origin::plain().await);
    let (a, b) = (ca.issue(&["a.test"]), ca.issue(&["b.test"]));
    let model = secure(vec![("http", "a.test", tls(&[&a])), ("other", "b.test", tls(&[&b]))], vec![forward("b")], origin.address);
    let settings = Settings { workers: 2, storm_rate: 200, ..Settings::default() };
    let bench = Bench::with_settings(limited(limited(model, "http", 1), "other", 1), settings).await;
    let (target, config) = (bench.target(), Hand::new(&ca).config());
    let mut first = served(&bench, "a.test", &config).await.unwrap();
    let (by_kernel, reset, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let flood = (0..4).map(|_| {
        let (by_kernel, reset, stop, hello) = (by_kernel.clone(), reset.clone(), stop.clone(), hello(&ca, "a.test"));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let count = match TcpStream::connect(target).await {
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => &by_kernel,
                    Err(_) => &reset,
                    Ok(mut stream) => {
                        let _ = stream.write_all(&hello).await;
                        let _ = stream.read(&mut [0; 64]).await;
                        &reset
                    }
                };
                count.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        })
    });
    let flood: Vec<_> = flood.collect();
    let until = async |count: &AtomicU64, wanted: u64| {
        let reached = async {
            while count.load(Ordering::Relaxed) < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{count:?} of {wanted}"));
    };
    until(&reset, 1000).await;
    assert_eq!(by_kernel.load(Ordering::Relaxed), 0, "somebody may want the other listener");
    let second = served(&bench, "b.test", &config).await.unwrap();
    until(&by_kernel, 300).await;
    assert!(ask(&mut first, "a.test").await.unwrap().starts_with("HTTP/1.1 200 "), "who is in notices nothing");
    assert!(bench.metrics().await.starts_with("HTTP/1.1 200 "));
    // A place at one of the two, and the port listens again: nobody of the flood wants that one.
    drop(second);
    let again = async {
        loop {
            if let Ok(tcp) = TcpStream::connect(target).await {
                let name = "b.test".try_into().unwrap();
                if let Ok(stream) = tokio_rustls::TlsConnector::from(config.clone()).connect(name, tcp).await {
                    return stream;
                }
            }
            tokio::task::yield_now().await;
        }
    };
    drop(tokio::time::timeout(PATIENCE, again).await.expect("it listens again"));
    stop.store(true, Ordering::Relaxed);
    for task in flood {
        task.await.unwrap();
    }
}

/// Who has said whom it wants but does not go on loses its place to one who does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_held_by_slow_handshakes_become_free() {
    let (ca, origin) = (Authority::new(), Origin::plain().await);
    let issued = ca.issue(&["a.test"]);
    let model = secure(vec![("http", "a.test", tls(&[&issued]))], vec![forward("b")], origin.address);
    let patience = weir_proxy::Patience { silent: Duration::from_millis(300), ..weir_proxy::Patience::default() };
    let bench = Bench::with_settings(limited(model, "http", 4), Settings { workers: 2, patience, ..Settings::default() }).await;
    let (config, bytes) = (Hand::new(&ca).config(), hello(&ca, "a.test"));
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(bench.target()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        slow.push(stream);
    }
    let mut drips = Vec::new();
    for _ in 0..2 {
        // Shakes hands and then drips what looks like a record.
        let stream = connect(&bench, "a.test", &config).await.unwrap();
        let (mut tcp, _) = stream.into_inner();
        drips.push(tokio::spawn(async move {
            for byte in [23u8, 3, 3, 64, 0].into_iter().cycle() {
                if tcp.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }));
    }
    let good = async {
        loop {
            if let Ok(stream) = served(&bench, "a.test", &config).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let good = tokio::time::timeout(Duration::from_secs(9), good).await.expect("before any timer of a connection's own");
    // All of the slow ones go as others come.
    let mut more = vec![good];
    let all = async {
        while more.len() < 4 {
            match served(&bench, "a.test", &config).await {
                Ok(stream) => more.push(stream),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("all places");
    assert!(bench.metrics().await.contains("weir_process_connections_shed_total{reason=\"silent\"} 4\n"));
    for drip in drips {
        drip.await.unwrap();
    }
}
