use serde_json::json;

use super::*;

fn probe(value: serde_json::Value) -> Probe {
    serde_json::from_value(value).unwrap()
}

fn container() -> Container {
    serde_json::from_value(json!({"name": "c", "ports": [{"name": "http", "containerPort": 3000}]})).unwrap()
}

const POD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 1, 128, 1));

#[test]
fn defaults_and_thresholds() {
    let schedule = Schedule::of(&probe(json!({})));
    assert_eq!((schedule.delay.as_secs(), schedule.period.as_secs(), schedule.timeout.as_secs()), (0, 10, 1));
    assert_eq!((schedule.successes, schedule.failures), (1, 3));
    let mut counter = Counter::new(schedule);
    assert!(counter.is_eager());
    let answers = [false, false, true, true, false, false, true, false, false, false, false, true];
    let verdicts: Vec<Option<bool>> = answers.iter().map(|a| counter.take(*a)).collect();
    let expected = [None, None, Some(true), None, None, None, None, None, None, Some(false), None, Some(true)];
    assert_eq!(verdicts, expected);
    assert!(!counter.is_eager());
    let mut slow = Counter::new(Schedule { successes: 2, ..schedule });
    assert_eq!((slow.is_eager(), slow.take(true), slow.take(true)), (false, None, Some(true)));
}

#[test]
fn questions() {
    let http = question(&probe(json!({"httpGet": {"path": "healthz", "port": "http"}})), &container(), POD).unwrap();
    let address = SocketAddr::new(POD, 3000);
    assert_eq!(http, Question::Http { address, host: address.to_string(), path: "/healthz".into(), headers: vec![] });
    assert_eq!(question(&probe(json!({"tcpSocket": {"port": 3000}})), &container(), POD), Ok(Question::Tcp(address)));
    let with_host = json!({"httpGet": {"port": 1, "httpHeaders": [{"name": "Host", "value": "x.test"}, {"name": "A", "value": "b"}]}});
    let Ok(Question::Http { host, headers, .. }) = question(&probe(with_host), &container(), POD) else { panic!() };
    assert_eq!((host.as_str(), headers), ("x.test", vec![("A".to_owned(), "b".to_owned())]));
    for (value, text) in [
        (json!({"exec": {"command": ["x"]}}), "exec probes"),
        (json!({"grpc": {"port": 1}}), "grpc probes"),
        (json!({"httpGet": {"port": 1, "scheme": "HTTPS"}}), "HTTPS probes"),
        (json!({"tcpSocket": {"port": "nope"}}), "couldn't find port"),
    ] {
        let error = question(&probe(value), &container(), POD).unwrap_err();
        assert!(error.starts_with(text), "{error}");
    }
}

#[tokio::test]
async fn answers() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for status in ["200 OK", "302 Found", "503 No"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let read = stream.read(&mut buffer).await.unwrap();
            let request = String::from_utf8_lossy(&buffer[..read]).to_lowercase();
            assert!(request.starts_with("get /ready http/1.1") && request.contains("user-agent: kube-probe/"), "{request}");
            stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok").as_bytes()).await.unwrap();
        }
        let silent = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(silent);
    });
    let http = Question::Http { address, host: "x".into(), path: "/ready".into(), headers: vec![] };
    let second = Duration::from_secs(5);
    assert_eq!(ask(&http, second).await, Ok(()));
    assert_eq!(ask(&http, second).await, Ok(()));
    assert_eq!(ask(&http, second).await, Err("HTTP probe failed with statuscode: 503".into()));
    assert_eq!(
        ask(&http, Duration::from_millis(20)).await,
        Err(format!("Get \"http://{address}/ready\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"))
    );
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(ask(&Question::Tcp(closed), second).await, Err(format!("dial tcp {closed}: connect: connection refused")));
}
