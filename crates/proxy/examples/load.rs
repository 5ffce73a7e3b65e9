//! What `cargo xtask bench proxy` puts around the data plane: a backend, and clients that ask one request after the other on connections
//! that they keep.
//!
//! ```text
//! cargo run -p weir-proxy --example load -- backend
//! cargo run -p weir-proxy --example load -- clients ADDRESS CONNECTIONS REQUESTS [HOSTS]
//! ```
//!
//! A backend writes the address that it listens on; clients write how long they took, in seconds. With `HOSTS` the requests are for
//! `r0.test`, `r1.test` and so on up to that number, each client's in an order of its own that has no pattern.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};

type Failed = Box<dyn std::error::Error>;

const BODY: &str = "a small body, as long as what services often say to each other.\n";
const END: &[u8] = b"\r\n\r\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["backend"] => backend().await,
        ["clients", address, connections, requests] => clients(address.parse()?, connections.parse()?, requests.parse()?, 1).await,
        ["clients", address, connections, requests, hosts] => {
            clients(address.parse()?, connections.parse()?, requests.parse()?, hosts.parse()?).await
        }
        _ => Err("usage: load backend | load clients ADDRESS CONNECTIONS REQUESTS [HOSTS]".into()),
    }
}

async fn backend() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let answer: &str =
        format!("HTTP/1.1 200 OK\r\nServer: load\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len()).leak();
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut bytes = Vec::with_capacity(4096);
            // Its end is the proxy's affair.
            while read_to(&mut stream, &mut bytes, END).await.is_ok() && stream.write_all(answer.as_bytes()).await.is_ok() {}
        });
    }
}

/// Sends `count` requests, shared out among `connections`.
async fn clients(address: SocketAddr, connections: usize, count: usize, hosts: usize) -> Result<(), Failed> {
    let request = |host| format!("GET /orders/42?page=2 HTTP/1.1\r\nHost: r{host}.test\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n");
    let requests: Rc<Vec<String>> = Rc::new((0..hosts.max(1)).map(request).collect());
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let started = Instant::now();
    let local = LocalSet::new();
    let mut tasks = JoinSet::new();
    for (at, mut stream) in streams.into_iter().enumerate() {
        let (requests, mut random) = (requests.clone(), SmallRng::seed_from_u64(at as u64));
        let mine = count / connections + usize::from(at < count % connections);
        tasks.spawn_local_on(
            async move {
                let mut bytes = Vec::with_capacity(4096);
                for _ in 0..mine {
                    let request = requests.get(random.random_range(0..requests.len())).map(String::as_bytes).unwrap_or_default();
                    stream.write_all(request).await?;
                    read_to(&mut stream, &mut bytes, BODY.as_bytes()).await?;
                    if !bytes.starts_with(b"HTTP/1.1 200 ") {
                        return Err(std::io::Error::other(String::from_utf8_lossy(&bytes).into_owned()));
                    }
                }
                Ok(())
            },
            &local,
        );
    }
    local
        .run_until(async {
            while let Some(done) = tasks.join_next().await {
                done??;
            }
            Ok::<_, Failed>(())
        })
        .await?;
    println!("{}", started.elapsed().as_secs_f64());
    Ok(())
}

/// Reads until what was read ends with `end`.
async fn read_to(stream: &mut TcpStream, bytes: &mut Vec<u8>, end: &[u8]) -> std::io::Result<()> {
    bytes.clear();
    while !bytes.ends_with(end) {
        if stream.read_buf(bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
