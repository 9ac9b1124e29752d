//! Promises about what is kept.

use super::*;

fn kept<B: StoreFactory>(house: &Fixture<B>, name: &str) -> Vec<String> {
    short(&house.read(&[name], ReadFrom::Earliest))
}

pub(crate) fn a_topic_keeps_its_newest_events_by_count<B: StoreFactory>() {
    let house = Fixture::<B>::keeping(Retention { max_events: Some(3), ..Retention::default() });
    (0..2000).for_each(|_| drop(house.engine.append(plain(vec![event("a", "x")]))));
    house.publish("b");
    house.until("trimmed", |engine| engine.status().events == 4);
    assert_eq!(kept(&house, "a"), ["1998", "1999", "2000"]);
    let state = house.state("a").expect("known");
    assert_eq!((state.first, state.events, state.bytes), (Some(Seq(1998)), 3, 3));
}

pub(crate) fn a_topic_keeps_its_newest_bytes_but_always_one_event<B: StoreFactory>() {
    let house = Fixture::<B>::keeping(Retention { max_bytes: Some(100), ..Retention::default() });
    (0..5).for_each(|_| drop(house.publish_bytes("a", 40)));
    house.publish_bytes("b", 30);
    house.publish_bytes("b", 500);
    house.until("trimmed", |engine| engine.status().events == 3);
    assert_eq!(kept(&house, "a"), ["4", "5"]);
    assert_eq!(kept(&house, "b"), ["7"]);
    assert_eq!(house.engine.status().bytes, 580);
}

pub(crate) fn nobody_sees_an_event_past_its_age<B: StoreFactory>() {
    let house = Fixture::<B>::keeping(Retention { max_age: Some(Duration::from_hours(1)), ..Retention::default() });
    house.publish("a");
    house.publish("b");
    house.pass(Duration::from_mins(30));
    house.publish("a");
    house.pass(Duration::from_secs(1801));
    for filters in [&["a", "b"][..], &["**"]] {
        assert_eq!(short(&house.read(filters, ReadFrom::After(Seq(0)))), ["a!3", "b!-", "3"], "{filters:?}");
    }
    let state = house.state("a").expect("known");
    assert_eq!((state.first, state.events), (Some(Seq(3)), 1));
    house.pass(Duration::from_mins(30));
    assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(1)))), ["a!-"]);
}

pub(crate) fn age_is_swept_without_a_reader<B: StoreFactory>() {
    let house = Fixture::<B>::keeping(Retention { max_age: Some(Duration::from_secs(1)), ..Retention::default() });
    house.publish("a");
    house.publish("b");
    house.pass(Duration::from_secs(2));
    house.until("swept", |engine| engine.status().events == 0);
}

pub(crate) fn the_whole_store_stays_under_its_cap_by_trimming_the_oldest<B: StoreFactory>() {
    let rules = Rules { max_store_bytes: Some(1000), ..Rules::default() };
    let house = Fixture::<B>::with(LogConfig { rules, ..LogConfig::default() });
    for n in 0..30 {
        house.publish_bytes(["a", "b", "c"][n % 3], 100);
        let bytes = |engine: &dyn Engine| engine.status().bytes;
        house.until("under the cap", |engine| bytes(engine) <= 1000);
    }
    let newest: Vec<String> = (21..=30).map(|seq| seq.to_string()).collect();
    assert_eq!(short(&house.read(&["**"], ReadFrom::Earliest)), newest);
    assert_eq!(short(&house.read(&["c"], ReadFrom::After(Seq(3))))[0], "c!21");
}

pub(crate) fn new_rules_hold_for_old_topics_at_a_restart<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    house.publish_all(&["a"; 5]);
    house.config.rules.default.max_events = Some(2);
    house.reopen();
    house.until("trimmed", |engine| engine.status().events == 2);
    assert_eq!(kept(&house, "a"), ["4", "5"]);
}

pub(crate) fn a_topics_own_limit_holds_at_once<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.publish_all(&["a"; 5]);
    let change = TopicChange { max_age: Some(Some(Duration::from_secs(5))), ..TopicChange::default() };
    house.configure("a", change);
    house.pass(Duration::from_secs(6));
    assert_eq!(house.state("a").expect("known").events, 0);
    house.trim("a", 1);
    house.publish("a");
    house.publish("a");
    house.until("trimmed", |engine| engine.status().events == 1);
}

pub(crate) fn it_is_known_without_reading_what_is_kept<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    house.publish_all(&["a", "b", "a", "a", "gone"]);
    let keeps = |house: &Fixture<B>, name: &str, seqs: &[u64]| {
        seqs.iter().map(|&seq| house.engine.keeps(&topic(name), Seq(seq))).collect::<Vec<_>>()
    };
    assert_eq!(keeps(&house, "a", &[0, 1, 3, 4, 5]), [false, true, true, true, false], "its own run, and no further");
    assert_eq!(keeps(&house, "unused", &[0, 1]), [false; 2]);
    house.trim("a", 2);
    assert_eq!(keeps(&house, "a", &[1, 3, 4]), [false, true, true]);
    assert!(house.delete("gone"));
    assert_eq!(keeps(&house, "gone", &[5]), [false]);
    let again = house.publish("gone");
    assert_eq!(keeps(&house, "gone", &[5, again.0]), [false, true], "of two lives of a name only the second counts");
    house.trim("b", 0);
    assert_eq!(keeps(&house, "b", &[2]), [false]);
    house.reopen();
    assert_eq!(kept(&house, "a"), ["3", "4"]);
    assert_eq!(keeps(&house, "a", &[1, 3, 4]), [false, true, true], "as before");
    assert_eq!((keeps(&house, "gone", &[5, again.0]), keeps(&house, "b", &[2])), (vec![false, true], vec![false]));
}

pub(crate) fn what_is_past_its_age_is_known_not_to_be_kept<B: StoreFactory>() {
    // A sweep every 2.5 s of the machine's time: it cannot be what answers here.
    let house = Fixture::<B>::keeping(Retention { max_age: Some(Duration::from_hours(1)), ..Retention::default() });
    let old = house.publish("a");
    house.pass(Duration::from_mins(30));
    let young = house.publish("a");
    house.pass(Duration::from_mins(30));
    assert!(house.engine.keeps(&topic("a"), old), "not a moment too early");
    house.pass(Duration::from_millis(1));
    assert!(!house.engine.keeps(&topic("a"), old));
    assert_eq!(kept(&house, "a"), [young.to_string()]);
    assert!(house.engine.keeps(&topic("a"), young), "once the older one is trimmed");
    house.pass(Duration::from_mins(30));
    assert!(!house.engine.keeps(&topic("a"), young));
}
