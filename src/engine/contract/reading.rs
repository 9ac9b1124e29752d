//! Contract: pages.

use super::*;
use crate::event::{Data, Metadata};

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

pub(crate) fn binary_data_and_metadata_are_kept_exactly_and_count_for_sizes<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    let most = Metadata::stored(&[0xFF; Metadata::MAX_BYTES]).expect("as long as it may be");
    let small = Metadata::new(1, b"").expect("short");
    let binary = |bytes: &[u8]| Data::binary(bytes.to_vec().into());
    let published = vec![
        NewEvent { metadata: Some(small.clone()), ..event("a", "text") },
        NewEvent { data: binary(b"\xFF\0\n\"\r\n"), ..event("b", "") },
        NewEvent { data: binary(b"text"), ..event("a", "") },
        NewEvent { data: binary(b""), metadata: Some(small), retry: Some(7), ..event("a", "") },
        NewEvent { data: binary(&[0xC3; 70_000]), metadata: Some(most.clone()), ..event("b", "") },
        NewEvent { metadata: Some(most), close: true, ..event("c", "") },
        event("a", "plain"),
    ];
    let sizes = |name: &str| {
        let of = published.iter().filter(|new| new.topic == topic(name));
        (of.clone().count() as u64, of.map(|new| new.payload_bytes() as u64).sum())
    };
    fixture.append(plain(published.clone())).expect("accepted");
    let observed: Vec<_> = fixture.observer.events.lock().iter().map(|event| event.new.clone()).collect();
    assert!(observed == published);
    for _ in 0..2 {
        for (filters, bytes) in [(&["**"][..], usize::MAX), (&["a", "b", "c"], 1), (&["**"], 20_000)] {
            let page = fixture.read_in_pages(filters, ReadFrom::Earliest, 100, bytes);
            let read = page.items.iter().map(|item| match item {
                PageItem::Event(event) => &event.new,
                PageItem::Gap(gap) => panic!("{gap:?}"),
            });
            assert!(read.eq(&published), "in pages of {bytes} bytes");
        }
        for name in ["a", "b", "c"] {
            let state = fixture.state(name).expect("in use");
            assert_eq!((state.events, state.bytes), sizes(name), "{name}");
        }
        fixture.reopen();
    }
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
