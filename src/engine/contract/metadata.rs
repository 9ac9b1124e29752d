//! Contract: the metadata of topics, and changes that depend on a topic's state.

use super::*;

fn metadata(body: &str) -> Option<Metadata> {
    Some(Metadata::new(1, body.as_bytes()).expect("short"))
}

fn replacing(from: Option<Metadata>, to: Option<Metadata>) -> TopicChange {
    TopicChange { metadata: Some(MetadataChange { from, to }), ..TopicChange::default() }
}

impl<F: EngineFactory> Fixture<F> {
    fn try_to_configure(&self, name: &str, change: TopicChange) -> Result<TopicState, AppendError> {
        wait(self.engine.configure(topic(name), change))
    }

    /// The metadata of a topic in use, which the catalog and a measurement tell alike.
    fn metadata(&self, name: &str) -> Option<Metadata> {
        let known = self.engine.catalog().topic(&topic(name)).expect("in use").metadata;
        assert_eq!(self.state(name).expect("in use").metadata, known);
        known
    }
}

pub(crate) fn metadata_is_replaced_only_if_it_is_the_expected_one<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    let replace = |from: Option<&str>, to: Option<&str>| {
        let change = replacing(from.and_then(metadata), to.and_then(metadata));
        fixture.try_to_configure("a", change).map(|state| state.metadata)
    };
    let refused = |present: Option<&str>| Err(AppendError::MetadataChanged { present: present.and_then(metadata) });
    assert_eq!(replace(Some("1"), Some("2")), refused(None));
    assert_eq!(fixture.state("a"), None, "a refused change makes no topic");
    assert_eq!(replace(None, Some("1")), Ok(metadata("1")));
    assert_eq!(replace(None, Some("2")), refused(Some("1")));
    assert_eq!(replace(Some("0"), None), refused(Some("1")));
    assert_eq!(fixture.metadata("a"), metadata("1"));
    assert_eq!(replace(Some("1"), Some("2")), Ok(metadata("2")));
    fixture.publish("a");
    fixture.configure("a", TopicChange { retry: Some(Some(9)), ..TopicChange::default() });
    assert_eq!(fixture.metadata("a"), metadata("2"), "another change leaves it");
    assert_eq!(replace(Some("2"), None), Ok(None));
    assert_eq!(replace(None, None), Ok(None));
    assert_eq!((fixture.metadata("a"), fixture.state("a").expect("in use").retry), (None, Some(9)));
    let other = Metadata::new(2, b"1").ok();
    assert_eq!(replace(None, Some("1")), Ok(metadata("1")));
    assert_eq!(
        fixture.try_to_configure("a", replacing(other, None)),
        Err(AppendError::MetadataChanged { present: metadata("1") }),
        "the same body of another protocol"
    );
}

pub(crate) fn of_callers_at_once_one_changes_the_metadata<F: EngineFactory>() {
    const CALLERS: usize = 4;
    let fixture = Fixture::<F>::new();
    let mut present = None;
    for round in 0..10 {
        let begin = std::sync::Barrier::new(CALLERS);
        let engine = &*fixture.engine;
        let ask = |caller: usize| {
            begin.wait();
            let to = metadata(&format!("{round} {caller}"));
            (to.clone(), wait(engine.configure(topic("a"), replacing(present.clone(), to))))
        };
        let answers = std::thread::scope(|scope| {
            let ask = &ask;
            let callers: Vec<_> = (0..CALLERS).map(|caller| scope.spawn(move || ask(caller))).collect();
            callers.into_iter().map(|caller| caller.join().expect("no panic")).collect::<Vec<_>>()
        });
        let won: Vec<_> = answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(to, _)| to.clone()).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        present.clone_from(&won[0]);
        for (to, answer) in answers {
            match answer {
                Ok(state) => assert_eq!(state.metadata, to),
                Err(error) => assert_eq!(error, AppendError::MetadataChanged { present: present.clone() }),
            }
        }
    }
    assert_eq!(fixture.metadata("a"), present);
}

