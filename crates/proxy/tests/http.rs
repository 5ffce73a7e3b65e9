//! Requests and answers, byte by byte, on real sockets.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use weir_model::{Action, FailReason, Filter, HeaderEdit, HeaderName, PathRewrite, Redirect, Scheme, Target, Timeouts, Weighted};

const CLOSE: &str = "Connection: close\r\n\r\n";

async fn bench_to(origin: &Origin) -> Bench {
    Bench::start(model(vec![forward("b")], &[("b", &[origin.address])])).await
}

#[tokio::test]
async fn a_request_is_written_anew() {
    let mut origin = Origin::plain().await;
    let bench = bench_to(&origin).await;
    let mut client = bench.client().await;
    client
        .send(
            "GET /a/../b//c?d=e HTTP/1.1\r\nhOST: A.test:8080\r\nX-Mine:  yes \r\nConnection: X-Gone, keep-alive, X-Forwarded-For\r\nX-Gone: 1\r\n\
             Keep-Alive: 1\r\nTE: trailers\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\n\
             X-Request-Id: mine\r\nX-Envoy-Internal: true\r\n\r\n",
        )
        .await;
    client.until("\r\n\r\nok").await;
    let seen = origin.request().await;
    let id = seen.split("x-request-id: ").nth(1).and_then(|rest| rest.get(..36)).expect(&seen);
    assert_eq!(
        seen,
        format!(
            "GET /b/c?d=e HTTP/1.1\r\nhost: A.test:8080\r\nx-mine: yes\r\nx-forwarded-for: 1.2.3.4,5.6.7.8,127.0.0.1\r\n\
             x-forwarded-proto: http\r\nx-envoy-external-address: 127.0.0.1\r\nx-request-id: {id}\r\n\r\n"
        )
    );
    let line = bench.log.line(|line| line["x-request-id"] == id).await;
    for (key, value) in [
        ("method", "GET"),
        ("x-envoy-origin-path", "/a/../b//c?d=e"),
        ("protocol", "HTTP/1.1"),
        ("response_flags", "-"),
        ("response_code_details", "via_upstream"),
        (":authority", "A.test:8080"),
        ("x-forwarded-for", "1.2.3.4,5.6.7.8,127.0.0.1"),
        ("upstream_cluster", "httproute/ns/route/rule/0"),
        ("route_name", "httproute/ns/route/rule/0"),
        ("upstream_host", &origin.address.to_string()),
        ("downstream_local_address", &bench.target().to_string()),
    ] {
        assert_eq!(line[key], value, "{key}");
    }
    assert_eq!((&line["response_code"], &line["bytes_sent"], &line["bytes_received"]), (&200.into(), &2.into(), &0.into()));
    assert_eq!(line.as_object().unwrap().len(), 24, "Envoy Gateway's keys, all of them and no others");
}

