use super::filter::{Kind, seen};
use super::*;
use crate::hooks::Hooks;
use crate::store::{Change, Event, Expect, Key, Store};
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;

fn stored(version: u64, inside: bool) -> Arc<Stored> {
    Stored::new(json!({"inside": inside}), crate::apply::Managed::default(), version).unwrap().into()
}

fn kind(before: Option<bool>, after: bool, deleted: bool) -> Option<(Kind, u64)> {
    let event = Event::new(before.map(|b| stored(3, b)), stored(9, after), deleted);
    seen(&event, |o| o.value()["inside"] == true).map(|s| (s.kind, s.object.version))
}

#[test]
fn a_selection_turns_changes_into_comings_and_goings() {
    assert_eq!(kind(None, true, false), Some((Kind::Added, 9)));
    assert_eq!(kind(None, false, false), None);
    assert_eq!(kind(Some(true), true, false), Some((Kind::Modified, 9)));
    assert_eq!(kind(Some(false), true, false), Some((Kind::Added, 9)));
    // What leaves is shown as it was when it was still inside.
    assert_eq!(kind(Some(true), false, false), Some((Kind::Deleted, 3)));
    assert_eq!(kind(Some(false), false, false), None);
    assert_eq!(kind(Some(true), true, true), Some((Kind::Deleted, 9)));
    assert_eq!(kind(Some(false), false, true), None);
}

#[tokio::test]
async fn a_watch_ends_at_what_it_cannot_tell() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _writer) = Store::open(&folder.path().join("state.redb")).unwrap();
    let shelf: Arc<str> = "/configmaps".into();
    for (name, content) in [("a", json!("text")), ("b", json!(5)), ("c", json!("text"))] {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}, "data": {"k": content}});
        let (key, expect) = (Key::new(&shelf, "n", name), Expect::Absent);
        store.commit(Change { key, expect, object: Some(object), managed: Default::default(), guard: None }).await.unwrap();
    }
    let api = Arc::new(Api::new(store, Hooks::default(), String::new(), String::new(), CancellationToken::new()));
    let target = Target::parse("/api/v1/configmaps").unwrap();
    let resource = api.resource("", "v1", "configmaps").unwrap();
    let accept = Accept { shape: Shape::Object, form: Form::Protobuf };
    let request = Request {
        method: http::Method::GET,
        path: "/api/v1/configmaps".to_owned(),
        query: Query::parse("watch=true&timeoutSeconds=2"),
        headers: http::HeaderMap::new(),
        body: Bytes::new(),
    };
    let body = serve(&api, &request, &target, &resource, accept).unwrap().into_body();
    let told = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&told);
    assert!(text.contains("ADDED") && text.contains("ERROR"), "{text}");
    assert!(text.contains("n/b") && text.contains("field data has another type"), "{text}");
    assert!(!text.contains("\u{1}c\u{1a}"), "nothing is told after what could not be: {text}");
}
