//! Contract: the lifecycle of topics and of the engine.

use super::*;

fn closed<F: EngineFactory>(fixture: &Fixture<F>, name: &str, closed: bool) -> TopicState {
    fixture.configure(name, TopicChange { closed: Some(closed), ..TopicChange::default() })
}

pub(crate) fn a_restart_keeps_everything<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    for name in ["a", "b", "a"] {
        fixture.publish(name);
    }
    fixture.close_topic("c");
    fixture.configure("empty", TopicChange { retry: Some(Some(9)), ..TopicChange::default() });
    let states = |fixture: &Fixture<F>| wait(fixture.engine.topics(TopicQuery::default(), 10)).expect("readable");
    let (before, events, epoch) = (states(&fixture), fixture.read(&["**"], ReadFrom::Earliest), fixture.engine.epoch());
    fixture.reopen();
    assert_eq!(states(&fixture), before);
    assert_eq!(fixture.read(&["**"], ReadFrom::Earliest), events);
    assert_eq!(fixture.engine.epoch(), epoch);
    assert_eq!(fixture.engine.head().seq, Seq(4));
    let size = status(&*fixture.engine);
    assert_eq!((size.topics, size.events, size.bytes), (4, 4, 33));
    fixture.publish("a");
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(1)))), ["3", "5"], "nothing is missing between them");
}

pub(crate) fn an_id_is_never_used_twice<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    let mut newest = Seq::ZERO;
    for _ in 0..3 {
        for name in ["a", "b"] {
            let seq = fixture.publish(name);
            assert!(seq > newest, "{seq} after {newest}");
            newest = seq;
        }
        fixture.delete("b");
        fixture.trim("a", 0);
        fixture.reopen();
    }
}

pub(crate) fn a_closed_topic_takes_no_more_until_it_is_reopened<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    let last = fixture.close_topic("a");
    assert_eq!(*fixture.observer.lifecycle_changes.lock(), [(topic("a"), LifecycleChange::Closed { last })]);
    fixture.reopen();
    assert_eq!(fixture.append(plain(vec![event("a", "x")])), Err(AppendError::Closed { topic: topic("a") }));
    assert!(!closed(&fixture, "a", false).closed);
    assert_eq!(*fixture.observer.lifecycle_changes.lock(), [(topic("a"), LifecycleChange::Reopened)]);
    fixture.reopen();
    assert_eq!(fixture.publish("a"), last.next(), "reopened for good");
}

pub(crate) fn a_setting_closes_a_topic_until_a_later_event_overrides_it<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    let last = fixture.publish("a");
    assert!(closed(&fixture, "a", true).closed);
    assert_eq!(*fixture.observer.lifecycle_changes.lock(), [(topic("a"), LifecycleChange::Closed { last })]);
    closed(&fixture, "a", true);
    assert_eq!(fixture.observer.lifecycle_changes.lock().len(), 1, "closed already");
    fixture.reopen();
    assert!(fixture.state("a").expect("known").closed);
    closed(&fixture, "a", false);
    fixture.close_topic("a");
    fixture.reopen();
    assert!(fixture.state("a").expect("known").closed, "the closing event is newer than the setting");
}

pub(crate) fn a_deleted_topic_leaves_its_mark_and_its_name_may_be_used_again<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    fixture.publish("a");
    fixture.configure("a", TopicChange { max_events: Some(Some(5)), ..TopicChange::default() });
    let last = fixture.publish("a");
    assert!(fixture.delete("a"));
    assert_eq!(
        fixture.observer.lifecycle_changes.lock().last(),
        Some(&(topic("a"), LifecycleChange::Deleted { last }))
    );
    for _ in 0..2 {
        assert_eq!(fixture.state("a"), None);
        assert_eq!(fixture.deleted_through("a"), Some(last));
        assert_eq!(status(&*fixture.engine).events, 0);
        fixture.reopen();
    }
    let anew = fixture.publish("a");
    for _ in 0..2 {
        let state = fixture.state("a").expect("used again");
        assert_eq!((state.first, state.events, state.retention), (Some(anew), 1, Retention::default()));
        assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), [anew.to_string()]);
        assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(1)))), [format!("a!{anew}"), anew.to_string()]);
        assert_eq!(fixture.deleted_through("a"), None);
        fixture.reopen();
    }
}

pub(crate) fn deleting_an_unused_topic_changes_nothing<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    assert!(!fixture.delete("a"));
    assert!(fixture.observer.lifecycle_changes.lock().is_empty());
    assert_eq!(fixture.deleted_through("a"), None);
}

pub(crate) fn topics_are_listed_in_byte_order<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    for name in ["b/2", "a", "b/10", "b/1", "c"] {
        fixture.publish(name);
    }
    let search = |prefix: &str, contains: &str, after: &str, limit| {
        let query = TopicQuery { prefix: prefix.into(), contains: contains.into(), after: after.into() };
        let topics = wait(fixture.engine.topics(query, limit)).expect("readable");
        topics.iter().map(|state| state.topic.as_str().to_owned()).collect::<Vec<_>>()
    };
    let list = |prefix: &str, after: &str, limit| search(prefix, "", after, limit);
    assert_eq!(list("", "", 10), ["a", "b/1", "b/10", "b/2", "c"]);
    assert_eq!(list("b/", "", 2), ["b/1", "b/10"]);
    assert_eq!(list("b/", "b/10", 2), ["b/2"]);
    assert_eq!(list("", "", 0), [""; 0]);
    assert_eq!(search("", "1", "", 10), ["b/1", "b/10"]);
    assert_eq!(search("", "B/", "b/1", 1), ["b/10"]);
    assert_eq!(search("b/1", "0", "", 10), ["b/10"]);
    assert_eq!(search("a", "b", "", 10), [""; 0]);
}

pub(crate) fn closing_finishes_what_is_queued_and_then_refuses<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    let answers: Vec<_> = (0..50).map(|_| fixture.engine.append(plain(vec![event("a", "x")]))).collect();
    fixture.engine.close();
    fixture.engine.close();
    assert!(answers.into_iter().all(|answer| wait(answer).is_ok()));
    assert!(matches!(fixture.append(plain(vec![event("a", "x")])), Err(AppendError::Unavailable { .. })));
    assert!(status(&*fixture.engine).refusing.is_some());
    fixture.start();
    assert_eq!(fixture.engine.head().seq, Seq(50));
}
