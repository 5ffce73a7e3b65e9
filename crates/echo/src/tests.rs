//! Over real sockets, with requests and answers as bytes.

mod modes;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{GRACE, HttpEcho, Identity, Log, Tls, UsageError, serve_grpc, serve_h2c, serve_http, serve_http_echo, serve_https, serve_tcp};

struct Backend {
    address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

enum Kind {
    Http,
    H2c,
    Https(Tls),
    Tcp(Option<Tls>),
    Grpc,
    HttpEcho(HttpEcho),
}

async fn start(kind: Kind) -> Backend {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log: Log = {
        let lines = lines.clone();
        Arc::new(move |line: &str| lines.lock().expect("not poisoned").push(line.to_owned()))
    };
    let stop = CancellationToken::new();
    let identity = Identity {
        namespace: "default".into(),
        pod: "app-1".into(),
        service: "app".into(),
        ingress: String::new(),
        http_port: "3000".into(),
        tls_port: "8443".into(),
    };
    let stopped = stop.clone();
    let task = match kind {
        Kind::Http => tokio::spawn(serve_http(listener, identity, log, stopped)),
        Kind::H2c => tokio::spawn(serve_h2c(listener, identity, log, stopped)),
        Kind::Https(tls) => tokio::spawn(serve_https(listener, tls, identity, log, stopped)),
        Kind::Tcp(tls) => tokio::spawn(serve_tcp(listener, tls, identity, log, stopped)),
        Kind::Grpc => tokio::spawn(serve_grpc(listener, None, identity, log, stopped)),
        Kind::HttpEcho(config) => tokio::spawn(serve_http_echo(listener, config, log, stopped)),
    };
    Backend { address, lines, stop, task }
}

impl Backend {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// Sends one request, with `Connection: close`, and returns everything that comes back: the status, the headers without the date, the
    /// body.
    async fn ask(&self, request: &str) -> (u16, Vec<String>, String) {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).expect("a status");
        (status, lines.filter(|line| !line.starts_with("Date:")).map(str::to_owned).collect(), body.to_owned())
    }

    async fn get(&self, target: &str) -> (u16, String) {
        let (status, _, body) = self.ask(&format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")).await;
        (status, body)
    }
}

#[tokio::test]
async fn an_echo_is_the_images_json_byte_by_byte() {
    let backend = start(Kind::Http).await;
    let request = "POST /a//b?x=1&y=%20 HTTP/1.1\r\nhost: App.example:8080\r\nconnection: close\r\nx-one: 1\r\nx-one: 2\r\n\
                   content-length: 4\r\nx-request-id: \"<q>\"\r\n\r\nbody";
    let (status, headers, body) = backend.ask(request).await;
    assert_eq!(status, 200);
    for header in ["Content-Type: application/json", "X-Content-Type-Options: nosniff"] {
        assert!(headers.iter().any(|line| line == header), "{header} in {headers:?}");
    }
    let expected = r#"{
 "path": "/a//b?x=1\u0026y=%20",
 "host": "App.example:8080",
 "method": "POST",
 "proto": "HTTP/1.1",
 "headers": {
  "Connection": [
   "close"
  ],
  "Content-Length": [
   "4"
  ],
  "X-One": [
   "1",
   "2"
  ],
  "X-Request-Id": [
   "\"\u003cq\u003e\""
  ]
 },
 "httpPort": "3000",
 "namespace": "default",
 "ingress": "",
 "service": "app",
 "pod": "app-1"
}"#;
    assert_eq!(body, expected);
    let lines = backend.lines.lock().expect("not poisoned").clone();
    assert!(lines[0].starts_with("Starting server, listening on port "), "{lines:?}");
    assert!(lines[1].starts_with("Echoing back request made to /a//b?x=1&y=%20 to client (127.0.0.1:"), "{lines:?}");
}

#[tokio::test]
async fn the_fixed_paths_answer_as_the_image_does() {
    let backend = start(Kind::Http).await;
    for (target, status, body) in [
        ("/health", 200, "OK"),
        ("/status/204", 204, ""),
        ("/status/503", 503, ""),
        ("/status/503?x", 400, ""),
        ("/status/42", 400, ""),
        ("//status/503", 400, ""),
        ("/retry/a", 400, "uuid is required"),
        ("/retry/a?uuid=1", 400, "succeedAfter is required"),
        ("/ws", 400, "a WebSocket handshake is expected (RFC 6455, version 13)"),
        ("/?delay=abc", 500, "{\"message\":\"time: invalid duration \\\"abc\\\"\"}"),
    ] {
        assert_eq!(backend.get(target).await, (status, body.to_owned()), "{target}");
    }
}

#[tokio::test]
async fn headers_are_set_as_asked() {
    let backend = start(Kind::Http).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
                   X-Echo-Set-Header: X-One:a, X-Two: b,X-One:c\r\nX-Echo-Set-Header: \r\nX-Echo-Set-Header: X-Two:d, bad name:x, Content-Length:1\r\n\r\n";
    let (status, headers, _) = backend.ask(request).await;
    assert_eq!(status, 200);
    for header in ["X-One: a,c", "X-Two: b,d"] {
        assert!(headers.iter().any(|line| line == header), "{header} in {headers:?}");
    }
}

