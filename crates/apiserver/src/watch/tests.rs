use super::filter::{Kind, seen};
use super::*;
use crate::store::Event;

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
