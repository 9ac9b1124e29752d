//! Promises about a topic's life and the engine's.

use super::*;

fn closed<B: StoreFactory>(house: &Fixture<B>, name: &str, closed: bool) -> TopicState {
    house.configure(name, TopicChange { closed: Some(closed), ..TopicChange::default() })
}

pub(crate) fn a_restart_keeps_everything<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    for name in ["a", "b", "a"] {
        house.publish(name);
    }
    house.close_topic("c");
    house.configure("empty", TopicChange { retry: Some(Some(9)), ..TopicChange::default() });
    let states = |house: &Fixture<B>| house.engine.topics("", "", 10);
    let (before, events, epoch) = (states(&house), house.read(&["**"], ReadFrom::Earliest), house.engine.epoch());
    house.reopen();
    assert_eq!(states(&house), before);
    assert_eq!(house.read(&["**"], ReadFrom::Earliest), events);
    assert_eq!(house.engine.epoch(), epoch);
    assert_eq!(house.engine.head(), Seq(4));
    let size = house.engine.status();
    assert_eq!((size.topics, size.events, size.bytes), (4, 4, 33));
    house.publish("a");
    assert_eq!(house.heard.events.lock()[0].prev, Seq(3), "the chain goes on");
}

pub(crate) fn an_id_is_never_used_twice<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    let mut newest = Seq::ZERO;
    for _ in 0..3 {
        for name in ["a", "b"] {
            let seq = house.publish(name);
            assert!(seq > newest, "{seq} after {newest}");
            newest = seq;
        }
        house.delete("b");
        house.trim("a", 0);
        house.reopen();
    }
}

pub(crate) fn a_closed_topic_takes_no_more_until_it_is_reopened<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    let last = house.close_topic("a");
    assert_eq!(*house.heard.turns.lock(), [(topic("a"), LifecycleChange::Closed { last })]);
    house.reopen();
    assert_eq!(house.append(plain(vec![event("a", "x")])), Err(AppendError::Closed { topic: topic("a") }));
    assert!(!closed(&house, "a", false).closed);
    assert_eq!(*house.heard.turns.lock(), [(topic("a"), LifecycleChange::Reopened)]);
    house.reopen();
    assert_eq!(house.publish("a"), last.next(), "reopened for good");
}

pub(crate) fn a_setting_closes_until_a_later_event_decides_anew<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    let last = house.publish("a");
    assert!(closed(&house, "a", true).closed);
    assert_eq!(*house.heard.turns.lock(), [(topic("a"), LifecycleChange::Closed { last })]);
    closed(&house, "a", true);
    assert_eq!(house.heard.turns.lock().len(), 1, "closed already");
    house.reopen();
    assert!(house.state("a").expect("known").closed);
    closed(&house, "a", false);
    house.close_topic("a");
    house.reopen();
    assert!(house.state("a").expect("known").closed, "the closing event is younger than the setting");
}

pub(crate) fn settings_merge_and_go_back_to_the_rule<B: StoreFactory>() {
    let rule = Retention { max_events: Some(100), max_age: None, max_bytes: Some(1000) };
    let mut house = Fixture::<B>::keeping(rule);
    let change = |max_events, retry| TopicChange { max_events, retry, ..TopicChange::default() };
    let state = house.configure("a", change(Some(Some(5)), None));
    assert_eq!((state.first, state.last, state.events), (None, None, 0), "created, with nothing in it");
    let state = house.configure("a", change(None, Some(Some(7))));
    assert_eq!((state.retention, state.retry), (Retention { max_events: Some(5), ..rule }, Some(7)));
    house.reopen();
    assert_eq!(house.state("a"), Some(state));
    let state = house.configure("a", change(Some(None), Some(None)));
    assert_eq!((state.retention, state.retry), (rule, None));
}

pub(crate) fn a_deleted_topic_leaves_its_mark_and_its_name_may_be_used_again<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    house.publish("a");
    house.configure("a", TopicChange { max_events: Some(Some(5)), ..TopicChange::default() });
    let last = house.publish("a");
    assert!(house.delete("a"));
    assert_eq!(house.heard.turns.lock().last(), Some(&(topic("a"), LifecycleChange::Deleted { last })));
    for _ in 0..2 {
        assert_eq!(house.state("a"), None);
        assert_eq!(house.engine.deleted_through(&topic("a")), Some(last));
        assert_eq!(house.engine.status().events, 0);
        house.reopen();
    }
    let anew = house.publish("a");
    assert_eq!(house.heard.events.lock()[0].prev, last, "an older cursor sees a hole");
    for _ in 0..2 {
        let state = house.state("a").expect("used again");
        assert_eq!((state.first, state.events, state.retention), (Some(anew), 1, Retention::default()));
        assert_eq!(short(&house.read(&["a"], ReadFrom::Earliest)), [anew.to_string()]);
        assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(1)))), [format!("a!{anew}"), anew.to_string()]);
        assert_eq!(house.engine.deleted_through(&topic("a")), None);
        house.reopen();
    }
}

pub(crate) fn deleting_what_is_not_there_changes_nothing<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    assert!(!house.delete("a"));
    assert!(house.heard.turns.lock().is_empty());
    assert_eq!(house.engine.deleted_through(&topic("a")), None);
}

pub(crate) fn topics_are_listed_in_byte_order<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    for name in ["b/2", "a", "b/10", "b/1", "c"] {
        house.publish(name);
    }
    let list = |prefix, after, limit| {
        let topics = house.engine.topics(prefix, after, limit);
        topics.iter().map(|state| state.topic.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("", "", 10), ["a", "b/1", "b/10", "b/2", "c"]);
    assert_eq!(list("b/", "", 2), ["b/1", "b/10"]);
    assert_eq!(list("b/", "b/10", 2), ["b/2"]);
    assert_eq!(list("", "", 0), [""; 0]);
}

pub(crate) fn closing_finishes_what_is_queued_and_then_refuses<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    let answers: Vec<_> = (0..50).map(|_| house.engine.append(plain(vec![event("a", "x")]))).collect();
    house.engine.close();
    house.engine.close();
    assert!(answers.into_iter().all(|answer| wait(answer).is_ok()));
    assert!(matches!(house.append(plain(vec![event("a", "x")])), Err(AppendError::Unavailable { .. })));
    assert!(house.engine.status().refusing.is_some());
    house.start();
    assert_eq!(house.engine.head(), Seq(50));
}
