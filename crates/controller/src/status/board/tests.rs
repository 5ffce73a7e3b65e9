use weir_translate::{Merge, StatusUpdate};

use super::*;
use crate::kinds::Kind;

const OURS: &str = "gateway.envoyproxy.io/gatewayclass-controller";
const TIME: &str = "2026-01-01T00:00:00Z";

fn gateway() -> Key {
    Key { kind: Kind::Gateway, namespace: "ns".into(), name: "eg".into() }
}

fn policy() -> Key {
    Key { kind: Kind::ClientTrafficPolicy, namespace: "ns".into(), name: "limit".into() }
}

fn known(version: u64, status: Value) -> Known {
    Known { uid: "u".into(), resource_version: version.to_string(), status: Status::from(&status) }
}

fn wanted(status: Value) -> StatusUpdate {
    StatusUpdate { status: Status::from(&status), merge: Merge::Whole }
}

fn accepted(status: &str) -> Value {
    json!({ "conditions": [{ "type": "Accepted", "status": status, "reason": "Accepted", "message": "" }] })
}

fn board(key: &Key, status: Value, desired: Option<Value>) -> Board {
    let mut board = Board::default();
    board.observe(key.clone(), known(1, status));
    board.want(OURS, desired.map(|it| (key.object(), wanted(it))).into_iter().collect());
    board
}

#[test]
fn a_status_is_written_once_and_not_again() {
    let now = Instant::now();
    let mut board = board(&gateway(), Value::Null, Some(accepted("True")));
    let jobs = board.due(now, TIME, 16);
    let [job] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert!(board.due(now, TIME, 16).is_empty(), "one write of an object at a time");
    board.done(job, Outcome::Stored(known(2, job.merged(TIME))), now);
    board.observe(gateway(), known(2, job.merged(TIME)));
    assert!(board.due(now + SPACING, "later", 16).is_empty());
    assert!(board.wake(now).is_none());
}

#[test]
fn what_changes_during_a_write_goes_into_one_second_write() {
    let now = Instant::now();
    let mut board = board(&gateway(), Value::Null, Some(accepted("False")));
    let job = board.due(now, TIME, 16).pop().expect("a write");
    for status in ["Unknown", "True"] {
        board.want(OURS, [(gateway().object(), wanted(accepted(status)))].into_iter().collect());
    }
    board.done(&job, Outcome::Stored(known(2, job.merged(TIME))), now);
    assert!(board.due(now, TIME, 16).is_empty(), "not at once");
    assert_eq!(board.wake(now), Some(now + SPACING));
    let jobs = board.due(now + SPACING, TIME, 16);
    let [job] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!((job.desired.value(), job.known.resource_version.as_str()), (accepted("True"), "2"));
}

#[test]
fn somebody_elses_change_is_put_right_again() {
    let now = Instant::now();
    let mut board = board(&gateway(), Value::Null, Some(accepted("True")));
    let job = board.due(now, TIME, 16).pop().expect("a write");
    board.done(&job, Outcome::Stored(known(2, job.merged(TIME))), now);
    board.observe(gateway(), known(3, accepted("False")));
    assert_eq!(board.due(now + SPACING, TIME, 16).len(), 1);
}

#[test]
fn a_server_that_changes_what_it_is_given_is_not_asked_for_ever() {
    let now = Instant::now();
    let mut board = board(&gateway(), Value::Null, Some(accepted("True")));
    let job = board.due(now, TIME, 16).pop().expect("a write");
    let stored = known(2, json!({ "pruned": true }));
    board.done(&job, Outcome::Stored(stored.clone()), now);
    board.observe(gateway(), stored);
    assert!(board.due(now + SPACING, TIME, 16).is_empty());
}

#[test]
fn an_old_event_does_not_bring_back_an_old_status() {
    let now = Instant::now();
    let mut board = board(&gateway(), Value::Null, Some(accepted("True")));
    let job = board.due(now, TIME, 16).pop().expect("a write");
    board.done(&job, Outcome::Stored(known(5, job.merged(TIME))), now);
    board.observe(gateway(), known(4, Value::Null));
    assert!(board.due(now + SPACING, TIME, 16).is_empty());
    let again = Known { uid: "new".into(), ..known(4, Value::Null) };
    board.observe(gateway(), again);
    assert_eq!(board.due(now + SPACING, TIME, 16).len(), 1, "a new object of that name starts over");
}

#[test]
fn entries_that_are_not_wanted_are_taken_away() {
    let entry = |controller: &str| json!({ "ancestorRef": { "name": "eg" }, "controllerName": controller, "conditions": [] });
    let theirs = json!({ "ancestors": [entry("theirs")] });
    let now = Instant::now();
    assert!(board(&policy(), theirs.clone(), None).due(now, TIME, 16).is_empty(), "theirs is not our concern");
    let both = json!({ "ancestors": [entry("theirs"), entry(OURS)] });
    let jobs = board(&policy(), both, None).due(now, TIME, 16);
    let [job] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!(job.merged(TIME), theirs);
}

#[test]
fn a_whole_status_that_nobody_wants_is_left_alone() {
    assert!(board(&gateway(), accepted("True"), None).due(Instant::now(), TIME, 16).is_empty());
}

#[test]
fn a_failed_write_waits_longer_each_time() {
    let mut now = Instant::now();
    let mut board = board(&gateway(), Value::Null, Some(accepted("True")));
    for failures in 1..5 {
        let job = board.due(now, TIME, 16).pop().expect("a write");
        board.done(&job, Outcome::Failed("no".into()), now);
        assert_eq!(board.failures(&gateway()), failures);
        assert!(board.due(now, TIME, 16).is_empty());
        now = board.wake(now).expect("a retry");
    }
    board.forget(&gateway());
    assert!(board.wake(now).is_none());
}

#[test]
fn writes_are_bounded() {
    let mut board = Board::default();
    let keys: Vec<_> = (0..40).map(|n| Key { name: n.to_string().into(), ..gateway() }).collect();
    for key in &keys {
        board.observe(key.clone(), known(1, Value::Null));
    }
    board.want(OURS, keys.iter().map(|it| (it.object(), wanted(accepted("True")))).collect());
    let now = Instant::now();
    let mut jobs = Vec::new();
    while jobs.len() < keys.len() {
        let few = board.due(now, TIME, 16);
        assert!(!few.is_empty() && few.len() <= 16);
        jobs.extend(few);
    }
    assert!(board.due(now, TIME, 16).is_empty() && board.wake(now).is_none(), "each once");
}
