use super::*;

fn key(reason: Reason) -> Key {
    let involved = Involved {
        api_version: "gateway.networking.k8s.io/v1".into(),
        kind: "Gateway".into(),
        namespace: "ns".into(),
        name: "eg".into(),
        uid: "u".into(),
    };
    Key { involved, reason, subject: "ns/policy@ns/eg".into() }
}

fn wall(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

#[test]
fn the_first_makes_an_event_that_describe_shows() {
    let mut recorder = Recorder::default();
    let now = Instant::now();
    assert!(recorder.wake(now).is_none());
    recorder.note(key(Reason::LimitReached), "5 of 5".into(), wall(1_000_000_000) + Duration::from_millis(500));
    let writes = recorder.due(now, 16);
    let [(_, Write::Create(event))] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["reason"], "LimitReached");
    assert_eq!(event["count"], 1);
    assert_eq!(event["involvedObject"]["uid"], "u");
    assert_eq!(event["metadata"]["namespace"], "ns");
    assert_eq!(event["firstTimestamp"], "2001-09-09T01:46:40Z");
    let name = event["metadata"]["name"].as_str().expect("a name");
    let hex = name.strip_prefix("eg.").expect("the object's name first");
    assert!(hex.len() == 16 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
}

#[test]
fn repetitions_raise_the_count_at_most_once_a_second() {
    let mut recorder = Recorder::default();
    let now = Instant::now();
    recorder.note(key(Reason::LimitReached), "first".into(), wall(1));
    let (key, _) = recorder.due(now, 16).pop().expect("a write");
    recorder.note(key.clone(), "second".into(), wall(2));
    assert!(recorder.due(now, 16).is_empty(), "one write at a time");
    recorder.done(&key, Outcome::Written, now);
    recorder.note(key.clone(), "third".into(), wall(3));
    assert!(recorder.due(now, 16).is_empty());
    let later = now + SPACING;
    assert_eq!(recorder.wake(now), Some(later));
    let writes = recorder.due(later, 16);
    let [(_, Write::Update(_, change))] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!(*change, json!({ "count": 3, "lastTimestamp": "1970-01-01T00:00:03Z", "message": "third" }));
    recorder.done(&key, Outcome::Written, later);
    assert!(recorder.wake(later).is_none());
}

#[test]
fn an_event_that_the_server_forgot_is_made_again() {
    let mut recorder = Recorder::default();
    let now = Instant::now();
    recorder.note(key(Reason::LimitReached), "first".into(), wall(1));
    recorder.due(now, 16);
    recorder.done(&key(Reason::LimitReached), Outcome::Written, now);
    recorder.note(key(Reason::LimitReached), "second".into(), wall(2));
    let later = now + SPACING;
    assert!(matches!(recorder.due(later, 16).as_slice(), [(_, Write::Update(..))]));
    recorder.done(&key(Reason::LimitReached), Outcome::Gone, later);
    let writes = recorder.due(later + SPACING, 16);
    assert!(matches!(writes.as_slice(), [(_, Write::Create(event))] if event["count"] == 2), "{writes:?}");
}

#[test]
fn a_failure_is_tried_again_later() {
    let mut recorder = Recorder::default();
    let now = Instant::now();
    recorder.note(key(Reason::LimitReached), "first".into(), wall(1));
    recorder.due(now, 16);
    recorder.done(&key(Reason::LimitReached), Outcome::Failed, now);
    assert!(recorder.due(now + SPACING, 16).is_empty());
    assert!(matches!(recorder.due(now + RETRY, 16).as_slice(), [(_, Write::Create(_))]));
}

#[test]
fn reasons_are_series_of_their_own_and_their_number_is_bounded() {
    let mut recorder = Recorder::default();
    let now = Instant::now();
    recorder.note(key(Reason::LimitReached), "full".into(), wall(1));
    recorder.note(key(Reason::LimitCleared), "room".into(), wall(1));
    assert_eq!(recorder.due(now, 16).len(), 2);
    for n in 0..2 * MOST {
        let mut key = key(Reason::LimitReached);
        key.subject = n.to_string();
        recorder.note(key, String::new(), wall(2));
    }
    assert!(recorder.series.len() <= MOST);
    assert_eq!(recorder.due(now, 16).len(), 16, "and so are the requests at once");
}
