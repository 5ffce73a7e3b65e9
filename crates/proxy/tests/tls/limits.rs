//! Connection limits of TLS listeners: counted one by one, from the moment that the listener is known.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConnection;
use tokio_rustls::rustls::pki_types::ServerName;

use super::authority::Authority;
use super::bench::*;
use super::support::*;

pub fn hello(authority: &Authority, name: &str) -> Vec<u8> {
    let mut client = ClientConnection::new(Hand::new(authority).config(), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

async fn two_listeners(ca: &Authority) -> (Origin, Bench) {
    let origin = Origin::plain().await;
    let (a, b) = (ca.issue(&["a.test"]), ca.issue(&["b.test"]));
    let model = secure(vec![("http", "a.test", tls(&[&a])), ("other", "b.test", tls(&[&b]))], vec![forward("b")], origin.address);
    let bench = Bench::start(limited(limited(model, "http", 2), "other", 3)).await;
    (origin, bench)
}

fn connections(bench: &Bench, listener: &str) -> u64 {
    bench.plane.report().listeners[&name(listener)].connections
}

/// Waits until `listener` has this many connections: the server learns of a close a moment after the client.
async fn settles(bench: &Bench, listener: &str, count: u64) {
    let settled = async {
        while connections(bench, listener) != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.unwrap_or_else(|_| panic!("{} of {count}", connections(bench, listener)));
}

#[tokio::test]
async fn each_listener_has_its_own_count() {
    let ca = Authority::new();
    let (_origin, bench) = two_listeners(&ca).await;
    let config = Hand::new(&ca).config();
    // Those who do not say what they want take nobody's place.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(bench.target()).await.unwrap());
    }
    let mut open = Vec::new();
    for (host, count) in [("a.test", 2), ("b.test", 3)] {
        for _ in 0..count {
            open.push(served(&bench, host, &config).await.unwrap());
        }
        for _ in 0..5 {
            let mut refused = TcpStream::connect(bench.target()).await.unwrap();
            refused.write_all(&hello(&ca, host)).await.unwrap();
            let mut said = Vec::new();
            let end = tokio::time::timeout(PATIENCE, refused.read_to_end(&mut said)).await.expect("an end");
            assert!(end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset) && said.is_empty());
        }
    }
    let report = bench.plane.report();
    let refused: Vec<_> = report.limits.values().map(|limit| (limit.current, limit.refused.over_connection_limit)).collect();
    assert_eq!(refused, [(2, 5), (3, 5)]);
    assert_eq!((connections(&bench, "http"), connections(&bench, "other")), (2, 3));
    drop(open.remove(0));
    settles(&bench, "http", 1).await;
    served(&bench, "a.test", &config).await.unwrap();
    drop(silent);
}

/// One through each way that a handshake can fail, `ROUNDS` times; then the count is 0 and a full limit can be taken.
#[tokio::test]
async fn failed_handshakes_leave_nothing_behind() {
    const ROUNDS: usize = 250;
    let ca = Authority::new();
    let (_origin, bench) = two_listeners(&ca).await;
    let (target, config) = (bench.target(), Hand::new(&ca).config());
    let strangers = Hand::new(&Authority::new()).config();
    let bytes = hello(&ca, "a.test");
    let unknown = hello(&ca, "unknown.example");
    let cases: [(&str, Vec<u8>, bool); 6] = [
        ("nothing", vec![], false),
        ("garbage", b"GET / HTTP/1.1\r\n\r\n".to_vec(), true),
        ("half a hello", bytes[..bytes.len() / 2].to_vec(), false),
        ("a hello, then gone", bytes.clone(), false),
        ("a hello, then garbage", [bytes.as_slice(), &[23, 3, 3, 0, 5, 1, 2, 3, 4, 5]].concat(), true),
        ("no such host", unknown, true),
    ];
    for (case, bytes, waits) in &cases {
        for _ in 0..ROUNDS {
            let mut stream = TcpStream::connect(target).await.unwrap();
            // It may be closed before all of it is written.
            let _ = stream.write_all(bytes).await;
            if *waits {
                let mut said = Vec::new();
                let _ = stream.shutdown().await;
                let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect(case);
            }
        }
        settles(&bench, "http", 0).await;
    }
    for _ in 0..50 {
        assert!(connect(&bench, "a.test", &strangers).await.is_err(), "the client does not trust the server");
    }
    settles(&bench, "http", 0).await;
    let open = [served(&bench, "a.test", &config).await.unwrap(), served(&bench, "a.test", &config).await.unwrap()];
    assert_eq!(connections(&bench, "http"), 2);
    drop(open);
    settles(&bench, "http", 0).await;
    let metrics = bench.metrics().await;
    let label = format!("{{envoy_listener_address=\"{}_{PORT}\"}}", bench.address);
    assert!(metrics.contains(&format!("envoy_listener_downstream_pre_cx_active{label} 0\n")), "{metrics}");
    assert!(metrics.contains(&format!("envoy_listener_no_filter_chain_match{label} {ROUNDS}\n")), "{metrics}");
}

#[tokio::test]
async fn the_hall_is_bounded() {
    let ca = Authority::new();
    let (_origin, bench) = two_listeners(&ca).await;
    let config = Hand::new(&ca).config();
    let mut open = served(&bench, "a.test", &config).await.unwrap();
    // As many as may wait, and some more; those beyond the bound are reset, which may be seen here already.
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let hall = descriptors.map_or(4096, |all| (all / 4).clamp(16, 4096)) as usize;
    let (mut silent, mut reset) = (Vec::new(), 0);
    for _ in 0..hall + 50 {
        match TcpStream::connect(bench.target()).await {
            Ok(stream) => silent.push(stream),
            Err(_) => reset += 1,
        }
    }
    let settled = async {
        while reset < 50 {
            let before = silent.len();
            silent.retain(|stream| stream.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
            reset += before - silent.len();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("the rest is reset");
    assert_eq!(silent.len(), hall);
    assert!(ask(&mut open, "a.test").await.unwrap().starts_with("HTTP/1.1 200 "), "those that are served notice nothing");
    drop(silent);
    let again = async {
        while served(&bench, "a.test", &config).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("room again");
}

/// A storm of handshakes never takes more than the limit, and all of it.
#[tokio::test]
async fn a_storm_of_handshakes_never_overshoots() {
    let ca = Authority::new();
    let (_origin, bench) = two_listeners(&ca).await;
    let (target, config) = (bench.target(), Hand::new(&ca).config());
    for _ in 0..5 {
        let tries = (0..60).map(|_| {
            let config = config.clone();
            tokio::spawn(async move {
                let tcp = TcpStream::connect(target).await.ok()?;
                let name = ServerName::try_from("b.test").unwrap();
                let mut stream = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.ok()?;
                ask(&mut stream, "b.test").await.ok().map(|_| stream)
            })
        });
        let mut admitted = Vec::new();
        for task in tries.collect::<Vec<_>>() {
            admitted.extend(task.await.unwrap());
        }
        assert_eq!(admitted.len(), 3);
        assert_eq!(connections(&bench, "other"), 3);
        drop(admitted);
        settles(&bench, "other", 0).await;
    }
}
