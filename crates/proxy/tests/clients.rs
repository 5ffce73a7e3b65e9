//! What a listener's settings do to its clients, on real sockets: one test for each field.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_model::{
    ClientIp, ClientSettings, EscapedSlashes, HeaderMutation, HeaderName, Http10, IpRange, LimitScope, Model, ProxyProtocol, RequestId,
    StringMatch, TcpKeepalive, Underscores,
};
use weir_proxy::Settings;

fn name(text: &str) -> HeaderName {
    HeaderName::new(text).unwrap()
}

async fn bench(origin: &Origin, change: impl FnOnce(&mut ClientSettings)) -> Bench {
    Bench::start(with_client(model(vec![forward("b")], &[("b", &[origin.address])]), change)).await
}

/// What the origin sees of a request with these fields, in lower case.
async fn seen(change: impl FnOnce(&mut ClientSettings), fields: &str) -> String {
    let mut origin = Origin::plain().await;
    let bench = bench(&origin, change).await;
    let mut client = bench.client().await;
    client.send(&format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n")).await;
    let answer = client.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    origin.request().await.to_lowercase()
}

/// The answer to a request.
async fn answer(change: impl FnOnce(&mut ClientSettings), request: &str) -> String {
    let origin = Origin::plain().await;
    let bench = bench(&origin, change).await;
    let mut client = bench.client().await;
    client.send(request).await;
    client.until("\r\n\r\n").await
}

#[tokio::test]
async fn the_last_of_a_connections_requests_says_so() {
    let origin = Origin::plain().await;
    let bench = bench(&origin, |client| client.connection.max_requests_per_connection = Some(3)).await;
    let mut client = bench.client().await;
    for last in [false, false, true] {
        client.send(GET).await;
        assert_eq!(client.until("ok").await.contains("connection: close\r\n"), last);
    }
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn an_old_connection_ends() {
    let origin = Origin::plain().await;
    let old = Some(Duration::from_millis(200));
    // As soon as it is idle,
    let bench1 = bench(&origin, |client| {
        client.connection.max_connection_duration = old;
        client.connection.safe_max_connection_duration = false;
    })
    .await;
    let mut client = bench1.client().await;
    client.send(GET).await;
    assert!(!client.until("ok").await.contains("connection: close"));
    assert_eq!(client.rest().await, "");
    // or after an answer that says so.
    let bench2 = bench(&origin, |client| client.connection.max_connection_duration = old).await;
    let mut client = bench2.client().await;
    let start = Instant::now();
    loop {
        client.send(GET).await;
        if client.until("ok").await.contains("connection: close") {
            break;
        }
        assert!(start.elapsed() < PATIENCE);
    }
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn what_takes_too_long_ends() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = [silent.local_addr().unwrap()];
    let short = Some(Duration::from_millis(200));
    let post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nab";
    type Change = fn(&mut ClientSettings, Option<Duration>);
    let cases: [(Change, &str, &str, &str); 5] = [
        (|client, short| client.connection.max_stream_duration = short, GET, "408", "max_duration_timeout"),
        (|client, short| client.timeouts.request = short, post, "408", "request_overall_timeout"),
        (|client, short| client.timeouts.stream_idle = short, GET, "504", "stream_idle_timeout"),
        (|client, short| client.timeouts.headers = short, "GET / HT", "408", "request_header_timeout"),
        (|client, short| client.timeouts.request = short, "GET / HT", "408", "request_header_timeout"),
    ];
    for (change, request, status, details) in cases {
        let model = with_client(model(vec![forward("b")], &[("b", &backend)]), |client| change(client, short));
        let bench = Bench::start(model).await;
        let mut client = bench.client().await;
        client.send(request).await;
        let answer = client.until("\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{details}: {answer}");
        bench.log.line(|line| line["response_code_details"] == details).await;
    }
    // Idle after a request.
    let origin = Origin::plain().await;
    let bench = bench(&origin, |client| client.timeouts.idle = short).await;
    let mut client = bench.client().await;
    client.send(GET).await;
    client.until("ok").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn refused_connections_are_held_but_not_many_and_not_in_the_limit() {
    let origin = Origin::plain().await;
    let model = with_limit(model(vec![forward("b")], &[("b", &[origin.address])]), 1);
    let delay = Duration::from_secs(2);
    let mut bench = Bench::start(with_client(model, |client| client.connection.close_delay = Some(delay))).await;
    let mut first = bench.client().await;
    first.send(GET).await;
    first.until("ok").await;
    let start = Instant::now();
    let mut others = Vec::new();
    for _ in 0..30 {
        let target = bench.target();
        others.push(tokio::spawn(async move {
            let Ok(mut stream) = tokio::net::TcpStream::connect(target).await else { return start.elapsed() };
            let _ = stream.read(&mut [0; 16]).await;
            start.elapsed()
        }));
    }
    bench.report(|report| report.limits[&limit_name()].refused.over_connection_limit == 30).await;
    // The slot is free although refused ones are still there.
    drop(first);
    bench.counts(0).await;
    let mut next = bench.client().await;
    next.send(GET).await;
    next.until("ok").await;
    let mut held = 0;
    for other in others {
        held += usize::from(other.await.unwrap() >= delay);
    }
    assert_eq!(held, 16, "the others were closed at once");
}

#[tokio::test]
async fn accepted_sockets_are_as_the_listener_says() {
    let origin = Origin::plain().await;
    let keepalive = TcpKeepalive { probes: Some(3), idle: Some(Duration::from_secs(100)), interval: Some(Duration::from_secs(50)) };
    let bench = bench(&origin, |client| {
        client.tcp_keepalive = Some(keepalive);
        client.connection.socket_buffer_limit = Some(8192);
        client.connection.max_accept_per_socket_event = 1;
    })
    .await;
    let mut client = bench.client().await;
    client.send(GET).await;
    client.until("ok").await;
    // The kernel's table shows the keep-alive timer (02) of the accepted end, and when it rings next.
    let (ours, theirs) = (client.stream.peer_addr().unwrap(), client.stream.local_addr().unwrap());
    let shown = |address: std::net::SocketAddr| match address.ip() {
        std::net::IpAddr::V4(ip) => format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()),
        std::net::IpAddr::V6(_) => panic!("not here"),
    };
    let ends = format!(" {} {} ", shown(ours), shown(theirs));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().find(|line| line.contains(&ends));
    let timer = line.expect("the accepted end").split_ascii_whitespace().nth(5).unwrap().to_owned();
    assert!(timer.starts_with("02:"), "{timer}");
    // And `ss` the buffers: what was asked for, doubled for the kernel's own use.
    let filter = format!("src {ours} and dst {theirs}");
    let shown = std::process::Command::new("ss").args(["-tmnH", &filter]).output().expect("ss (iproute2)");
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(",rb16384,") && shown.contains(",tb16384,"), "{shown}");
}

#[tokio::test]
async fn a_proxy_protocol_header_says_whose_the_connection_is() {
    let mut origin = Origin::plain().await;
    let bench1 = bench(&origin, |client| client.proxy_protocol = Some(ProxyProtocol { optional: false })).await;
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    v2.extend([203, 0, 113, 7, 127, 0, 0, 1, 0x12, 0x34, 0, 80]);
    for header in [b"PROXY TCP4 203.0.113.7 127.0.0.1 4660 80\r\n".to_vec(), v2] {
        let mut client = bench1.client().await;
        // In pieces, with the request right behind the last.
        for byte in &header[..header.len() - 1] {
            client.stream.write_all(&[*byte]).await.unwrap();
            client.stream.flush().await.unwrap();
        }
        client.stream.write_all(&header[header.len() - 1..]).await.unwrap();
        client.send(GET).await;
        client.until("ok").await;
        let seen = origin.request().await;
        assert!(seen.contains("x-forwarded-for: 203.0.113.7\r\n"), "{seen}");
        bench1.log.line(|line| line["downstream_remote_address"] == "203.0.113.7:4660").await;
    }
    // Without one, or with a bad one, nothing is read as a request.
    for start in [GET.to_owned(), format!("PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n{GET}")] {
        assert_eq!(bench1.once(&start).await, "");
    }
    // Late: the inspection's time is over.
    let late = |client: &mut ClientSettings| {
        client.proxy_protocol = Some(ProxyProtocol { optional: true });
        client.timeouts.inspection = Some(Duration::from_millis(200));
    };
    let bench2 = bench(&origin, late).await;
    assert_eq!(bench2.once("PROXY TCP4 ").await, "");
    let mut client = bench2.client().await;
    client.send(GET).await;
    client.until("ok").await;
}

#[tokio::test]
async fn the_client_is_found_where_the_listener_says() {
    let spoofed = "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nX-Real-Ip: 198.51.100.4\r\n";
    let me = "127.0.0.1";
    for (rule, forwarded, external) in [
        (ClientIp::Peer, Some("6.6.6.6, 203.0.113.9,127.0.0.1"), me),
        (ClientIp::Direct, Some("6.6.6.6, 203.0.113.9"), me),
        (ClientIp::TrustedHops { hops: 1, append: true }, Some("6.6.6.6, 203.0.113.9,127.0.0.1"), "203.0.113.9"),
        (ClientIp::TrustedHops { hops: 1, append: false }, Some("6.6.6.6, 203.0.113.9"), "203.0.113.9"),
        (ClientIp::TrustedRanges { ranges: vec![IpRange::parse("127.0.0.0/8").unwrap()], append: false }, None, "203.0.113.9"),
        (ClientIp::TrustedRanges { ranges: vec![IpRange::parse("10.0.0.0/8").unwrap()], append: false }, None, me),
        (ClientIp::Header { name: name("x-real-ip"), fail_closed: true }, None, "198.51.100.4"),
    ] {
        let shown = format!("{rule:?}");
        let seen = seen(|client| client.client_ip = rule, spoofed).await;
        assert!(seen.contains(&format!("x-envoy-external-address: {external}\r\n")), "{shown}: {seen}");
        if let Some(forwarded) = forwarded {
            assert!(seen.contains(&format!("x-forwarded-for: {forwarded}\r\n")), "{shown}: {seen}");
        }
    }
    let closed = |client: &mut ClientSettings| client.client_ip = ClientIp::Header { name: name("x-real-ip"), fail_closed: true };
    assert!(answer(closed, GET).await.starts_with("HTTP/1.1 403 "));
}

#[tokio::test]
async fn paths_are_as_the_listener_says() {
    for (escaped, merge, path, expected) in [
        (EscapedSlashes::KeepUnchanged, true, "/a%2fb//c", "200 /a%2Fb/c"),
        (EscapedSlashes::KeepUnchanged, false, "/a//c", "200 /a//c"),
        (EscapedSlashes::RejectRequest, true, "/a%2Fb", "400"),
        (EscapedSlashes::UnescapeAndForward, true, "/a%2Fb", "200 /a/b"),
        (EscapedSlashes::UnescapeAndRedirect, true, "/a%2Fb", "307"),
    ] {
        let mut origin = Origin::plain().await;
        let bench = bench(&origin, |client| (client.path.escaped_slashes, client.path.merge_slashes) = (escaped, merge)).await;
        let mut client = bench.client().await;
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        let answer = client.until("\r\n\r\n").await;
        let (status, forwarded) = expected.split_once(' ').unwrap_or((expected, ""));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{expected}: {answer}");
        if !forwarded.is_empty() {
            let seen = origin.request().await;
            assert!(seen.starts_with(&format!("GET {forwarded} HTTP/1.1\r\n")), "{expected}: {seen}");
        }
    }
}

#[tokio::test]
async fn underscores_are_as_the_listener_says() {
    let fields = "X_Y: 1\r\nX-Z: 2\r\n";
    let seen_with = async |rule| seen(|client| client.headers.underscores = rule, fields).await;
    assert!(seen_with(Underscores::Allow).await.contains("x_y: 1\r\n"));
    let dropped = seen_with(Underscores::Drop).await;
    assert!(!dropped.contains("x_y") && dropped.contains("x-z: 2\r\n"), "{dropped}");
    let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n");
    assert!(answer(|_| {}, &request).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn request_ids_are_as_the_listener_says() {
    let mine = "X-Request-Id: mine\r\n";
    for (rule, sent, expected) in [
        (RequestId::PreserveOrGenerate, mine, Some("mine")),
        (RequestId::PreserveOrGenerate, "", Some("-")),
        (RequestId::Preserve, mine, Some("mine")),
        (RequestId::Preserve, "", None),
        (RequestId::Generate, mine, Some("-")),
        (RequestId::Disable, mine, None),
    ] {
        let seen = seen(|client| client.headers.request_id = rule, sent).await;
        let id = seen.lines().find_map(|line| line.strip_prefix("x-request-id: "));
        assert_eq!(id.map(|id| if id == "mine" { id } else { &id[8..9] }), expected, "{rule:?} {sent}: {seen}");
    }
}

#[tokio::test]
async fn headers_are_changed_before_and_after() {
    let pair = |field: &str, value: &str| vec![(name(field), Arc::from(value))];
    let early = HeaderMutation {
        set: pair("x-set", "early"),
        add_if_absent: pair("x-absent", "here"),
        remove: vec![name("x-gone")],
        remove_on_match: vec![StringMatch::Prefix("x-internal-".into())],
        ..HeaderMutation::default()
    };
    let late = HeaderMutation { set: pair("content-type", "late"), add: pair("x-late", "1"), ..HeaderMutation::default() };
    let both = |client: &mut ClientSettings| {
        (client.headers.early_request, client.headers.late_response) = (early.clone(), late.clone());
    };
    let seen = seen(both, "X-Set: client\r\nX-Gone: 1\r\nX-Internal-A: 1\r\nX-Stays: 1\r\n").await;
    for (field, there) in [("x-set: early", true), ("x-set: client", false), ("x-absent: here", true), ("x-gone", false)] {
        assert_eq!(seen.contains(field), there, "{field}: {seen}");
    }
    assert!(!seen.contains("x-internal") && seen.contains("x-stays: 1"), "{seen}");
    // Answers of our own, too.
    let own = answer(both, "GET / HTTP/1.1\r\nHost: none.test\r\n\r\n").await;
    assert!(own.starts_with("HTTP/1.1 404 ") && own.contains("x-late: 1\r\n"), "{own}");
    // And routing sees what was changed.
    let origin = Origin::plain().await;
    let mut rule = forward("b");
    rule.matches[0].headers = vec![weir_model::HeaderMatch { name: name("x-set"), value: weir_model::ValueMatch::Exact("early".into()) }];
    let bench = Bench::start(with_client(model(vec![rule], &[("b", &[origin.address])]), both)).await;
    let mut client = bench.client().await;
    client.send(GET).await;
    assert!(client.until("ok").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn envoys_headers_are_added_where_wanted() {
    let wants = |client: &mut ClientSettings| client.headers.envoy_headers = true;
    assert!(answer(wants, GET).await.contains("x-envoy-upstream-service-time: "));
    assert!(!answer(|_| {}, GET).await.contains("x-envoy"));
}

#[tokio::test]
async fn a_dot_behind_the_host_is_dropped_where_wanted() {
    let request = "GET / HTTP/1.1\r\nHost: A.test.:80\r\n\r\n";
    let mut origin = Origin::plain().await;
    let bench = bench(&origin, |client| client.headers.strip_trailing_host_dot = true).await;
    let mut client = bench.client().await;
    client.send(request).await;
    assert!(client.until("ok").await.starts_with("HTTP/1.1 200 "));
    assert!(origin.request().await.contains("host: A.test:80\r\n"));
    assert!(answer(|_| {}, request).await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn the_health_check_is_answered_here() {
    let health = |client: &mut ClientSettings| client.health_check = Some("/healthz".into());
    let answer = answer(health, "GET /healthz?x HTTP/1.1\r\nHost: whoever.test\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Sends a request, which says `close`, to an origin that answers with trailers: what the origin saw, and the answer.
async fn with_trailers(bench: &Bench, origin: &tokio::net::TcpListener, request: &str) -> (String, String) {
    let mut client = bench.client().await;
    client.send(request).await;
    let (mut backend, _) = origin.accept().await.unwrap();
    let mut read = Vec::new();
    // Behind the last chunk and its trailers stands an empty line, and no other one behind the head.
    while String::from_utf8_lossy(&read).matches("\r\n\r\n").count() < 2 {
        assert!(backend.read_buf(&mut read).await.unwrap() > 0);
    }
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n\
                  2\r\nok\r\n0\r\nX-Sum: 2\r\nSet-Cookie: evil=1\r\nContent-Length: 9\r\nX-Gone: 1\r\nX-Late: evil\r\n\r\n";
    backend.write_all(answer.as_bytes()).await.unwrap();
    (String::from_utf8(read).unwrap(), client.rest().await)
}

const TRAILING: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n\
                        5\r\nhello\r\n0\r\nX-Sum: 5\r\nHost: evil\r\nX-Forwarded-For: 6.6.6.6\r\nX-User: root\r\nX-Early: evil\r\nX-Client: 1.1.1.1\r\n\r\n";

#[tokio::test]
async fn trailers_pass_where_wanted_and_say_nothing_that_the_head_decides() {
    let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = [origin.local_addr().unwrap()];
    let mut rule = forward("b");
    let edit = |remove: &str| weir_model::HeaderEdit { set: vec![], add: vec![], remove: vec![name(remove)] };
    rule.filters = vec![weir_model::Filter::RequestHeaders(edit("x-user")), weir_model::Filter::ResponseHeaders(edit("x-gone"))];
    let pair = |field: &str| vec![(name(field), Arc::from("ours"))];
    for (wanted, keeps_case) in [(false, false), (true, false), (true, true)] {
        let bench = Bench::start(with_client(model(vec![rule.clone()], &[("b", &backend)]), |client| {
            (client.http1.trailers, client.http1.preserve_header_case) = (wanted, keeps_case);
            client.headers.early_request = HeaderMutation { set: pair("x-early"), ..HeaderMutation::default() };
            client.headers.late_response = HeaderMutation { set: pair("x-late"), ..HeaderMutation::default() };
            client.client_ip = ClientIp::Header { name: name("x-client"), fail_closed: false };
        }))
        .await;
        let (seen, answered) = with_trailers(&bench, &origin, TRAILING).await;
        let field = if keeps_case { "X-Sum" } else { "x-sum" };
        let (up, down) = if wanted { (format!("{field}: 5\r\n"), format!("{field}: 2\r\n")) } else { Default::default() };
        let (head, body) = seen.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, format!("5\r\nhello\r\n0\r\n{up}\r\n"), "{seen}");
        assert_eq!(head.contains("\r\ntrailer: X-Sum"), wanted, "{seen}");
        assert_eq!(head.contains("\r\nte: trailers\r\nconnection: te"), wanted, "{seen}");
        let (head, body) = answered.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, format!("2\r\nok\r\n0\r\n{down}\r\n"), "{answered}");
        assert_eq!(head.to_lowercase().contains("\r\ntrailer: x-sum"), wanted, "{answered}");
    }
}

#[tokio::test]
async fn trailers_follow_large_pieces_and_those_that_connection_names_do_not() {
    let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = [origin.local_addr().unwrap()];
    let bench = Bench::start(with_client(model(vec![forward("b")], &[("b", &backend)]), |client| client.http1.trailers = true)).await;
    let data = "x".repeat(20_000);
    for (connection, trailer) in [("close", "x-sum: 1\r\n"), ("close, x-sum", "")] {
        let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nConnection: {connection}\r\n\r\n");
        let request = format!("{head}4e20\r\n{data}\r\n0\r\nX-Sum: 1\r\n\r\n");
        let (seen, _) = with_trailers(&bench, &origin, &request).await;
        let body = seen.split_once("\r\n\r\n").unwrap().1;
        // The pieces that it is read in are nobody's business.
        assert_eq!(body.matches('x').count(), data.len() + usize::from(!trailer.is_empty()));
        assert!(body.ends_with(&format!("x\r\n0\r\n{trailer}\r\n")), "{}", &body[body.len() - 40..]);
    }
}

#[tokio::test]
async fn header_names_are_in_lower_case_unless_they_are_to_be_kept() {
    for keeps in [false, true] {
        let answer = "HTTP/1.1 200 OK\r\nX-SpEcIaL: Answer\r\nContent-Length: 2\r\n\r\nok";
        let mut origin = Origin::start(vec![vec![answer]]).await;
        let bench = bench(&origin, |client| client.http1.preserve_header_case = keeps).await;
        let mut client = bench.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-SpEcIaL: Value\r\n\r\n").await;
        let (answered, seen) = (client.until("\r\n\r\n").await, origin.request().await);
        let field = if keeps { "X-SpEcIaL" } else { "x-special" };
        assert!(seen.contains(&format!("\r\n{field}: Value\r\n")), "{seen}");
        assert!(answered.contains(&format!("\r\n{field}: Answer\r\n")), "{answered}");
    }
}

#[tokio::test]
async fn http_1_0_is_served_where_wanted() {
    let mut origin = Origin::start(vec![vec!["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]]).await;
    let wants = |client: &mut ClientSettings| client.http1.http10 = Some(Http10 { default_host: Some("a.test".into()) });
    let bench = bench(&origin, wants).await;
    let answer = bench.once("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok");
    assert!(origin.request().await.starts_with("GET / HTTP/1.1\r\nhost: a.test\r\n"));
}

#[tokio::test]
async fn little_is_buffered_for_a_client_that_does_not_read() {
    const LIMIT: u32 = 4096;
    let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = [origin.local_addr().unwrap()];
    let bench = Bench::start(with_client(model(vec![forward("b")], &[("b", &backend)]), |client| {
        client.connection.buffer_limit = LIMIT;
    }))
    .await;
    let mut client = bench.client().await;
    client.send(GET).await;
    let (mut backend, _) = origin.accept().await.unwrap();
    let _ = backend.read(&mut [0; 4096]).await.unwrap();
    let body = "x".repeat(1 << 20);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let sending = tokio::spawn(async move {
        backend.write_all(head.as_bytes()).await.unwrap();
        backend.write_all(body.as_bytes()).await.unwrap();
    });
    client.until("\r\n\r\n").await;
    assert_eq!(client.until(&"x".repeat(1 << 20)).await.len(), 1 << 20, "small steps lead to the end, too");
    sending.await.unwrap();
}

/// A Model with a limit on its route.
fn with_route_limit(mut model: Model, value: u64) -> Model {
    let mut limit = weir_model::Limit::clone(&with_limit(model.clone(), value).limits[&limit_name()]);
    (limit.scope, limit.route) = (LimitScope::Route, Some(weir_model::ObjectName::new("ns", "route")));
    model.limits.insert(limit_name(), Arc::new(limit));
    model
}

#[tokio::test]
async fn a_route_takes_as_many_connections_as_it_may() {
    let origin = Origin::plain().await;
    let model = with_route_limit(model(vec![forward("b")], &[("b", &[origin.address])]), 2);
    let mut bench = Bench::start(model.clone()).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = bench.client().await;
        for _ in 0..3 {
            client.send(GET).await;
            assert!(client.until("ok").await.starts_with("HTTP/1.1 200 "));
        }
        held.push(client);
    }
    // A connection that asks for something else does not count.
    let mut other = bench.client().await;
    other.send("GET / HTTP/1.1\r\nHost: none.test\r\n\r\n").await;
    assert!(other.until("request\n").await.starts_with("HTTP/1.1 404 "));
    other.send(GET).await;
    let refused = other.rest().await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("connection: close\r\n"), "{refused}");
    let line = bench.log.line(|line| line["response_code"] == 503).await;
    assert_eq!(line["response_code_details"], "over_connection_limit");
    assert_eq!((&line["limit_scope"], &line["limit_value"], &line["current"]), (&"route".into(), &2.into(), &2.into()));
    let scope = bench.answer(|answer| if let weir_model::Answer::Refused(it) = answer { Some(it.scope) } else { None }).await;
    assert_eq!(scope, LimitScope::Route);
    let report = bench.report(|report| report.limits[&limit_name()].refused.over_connection_limit == 1).await;
    assert_eq!((report.limits[&limit_name()].current, report.limits[&limit_name()].scope), (2, LimitScope::Route));

    // Those who have it keep it, when it is lowered too; one that goes makes room; a limit that comes back finds the count.
    held[0].send(GET).await;
    held[0].until("ok").await;
    bench.apply(with_route_limit(model.clone(), 1)).await;
    held[1].send(GET).await;
    held[1].until("ok").await;
    let mut none = model.clone();
    none.limits.clear();
    bench.apply(none).await;
    bench.apply(model).await;
    assert!(bench.once(GET).await.starts_with("HTTP/1.1 503 "));
    held.pop();
    bench.counts(1).await;
    let mut next = bench.client().await;
    next.send(GET).await;
    assert!(next.until("ok").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_websocket_is_a_tunnel_after_the_backends_word() {
    let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = [origin.local_addr().unwrap()];
    let bench = Bench::start(with_limit(model(vec![forward("b")], &[("b", &backend)]), 1)).await;
    for client_ends in [true, false] {
        let mut client = bench.client().await;
        // What the client says too early waits.
        client.send("GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\nearly").await;
        let (mut stream, _) = origin.accept().await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0);
        }
        let head = String::from_utf8(read).unwrap();
        assert!(head.starts_with("GET /chat HTTP/1.1\r\n") && head.contains("connection: upgrade\r\nupgrade: websocket\r\n"), "{head}");
        stream.write_all(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-X: 1\r\n\r\nhello").await.unwrap();
        let answer = client.until("hello").await;
        assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\nsec-x: 1\r\nconnection: upgrade\r\n"), "{answer}");
        client.send(" late").await;
        let mut said = [0; 10];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"early late");
        assert_eq!(bench.plane.report().limits[&limit_name()].current, 1);
        if client_ends {
            drop(client);
            assert_eq!(stream.read(&mut said).await.unwrap_or(0), 0);
        } else {
            stream.write_all(b"bye").await.unwrap();
            drop(stream);
            assert_eq!(client.rest().await, "bye");
        }
        bench.counts(0).await;
    }
    bench.log.line(|line| line["response_code"] == 101).await;
}

#[tokio::test]
async fn other_upgrades_are_passed_over() {
    let upgrade = |to: &str| format!("Connection: upgrade\r\nUpgrade: {to}\r\n");
    for (ignored, offer) in [("", "tls/1.0"), ("", "websocket, h2c"), ("websocket", "WebSocket")] {
        let rule = |client: &mut ClientSettings| client.http1.ignored_upgrades = vec![StringMatch::Exact(ignored.into())];
        let seen = seen(rule, &upgrade(offer)).await;
        assert!(!seen.contains("upgrade"), "{offer}: {seen}");
    }
}

#[tokio::test]
async fn the_process_takes_no_more_than_it_can_carry() {
    let origin = Origin::plain().await;
    let model = model(vec![forward("b")], &[("b", &[origin.address])]);
    let settings = Settings { workers: 2, max_connections: Some(3), ..Settings::default() };
    let bench = Bench::with_settings(model, settings).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = bench.client().await;
        client.send(GET).await;
        client.until("ok").await;
        held.push(client);
    }
    assert!(bench.refuses().await);
    assert!(bench.metrics().await.starts_with("HTTP/1.1 200 ") && bench.ready().await.starts_with("HTTP/1.1 200 "));
}
