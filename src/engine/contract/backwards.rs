//! Contract: pages that end before a position.

use super::*;
use crate::engine::{BackwardPage, BackwardRequest, ReadLimit};

pub(crate) fn read_back<F: EngineFactory>(
    fixture: &Fixture<F>,
    filters: &[&str],
    before: u64,
    (events, bytes): (usize, usize),
) -> BackwardPage {
    let limit = ReadLimit { events, bytes };
    let request = BackwardRequest { selection: selection(filters), before: Seq(before), limit };
    let page = wait(fixture.engine.read_back(request)).expect("readable");
    assert_eq!(page.epoch, fixture.engine.epoch());
    page
}

/// A page's items, as [`short`] writes them.
pub(crate) fn short_back(page: BackwardPage) -> Vec<String> {
    let BackwardPage { epoch, items, through, .. } = page;
    short(&LogPage { epoch, items, through, at_end: false })
}

/// All pages from `before` to the oldest, joined.
pub(crate) fn read_all_back<F: EngineFactory>(
    fixture: &Fixture<F>,
    filters: &[&str],
    mut before: u64,
    limit: (usize, usize),
) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let page = read_back(fixture, filters, before, limit);
        let (older, start) = (page.older, page.start);
        assert!(start <= page.through && page.through.0 < before.max(1), "{page:?}");
        let mut items = short_back(page);
        let events = items.iter().filter(|item| !item.contains('?')).count();
        assert!(events <= limit.0, "{items:?} of {limit:?}");
        items.append(&mut all);
        all = items;
        if !older {
            return all;
        }
        before = start.0 + 1;
    }
}

pub(crate) fn pages_read_backwards_join_to_a_plain_list<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    for n in 0..120 {
        fixture.publish_bytes(["a/1", "a/2", "b", "a/1", "other"][n % 5], [3, 60, 9000, 60_000][n % 4]);
    }
    fixture.append(plain((0..300).map(|n| event("a/3", &n.to_string())).collect())).expect("accepted");
    fixture.publish_bytes("b", 100_000);
    for reopened in [false, true] {
        if reopened {
            fixture.reopen();
        }
        for filters in [&["a/1"][..], &["b", "a/2"], &["a/*"], &["**"], &["b", "a/**"], &["none"], &["none/**"]] {
            let all = short(&fixture.read(filters, ReadFrom::Earliest));
            let below = |before: u64| all.iter().filter(move |seq| seq.parse::<u64>().expect("a position") < before);
            for limit in [(50, usize::MAX), (1000, 70_000)] {
                assert_eq!(read_all_back(&fixture, filters, 1000, limit), all, "{limit:?} of {filters:?}");
            }
            for before in [0, 1, 2, 50, 121, 122, 300, 421, 422, 423, u64::MAX] {
                let want: Vec<_> = below(before).cloned().collect();
                let page = read_back(&fixture, filters, before, (3, usize::MAX));
                let newest = &want[want.len().saturating_sub(3)..];
                assert_eq!((page.older, short_back(page)), (want.len() > 3, newest.to_vec()), "{filters:?} < {before}");
            }
        }
    }
}

pub(crate) fn a_page_read_backwards_ends_at_its_bytes_with_at_least_one_event<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    for bytes in [100, 200_000, 100, 100, 100, 200_000] {
        fixture.publish_bytes("a", bytes);
    }
    for (before, bytes, want) in [
        (7, 1, &["6"][..]),
        (7, 200_050, &["6"]),
        (6, 250, &["4", "5"]),
        (6, 300, &["3", "4", "5"]),
        (6, 9000, &["3", "4", "5"]),
    ] {
        let page = read_back(&fixture, &["a"], before, (10, bytes));
        assert_eq!((page.older, page.start.next().to_string()), (true, want[0].to_owned()));
        assert_eq!(short_back(page), want, "{bytes} before {before}");
    }
}

pub(crate) fn what_is_read_backwards_is_what_is_retained<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    for _ in 0..20 {
        fixture.publish_all(&["a", "b"]);
    }
    fixture.trim("a", 3); // 35, 37 and 39 are left
    let all = (10, usize::MAX);
    for filters in [&["a"][..], &["a", "c"]] {
        let page = read_back(&fixture, filters, 41, (2, usize::MAX));
        assert_eq!((page.older, short_back(page)), (true, vec!["37".into(), "39".into()]));
        let page = read_back(&fixture, filters, 37, all);
        assert_eq!((page.older, short_back(page)), (false, vec!["35".into()]), "what was trimmed is no gap");
        let page = read_back(&fixture, filters, 35, all);
        assert_eq!((page.older, short_back(page)), (false, vec![]), "nothing older is kept");
    }
    let page = read_back(&fixture, &["*"], 37, (4, usize::MAX));
    assert_eq!((page.older, short_back(page)), (true, vec!["32".into(), "34".into(), "35".into(), "36".into()]));
    assert!(fixture.remove("b", Seq(34))); // its notice is 41
    assert_eq!(short_back(read_back(&fixture, &["b"], 100, (2, usize::MAX))), ["40", "41"]);
    let tombstone = read_back(&fixture, &["b"], 35, (1, usize::MAX));
    assert!(matches!(&tombstone.items[..], [PageItem::Event(event)] if event.is_tombstone()), "{tombstone:?}");
    fixture.delete("b");
    assert_eq!(short_back(read_back(&fixture, &["b"], 100, all)), [""; 0]);
    assert_eq!(short_back(read_back(&fixture, &["*"], 100, all)), ["35", "37", "39"]);
    fixture.publish("b");
    let page = read_back(&fixture, &["b"], 100, all);
    assert_eq!((page.older, short_back(page)), (false, vec!["42".into()]));
}