#[tokio::test]
async fn a_delay_is_waited_for_from_query_and_form() {
    let backend = start(Kind::Http).await;
    let form = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 10\r\n\r\ndelay=60ms";
    for request in ["GET /?delay=60ms HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", form] {
        let before = Instant::now();
        assert_eq!(backend.ask(request).await.0, 200);
        assert!(before.elapsed() >= Duration::from_millis(60), "{request}");
    }
}

#[tokio::test]
async fn a_flaky_request_fails_as_told_and_then_succeeds() {
    let backend = start(Kind::Http).await;
    let target = "/retry/x?uuid=a&succeedAfter=2&responseCode=503";
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(backend.get(target).await.0);
    }
    assert_eq!(statuses, [503, 503, 200]);

    let mut stream = backend.connect().await;
    stream.write_all(b"GET /retry/x?uuid=b&succeedAfter=1 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it reads");
    let error = stream.read_u8().await.expect_err("the connection is reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(backend.get("/retry/x?uuid=b&succeedAfter=1").await.0, 200);
}

#[tokio::test]
async fn a_large_body_is_read_and_the_connection_lives_on() {
    let backend = start(Kind::Http).await;
    let mut stream = backend.connect().await;
    for _ in 0..2 {
        let body = "x".repeat(1 << 20);
        stream
            .write_all(format!("PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
            .await
            .expect("it reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\"pod\": \"app-1\"\n}") {
            assert!(stream.read_buf(&mut answer).await.expect("it answers") > 0, "the connection lives");
        }
    }
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_lets_requests_end() {
    let backend = start(Kind::Http).await;
    let mut idle = backend.connect().await;
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"OK") {
        idle.read_buf(&mut answer).await.expect("it answers");
    }
    let mut busy = backend.connect().await;
    busy.write_all(b"GET /?delay=200ms HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it reads");
    let mut stuck = backend.connect().await;
    stuck.write_all(b"GET /?delay=1h HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it reads");
    while backend.lines.lock().expect("not poisoned").len() < 3 {
        tokio::task::yield_now().await;
    }
    let before = Instant::now();
    backend.stop.cancel();
    assert_eq!(idle.read(&mut [0; 1]).await.expect("closed cleanly"), 0);
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.expect("closed cleanly");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with('}'), "{answer}");
    let mut rest = Vec::new();
    assert_eq!(stuck.read_to_end(&mut rest).await.ok().unwrap_or_default(), 0);
    backend.task.await.expect("no panic");
    assert!(before.elapsed() >= GRACE);
    assert!(TcpStream::connect(backend.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn h2c_wants_http_2() {
    let backend = start(Kind::H2c).await;
    assert_eq!(backend.get("/").await, (400, "Expected h2c request".to_owned()));

    let stream = hyper_util::rt::TokioIo::new(backend.connect().await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let request = http::Request::get("http://h2.example/a?b").body(http_body_util::Empty::<bytes::Bytes>::new()).expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let body = http_body_util::BodyExt::collect(response.into_body()).await.expect("a body").to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&body["path"], &body["host"], &body["proto"]), (&"/a?b".into(), &"h2.example".into(), &"HTTP/2.0".into()));
    drop(sender);
    connection.await.expect("no panic").expect("closed cleanly");
    backend.stop.cancel();
    backend.task.await.expect("no panic");
}

#[tokio::test]
async fn http_echo_says_its_text() {
    let config = HttpEcho::from_args(["-text=hello", "--listen", ":0", "-status-code=418"]).expect("a command line");
    let backend = start(Kind::HttpEcho(config)).await;
    let (status, headers, body) = backend.ask("GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: t\r\nConnection: close\r\n\r\n").await;
    assert_eq!((status, body.as_str()), (418, "hello\n"));
    for header in ["X-App-Name: http-echo", "X-App-Version: 1.0.0", "Content-Type: text/plain; charset=utf-8"] {
        assert!(headers.iter().any(|line| line == header), "{header} in {headers:?}");
    }
    assert_eq!(backend.get("/health").await, (200, "{\"status\":\"ok\"}\n".to_owned()));
    let lines = backend.lines.lock().expect("not poisoned").clone();
    assert!(lines[0].ends_with("[INFO] server is listening on :0"), "{lines:?}");
    assert!(lines[1].contains(" a 127.0.0.1:") && lines[1].contains(" \"GET /x HTTP/1.1\" 418 6 \"t\" "), "{lines:?}");
    assert_eq!(lines.len(), 2, "health checks are not logged");
}

#[test]
fn http_echo_reads_its_command_line() {
    let none: [&str; 0] = [];
    assert_eq!(HttpEcho::from_args(none), Err(UsageError::MissingText));
    let parsed = HttpEcho::from_args(["-text", "a b"]).expect("a command line");
    assert_eq!((parsed.text.as_str(), parsed.port(), parsed.status), ("a b", Ok(5678), StatusCode::OK));
    for (args, error, code) in [
        (["-text=a", "b"], UsageError::TooManyArguments, 127),
        (["-text=a", "-x=1"], UsageError::UnknownFlag("x".into()), 2),
        (["-text=a", "-listen"], UsageError::MissingValue("listen".into()), 2),
        (["-text=a", "-status-code=no"], UsageError::Status("no".into()), 2),
        (["-text=a", "-listen=8080"], UsageError::Listen("8080".into()), 1),
    ] {
        assert_eq!(HttpEcho::from_args(args).map_err(|it| (it.exit_code(), it)), Err((code, error)));
    }
}
