//! Memory of connections that are stalled in both directions: no more than each direction's buffer, whatever the peers send.
#![allow(clippy::print_stdout, reason = "the child tells its parent")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use weir_proxy::Settings;

const CONNECTIONS: usize = 1000;
const BUFFER: usize = 32 * 1024;
/// Far more than all buffers on the way hold.
const BODY: usize = 4 << 20;
/// For the child: where the backend is.
const BACKEND: &str = "WEIR_TEST_BACKEND";

/// As many descriptors as may be had.
fn raise() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum");
}

/// A socket whose buffers are as small as the kernel lets them be, so that little is stalled in the kernel.
fn small() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    socket
}

/// A backend that never reads beyond a request's head, and sends an answer that nobody takes.
async fn backend() -> SocketAddr {
    let socket = small();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener: TcpListener = socket.listen(1024).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.readable().await.unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&vec![b'x'; BODY]).await;
                std::future::pending::<()>().await;
            });
        }
    });
    address
}

async fn client(target: SocketAddr) -> TcpStream {
    let mut stream = small().connect(target).await.expect("it listens");
    let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {BODY}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The child: a data plane that says where it listens, and how much memory it has when it is asked.
async fn data_plane(backend: SocketAddr) {
    raise();
    let model = with_client(model(vec![forward("b")], &[("b", &[backend])]), |client| {
        client.connection.buffer_limit = BUFFER as u32;
        client.connection.socket_buffer_limit = Some(4096);
    });
    let bench = Bench::with_settings(model, Settings { workers: 2, ..Settings::default() }).await;
    println!("\nat {}", bench.target());
    tokio::task::block_in_place(|| {
        for _ in std::io::stdin().lines() {
            println!("{}", resident());
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_connections_cost_no_more_than_their_buffers() {
    if let Ok(backend) = std::env::var(BACKEND) {
        return data_plane(backend.parse().unwrap()).await;
    }
    raise();
    let backend = backend().await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stalled_connections_cost_no_more_than_their_buffers", "--nocapture"])
        .env(BACKEND, backend.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut ask, mut answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap));
    let target: SocketAddr = answers.by_ref().find_map(|line| line.strip_prefix("at ")?.parse().ok()).expect("it starts");
    let mut resident = || {
        ask.write_all(b"?\n").unwrap();
        answers.next().expect("it lives").parse::<usize>().unwrap()
    };
    let before = resident();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = client(target).await;
        // Its body goes out until nobody takes any more; a task of its own for that.
        clients.push(tokio::spawn(async move {
            let _ = stream.write_all(&vec![b'x'; BODY]).await;
        }));
    }
    let metrics = SocketAddr::new(target.ip(), 19001);
    let all = async {
        loop {
            let mut client = Client::to(metrics).await;
            client.send("GET /stats/prometheus HTTP/1.1\r\nHost: x\r\n\r\n").await;
            if client
                .rest()
                .await
                .contains(&format!("envoy_http_downstream_rq_active{{envoy_http_conn_manager_prefix=\"http-10080\"}} {CONNECTIONS}\n"))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("all are served at once");
    // Until it grows no more.
    let mut most = resident();
    let mut calm = 0;
    while calm < 10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = resident();
        calm = if now > most { 0 } else { calm + 1 };
        most = most.max(now);
    }
    let grown = most - before;
    println!("{CONNECTIONS} connections, {} KiB each", grown / CONNECTIONS / 1024);
    assert!(clients.iter().all(|client| !client.is_finished()), "all are stalled");
    assert!(grown <= CONNECTIONS * 2 * BUFFER, "{grown} bytes");
    drop(ask);
    clients.iter().for_each(|client| client.abort());
    child.kill().unwrap();
    child.wait().unwrap();
}
