//! The log engine over every store: retention.

use super::*;
use crate::engine::contract::retention::kept;

pub(crate) fn a_topic_keeps_its_newest_events_by_count<F: StoreFactory>() {
    let fixture = LogFixture::<F>::with_retention(Retention { max_events: Some(3), ..Retention::default() });
    (0..2000).for_each(|_| drop(fixture.engine.append(plain(vec![event("a", "x")]))));
    fixture.publish("b");
    fixture.until("trimmed", |engine| status(engine).events == 4);
    assert_eq!(kept(&fixture, "a"), ["1998", "1999", "2000"]);
    let state = fixture.state("a").expect("known");
    assert_eq!((state.first, state.events, state.bytes), (Some(Seq(1998)), 3, 3));
}

pub(crate) fn a_topic_keeps_its_newest_bytes_but_always_one_event<F: StoreFactory>() {
    let fixture = LogFixture::<F>::with_retention(Retention { max_bytes: Some(100), ..Retention::default() });
    (0..5).for_each(|_| drop(fixture.publish_bytes("a", 40)));
    fixture.publish_bytes("b", 30);
    fixture.publish_bytes("b", 500);
    fixture.until("trimmed", |engine| status(engine).events == 3);
    assert_eq!(kept(&fixture, "a"), ["4", "5"]);
    assert_eq!(kept(&fixture, "b"), ["7"]);
    assert_eq!(status(&*fixture.engine).bytes, 580);
}

pub(crate) fn no_reader_sees_an_event_past_its_age<F: StoreFactory>() {
    let fixture =
        LogFixture::<F>::with_retention(Retention { max_age: Some(Duration::from_hours(1)), ..Retention::default() });
    fixture.publish("a");
    fixture.publish("b");
    fixture.advance(Duration::from_mins(30));
    fixture.publish("a");
    fixture.advance(Duration::from_secs(1801));
    for filters in [&["a", "b"][..], &["**"]] {
        assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(0)))), ["a!3", "b!-", "3"], "{filters:?}");
    }
    let state = fixture.state("a").expect("known");
    assert_eq!((state.first, state.events), (Some(Seq(3)), 1));
    fixture.advance(Duration::from_mins(30));
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(1)))), ["a!-"]);
}

pub(crate) fn age_is_swept_without_a_reader<F: StoreFactory>() {
    let fixture =
        LogFixture::<F>::with_retention(Retention { max_age: Some(Duration::from_secs(1)), ..Retention::default() });
    fixture.publish("a");
    fixture.publish("b");
    fixture.advance(Duration::from_secs(2));
    fixture.until("swept", |engine| status(engine).events == 0);
}

pub(crate) fn the_whole_store_stays_under_its_cap_by_trimming_the_oldest<F: StoreFactory>() {
    let rules = Rules { max_store_bytes: Some(1000), ..Rules::default() };
    let fixture = LogFixture::<F>::with(LogConfig { rules, ..LogConfig::fixture() });
    for n in 0..30 {
        fixture.publish_bytes(["a", "b", "c"][n % 3], 100);
        let bytes = |engine: &dyn crate::engine::Engine| status(engine).bytes;
        fixture.until("under the cap", |engine| bytes(engine) <= 1000);
    }
    let newest: Vec<String> = (21..=30).map(|seq| seq.to_string()).collect();
    assert_eq!(short(&fixture.read(&["**"], ReadFrom::Earliest)), newest);
    assert_eq!(short(&fixture.read(&["c"], ReadFrom::After(Seq(3))))[0], "c!21");
}

pub(crate) fn new_rules_hold_for_old_topics_at_a_restart<F: StoreFactory>() {
    let mut fixture = LogFixture::<F>::new();
    fixture.publish_all(&["a"; 5]);
    fixture.factory.config.rules.default.max_events = Some(2);
    fixture.reopen();
    fixture.until("trimmed", |engine| status(engine).events == 2);
    assert_eq!(kept(&fixture, "a"), ["4", "5"]);
}

pub(crate) fn a_topics_own_limit_holds_at_once<F: StoreFactory>() {
    let fixture = LogFixture::<F>::new();
    fixture.publish_all(&["a"; 5]);
    let change = TopicChange { max_age: Some(Some(Duration::from_secs(5))), ..TopicChange::default() };
    fixture.configure("a", change);
    fixture.advance(Duration::from_secs(6));
    assert_eq!(fixture.state("a").expect("known").events, 0);
    fixture.trim("a", 1);
    fixture.publish("a");
    fixture.publish("a");
    fixture.until("trimmed", |engine| status(engine).events == 1);
}

pub(crate) fn events_past_their_age_are_known_not_to_be_retained<F: StoreFactory>() {
    // The sweep runs only every 2.5 s of real time, so it is not what trims here.
    let fixture =
        LogFixture::<F>::with_retention(Retention { max_age: Some(Duration::from_hours(1)), ..Retention::default() });
    let old = fixture.publish("a");
    fixture.advance(Duration::from_mins(30));
    let young = fixture.publish("a");
    fixture.advance(Duration::from_mins(30));
    assert!(fixture.engine.catalog().is_retained(&topic("a"), old), "not before it passes its age");
    fixture.advance(Duration::from_millis(1));
    assert!(!fixture.engine.catalog().is_retained(&topic("a"), old));
    assert_eq!(kept(&fixture, "a"), [young.to_string()]);
    assert!(fixture.engine.catalog().is_retained(&topic("a"), young), "once the older one is trimmed");
    fixture.advance(Duration::from_mins(30));
    assert!(!fixture.engine.catalog().is_retained(&topic("a"), young));
}