#[tokio::test]
async fn answers_are_written_anew() {
    let answers = vec![
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 Fine\r\nServer: o\r\nConnection: X-Gone\r\nX-Gone: 1\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\nh\r\n1\r\ni\r\n0\r\nTrailer: x\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nto the end",
    ];
    let origin = Origin::start(vec![answers]).await;
    let bench = bench_to(&origin).await;
    let mut client = bench.client().await;
    client.send(GET).await;
    assert_eq!(client.until("ok").await, "HTTP/1.1 200 Fine\r\nserver: o\r\ncontent-length: 2\r\n\r\nok");
    client.send(GET).await;
    assert_eq!(client.until("0\r\n\r\n").await, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    for (method, expected) in [
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
    ] {
        client.send(&GET.replace("GET", method)).await;
        assert_eq!(client.until("\r\n\r\n").await, expected);
    }
    client.send(GET).await;
    let last = client.until("0\r\n\r\n").await;
    assert!(last.starts_with("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), "{last}");
    assert_eq!(origin.connections(), 1, "one connection served them all");
}

#[tokio::test]
async fn requests_may_be_pipelined_and_the_last_may_close() {
    let mut origin = Origin::plain().await;
    let bench = bench_to(&origin).await;
    let mut client = bench.client().await;
    client.send(&format!("{GET}{GET}GET /last HTTP/1.1\r\nHost: a.test\r\n{CLOSE}")).await;
    let all = client.rest().await;
    assert_eq!(all.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{all}");
    assert_eq!(all.matches("connection: close\r\n").count(), 1);
    origin.request().await;
    origin.request().await;
    assert!(origin.request().await.starts_with("GET /last "));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn bodies_go_up_and_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origin = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"0\r\n\r\n") {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0);
        }
        let body = vec![b'y'; 2 << 20];
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let mut more = vec![0; 1024];
        let count = stream.read(&mut more).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast").await.unwrap();
        (read, String::from_utf8(more[..count].to_vec()).unwrap())
    });
    let bench = Bench::start(model(vec![forward("b")], &[("b", &[address])])).await;
    let mut client = bench.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let part = "x".repeat(70_000);
    for _ in 0..10 {
        client.send(&format!("{:x}\r\n{part}\r\n", part.len())).await;
    }
    client.send("0\r\n\r\nPOST /next HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello").await;
    let answer = client.until("last").await;
    assert_eq!(answer.matches('y').count(), 2 << 20);
    let (first, second) = origin.await.unwrap();
    assert_eq!(
        first.iter().filter(|byte| **byte == b'x').count(),
        700_000 + "x-forwarded-for x-forwarded-proto x-envoy-external-address x-request-id".matches('x').count()
    );
    assert!(second.starts_with("POST /next HTTP/1.1\r\n") && second.ends_with("content-length: 5\r\n\r\nhello"), "{second}");
    let line = bench.log.line(|line| line["bytes_sent"] == 2 << 20).await;
    assert_eq!(line["bytes_received"], 700_000);
}

#[tokio::test]
async fn a_client_may_wait_for_continue() {
    let mut origin = Origin::plain().await;
    let bench = bench_to(&origin).await;
    let mut client = bench.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    client.until("ok").await;
    assert!(!origin.request().await.contains("xpect"), "it was answered here");
    let refused = bench.once("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: miracles\r\nContent-Length: 4\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 417 "), "{refused}");
    let both = "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nExpect: miracles\r\nContent-Length: 4\r\n\r\n";
    assert!(bench.once(both).await.starts_with("HTTP/1.1 417 "), "one that is not known is enough");
    let lost = bench.once("POST / HTTP/1.1\r\nHost: other.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await;
    assert!(lost.starts_with("HTTP/1.1 404 ") && lost.contains("connection: close"), "{lost}");
}

