//! Promises about pages.

use super::*;

pub(crate) fn a_pattern_reads_every_topic_it_matches<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.publish_all(&["jobs/1/log", "jobs/2/log", "jobs/1/state", "other", "jobs/1/log"]);
    assert_eq!(short(&house.read(&["jobs/*/log"], ReadFrom::Earliest)), ["1", "2", "5"]);
    assert_eq!(short(&house.read(&["jobs/**", "other"], ReadFrom::After(Seq(1)))), ["2", "3", "4", "5"]);
    assert_eq!(short(&house.read(&["jobs/1/state", "other"], ReadFrom::Earliest)), ["3", "4"]);
    assert_eq!(short(&house.read(&["nothing/**"], ReadFrom::Earliest)), [""; 0]);
}

pub(crate) fn a_walk_and_a_pick_read_what_a_merge_reads<B: StoreFactory>() {
    let mut house = Fixture::<B>::with(LogConfig { pick_topics: usize::MAX, ..LogConfig::default() });
    for n in 0..40 {
        house.publish(&format!("jobs/{}", n % 7));
        house.publish("other");
    }
    house.trim("jobs/3", 2);
    house.delete("jobs/5");
    let all = ["jobs/0", "jobs/1", "jobs/2", "jobs/3", "jobs/4", "jobs/5", "jobs/6"];
    let pages = |house: &Fixture<B>| {
        [0, 1, 7, 40, 79].map(|start| {
            let page = house.read(&["jobs/*"], ReadFrom::After(Seq(start)));
            assert_eq!(page, house.read(&all, ReadFrom::After(Seq(start))), "after {start}");
            assert_eq!(house.read_in_pages(&["jobs/*"], ReadFrom::After(Seq(start)), 3, 25), page, "after {start}");
            page
        })
    };
    let merged = pages(&house);
    for (merge_topics, pick_topics) in [(usize::MAX, 0), (0, 0)] {
        house.config = LogConfig { merge_topics, pick_topics, ..house.config.clone() };
        house.reopen();
        assert_eq!(pages(&house), merged, "{merge_topics}, {pick_topics}");
    }
}

pub(crate) fn a_page_ends_at_its_budget_and_the_next_goes_on<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    for n in 0..30 {
        house.publish_bytes(["a", "b", "c"][n % 3], n * 7 % 50);
    }
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        let whole = house.read(filters, ReadFrom::Earliest);
        assert!(whole.at_end && whole.through == Seq(30));
        for (events, bytes) in [(1, 1000), (2, 1000), (1000, 1), (1000, 60), (5, 40)] {
            assert_eq!(house.read_in_pages(filters, ReadFrom::Earliest, events, bytes), whole, "{filters:?}");
        }
    }
    let request = ReadRequest { selection: selection(&["**"]), from: ReadFrom::Earliest, max_events: 9, max_bytes: 0 };
    let page = house.engine.read(&request).expect("readable");
    assert_eq!(page.items.len(), 1, "one event is always given");
}

pub(crate) fn a_cursor_at_the_head_reads_nothing<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    assert_eq!(house.read(&["a"], ReadFrom::Earliest), LogPage { items: vec![], through: Seq(0), at_end: true });
    let head = house.publish("a");
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        let page = house.read(filters, ReadFrom::After(head));
        assert_eq!(page, LogPage { items: vec![], through: head, at_end: true }, "{filters:?}");
    }
}

pub(crate) fn since_starts_at_a_moment<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    let times: Vec<Millis> = (0..6)
        .map(|n| {
            house.pass(Duration::from_secs(1));
            house.publish_bytes(["a", "b"][n % 2], 1).time
        })
        .collect();
    assert_eq!(short(&house.read(&["a", "b"], ReadFrom::Since(times[3]))), ["4", "5", "6"]);
    assert_eq!(short(&house.read(&["a"], ReadFrom::Since(times[3]))), ["5"]);
    assert_eq!(short(&house.read(&["a"], ReadFrom::Since(Millis(times[5].0 + 1)))), [""; 0]);
    assert_eq!(short(&house.read(&["**"], ReadFrom::Since(Millis(0)))), ["1", "2", "3", "4", "5", "6"]);
}
