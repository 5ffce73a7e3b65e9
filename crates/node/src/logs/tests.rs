use std::time::Duration;

use futures::{FutureExt, StreamExt};

use super::*;

fn folder() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let dir = std::env::temp_dir().join(format!("weir-node-logs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn text(log: &PodLog, options: LogOptions) -> String {
    let pieces = reader::open(log.clone(), &options).unwrap().collect::<Vec<_>>().now_or_never().expect("no follow: never waits");
    String::from_utf8(pieces.concat()).unwrap()
}

fn tail(lines: u64) -> LogOptions {
    LogOptions { tail_lines: Some(lines), ..LogOptions::default() }
}

#[test]
fn tail_and_limit() {
    let dir = folder();
    let log = PodLog::create(&dir, 0).unwrap();
    log.append(b"one\ntwo\n");
    log.append(b"three\n");
    assert_eq!(text(&log, LogOptions::default()), "one\ntwo\nthree\n");
    assert_eq!(text(&log, tail(0)), "");
    assert_eq!(text(&log, tail(1)), "three\n");
    assert_eq!(text(&log, tail(2)), "two\nthree\n");
    assert_eq!(text(&log, tail(3)), "one\ntwo\nthree\n");
    assert_eq!(text(&log, tail(9)), "one\ntwo\nthree\n");
    assert_eq!(text(&log, LogOptions { limit_bytes: Some(5), ..LogOptions::default() }), "one\nt");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn tail_crosses_blocks_and_generations() {
    let dir = folder();
    let log = PodLog::create_with_limit(&dir, 0, 200_000).unwrap();
    for n in 0..30_000 {
        log.append(format!("line {n:05}\n").as_bytes());
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 4, "two generations of log and index");
    let all = text(&log, LogOptions::default());
    assert!(all.len() > 200_000 && all.len() <= 400_000);
    let last: String = (12_000..30_000).map(|n| format!("line {n:05}\n")).collect();
    assert_eq!(text(&log, tail(18_000)), last);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn since_and_timestamps() {
    let dir = folder();
    let log = PodLog::create(&dir, 0).unwrap();
    log.append(b"early\n");
    std::thread::sleep(Duration::from_millis(5));
    let middle = Timestamp::now();
    std::thread::sleep(Duration::from_millis(5));
    log.append(b"late\nlater\n");
    assert_eq!(text(&log, LogOptions { since: Some(middle), ..LogOptions::default() }), "late\nlater\n");
    assert_eq!(text(&log, LogOptions { since: Some(Timestamp::now()), ..LogOptions::default() }), "");
    let stamped = text(&log, LogOptions { timestamps: true, ..LogOptions::default() });
    let lines: Vec<(Timestamp, &str)> = stamped.lines().map(|l| l.split_once(' ').unwrap()).map(|(t, l)| (t.parse().unwrap(), l)).collect();
    assert_eq!(lines.iter().map(|l| l.1).collect::<Vec<_>>(), ["early", "late", "later"]);
    assert!(lines[0].0 < middle && middle < lines[1].0 && lines[1].0 == lines[2].0);
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn follow_survives_rotation_and_ends_with_the_run() {
    let dir = folder();
    let log = PodLog::create_with_limit(&dir, 0, 64).unwrap();
    log.append(b"before\n");
    let mut stream = reader::open(log.clone(), &LogOptions { follow: true, ..LogOptions::default() }).unwrap();
    let mut seen = stream.next().await.unwrap().to_vec();
    let mut sent = b"before\n".to_vec();
    for n in 0..50 {
        let line = format!("a line with number {n}\n");
        log.append(line.as_bytes());
        sent.extend_from_slice(line.as_bytes());
        while seen.len() < sent.len() {
            seen.extend_from_slice(&stream.next().await.unwrap());
        }
    }
    log.append(b"last\n");
    log.close();
    log.append(b"too late\n");
    sent.extend_from_slice(b"last\n");
    while let Some(piece) = stream.next().await {
        seen.extend_from_slice(&piece);
    }
    assert_eq!(String::from_utf8(seen).unwrap(), String::from_utf8(sent).unwrap());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn runs_and_errors() {
    let dir = folder();
    let store = LogStore::open_dir(&dir).unwrap();
    let pod = ObjectName::new("ns", "two");
    let open = |container, previous| {
        let options = LogOptions { previous, ..LogOptions::default() };
        store
            .open("ns", "two", container, &options)
            .map(|s| String::from_utf8(s.collect::<Vec<_>>().now_or_never().unwrap().concat()).unwrap())
    };
    let bad = |text: &str| Err(LogError::BadRequest(text.to_owned()));
    assert_eq!(open(None, false), Err(LogError::NotFound("pods \"two\" not found".into())));
    store.declare(&pod, "u", &["a".into(), "b".into()]);
    assert_eq!(open(None, false), bad("a container name must be specified for pod two, choose one of: [a b]"));
    assert_eq!(open(Some("nope"), false), bad("container nope is not valid for pod two"));
    assert_eq!(open(Some("a"), false), bad("container \"a\" in pod \"two\" is waiting to start: ContainerCreating"));
    store.begin_run(&pod, "u", "a").unwrap().append(b"first\n");
    assert_eq!(open(Some("a"), true), bad("previous terminated container \"a\" in pod \"two\" not found"));
    store.begin_run(&pod, "u", "a").unwrap().append(b"second\n");
    store.begin_run(&pod, "u", "a").unwrap().append(b"third\n");
    assert_eq!((open(Some("a"), false), open(Some("a"), true)), (Ok("third\n".into()), Ok("second\n".into())));

    let again = LogStore::open_dir(&dir).unwrap();
    again.sweep([(&pod, "u")].into_iter());
    again.declare(&pod, "u", &["a".into()]);
    again.begin_run(&pod, "u", "a").unwrap();
    assert_eq!(text(&again.find("ns", "two", None, true).unwrap(), LogOptions::default()), "third\n", "survives a restart");
    again.forget(&pod, "u");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_run_before_is_the_one_that_ended_last() {
    let (dir, pod) = (folder(), ObjectName::new("ns", "p"));
    let store = LogStore::open_dir(&dir).unwrap();
    let read = |store: &LogStore, previous| {
        let stream = store.open("ns", "p", None, &LogOptions { previous, ..LogOptions::default() }).ok()?;
        Some(String::from_utf8(stream.collect::<Vec<_>>().now_or_never().unwrap().concat()).unwrap())
    };
    let (one, two) = (Some("one\n".to_owned()), Some("two\n".to_owned()));
    store.declare(&pod, "u", &["c".to_owned()]);
    store.set_waiting(&pod, "c", "ContainerCreating");
    store.begin_run(&pod, "u", "c").unwrap().append(b"one\n");
    assert_eq!((read(&store, false), read(&store, true)), (one.clone(), None));
    store.set_waiting(&pod, "c", "CrashLoopBackOff");
    assert_eq!((read(&store, false), read(&store, true)), (one.clone(), one.clone()), "between two runs");
    store.begin_run(&pod, "u", "c").unwrap().append(b"two\n");
    assert_eq!((read(&store, false), read(&store, true)), (two.clone(), one.clone()));
    let later = LogStore::open_dir(&dir).unwrap();
    later.adopt(&pod, "u", &["c".to_owned()]);
    assert_eq!((read(&later, false), read(&later, true)), (two, one), "after a start of the process");
    std::fs::remove_dir_all(dir).unwrap();
}
