//! Where the process has no descriptors left: metrics and readiness answer all the same, nothing spins, and clients come in again as soon as
//! there are some. One test alone, since it lowers the limit of its whole process.

mod support;

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::*;

/// Takes every descriptor that is left, and those that become free as earlier connections are closed. In ascending order.
async fn take_all() -> Vec<File> {
    let (mut files, mut more) = (Vec::new(), true);
    while more {
        let before = files.len();
        files.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
        more = files.len() > before;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    files.sort_by_key(|file| file.as_raw_fd());
    files
}

/// Processor time of this process, in hundredths of a second, by its `stat`.
fn cpu(file: &File) -> u64 {
    let mut bytes = [0; 1024];
    let count = file.read_at(&mut bytes, 0).unwrap();
    let stat = String::from_utf8_lossy(&bytes[..count]);
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_ascii_whitespace().skip(11).take(2).map(|it| it.parse::<u64>().unwrap()).sum()
}

fn value(page: &str, series: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

/// Waits until the ceiling is what this process can carry as it is now.
async fn follows(bench: &Bench) -> u64 {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let expected = (256 - open - 16) / 2;
    let settled = async {
        loop {
            let most = value(&bench.metrics().await, "weir_process_connections_max");
            if most.abs_diff(expected) <= 6 {
                return most;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("a ceiling that counts what the process itself uses")
}

#[tokio::test]
async fn a_process_without_descriptors_answers_what_it_must() {
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum: Some(256) }).expect("it may be lowered");
    assert_eq!(getrlimit(Resource::Nofile).current, Some(256));
    let stat = File::open("/proc/self/stat").unwrap();
    let origin = Origin::plain().await;
    let bench = Bench::start(model(vec![forward("b")], &[("b", &[origin.address])])).await;
    let most = follows(&bench).await;
    assert!((50..120).contains(&most), "{most}");

    // Clients are refused in favour of what must answer, and counted.
    let mut files = take_all().await;
    let number = files.len();
    files.truncate(number - 8);
    for _ in 0..3 {
        assert!(bench.refuses().await);
    }
    let page = bench.metrics().await;
    assert_eq!(value(&page, "weir_process_connections_refused_total{reason=\"no_descriptors\"}"), 3);
    assert_eq!(value(&page, "weir_process_connections_refused_total{reason=\"over_process_ceiling\"}"), 0);

    // Not one left but for the client itself: the reserve of metrics and readiness answers.
    files.extend(take_all().await);
    for _ in 0..3 {
        files.pop();
        assert!(bench.metrics().await.starts_with("HTTP/1.1 200 "));
        assert!(bench.ready().await.starts_with("HTTP/1.1 200 "));
        files.extend(take_all().await);
    }
    // Who comes to a listener waits, and nothing spins meanwhile.
    files.pop();
    let target: SocketAddr = bench.target();
    let mut waiting = Client::to(target).await;
    files.extend(take_all().await);
    let before = cpu(&stat);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = cpu(&stat) - before;
    assert!(used <= 10, "{used} hundredths of a second in one");
    // With descriptors it is accepted by itself.
    files.clear();
    waiting.send(GET).await;
    assert!(waiting.until("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
}
