use weir_model::{Gateway, GatewayName, Resource, ResourceKey};

use super::*;

fn model(gateways: &[&str]) -> Arc<Model> {
    let mut model = Model::default();
    for name in gateways {
        let name = GatewayName::new("ns", *name);
        model.gateways.insert(name.clone(), Arc::new(Gateway { name, access_log: true }));
    }
    Arc::new(model)
}

fn ack(publish: &Publish, refused: Option<&str>) -> Acknowledgement {
    Acknowledgement { epoch: publish.epoch, version: publish.version, refused: refused.map(str::to_owned) }
}

#[test]
fn the_first_message_is_whole_and_later_ones_are_deltas() {
    let mut link = Link::new(7);
    let first = link.next(&model(&["a"])).expect("something to say");
    assert_eq!((first.epoch, first.version, first.base, first.delta.put.len()), (7, 1, 0, 1));
    assert!(link.next(&model(&["a", "b"])).is_none(), "one message at a time");
    assert!(link.applied().is_none());
    assert_eq!(link.answer(&ack(&first, None)), Verdict::Applied);
    let second = link.next(&model(&["b"])).expect("something changed");
    assert_eq!((second.version, second.base), (2, 1));
    assert!(matches!(second.delta.put.as_slice(), [Resource::Gateway(it)] if &*it.name.name == "b"));
    assert!(matches!(second.delta.remove.as_slice(), [ResourceKey::Gateway(it)] if &*it.name == "a"));
    assert_eq!(link.answer(&ack(&second, None)), Verdict::Applied);
    assert!(link.next(&model(&["b"])).is_none(), "nothing changed");
    assert_eq!(link.applied().map(|(version, _)| *version), Some(2));
}

#[test]
fn an_empty_model_is_sent_too_so_that_leftovers_go_away() {
    let mut link = Link::new(1);
    let first = link.next(&model(&[])).expect("the first message is always sent");
    assert!(first.delta.is_empty() && first.base == 0);
}

#[test]
fn after_a_refusal_the_whole_model_is_sent_again() {
    let mut link = Link::new(1);
    let first = link.next(&model(&["a"])).expect("sent");
    link.answer(&ack(&first, None));
    let second = link.next(&model(&["a", "b"])).expect("sent");
    assert_eq!(link.answer(&ack(&second, Some("unknown base"))), Verdict::Refused("unknown base".into()));
    assert_eq!(link.applied().map(|(version, _)| *version), Some(1), "the old one is still in force");
    let third = link.next(&model(&["a", "b"])).expect("sent again");
    assert_eq!((third.version, third.base, third.delta.put.len()), (3, 0, 2));
}

#[test]
fn a_lost_line_starts_over_and_ignores_late_answers() {
    let mut link = Link::new(1);
    let first = link.next(&model(&["a"])).expect("sent");
    link.lost();
    assert!(!link.waiting());
    assert_eq!(link.answer(&ack(&first, None)), Verdict::Stale);
    let again = link.next(&model(&["a"])).expect("sent again");
    assert_eq!((again.version, again.base), (2, 0));
    assert_eq!(link.answer(&ack(&first, None)), Verdict::Stale, "of an older version");
    assert_eq!(link.answer(&Acknowledgement { epoch: 9, version: 2, refused: None }), Verdict::Stale, "of another epoch");
    assert_eq!(link.answer(&ack(&again, None)), Verdict::Applied);
}

#[test]
fn epochs_only_grow() {
    let first = new_epoch(100);
    assert!(new_epoch(100) > first);
    assert!(new_epoch(5) > first, "even when the clock goes back");
}
