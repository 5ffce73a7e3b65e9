//! `weir run` with few descriptors and many clients: it spends next to nothing on those it cannot take, and answers whoever must be answered.

mod common;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{PATIENCE, Weir, binary, isolated, repository, text};

const GATEWAY: ([u8; 4], u16) = ([127, 0, 0, 40], 80);
const CLIENTS: usize = 2000;

/// Answers every request with 200.
fn origin() {
    let listener = TcpListener::bind("127.0.0.50:9000").expect("free");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while matches!(stream.read(&mut bytes), Ok(count) if count > 0) {
                    if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// A connection that asks for something. None: it was refused.
fn client() -> Option<TcpStream> {
    let mut stream = TcpStream::connect(SocketAddr::from(GATEWAY)).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: wire.test\r\n\r\n").ok()?;
    Some(stream)
}

/// Whether it is answered.
fn is_served(mut stream: TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut bytes = [0; 512];
    stream.read(&mut bytes).is_ok_and(|count| bytes[..count].starts_with(b"HTTP/1.1 200 "))
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(SocketAddr::from((GATEWAY.0, port))).expect("never limited");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn metric(series: &str) -> u64 {
    let page = get(19001, "/stats/prometheus");
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().expect("a number")
}

/// Processor time of a process, in hundredths of a second.
fn cpu(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it lives");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    fields.split_ascii_whitespace().skip(11).take(2).map(|it| it.parse::<u64>().expect("a number")).sum()
}

#[test]
fn two_thousand_clients_find_two_hundred_descriptors() {
    isolated("two_thousand_clients_find_two_hundred_descriptors", || {
        origin();
        let folder = tempfile::tempdir().expect("a folder");
        let (data, said) = (folder.path().join("data"), folder.path().join("said"));
        let manifest = repository().join("tests/wire/gateway.yaml");
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\"", binary(), "run", "--workers", "2", "--data-dir"]).arg(&data);
        command.arg("-f").arg(manifest).stdin(Stdio::null()).stderr(std::fs::File::create(&said).expect("a file"));
        let mut weir = Weir::spawn(&mut command, &data);
        weir.wait_for("curl -H");
        // What the process itself uses is known a second after all of it has started.
        let most = weir.until("a ceiling that counts what the process uses", || {
            Some(metric("weir_process_connections_max")).filter(|most| (8..60).contains(most))
        });

        let (mut held, mut refused) = (Vec::new(), 0);
        for _ in 0..CLIENTS {
            match client() {
                Some(stream) => held.push(stream),
                None => refused += 1,
            }
        }
        // Those that were refused are told; they come again, a hundred in a second.
        let before = (cpu(weir.id()), Instant::now());
        for round in 0..50 {
            for _ in 0..10 {
                if let Err(error) = TcpStream::connect(SocketAddr::from(GATEWAY)) {
                    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused), "{error}");
                }
            }
            if round % 10 == 0 {
                assert!(get(19003, "/ready").starts_with("HTTP/1.1 200 "));
                assert!(metric("weir_process_connections") <= most);
            }
            sleep(Duration::from_millis(100));
        }
        let (used, time) = (cpu(weir.id()) - before.0, before.1.elapsed().as_millis());
        println!("{most} of {CLIENTS} at once; {refused} seen refused at once; {used} hundredths of a second of CPU in {time} ms");
        // A twentieth of a core, of a build that is not optimised.
        assert!(u128::from(used) * 10 * 20 <= time, "{used} hundredths of a second of CPU in {time} ms");
        assert!(weir.kubectl(&["get", "gateway", "wire"]).contains("127.0.0.40"), "the API answers");
        assert_eq!(metric("weir_process_connections_refused_total{reason=\"no_descriptors\"}"), 0, "the ceiling is low enough");

        // Once they have gone, whoever comes is served.
        drop(held);
        weir.until("a place", || client().map(is_served).filter(|served| *served));
        let said = std::fs::read_to_string(&said).expect("readable");
        let complaints: Vec<_> = said.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")).collect();
        assert!(
            complaints.iter().all(|line| line.contains("over_process_ceiling") || line.contains("clients come faster")),
            "{complaints:#?}"
        );
        let told = complaints.iter().filter(|line| line.contains("over_process_ceiling")).count();
        assert!((1..=3).contains(&told), "at once, and then a sum each ten seconds: {complaints:#?}");
        let total = metric("weir_process_connections_refused_total{reason=\"over_process_ceiling\"}");
        assert!(total > 500, "{total}: {}", text(said.as_bytes()));
    });
}
