use serde_json::json;

use super::*;

fn key(name: &str) -> Key {
    Key::new(&"/configmaps".into(), "default", name)
}

fn object(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", "uid": name}, "data": {"a": text}})
}

fn put(name: &str, expect: Expect, text: &str) -> Change {
    Change { key: key(name), expect, object: Some(object(name, text)), managed: Managed::default(), guard: None }
}

#[tokio::test]
async fn versions_grow_and_survive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let (store, writer) = Store::open(&path).unwrap();
    let first = store.commit(put("a", Expect::Absent, "1")).await.unwrap();
    let second = store.commit(put("a", Expect::Version(first.version), "2")).await.unwrap();
    assert!(second.version > first.version);
    let gone = store.commit(Change { object: None, ..put("a", Expect::Version(second.version), "") }).await.unwrap();
    assert!(gone.version > second.version);
    drop(store);
    writer.join().unwrap();
    // The version of a deletion that left nothing behind is not handed out again either.
    let (store, _writer) = Store::open(&path).unwrap();
    assert_eq!(store.version(), gone.version);
    assert!(store.commit(put("b", Expect::Absent, "1")).await.unwrap().version > gone.version);
}

#[tokio::test]
async fn a_change_needs_the_version_it_was_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _writer) = Store::open(&folder.path().join("state.redb")).unwrap();
    let first = store.commit(put("a", Expect::Absent, "1")).await.unwrap();
    assert!(matches!(store.commit(put("a", Expect::Absent, "2")).await, Err(CommitError::Stale)));
    assert!(matches!(store.commit(put("a", Expect::Version(first.version + 1), "2")).await, Err(CommitError::Stale)));
    let guard = Some((key("a"), first.version));
    assert!(store.commit(Change { guard: guard.clone(), ..put("b", Expect::Absent, "1") }).await.is_ok());
    store.commit(put("a", Expect::Version(first.version), "2")).await.unwrap();
    assert!(matches!(store.commit(Change { guard, ..put("c", Expect::Absent, "1") }).await, Err(CommitError::Stale)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_each_get_a_version_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _writer) = Store::open(&folder.path().join("state.redb")).unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(put(&format!("o{n}"), Expect::Absent, "1")).await.unwrap().version })
        })
        .collect();
    let mut versions = Vec::new();
    for task in tasks {
        versions.push(task.await.unwrap());
    }
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 200);
    assert_eq!(store.list("/configmaps", Some("default")).0.len(), 200);
    let (events, _) = store.events_after("/configmaps", 0, 1000).unwrap();
    assert!(events.windows(2).all(|w| w[0].version < w[1].version));
}

#[tokio::test]
async fn the_window_is_bounded_and_says_where_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _writer) = Store::open(&folder.path().join("state.redb")).unwrap();
    let big = "x".repeat(1 << 20);
    for n in 0..12 {
        store.commit(put(&format!("o{n}"), Expect::Absent, &big)).await.unwrap();
    }
    let expired = store.events_after("/configmaps", 0, 100).unwrap_err();
    let (events, next) = store.events_after("/configmaps", expired.floor, 100).unwrap();
    assert!(events.len() < 12 && !events.is_empty());
    assert_eq!(next, store.version());
}

#[tokio::test]
async fn events_from_before_the_start_are_expired() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let (store, writer) = Store::open(&path).unwrap();
    let first = store.commit(put("a", Expect::Absent, "1")).await.unwrap();
    store.commit(put("b", Expect::Absent, "1")).await.unwrap();
    drop(store);
    writer.join().unwrap();
    let (store, _writer) = Store::open(&path).unwrap();
    assert!(store.events_after("/configmaps", first.version, 10).is_err());
    assert!(store.events_after("/configmaps", store.version(), 10).unwrap().0.is_empty());
}

#[test]
fn damage_is_an_error_not_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    std::fs::write(&path, vec![7u8; 100_000]).unwrap();
    assert!(matches!(Store::open(&path), Err(OpenError::Damaged(..))));
    let cut = folder.path().join("cut.redb");
    drop(Store::open(&cut).map(|(store, writer)| {
        drop(store);
        writer.join()
    }));
    let length = std::fs::metadata(&cut).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&cut).unwrap().set_len(length / 3).unwrap();
    assert!(matches!(Store::open(&cut), Err(OpenError::Damaged(..))));
}

#[test]
fn an_event_counts_the_owners_that_it_holds() {
    let fields = json!({"f:data": {"f:".to_owned() + &"k".repeat(10_000): {}}});
    let entry = json!([{"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}]);
    let managed = || Managed::new(&crate::apply::Managers::from_value(&entry).unwrap());
    let stored = |managed: &Managed| Arc::new(Stored::new(object("a", "1"), managed.clone(), 1).unwrap());
    let (first, second) = (managed(), managed());
    let bare = Event::new(None, stored(&Managed::default()), false).size;
    let made = Event::new(None, stored(&first), false).size;
    assert!(made > bare + 10_000, "{made}");
    // Once for both, when both hold the same.
    assert_eq!(Event::new(Some(stored(&first)), stored(&first), false).size, made + bare);
    assert_eq!(Event::new(Some(stored(&first)), stored(&second), false).size, 2 * made);
}

#[test]
fn what_was_kept_too_large_can_shrink_and_go() {
    let sized = |bytes: usize, deleted: bool| {
        let mut object = object("a", &"x".repeat(bytes));
        if deleted {
            object["metadata"]["deletionTimestamp"] = json!("2026-11-23T12:00:00Z");
            object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
            object["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
        }
        Stored::new(object, Managed::default(), 1).unwrap()
    };
    let refused = |new: Stored, old: Option<Stored>| is_too_large(&new, old.as_ref());
    assert!(!refused(sized(MAX_OBJECT - 1000, false), None));
    assert!(refused(sized(MAX_OBJECT, false), None));
    let old = || Some(sized(2 * MAX_OBJECT, false));
    assert!(refused(sized(2 * MAX_OBJECT + 1, false), old()));
    assert!(!refused(sized(2 * MAX_OBJECT, false), old()));
    assert!(!refused(sized(2 * MAX_OBJECT - 1, false), old()));
    assert!(!refused(sized(2 * MAX_OBJECT, true), old()), "an object of any size can be marked for deletion");
    assert!(refused(sized(2 * MAX_OBJECT + 1, true), Some(sized(2 * MAX_OBJECT, true))));
}
