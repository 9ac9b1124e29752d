//! Contract: pages.

use super::*;

pub(crate) fn a_pattern_reads_every_topic_it_matches<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["jobs/1/log", "jobs/2/log", "jobs/1/state", "other", "jobs/1/log"]);
    assert_eq!(short(&fixture.read(&["jobs/*/log"], ReadFrom::Earliest)), ["1", "2", "5"]);
    assert_eq!(short(&fixture.read(&["jobs/**", "other"], ReadFrom::After(Seq(1)))), ["2", "3", "4", "5"]);
    assert_eq!(short(&fixture.read(&["jobs/1/state", "other"], ReadFrom::Earliest)), ["3", "4"]);
    assert_eq!(short(&fixture.read(&["nothing/**"], ReadFrom::Earliest)), [""; 0]);
}

pub(crate) fn a_walk_and_a_pick_read_what_a_merge_reads<F: StoreFactory>() {
    let mut fixture = Fixture::<F>::with(LogConfig { pick_topics: usize::MAX, ..LogConfig::fixture() });
    for n in 0..40 {
        fixture.publish(&format!("jobs/{}", n % 7));
        fixture.publish("other");
    }
    fixture.trim("jobs/3", 2);
    fixture.delete("jobs/5");
    let all = ["jobs/0", "jobs/1", "jobs/2", "jobs/3", "jobs/4", "jobs/5", "jobs/6"];
    let pages = |fixture: &Fixture<F>| {
        [0, 1, 7, 40, 79].map(|start| {
            let page = fixture.read(&["jobs/*"], ReadFrom::After(Seq(start)));
            assert_eq!(page, fixture.read(&all, ReadFrom::After(Seq(start))), "after {start}");
            assert_eq!(fixture.read_in_pages(&["jobs/*"], ReadFrom::After(Seq(start)), 3, 25), page, "after {start}");
            page
        })
    };
    let merged = pages(&fixture);
    for (merge_topics, pick_topics) in [(usize::MAX, 0), (0, 0)] {
        fixture.config = LogConfig { merge_topics, pick_topics, ..fixture.config.clone() };
        fixture.reopen();
        assert_eq!(pages(&fixture), merged, "{merge_topics}, {pick_topics}");
    }
}

pub(crate) fn a_page_ends_at_its_limit_and_the_next_continues<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    for n in 0..30 {
        fixture.publish_bytes(["a", "b", "c"][n % 3], n * 7 % 50);
    }
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        let whole = fixture.read(filters, ReadFrom::Earliest);
        assert!(whole.at_end && whole.through == Seq(30));
        for (events, bytes) in [(1, 1000), (2, 1000), (1000, 1), (1000, 60), (5, 40)] {
            assert_eq!(fixture.read_in_pages(filters, ReadFrom::Earliest, events, bytes), whole, "{filters:?}");
        }
    }
    let request = ReadRequest { selection: selection(&["**"]), from: ReadFrom::Earliest, max_events: 9, max_bytes: 0 };
    let page = fixture.engine.read(&request).expect("readable");
    assert_eq!(page.items.len(), 1, "one event is always returned");
}

pub(crate) fn a_cursor_at_the_head_reads_nothing<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    assert_eq!(fixture.read(&["a"], ReadFrom::Earliest), LogPage { items: vec![], through: Seq(0), at_end: true });
    let head = fixture.publish("a");
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        let page = fixture.read(filters, ReadFrom::After(head));
        assert_eq!(page, LogPage { items: vec![], through: head, at_end: true }, "{filters:?}");
    }
}

pub(crate) fn since_starts_at_a_time<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    let times: Vec<Millis> = (0..6)
        .map(|n| {
            fixture.advance(Duration::from_secs(1));
            fixture.publish_bytes(["a", "b"][n % 2], 1).time
        })
        .collect();
    assert_eq!(short(&fixture.read(&["a", "b"], ReadFrom::Since(times[3]))), ["4", "5", "6"]);
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Since(times[3]))), ["5"]);
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Since(Millis(times[5].0 + 1)))), [""; 0]);
    assert_eq!(short(&fixture.read(&["**"], ReadFrom::Since(Millis(0)))), ["1", "2", "3", "4", "5", "6"]);
}
