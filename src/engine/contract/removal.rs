//! Contract: removal of events.

use super::*;
use crate::event::{Data, Epoch, Metadata};

/// The events of a page without gaps.
pub(crate) fn events(page: &LogPage) -> Vec<Arc<Event>> {
    let event = |item: &PageItem| match item {
        PageItem::Event(event) => Arc::clone(event),
        PageItem::Gap(gap) => panic!("{gap:?}"),
    };
    page.items.iter().map(event).collect()
}

pub(crate) fn notice<F: EngineFactory>(fixture: &Fixture<F>, name: &str, seq: Seq) -> NewEvent {
    NewEvent::notice(topic(name), fixture.id(seq))
}

pub(crate) fn a_removed_event_leaves_a_tombstone<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    let new = NewEvent { retry: Some(5), ..event("a", "secret") };
    fixture.append(plain(vec![event("a", "first"), new, event("a", "third"), event("b", "other")])).expect("accepted");
    let before = events(&fixture.read(&["**"], ReadFrom::Earliest));
    assert!(fixture.remove("a", Seq(2)));
    let mut want: Vec<Event> = before.iter().map(|event| (**event).clone()).collect();
    want[1] = want[1].tombstone();
    for _ in 0..2 {
        let after = events(&fixture.read(&["**"], ReadFrom::Earliest));
        assert!(after[..4].iter().map(|event| &**event).eq(&want), "{after:?}");
        assert_eq!(after.len(), 5);
        assert_eq!(after[4].new, notice(&fixture, "a", Seq(2)));
        fixture.reopen();
    }
}

pub(crate) fn nothing_is_left_of_binary_data_and_metadata_that_were_removed<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    let secret = NewEvent {
        data: Data::binary(b"\xFFsecret".to_vec().into()),
        metadata: Some(Metadata::new(1, b"secret").expect("short")),
        ..event("a", "")
    };
    fixture.append(plain(vec![secret, event("a", "stays")])).expect("accepted");
    assert!(fixture.remove("a", Seq(1)));
    for _ in 0..2 {
        let page = events(&fixture.read(&["a"], ReadFrom::Earliest));
        let new = &page[0].new;
        assert!(page[0].is_tombstone() && !new.data.is_binary() && new.metadata.is_none(), "{new:?}");
        let notice = notice(&fixture, "a", Seq(1)).payload_bytes();
        assert_eq!(fixture.state("a").expect("in use").bytes, (5 + notice) as u64);
        fixture.reopen();
    }
}

pub(crate) fn readers_get_a_notice_before_a_removal_is_acknowledged<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["a", "a", "b"]);
    assert!(fixture.remove("a", Seq(1)));
    assert_eq!(*fixture.observer.removed.lock(), [(topic("a"), Seq(1), Seq(3))], "once, and before its notice");
    let observed = fixture.observer.events.lock();
    assert_eq!((observed.len(), observed[3].seq), (4, Seq(4)));
    assert_eq!(observed[3].new, notice(&fixture, "a", Seq(1)));
}

pub(crate) fn an_id_of_another_epoch_removes_nothing<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    let seq = fixture.publish("a");
    let id = EventId { epoch: Epoch::new("another").expect("valid"), seq };
    assert_eq!(wait(fixture.engine.remove(topic("a"), id)), Ok(false));
    let page = fixture.read(&["a"], ReadFrom::Earliest);
    assert!(matches!(&page.items[..], [PageItem::Event(event)] if !event.is_tombstone()), "{page:?}");
}

pub(crate) fn an_event_is_removed_once<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    fixture.publish_all(&["a", "a"]);
    for _ in 0..2 {
        for _ in 0..2 {
            assert!(fixture.remove("a", Seq(1)), "again, and nothing changes");
            assert_eq!(fixture.engine.head().seq, Seq(3), "one notice");
        }
        assert!(fixture.remove("a", Seq(3)), "a notice has nothing to remove");
        assert_eq!(fixture.read(&["a"], ReadFrom::Earliest).items.len(), 3);
        assert!(fixture.engine.pending_removals().is_empty());
        fixture.reopen();
        assert_eq!(fixture.engine.head().seq, Seq(3));
    }
    assert!(fixture.remove("a", Seq(2)));
    assert_eq!(fixture.state("a").expect("in use").events, 4);
}

pub(crate) fn an_event_that_is_not_retained_cannot_be_removed<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["a", "b", "a", "a", "gone"]);
    fixture.trim("a", 1);
    fixture.delete("gone");
    let head = fixture.engine.head().seq;
    for (name, seq) in [("a", 1), ("a", 3), ("a", 2), ("a", 0), ("a", 99), ("b", 1), ("gone", 5), ("never", 1)] {
        assert!(!fixture.remove(name, Seq(seq)), "{name} {seq}");
    }
    assert_eq!(fixture.engine.head().seq, head, "no notice is appended");
    assert!(fixture.observer.removed.lock().is_empty());
    fixture.publish("gone");
    assert!(!fixture.remove("gone", Seq(5)), "an event of the name's deleted incarnation");
}

pub(crate) fn a_closed_topic_stays_closed_and_gets_no_notice<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    fixture.publish("a");
    let last = fixture.close_topic("a");
    assert!(fixture.remove("a", last));
    for _ in 0..2 {
        let state = fixture.state("a").expect("in use");
        assert!(state.closed, "its closing event still closes it");
        assert_eq!((state.last, state.events, state.bytes), (Some(last), 2, 10));
        assert!(events(&fixture.read(&["a"], ReadFrom::Earliest))[1].is_tombstone());
        assert!(fixture.engine.pending_removals().is_empty());
        fixture.reopen();
    }
}

pub(crate) fn sizes_count_only_the_bytes_left_by_a_removal<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    let large = fixture.publish_bytes("a", 100_000).seq;
    let small = fixture.publish_bytes("a", 1).seq;
    fixture.publish_bytes("b", 5);
    assert!(fixture.remove("a", large) && fixture.remove("a", small));
    let notices: usize = [large, small].map(|seq| notice(&fixture, "a", seq).data.len()).iter().sum();
    for _ in 0..2 {
        let state = fixture.state("a").expect("in use");
        assert_eq!((state.events, state.bytes), (4, notices as u64));
        assert_eq!(status(&*fixture.engine).bytes, 5 + notices as u64);
        fixture.reopen();
    }
    fixture.trim("a", 1);
    let last = notice(&fixture, "a", small).data.len() as u64;
    assert_eq!(fixture.state("a").expect("in use").bytes, last, "trimmed by the sizes counted");
}

pub(crate) fn a_deleted_topic_is_used_again_after_one_of_its_events_was_removed<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    fixture.publish_all(&["a", "a"]);
    assert!(fixture.remove("a", Seq(1)));
    assert!(fixture.delete("a"));
    let anew = fixture.publish("a");
    for _ in 0..2 {
        assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(1)))), [format!("a!{anew}"), anew.to_string()]);
        assert_eq!(fixture.state("a").expect("in use").bytes, 10);
        fixture.reopen();
    }
}