pub(crate) fn a_change_depends_on_the_last_id_too<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    let change = |expect, to: &str| TopicChange { expect: Some(expect), ..replacing(None, metadata(to)) };
    let set = |expect| {
        let closed = TopicChange { expect: Some(expect), closed: Some(true), ..TopicChange::default() };
        fixture.try_to_configure("a", closed).map(|state| state.closed)
    };
    let refused = |last: Option<u64>| Err(AppendError::Precondition { last: last.map(|seq| fixture.id(Seq(seq))) });
    assert_eq!(set(ExpectedLast::Last(fixture.id(Seq(1)))), refused(None));
    assert_eq!(fixture.state("a"), None, "a refused change makes no topic");
    fixture.publish_all(&["a", "b", "a"]);
    assert_eq!(set(ExpectedLast::Empty), refused(Some(3)));
    assert_eq!(set(ExpectedLast::Last(fixture.id(Seq(1)))), refused(Some(3)));
    assert!(!fixture.state("a").expect("in use").closed);
    let last = fixture.id(Seq(3));
    assert_eq!(
        set(ExpectedLast::Last(EventId { epoch: crate::event::Epoch::from_random(7), ..last })),
        refused(Some(3))
    );
    assert!(fixture.try_to_configure("a", change(ExpectedLast::Last(last), "1")).is_ok());
    let both = fixture.try_to_configure("a", change(ExpectedLast::Empty, "2")).map(|state| state.metadata);
    assert_eq!(both, refused(Some(3)).map(|_: bool| None), "the id is compared first");
    let changed = fixture.try_to_configure("a", change(ExpectedLast::Last(last), "2"));
    assert_eq!(changed, Err(AppendError::MetadataChanged { present: metadata("1") }));
    assert_eq!(set(ExpectedLast::Last(last)), Ok(true));
    fixture.delete("a");
    assert_eq!(set(ExpectedLast::Empty), Ok(true), "a deleted topic is empty");
}

pub(crate) fn metadata_and_closed_change_together_or_not_at_all<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    let last = fixture.publish("a");
    fixture.configure("a", replacing(None, metadata("open")));
    let close = |from| TopicChange { closed: Some(true), ..replacing(metadata(from), metadata("closed")) };
    let refused = fixture.try_to_configure("a", close("other"));
    assert_eq!(refused, Err(AppendError::MetadataChanged { present: metadata("open") }));
    fixture.publish("a");
    assert!(fixture.observer.lifecycle_changes.lock().is_empty());
    let state = fixture.try_to_configure("a", close("open")).expect("accepted");
    assert_eq!((state.closed, state.metadata), (true, metadata("closed")));
    let change = (topic("a"), LifecycleChange::Closed { last: last.next() });
    assert_eq!(*fixture.observer.lifecycle_changes.lock(), [change]);
    fixture.reopen();
    assert_eq!((fixture.state("a").expect("known").closed, fixture.metadata("a")), (true, metadata("closed")));
    assert_eq!(fixture.append(plain(vec![event("a", "x")])), Err(AppendError::Closed { topic: topic("a") }));
    let reopen = TopicChange { closed: Some(false), ..replacing(metadata("closed"), None) };
    assert!(!fixture.configure("a", reopen).closed);
    assert_eq!(fixture.metadata("a"), None);
    fixture.publish("a");
}

pub(crate) fn a_topic_keeps_its_metadata_when_it_is_emptied_and_over_restarts<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    let largest = Metadata::new(1, &[0xA5; Metadata::MAX_BYTES - 1]).ok();
    fixture.configure("alone", replacing(None, largest.clone()));
    fixture.configure("emptied", replacing(None, metadata("1")));
    fixture.publish_all(&["emptied", "other", "emptied"]);
    for round in 0..2 {
        assert_eq!(fixture.metadata("alone"), largest, "{round}");
        assert_eq!(fixture.metadata("emptied"), metadata("1"), "{round}");
        assert_eq!(fixture.metadata("other"), None, "{round}");
        assert_eq!(fixture.state("alone").map(|state| (state.events, state.last)), Some((0, None)));
        fixture.trim("emptied", 0);
        fixture.reopen();
    }
    assert_eq!(fixture.state("emptied").map(|state| (state.events, state.last)), Some((0, Some(Seq(3)))));
    let refused = fixture.try_to_configure("emptied", replacing(None, None));
    assert_eq!(refused, Err(AppendError::MetadataChanged { present: metadata("1") }));
    fixture.configure("emptied", replacing(metadata("1"), metadata("2")));
    fixture.publish("alone");
    fixture.reopen();
    assert_eq!((fixture.metadata("alone"), fixture.metadata("emptied")), (largest, metadata("2")));
}

pub(crate) fn a_deleted_topic_has_no_metadata<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    for name in ["events", "settings"] {
        fixture.configure(name, replacing(None, metadata("1")));
    }
    fixture.publish("events");
    for name in ["events", "settings"] {
        assert!(fixture.delete(name));
        assert_eq!(fixture.state(name), None);
        let refused = fixture.try_to_configure(name, replacing(metadata("1"), metadata("2")));
        assert_eq!(refused, Err(AppendError::MetadataChanged { present: None }));
    }
    fixture.publish("events");
    assert_eq!(fixture.metadata("events"), None);
    fixture.reopen();
    assert_eq!((fixture.metadata("events"), fixture.state("settings")), (None, None));
    fixture.configure("settings", replacing(None, metadata("3")));
    assert_eq!(fixture.metadata("settings"), metadata("3"));
}