#[tokio::test]
async fn what_cannot_be_served_is_answered_here() {
    let gone = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    let path = |path: &str, mut rule: weir_model::Rule| {
        rule.matches[0].path = weir_model::PathMatch::Exact(path.into());
        rule
    };
    let fail = Target::Fail(FailReason("backend_not_found".into()));
    let rules = vec![
        path("/none", forward("none")),
        path("/gone", forward("gone")),
        path("/broken", rule(Action::Forward(vec![Weighted { weight: 1, target: fail, filters: vec![] }]))),
        path("/nowhere", rule(Action::Forward(vec![]))),
        path("/invalid", rule(Action::Fail(FailReason("filter_invalid".into())))),
    ];
    let bench = Bench::start(model(rules, &[("none", &[]), ("gone", &[gone])])).await;
    for (target, status, flags, details) in [
        ("/x", 404, "NR", "route_not_found"),
        ("/none", 503, "UH", "no_healthy_upstream"),
        ("/gone", 503, "UF", "upstream_reset_before_response_started{connection_failure}"),
        ("/broken", 500, "-", "backend_not_found"),
        ("/nowhere", 500, "-", "no_backend"),
        ("/invalid", 500, "-", "filter_invalid"),
        ("/%zz", 400, "-", "path_normalization_failed"),
        ("*", 400, "DPE", "http1.invalid_url"),
    ] {
        let answer = bench.once(&format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n{CLOSE}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
        assert!(answer.contains("\r\ndate: ") && answer.contains("connection: close\r\n"), "{target}: {answer}");
        let line = bench.log.line(|line| line["response_code_details"] == details).await;
        assert_eq!((&line["response_code"], &line["response_flags"]), (&status.into(), &flags.into()), "{target}");
    }
    // A connection survives an answer of ours.
    let mut client = bench.client().await;
    client.send("GET /x HTTP/1.1\r\nHost: a.test\r\n\r\nGET /none HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert!(client.until("request\n").await.starts_with("HTTP/1.1 404"));
    assert!(client.until("upstream\n").await.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn what_is_refused_never_reaches_the_origin() {
    let origin = Origin::plain().await;
    let bench = bench_to(&origin).await;
    for (request, status) in [
        ("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", 426),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nX_Y: 1\r\n\r\n", 400),
        ("GET /..;x/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
        ("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n", 403),
    ] {
        let mut client = bench.client().await;
        client.send(request).await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {head}");
    }
    let large = format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n", "y".repeat(70_000));
    let mut client = bench.client().await;
    client.send(&large).await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 431 "));
    assert_eq!(origin.connections(), 0);
    // The offer of h2c that curl makes is passed over.
    let mut client = bench.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n").await;
    assert!(client.until("ok").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_broken_body_ends_both_sides() {
    let origin = Origin::plain().await;
    let bench = bench_to(&origin).await;
    let mut client = bench.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 400 "));
    let line = bench.log.line(|line| line["response_code"] == 400).await;
    assert_eq!((&line["response_flags"], &line["response_code_details"]), (&"DPE".into(), &"http1.invalid_chunk".into()));
}

#[tokio::test]
async fn an_endpoint_that_fails_is_told_from_one_that_lies() {
    let close = Origin::start(vec![vec![""]]).await;
    let bench = bench_to(&close).await;
    assert!(bench.once(&GET.replace("\r\n\r\n", &format!("\r\n{CLOSE}"))).await.starts_with("HTTP/1.1 503 "));
    assert_eq!(bench.log.line(|line| line["response_code"] == 503).await["response_flags"], "UC");

    for lie in
        ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 101 Sure\r\n\r\n", "nonsense\r\n\r\n"]
    {
        let origin = Origin::start(vec![vec![lie]]).await;
        let bench = bench_to(&origin).await;
        assert!(bench.once(&GET.replace("\r\n\r\n", &format!("\r\n{CLOSE}"))).await.starts_with("HTTP/1.1 502 "), "{lie:?}");
        assert_eq!(bench.log.line(|line| line["response_code"] == 502).await["response_flags"], "UPE");
    }
    let short = Origin::start(vec![vec!["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"]]).await;
    let bench = bench_to(&short).await;
    assert!(bench.once(GET).await.ends_with("half"));
    let line = bench.log.line(|line| line["response_code"] == 200).await;
    assert_eq!(line["response_code_details"], "upstream_reset_after_response_started{connection_termination}");
}

#[tokio::test]
async fn a_request_survives_a_connection_that_died_idle() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    // The first connection is closed when its second request comes; the one for it is new.
    let mut origin = Origin::start(vec![vec![ok, ""], vec![ok, ok]]).await;
    let bench = bench_to(&origin).await;
    let mut client = bench.client().await;
    client.send(GET).await;
    client.until("ok").await;
    client.send(GET).await;
    assert!(client.until("ok").await.starts_with("HTTP/1.1 200"));
    assert_eq!(origin.connections(), 2);
    for _ in 0..3 {
        origin.request().await;
    }

    // A POST may have been carried out: it is not sent twice.
    let origin = Origin::start(vec![vec![ok, ""], vec![ok, ok]]).await;
    let bench = bench_to(&origin).await;
    let mut client = bench.client().await;
    client.send(GET).await;
    client.until("ok").await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx").await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 503"));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn waits_have_ends() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    for (timeouts, details) in [
        (Timeouts { request: Some(Duration::from_millis(150)), backend_request: None }, "response_timeout"),
        (Timeouts { request: None, backend_request: Some(Duration::from_millis(150)) }, "upstream_per_try_timeout"),
    ] {
        let mut rule = forward("b");
        rule.timeouts = timeouts;
        let bench = Bench::start(model(vec![rule], &[("b", &[address])])).await;
        let mut client = bench.client().await;
        client.send(GET).await;
        assert!(client.until("timeout\n").await.starts_with("HTTP/1.1 504 "));
        let line = bench.log.line(|line| line["response_code"] == 504).await;
        assert_eq!((&line["response_flags"], &line["response_code_details"]), (&"UT".into(), &details.into()));
        assert!((150..1000).contains(&line["duration"].as_u64().unwrap()), "{line}");
    }
}

#[tokio::test]
async fn filters_change_requests_and_answers() {
    let name = |text: &str| HeaderName::new(text).unwrap();
    let edit = |set: &str, add: &str, remove: &str| HeaderEdit {
        set: vec![(name(set), "set".into())],
        add: vec![(name(add), "added".into())],
        remove: vec![name(remove)],
    };
    let mut rule = forward("b");
    rule.matches[0].path = weir_model::PathMatch::Prefix("/old".into());
    rule.filters = vec![
        Filter::RequestHeaders(edit("x-set", "x-add", "x-remove")),
        Filter::ResponseHeaders(edit("server", "x-add", "x-remove")),
        Filter::Rewrite { hostname: Some("new.test".into()), path: Some(PathRewrite::Prefix("/new".into())) },
    ];
    let mut origin = Origin::start(vec![vec!["HTTP/1.1 200 OK\r\nServer: o\r\nX-Remove: 1\r\nContent-Length: 2\r\n\r\nok"]]).await;
    let bench = Bench::start(model(vec![rule], &[("b", &[origin.address])])).await;
    let mut client = bench.client().await;
    client.send("GET /old/x?y HTTP/1.1\r\nHost: a.test\r\nX-Set: 1\r\nX-Add: 1\r\nX-Remove: 1\r\n\r\n").await;
    assert_eq!(client.until("ok").await, "HTTP/1.1 200 OK\r\nserver: set\r\nx-add: added\r\ncontent-length: 2\r\n\r\nok");
    let seen = origin.request().await;
    assert!(seen.starts_with("GET /new/x?y HTTP/1.1\r\nhost: new.test\r\nx-add: 1\r\n"), "{seen}");
    assert!(seen.contains("x-set: set\r\nx-add: added\r\n") && !seen.to_lowercase().contains("x-remove"), "{seen}");
}

#[tokio::test]
async fn redirects_name_the_port_only_when_it_must_be() {
    let redirect =
        |scheme, hostname: Option<&str>, port, path| Redirect { scheme, hostname: hostname.map(Arc::from), port, path, status: 302 };
    for (redirect, location) in [
        // The listener is bound at 8080 by the plan, so that is the port that clients see.
        (redirect(None, Some("b.test"), None, None), "http://b.test:8080/old/x?y"),
        (redirect(Some(Scheme::Https), None, None, None), "https://a.test/old/x?y"),
        (redirect(Some(Scheme::Http), None, Some(80), None), "http://a.test/old/x?y"),
        (redirect(Some(Scheme::Https), None, Some(8443), None), "https://a.test:8443/old/x?y"),
        (redirect(None, None, Some(80), Some(PathRewrite::Prefix("/new".into()))), "http://a.test/new/x?y"),
        (redirect(None, None, Some(80), Some(PathRewrite::Full("/new".into()))), "http://a.test/new?y"),
    ] {
        let mut rule = rule(Action::Redirect(redirect));
        rule.matches[0].path = weir_model::PathMatch::Prefix("/old".into());
        let bench = Bench::start(model(vec![rule], &[])).await;
        let mut client = bench.client().await;
        client.send("GET /old/x?y HTTP/1.1\r\nHost: a.test:8080\r\n\r\n").await;
        let answer = client.until("\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 302 Found\r\n") && answer.contains(&format!("\r\nlocation: {location}\r\n")), "{answer}");
    }
}

#[tokio::test]
async fn weights_are_kept_exactly() {
    let (one, two) = (Origin::plain().await, Origin::plain().await);
    let weighted = |name: &str, weight| Weighted { weight, ..to(name) };
    let rules = vec![rule(Action::Forward(vec![weighted("one", 3), weighted("two", 1), weighted("none", 0)]))];
    let bench = Bench::start(model(rules, &[("one", &[one.address]), ("two", &[two.address])])).await;
    let mut client = bench.client().await;
    for _ in 0..40 {
        client.send(GET).await;
        client.until("ok").await;
    }
    let count = |mut origin: Origin| std::iter::from_fn(move || origin.seen.try_recv().ok()).count();
    assert_eq!((count(one), count(two)), (30, 10));
}

#[tokio::test]
async fn endpoints_take_turns() {
    let origins = [Origin::plain().await, Origin::plain().await, Origin::plain().await];
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let bench = Bench::start(model(vec![forward("b")], &[("b", &addresses)])).await;
    let mut client = bench.client().await;
    for _ in 0..30 {
        client.send(GET).await;
        client.until("ok").await;
    }
    for mut origin in origins {
        assert_eq!(std::iter::from_fn(|| origin.seen.try_recv().ok()).count(), 10);
    }
}

#[tokio::test]
async fn an_answer_before_the_requests_end_ends_the_connection() {
    let mut origin = Origin::start(vec![vec!["HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"]; 2]).await;
    let bench = bench_to(&origin).await;
    let mut client = bench.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nx").await;
    let answer = client.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 413 Too Large\r\n") && answer.contains("connection: close\r\n") && answer.ends_with("no"),
        "{answer}"
    );
    origin.request().await;
    // Neither side is used again: the next request has a connection of its own.
    let mut client = bench.client().await;
    client.send(GET).await;
    client.until("no").await;
    assert!(origin.request().await.starts_with("GET / "));
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn a_client_that_sends_on_gets_its_last_answer_whole() {
    let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = backend.local_addr().unwrap();
    let bench = Bench::start(model(vec![forward("b")], &[("b", &[address])])).await;
    for size in [2, 100_000] {
        let mut client = bench.client().await;
        client.send(&format!("GET / HTTP/1.1\r\nHost: a.test\r\n{CLOSE}")).await;
        let (mut stream, _) = backend.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        client.send("more, which nobody will read").await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        stream.write_all(&[head.into_bytes(), vec![b'x'; size]].concat()).await.unwrap();
        let mut answer = Vec::new();
        client.stream.read_to_end(&mut answer).await.expect("an end, and no reset");
        assert!(answer.ends_with(&vec![b'x'; size]), "{}", String::from_utf8_lossy(&answer));
        tokio::task::yield_now().await;
        client.stream.write_all(b"and more").await.expect("is still read from, for a while");
        client.stream.write_all(b"and more").await.expect("is still read from, for a while");
    }
}

#[tokio::test]
async fn what_follows_a_refused_upgrade_is_not_a_request() {
    let mut origin = Origin::plain().await;
    let bench = bench_to(&origin).await;
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let answer =
        bench.once(&format!("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n{smuggled}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    let seen = origin.request().await;
    assert!(seen.contains("connection: upgrade\r\nupgrade: websocket\r\n") && !seen.contains("admin"), "{seen}");
}

#[tokio::test]
async fn escaped_slashes_are_redirected_to_plain_ones() {
    let origin = Origin::plain().await;
    let bench = bench_to(&origin).await;
    let mut client = bench.client().await;
    client.send("GET /a%2Fb?c HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let answer = client.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 307 ") && answer.contains("\r\nlocation: http://a.test/a/b?c\r\n"), "{answer}");
    assert_eq!(origin.connections(), 0);
}
