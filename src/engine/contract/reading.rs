//! Contract: pages.

use super::*;

pub(crate) fn a_pattern_reads_every_topic_it_matches<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["jobs/1/log", "jobs/2/log", "jobs/1/state", "other", "jobs/1/log"]);
    assert_eq!(short(&fixture.read(&["jobs/*/log"], ReadFrom::Earliest)), ["1", "2", "5"]);
    assert_eq!(short(&fixture.read(&["jobs/**", "other"], ReadFrom::After(Seq(1)))), ["2", "3", "4", "5"]);
    assert_eq!(short(&fixture.read(&["jobs/1/state", "other"], ReadFrom::Earliest)), ["3", "4"]);
    assert_eq!(short(&fixture.read(&["nothing/**"], ReadFrom::Earliest)), [""; 0]);
}

pub(crate) fn a_page_ends_at_its_limit_and_the_next_continues<F: EngineFactory>() {
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
    let page = wait(fixture.engine.read(request)).expect("readable");
    assert_eq!(page.items.len(), 1, "one event is always returned");
}

pub(crate) fn a_cursor_at_the_head_reads_nothing<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    let empty = |through| LogPage { epoch: fixture.engine.epoch(), items: vec![], through, at_end: true };
    assert_eq!(fixture.read(&["a"], ReadFrom::Earliest), empty(Seq(0)));
    let head = fixture.publish("a");
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        let page = fixture.read(filters, ReadFrom::After(head));
        assert_eq!(page, empty(head), "{filters:?}");
    }
}
